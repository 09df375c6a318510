"""HDF5 files of neuroattack, with a checksum that detects damage before parsing.

The HDF5 library may hang or crash on a damaged file. Every file therefore begins with a user
block, which HDF5 readers skip, with the SHA-256 of the rest of the file. It is verified before the
file is opened with the library. The root attributes ``kind`` and ``schema`` identify the content.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import FileError, MemoryLimitError, NeuroattackError, OutputError
from neuroattack.files import atomic_path, require_file
from neuroattack.memory import check_memory

__all__ = [
    "create_hdf5",
    "open_hdf5",
    "read_array",
    "read_attribute",
    "read_attributes",
    "read_group",
    "read_kind",
    "seal_hdf5",
    "write_attributes",
]

_USER_BLOCK = 512
_MAGIC = b"neuroattack sha256 "
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

# Maximum expansion factor of deflate: a larger declared array size must be wrong.
_DEFLATE_RATIO = 1032
_LARGEST_ARRAY = 2**31
_LARGEST_FILE = 2**30

_LONGEST_TEXT = 10_000

T = TypeVar("T", int, float, str)


def seal_hdf5(content: bytearray) -> None:
    """Write the checksum of an HDF5 file's content into its user block, in place."""
    digest = hashlib.sha256(memoryview(content)[_USER_BLOCK:]).hexdigest()
    content[:_USER_BLOCK] = (_MAGIC + digest.encode() + b"\n").ljust(_USER_BLOCK, b"\0")


@contextlib.contextmanager
def create_hdf5(target: str | os.PathLike[str], kind: str, schema: int) -> Iterator[h5py.File]:
    """Yield an open HDF5 file; if the block succeeds, write it to `target` with its checksum.

    The file is built in memory and written atomically, so that a full disk cannot crash the HDF5
    library. `kind` identifies the content and `schema` the version of its layout. Raises
    OutputError if `target` cannot be written, or would be too large to be read; an existing file is
    then unchanged.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=_USER_BLOCK) as file:
        file.attrs["kind"] = kind
        file.attrs["schema"] = schema
        yield file
        file.visititems(functools.partial(_check_array, target))
    content = bytearray(buffer.getbuffer())
    if len(content) > _LARGEST_FILE:
        raise OutputError(
            target,
            f"cannot be written: got {len(content) / 2**20:.0f} MiB, expected at most "
            f"{_LARGEST_FILE / 2**20:.0f} MiB; use a smaller {kind}",
        )
    seal_hdf5(content)
    with atomic_path(target) as path:
        path.write_bytes(content)


def _check_array(
    target: str | os.PathLike[str], name: str, item: h5py.Group | h5py.Dataset
) -> None:
    if isinstance(item, h5py.Dataset) and item.nbytes > _LARGEST_ARRAY:
        raise OutputError(
            target,
            f"cannot be written: array {name} has {item.nbytes / 2**20:.0f} MiB, expected at most "
            f"{_LARGEST_ARRAY / 2**20:.0f} MiB",
        )


@contextlib.contextmanager
def open_hdf5(
    path: str | os.PathLike[str],
    kind: str,
    schema: int,
    limit_bytes: int = _LARGEST_FILE,
    oldest_schema: int | None = None,
) -> Iterator[h5py.File]:
    """Open a file for reading after checking its size, checksum, kind and schema.

    Schemas from `oldest_schema`, by default `schema`, to `schema` are accepted.

    Raises
    ------
    FileError
        If the file is missing, too large, not written by neuroattack, damaged, or of another kind
        or schema; or if reading or interpreting it fails inside the block.
    """
    path = require_file(path, limit_bytes, f"a {kind} file (HDF5)")
    _check_seal(path, kind)
    try:
        with h5py.File(path, "r") as file:
            _check_kind(file, kind, schema if oldest_schema is None else oldest_schema, schema)
            yield file
    except (FileError, MemoryLimitError):
        raise
    except NeuroattackError as error:
        raise FileError(path, str(error)) from error
    except (OSError, KeyError, RuntimeError) as error:
        raise FileError(path, f"is not a valid {kind} file: {error}") from error


def read_kind(path: str | os.PathLike[str]) -> str:
    """Return the kind of a file, such as ``"network"``.

    Raises
    ------
    FileError
        If the file is missing, too large, not written by neuroattack, or damaged.
    """
    path = require_file(path, _LARGEST_FILE, "a neuroattack file (HDF5)")
    _check_seal(path, "neuroattack")
    with h5py.File(path, "r") as file:
        return read_attribute(file, "kind", str)


def _check_seal(path: Path, kind: str) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        block = file.read(_USER_BLOCK)
        if block.startswith(_HDF5_MAGIC):
            raise FileError(path, f"is HDF5 but not written by neuroattack, expected a {kind} file")
        if not block.startswith(_MAGIC):
            raise FileError(path, f"is not a neuroattack file, expected a {kind} file (HDF5)")
        while chunk := file.read(2**20):
            digest.update(chunk)
    if block[len(_MAGIC) :][:64] != digest.hexdigest().encode():
        raise FileError(
            path,
            f"is truncated or modified (its checksum differs), expected an intact {kind} file",
        )


def _check_kind(file: h5py.File, kind: str, oldest: int, newest: int) -> None:
    found = read_attribute(file, "kind", str)
    if found != kind:
        raise FileError(file.filename, f"contains a {found}, expected a {kind}")
    version = read_attribute(file, "schema", int)
    if not oldest <= version <= newest:
        expected = f"{newest}" if oldest == newest else f"{oldest} to {newest}"
        raise FileError(file.filename, f"has {kind} schema {version}, expected {expected}")


def read_group(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a group of an open file; raise FileError if it is missing."""
    group = parent.get(name)
    if not isinstance(group, h5py.Group):
        raise FileError(parent.file.filename, f"has no group {parent.name.rstrip('/')}/{name}")
    return group


