"""Event samples packed in bits, as the npz files of event data sets contain them."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import FileError, ValidationError

__all__ = ["check_size", "unpack_samples", "write_array", "write_samples"]

_MOST_CELLS = 2**33
_MOST_AXES = 4


def check_size(samples: int, shape: tuple[int, ...]) -> None:
    """Raise ValidationError if samples take too much memory when they are read."""
    cells = samples * math.prod(shape)
    if cells > _MOST_CELLS:
        raise ValidationError(
            "event samples",
            f"{samples:,} of {'x'.join(map(str, shape))}, {cells / 2**30:.0f} GiB in memory",
            f"at most {_MOST_CELLS / 2**30:.0f} GiB; use fewer recordings or time steps, or "
            "downsample them",
        )


def write_samples(
    archive: zipfile.ZipFile,
    name: str,
    samples: Iterable[NDArray[np.bool_]],
    count: int,
    shape: tuple[int, ...],
) -> None:
    """Write `count` samples one by one as an array of an npz file."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, -(-math.prod(shape) // 8))}
    with archive.open(_member(name), "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
        for sample in samples:
            file.write(np.packbits(sample.ravel()).tobytes())


def write_array(archive: zipfile.ZipFile, name: str, values: Any) -> None:
    """Write a small array of an npz file."""
    with archive.open(_member(name), "w") as file:
        np.lib.format.write_array(  # type: ignore[no-untyped-call]
            file, np.asarray(values), allow_pickle=False
        )


def _member(name: str) -> zipfile.ZipInfo:
    # With the default time stamp, equal data sets are equal files.
    member = zipfile.ZipInfo(f"{name}.npy")
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


def unpack_samples(
    path: str, arrays: Mapping[str, NDArray[Any]], part: str
) -> tuple[NDArray[np.bool_], float]:
    """Return the samples of a part, shape (samples, steps, ...), and the time step in seconds.

    Raises
    ------
    FileError
        If an array is missing, of another type or shape, or too large.
    """
    packed, shape, dt_s = (arrays.get(name) for name in (f"{part}_events", "shape", "dt_s"))
    if packed is None or shape is None or dt_s is None:
        raise FileError(
            path, f"contains {', '.join(arrays)}, expected {part}_events, shape and dt_s"
        )
    if (
        shape.dtype.kind not in "iu"
        or shape.ndim != 1
        or not 2 <= len(shape) <= _MOST_AXES
        or shape.min() < 1
    ):
        raise FileError(
            path, f"shape is {shape}, expected 2 to {_MOST_AXES} positive integers: steps, ..."
        )
    if dt_s.shape != () or dt_s.dtype.kind != "f" or not (np.isfinite(dt_s) and dt_s > 0):
        raise FileError(path, f"dt_s is {dt_s}, expected a time step in seconds")
    sample = tuple(shape.tolist())
    cells = math.prod(sample)
    expected = -(-cells // 8)
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != expected:
        raise FileError(
            path,
            f"{part}_events is {packed.dtype} of shape {packed.shape}, expected uint8 of shape "
            f"(samples, {expected}): {'x'.join(map(str, sample))} bits per sample",
        )
    if not len(packed):
        raise FileError(path, f"{part}_events has no sample, expected at least one")
    try:
        check_size(len(packed), sample)
    except ValidationError as error:
        raise FileError(path, str(error)) from error
    if (packed[:, -1] & (2 ** (8 * expected - cells) - 1)).any():
        raise FileError(path, f"{part}_events has bits after the end of a sample, expected zeros")
    bits = np.unpackbits(packed, axis=1, count=cells)
    return bits.view(np.bool_).reshape(len(packed), *sample), float(dt_s)
