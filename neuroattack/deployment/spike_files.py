"""Files of recorded spikes, of this package or of any other simulator.

A spike file is a NumPy archive (npz). For every recorded population NAME, and for the input under
``input``, it has the integer arrays ``NAME.steps`` and ``NAME.neurons``, with the time step and the
neuron of each spike, both counted from 0; with several images also ``NAME.images``. A neuron spikes
at most once per step. The integers ``steps`` and ``images`` are the number of time steps per image
and of images (default 1). ``NAME.potentials``, shape (images, steps, size), are membrane potentials
before the reset, and are optional.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import FileError, ValidationError
from neuroattack.files import require_file, write_arrays
from neuroattack.ir.network import INPUT, Network
from neuroattack.memory import check_memory
from neuroattack.validation import check_integer

__all__ = ["RecordedSpikes", "load_spikes", "save_spikes"]

_LARGEST_FILE = 2**30
_LARGEST_CONTENT = 2**32
_MOST_STEPS = 10**6
_MOST_IMAGES = 10**6
_MOST_CELLS = 2**32

_OF_SPIKES = ("images", "steps", "neurons")


@dataclass(frozen=True, eq=False)
class RecordedSpikes:
    """Spikes of a simulation.

    Parameters
    ----------
    images, steps : int
        Number of images, and of time steps per image.
    spikes : mapping of str to SpikeTrains
        Spikes of each recorded population; those of the input under ``"input"``.
    potentials : mapping of str to float64 array, shape (images, steps, size), optional
        Membrane potentials before the reset, of populations for which they were recorded.
    """

    images: int
    steps: int
    spikes: Mapping[str, SpikeTrains]
    potentials: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def save_spikes(path: str | os.PathLike[str], recorded: RecordedSpikes) -> None:
    """Write a spike file, atomically. Raises OutputError."""
    arrays: dict[str, NDArray[Any]] = {
        "images": np.array(recorded.images),
        "steps": np.array(recorded.steps),
    }
    for name, trains in recorded.spikes.items():
        image, step, neuron = trains.events()
        arrays |= {
            f"{name}.images": image.astype(np.int32),
            f"{name}.steps": step.astype(np.int32),
            f"{name}.neurons": neuron,
        }
    arrays |= {f"{name}.potentials": each for name, each in recorded.potentials.items()}
    write_arrays(path, arrays)


def load_spikes(path: str | os.PathLike[str], network: Network) -> RecordedSpikes:
    """Read a spike file of a network.

    Raises
    ------
    FileError, ValidationError
        If it is no spike file, or does not fit the network.
    """
    path = require_file(path, _LARGEST_FILE, "a spike file (npz)")
    arrays = _arrays(path)
    if "steps" not in arrays:
        raise FileError(path, "has no array 'steps', expected the number of time steps per image")
    steps = _count(path, "steps", arrays.pop("steps"), _MOST_STEPS)
    images = _count(path, "images", arrays.pop("images", np.array(1)), _MOST_IMAGES)
    names = _names(path, arrays, network)
    spikes, potentials = {}, {}
    for name in names:
        shape = images, steps, network.sizes[name]
        if math.prod(shape) > _MOST_CELLS:
            raise ValidationError(
                f"{path}: {name}", " x ".join(map(str, shape)), f"at most {_MOST_CELLS:,}"
            )
        if any(f"{name}.{part}" in arrays for part in _OF_SPIKES):
            spikes[name] = _trains(path, name, arrays, shape)
        if f"{name}.potentials" in arrays:
            potentials[name] = _potentials(path, name, arrays, shape)
    if network.readout_quantity != "spike_count" and network.readout in potentials:
        # These neurons never spike.
        nothing = np.zeros(0, np.int64)
        shape = images, steps, network.classes
        spikes.setdefault(
            network.readout, SpikeTrains.from_events(nothing, nothing, nothing, shape)
        )
    if network.readout not in spikes:
        raise FileError(path, f"has no spikes of the readout population {network.readout!r}")
    return RecordedSpikes(images, steps, spikes, potentials)


def _names(path: Path, arrays: Mapping[str, NDArray[Any]], network: Network) -> list[str]:
    """Return the populations in a file, in the order of the network."""
    sizes = network.sizes
    names = set()
    for key in sorted(arrays):
        name, _, part = key.rpartition(".")
        if name and name not in sizes:
            raise ValidationError(f"{path}: population", repr(name), f"one of {', '.join(sizes)}")
        parts = _OF_SPIKES if name == INPUT else (*_OF_SPIKES, "potentials")
        if part not in parts or not name:
            expected = ", ".join(f"{name or 'NAME'}.{each}" for each in parts)
            raise ValidationError(f"{path}: array", repr(key), f"steps, images, or {expected}")
        names.add(name)
    return [name for name in sizes if name in names]


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            content = sum(each.file_size for each in archive.infolist())
        if content > _LARGEST_CONTENT:
            raise FileError(path, f"has {content:,} bytes, expected at most {_LARGEST_CONTENT:,}")
        # What is read, and the spikes of one population: four columns of 8 bytes, for 8 to 12.
        check_memory(f"{path}: recorded spikes", 4 * content, "record fewer images or steps")
        with np.load(path, allow_pickle=False) as arrays:
            found = {str(name): arrays[name] for name in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, MemoryError) as error:
        raise FileError(path, f"cannot be read as a spike file (npz): {error}") from None
    for name, each in found.items():
        # NumPy returns the bytes of a member that is not an array.
        if not isinstance(each, np.ndarray):
            raise FileError(path, f"has a member {name!r} that is not an array")
    return found


def _count(path: Path, name: str, value: NDArray[Any], most: int) -> int:
    if value.shape != () or value.dtype.kind not in "iu":
        raise ValidationError(f"{path}: {name}", f"{value.dtype} {value.shape}", "one integer")
    return check_integer(f"{path}: {name}", int(value), 1, most)


def _trains(
    path: Path, name: str, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int, int]
) -> SpikeTrains:
    columns = {}
    for part, size in zip(_OF_SPIKES, shape, strict=True):
        key = f"{name}.{part}"
        if key in arrays:
            columns[part] = _indices(path, key, arrays[key], size)
        elif part != "images":
            raise FileError(path, f"has no array {key!r}")
        elif size > 1:
            raise FileError(path, f"has no array {key!r}, expected one with {size} images")
    count = len(columns["neurons"])
    columns.setdefault("images", np.zeros(count, np.int64))
    for part, each in columns.items():
        if len(each) != count:
            raise ValidationError(
                f"{path}: {name}.{part}",
                f"{len(each)} integers",
                f"{count}, as many as {name}.neurons",
            )
    image, step, neuron = (columns[part] for part in _OF_SPIKES)
    # There are at most 2**32 cells.
    cells, repeats = np.unique((image * shape[1] + step) * shape[2] + neuron, return_counts=True)
    if (repeats > 1).any():
        of_image, in_step, repeated = np.unravel_index(cells[repeats.argmax()], shape)
        raise ValidationError(
            f"{path}: {name}",
            f"{repeats.max()} spikes of neuron {repeated} in step {in_step} of image {of_image}",
            "at most one per step",
        )
    return SpikeTrains.from_events(image, step, neuron, shape)


def _indices(path: Path, key: str, values: NDArray[Any], size: int) -> NDArray[np.int64]:
    # NumPy stores an empty list as floats.
    if values.shape == (0,):
        return np.zeros(0, np.int64)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ValidationError(
            f"{path}: {key}", f"{values.dtype} {values.shape}", "a one-dimensional integer array"
        )
    if values.min() < 0 or values.max() >= size:
        raise ValidationError(
            f"{path}: {key}", f"{values.min()} to {values.max()}", f"0 to {size - 1}"
        )
    return values.astype(np.int64)


def _potentials(
    path: Path, name: str, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int, int]
) -> NDArray[np.float64]:
    given = arrays[f"{name}.potentials"]
    if given.shape != shape or given.dtype.kind not in "fiu":
        raise ValidationError(
            f"{path}: {name}.potentials", f"{given.dtype} {given.shape}", f"floats {shape}"
        )
    if not np.isfinite(given).all():
        raise ValidationError(f"{path}: {name}.potentials", "NaN or infinity", "finite numbers")
    return given.astype(np.float64)
