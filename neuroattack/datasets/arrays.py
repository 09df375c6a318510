"""Safe reading of arrays in npy and npz files."""

from __future__ import annotations

import lzma
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import FileError
from neuroattack.memory import check_memory

__all__ = ["read_npy", "read_npz"]

# Exceptions of zipfile and of NumPy's header parser on damaged files.
_DAMAGED = (
    *(EOFError, NotImplementedError, OSError, RuntimeError, SyntaxError, ValueError),
    *(lzma.LZMAError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


def read_npz(path: Path, most_bytes: int, kinds: str) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file, of at most `most_bytes` together.

    `kinds` are the accepted NumPy type kinds. Raises FileError if the file is invalid.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            left_bytes = most_bytes
            for member in archive.infolist():
                with archive.open(member) as file:
                    array = _read_array(file, min(member.file_size, left_bytes), kinds)
                left_bytes -= array.nbytes
                arrays[member.filename.removesuffix(".npy")] = array
    except _DAMAGED as error:
        raise FileError(path, f"is not a valid npz file of numeric arrays: {error}") from error
    return arrays


def read_npy(path: Path, most_bytes: int, kinds: str) -> NDArray[Any]:
    """Read the array of an npy file, of at most `most_bytes`; see :func:`read_npz`."""
    try:
        with path.open("rb") as file:
            return _read_array(file, min(path.stat().st_size, most_bytes), kinds)
    except _DAMAGED as error:
        raise FileError(path, f"is not a valid npy file: {error}") from error


def _read_array(file: IO[bytes], most_bytes: int, kinds: str) -> NDArray[Any]:
    """Read an array; its declared size is checked before memory is allocated.

    Raises
    ------
    ValueError
        If the array is invalid, of another type, or declares more than `most_bytes`.
    """
    version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"an array of npy version {version}")
    shape, fortran_order, dtype = read_header(file)  # type: ignore[no-untyped-call]
    if dtype.hasobject or dtype.kind not in kinds:
        raise ValueError(f"an array of type {dtype}")
    size = math.prod(shape)
    if size * dtype.itemsize > most_bytes:
        raise ValueError(f"an array declares shape {shape}, more than the file can contain")
    check_memory(
        "an array of a file, and its copy", 2 * size * dtype.itemsize, "use a file with fewer data"
    )
    content = file.read(size * dtype.itemsize)
    array = np.frombuffer(content, dtype, count=size)
    return np.array(array.reshape(shape, order="F" if fortran_order else "C"))
