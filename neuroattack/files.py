"""Reading user files with care, and writing results so that a crash leaves the old file whole."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import FileError, OutputError

__all__ = [
    "atomic_path",
    "create_hdf5",
    "open_hdf5",
    "read_array",
    "require_file",
    "write_json",
    "write_text",
]


# What deflate can expand at best; beyond it the declared size of an array is a lie.
_DEFLATE_RATIO = 1032


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on a clean exit it takes the target's place.

    Parameters
    ----------
    target : path
        The file to write; missing parent folders are made.

    Yields
    ------
    Path
        Where to write. If the block raises, the temporary file is removed and
        whatever stood at `target` stays as it was.

    Raises
    ------
    OutputError
        If the folder or the file cannot be written, or the disk is full.
    """
    target = Path(target)
    temporary: Path | None = None
    try:
        if target.is_dir():
            raise OutputError(target, "cannot be written: it is a folder, expected a file name")
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            prefix=f".{target.name}.", suffix=".part", dir=target.parent
        )
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        _flush_to_disk(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(target, f"cannot be written: {reason}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read_array(group: h5py.Group, name: str, kinds: str, ndim: int) -> NDArray[Any]:
    """Read a numeric data set of an open file, checking its type and size before it is allocated.

    Parameters
    ----------
    group : h5py.Group
        Where the data set lies.
    name : str
        Its name.
    kinds : str
        Accepted NumPy type kinds: ``"f"`` for floating point, ``"iu"`` for whole numbers.
    ndim : int
        Dimensions it must have.

    Raises
    ------
    FileError
        If it is missing, of another type or dimension, or declares more than the file can hold.
    """
    path, field = group.file.filename, f"{group.name.rstrip('/')}/{name}"
    data = group.get(name)
    if not isinstance(data, h5py.Dataset):
        raise FileError(path, f"has no array {field}")
    if data.dtype.kind not in kinds or data.ndim != ndim:
        raise FileError(
            path,
            f"array {field} is {data.dtype} of {data.ndim} dimensions, expected "
            f"{'floating point' if kinds == 'f' else 'whole numbers'} of {ndim}",
        )
    allowed = Path(path).stat().st_size * _DEFLATE_RATIO
    if data.size * data.dtype.itemsize > allowed:
        raise FileError(path, f"array {field} declares {data.shape}, more than the file can hold")
    return np.asarray(data[()])


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically. Raises OutputError."""
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically. Raises OutputError."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False) + "\n")


def require_file(path: str | os.PathLike[str], limit_bytes: int, what: str) -> Path:
    """Return `path` if it is a readable, non-empty file of at most `limit_bytes`.

    Parameters
    ----------
    path : path
        The file a user named.
    limit_bytes : int
        Refuse anything larger before a byte of it is read.
    what : str
        What the file should hold, for the message: ``"a network file"``.

    Raises
    ------
    FileError
        If it is missing, a folder, empty, too large or unreadable.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise FileError(path, f"no such file, expected {what}")
        if not path.is_file():
            raise FileError(path, f"is not a regular file, expected {what}")
        size = path.stat().st_size
        if size == 0:
            raise FileError(path, f"is empty, expected {what}")
        if size > limit_bytes:
            raise FileError(
                path,
                f"is {size / 2**20:.0f} MiB, expected {what} of at most "
                f"{limit_bytes / 2**20:.0f} MiB",
            )
        with path.open("rb"):
            pass
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from error
    return path


@contextlib.contextmanager
def create_hdf5(target: str | os.PathLike[str], kind: str, schema: int) -> Iterator[h5py.File]:
    """Yield an HDF5 file of neuroattack's to fill; on a clean exit it takes `target`'s place.

    It is composed in memory, so that a full disk meets one plain write and not the HDF5 library.

    Parameters
    ----------
    target : path
        The file to write, atomically.
    kind, schema : str, int
        The root attributes that :func:`open_hdf5` and its caller check.

    Raises
    ------
    OutputError
        If the file cannot be written; what stood there before is unharmed.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["kind"] = kind
        file.attrs["schema"] = schema
        yield file
    with atomic_path(target) as path:
        path.write_bytes(buffer.getbuffer())


@contextlib.contextmanager
def open_hdf5(
    path: str | os.PathLike[str], kind: str, limit_bytes: int = 2**30
) -> Iterator[h5py.File]:
    """Open an HDF5 file of neuroattack's for reading, checking that it is of the given kind.

    Every file carries the root attributes ``kind`` and ``schema``; the caller checks
    ``schema``.

    Parameters
    ----------
    path : path
        The file a user named.
    kind : str
        What it must be: ``"network"``, ``"sdbn-model"``.
    limit_bytes : int, optional
        Refuse larger files unread.

    Raises
    ------
    FileError
        If the file is missing, too large, not HDF5, truncated, or of another kind.
    """
    path = require_file(path, limit_bytes, f"a {kind} file (HDF5)")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FileError(
            path, f"is not a readable HDF5 file (damaged or truncated?), expected a {kind} file"
        ) from error
    with file:
        found = file.attrs.get("kind")
        if not isinstance(found, str):
            raise FileError(path, f"is HDF5 but not written by neuroattack, expected a {kind} file")
        if found != kind:
            raise FileError(path, f"holds a {found}, expected a {kind}")
        try:
            yield file
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FileError(path, f"is damaged: {error}") from error