def read_attribute(group: h5py.Group, name: str, kind: type[T]) -> T:
    """Return an attribute of an open file that is an int, float or str.

    Raises FileError if it is missing or of another type.
    """
    value = group.attrs.get(name)
    kinds = {int: "iu", float: "fiu"}.get(kind)
    if kinds is None:
        good = isinstance(value, str) and len(value) <= _LONGEST_TEXT
    else:
        good = getattr(value, "shape", None) == () and value.dtype.kind in kinds
    if not good:
        expected = {int: "an integer", float: "a number", str: "text"}[kind]
        shown = "missing" if value is None else repr(value)[:80]
        raise FileError(
            group.file.filename, f"attribute {name} of {group.name} is {shown}, expected {expected}"
        )
    return kind(value)


def read_attributes(
    group: h5py.Group, kinds: Mapping[str, type[Any]], optional: Iterable[str] = ()
) -> dict[str, Any]:
    """Return scalar attributes by name; those in `optional` may be missing.

    See :func:`read_attribute` for types and exceptions.
    """
    return {
        name: read_attribute(group, name, kind)
        for name, kind in kinds.items()
        if name not in optional or name in group.attrs
    }


def write_attributes(group: h5py.Group, source: object, names: Iterable[str]) -> None:
    """Write attributes of an object, except those that are None."""
    for name in names:
        value = getattr(source, name)
        if value is not None:
            group.attrs[name] = value


def read_array(group: h5py.Group, name: str, kinds: str, ndim: int) -> NDArray[Any]:
    """Read a numeric data set of an open file, checking its type and size before it is allocated.

    Parameters
    ----------
    kinds : str
        Accepted NumPy type kinds: ``"f"`` for floating point, ``"iu"`` for integers.
    ndim : int
        Required number of dimensions.

    Raises
    ------
    FileError
        If the array is missing, has another type or number of dimensions, or declares a size that
        the file cannot contain.
    MemoryLimitError
        If there is not enough memory for it.
    """
    path, field = group.file.filename, f"{group.name.rstrip('/')}/{name}"
    data = group.get(name)
    if not isinstance(data, h5py.Dataset):
        raise FileError(path, f"has no array {field}")
    if data.dtype.kind not in kinds or data.ndim != ndim:
        raise FileError(
            path,
            f"array {field} is {data.dtype} of {data.ndim} dimensions, expected "
            f"{'floating point' if kinds == 'f' else 'integers'} of {ndim}",
        )
    allowed = min(Path(path).stat().st_size * _DEFLATE_RATIO, _LARGEST_ARRAY)
    if data.size * data.dtype.itemsize > allowed:
        raise FileError(
            path, f"array {field} declares shape {data.shape}, more than the file can contain"
        )
    # The array and its validated copy.
    check_memory(
        f"{path}: array {field}",
        2 * data.size * data.dtype.itemsize,
        "free memory, or read a smaller file",
    )
    return np.asarray(data[()])
