"""Files of recorded spikes, of this package or of any other simulator.

A spike file is a NumPy archive (npz). For every recorded population NAME, and for the input under
``input``, it has the integer arrays ``NAME.steps`` and ``NAME.neurons``, with the time step and the
neuron of each spike, both counted from 0; with several images also ``NAME.images``. The integers
``steps`` and ``images`` are the number of time steps per image and of images (default 1).
``NAME.potentials``, shape (images, steps, size), are membrane potentials before the reset, and are
optional.
"""

from __future__ import annotations

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
from neuroattack.ir.network import Network
from neuroattack.validation import check_integer

__all__ = ["RecordedSpikes", "load_spikes", "save_spikes"]

_LARGEST_FILE = 2**30
_LARGEST_CONTENT = 2**32
_MOST_STEPS = 10**6
_MOST_IMAGES = 10**6
_MOST_CELLS = 2**32


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
    names = {key.rpartition(".")[0] for key in arrays}
    sizes = network.sizes
    unknown = sorted(names - set(sizes))
    if unknown:
        raise ValidationError(f"{path}: population", repr(unknown[0]), f"one of {', '.join(sizes)}")
    spikes, potentials = {}, {}
    for name in (each for each in sizes if each in names):
        shape = images, steps, sizes[name]
        if shape[0] * shape[1] * shape[2] > _MOST_CELLS:
            raise ValidationError(
                f"{path}: {name}", f"{images} x {steps} x {sizes[name]}", f"at most {_MOST_CELLS:,}"
            )
        if f"{name}.neurons" in arrays:
            spikes[name] = _trains(path, name, arrays, shape)
        given = arrays.get(f"{name}.potentials")
        if given is not None:
            if given.shape != shape or given.dtype.kind not in "fiu":
                raise ValidationError(
                    f"{path}: {name}.potentials", f"{given.dtype} {given.shape}", f"floats {shape}"
                )
            potentials[name] = given.astype(np.float64)
    if network.readout not in spikes:
        raise FileError(path, f"has no spikes of the readout population {network.readout!r}")
    return RecordedSpikes(images, steps, spikes, potentials)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            content = sum(each.file_size for each in archive.infolist())
        if content > _LARGEST_CONTENT:
            raise FileError(path, f"has {content:,} bytes, expected at most {_LARGEST_CONTENT:,}")
        with np.load(path, allow_pickle=False) as arrays:
            return {str(name): arrays[name] for name in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, MemoryError) as error:
        raise FileError(path, f"cannot be read as a spike file (npz): {error}") from None


def _count(path: Path, name: str, value: NDArray[Any], most: int) -> int:
    if value.shape != () or value.dtype.kind not in "iu":
        raise ValidationError(f"{path}: {name}", f"{value.dtype} {value.shape}", "one integer")
    return check_integer(f"{path}: {name}", int(value), 1, most)


def _trains(
    path: Path, name: str, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int, int]
) -> SpikeTrains:
    neurons = arrays[f"{name}.neurons"]
    columns = []
    for part, size in zip(("images", "steps", "neurons"), shape, strict=True):
        key = f"{name}.{part}"
        values = arrays.get(key, np.zeros_like(neurons) if part == "images" else None)
        if values is None:
            raise FileError(path, f"has no array {key!r}")
        if values.shape != neurons.shape or values.ndim != 1 or values.dtype.kind not in "iu":
            raise ValidationError(
                f"{path}: {key}",
                f"{values.dtype} {values.shape}",
                f"integers, as many as {name}.neurons",
            )
        if values.size and (values.min() < 0 or values.max() >= size):
            raise ValidationError(
                f"{path}: {key}", f"{values.min()} to {values.max()}", f"0 to {size - 1}"
            )
        columns.append(values)
    image, step, neuron = columns
    return SpikeTrains.from_events(image, step, neuron, shape)
