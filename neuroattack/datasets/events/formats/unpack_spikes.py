"""Unpack an HDF5 file of spike trains in a separate process, which a damaged file may crash.

Run as ``python -m neuroattack.datasets.events.formats.unpack_spikes FILE FOLDER PARTS``. With the
parts "labels", it writes labels.npy. With "all", it also writes counts.npy, the number of spikes of
each recording, and times.bin and units.bin, the spikes of all recordings one after the other.
:mod:`neuroattack.datasets.events.formats.shd` runs it and reads the result.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neuroattack.isolation import RefusedError, limit_memory, serve

__all__: list[str] = []

_MOST_RECORDINGS = 1_000_000
_RECORDINGS_AT_ONCE = 256
_WORKING_MEMORY_BYTES = 2**28


def _unpack(path: Path, folder: Path, parts: str) -> None:
    limit_memory(2 * path.stat().st_size + _WORKING_MEMORY_BYTES)
    with h5py.File(path, "r") as file:
        labels = _dataset(file, "labels")
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise RefusedError(f"labels is {labels.dtype} of {labels.shape}, expected integers")
        if not 0 < len(labels) <= _MOST_RECORDINGS:
            raise RefusedError(
                f"labels declares {len(labels):,} recordings, expected 1 to {_MOST_RECORDINGS:,}"
            )
        np.save(folder / "labels.npy", labels[()].astype(np.int64))
        if parts == "all":
            _unpack_spikes(path, file, len(labels), folder)


def _unpack_spikes(path: Path, file: h5py.File, recordings: int, folder: Path) -> None:
    times = _trains(file, "spikes/times", "f", recordings)
    units = _trains(file, "spikes/units", "iu", recordings)
    counts = np.zeros(recordings, np.int64)
    left_bytes = path.stat().st_size
    with (folder / "times.bin").open("wb") as t_file, (folder / "units.bin").open("wb") as u_file:
        for start in range(0, recordings, _RECORDINGS_AT_ONCE):
            several = slice(start, start + _RECORDINGS_AT_ONCE)
            pairs = zip(times[several], units[several], strict=True)
            for index, (t, unit) in enumerate(pairs, start):
                left_bytes -= t.nbytes + unit.nbytes
                if left_bytes < 0:
                    raise RefusedError("declares more spikes than the file can contain")
                if t.shape != unit.shape:
                    raise RefusedError(
                        f"recording {index} has {len(t):,} times and {len(unit):,} units, expected "
                        "one unit per time"
                    )
                if len(unit) and unit.max() >= 2**31:
                    raise RefusedError(f"recording {index} has unit {unit.max()}")
                counts[index] = len(t)
                t_file.write(t.astype("<f8").tobytes())
                u_file.write(unit.astype("<i4").tobytes())
    np.save(folder / "counts.npy", counts)


def _dataset(file: h5py.File, name: str) -> Any:
    at: Any = file
    for part in name.split("/"):
        if not isinstance(at, h5py.Group) or part not in at:
            raise RefusedError(f"has no array {name}, expected spikes/times, spikes/units, labels")
        if not isinstance(at.get(part, getlink=True), h5py.HardLink):
            raise RefusedError(f"{name} is a soft or external link, expected data")
        at = at[part]
    if not isinstance(at, h5py.Dataset) or at.shape is None or at.external or at.is_virtual:
        raise RefusedError(f"{name} is not an array in this file, expected an array")
    return at


def _trains(file: h5py.File, name: str, kinds: str, recordings: int) -> Any:
    data = _dataset(file, name)
    base = h5py.check_vlen_dtype(data.dtype)
    if base is None or np.dtype(base).kind not in kinds:
        expected = "floating point" if kinds == "f" else "integers"
        raise RefusedError(
            f"{name} is {data.dtype if base is None else base}, expected {expected} of variable "
            "length"
        )
    if data.shape != (recordings,):
        raise RefusedError(f"{name} has shape {data.shape}, expected ({recordings},) as labels has")
    return data


if __name__ == "__main__":
    sys.exit(serve(_unpack, "is not valid HDF5"))
