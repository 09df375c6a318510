"""Unpack an HDF5 file in a separate process, which a damaged file may crash.

The HDF5 library may hang, crash or allocate without bound on a damaged file, and files of other
tools have no checksum that would reveal damage before parsing. Run as
``python -m neuroattack.ir.nir.graph.unpack FILE OUTPUT``, this writes the arrays of FILE to the npz
file OUTPUT, with limited memory. :mod:`neuroattack.ir.nir.graph.file` runs it and reads the result.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from neuroattack.isolation import RefusedError, limit_memory, serve

__all__ = ["LARGEST_EXPANSION"]

LARGEST_EXPANSION = 1032
"""Maximum expansion factor of deflate: bytes of arrays per byte of the file."""

_MOST_BYTES = 2**31
_MOST_OBJECTS = 10_000
_DEEPEST = 16
_LONGEST_TEXT = 1_000
_WORKING_MEMORY_BYTES = 2**28


def _unpack(path: Path, output: Path) -> None:
    allowed = min(path.stat().st_size * LARGEST_EXPANSION, _MOST_BYTES)
    limit_memory(2 * allowed + _WORKING_MEMORY_BYTES)
    with h5py.File(path, "r") as file, zipfile.ZipFile(output, "w") as arrays:
        walk = _Walk(allowed, arrays)
        walk.group(file, 0)


class _Walk:
    """Traversal of all objects reachable by hard links, each once, within limits."""

    def __init__(self, allowed_bytes: int, arrays: zipfile.ZipFile) -> None:
        self._left_bytes = allowed_bytes
        self._left_objects = _MOST_OBJECTS
        self._groups: set[tuple[int, int]] = set()
        self._arrays = arrays

    def group(self, group: h5py.Group, depth: int) -> None:
        info = h5py.h5o.get_info(group.id)
        if (info.fileno, info.addr) in self._groups:
            raise RefusedError(f"links to the group {group.name} twice or in a circle")
        self._groups.add((info.fileno, info.addr))
        if depth > _DEEPEST:
            raise RefusedError(
                f"has groups within groups {depth} deep, expected at most {_DEEPEST}"
            )
        for name in group:
            self._left_objects -= 1
            if self._left_objects < 0:
                raise RefusedError(
                    f"contains over {_MOST_OBJECTS:,} objects, expected at most that many"
                )
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise RefusedError(f"{group.name}/{name} is a soft or external link, expected data")
            item = group[name]
            if isinstance(item, h5py.Group):
                self.group(item, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self._dataset(item)

    def _dataset(self, data: h5py.Dataset) -> None:
        if data.external or data.is_virtual:
            raise RefusedError(f"array {data.name} is in another file, expected it in this one")
        if data.shape is None:
            return
        text = h5py.check_string_dtype(data.dtype) is not None
        if not text and data.dtype.kind not in "biuf":
            raise RefusedError(f"array {data.name} is {data.dtype}, expected numbers or text")
        # A text takes at least a reference of 16 bytes in the file.
        declared = data.size * (4 * _LONGEST_TEXT if text else data.dtype.itemsize)
        self._left_bytes -= data.size * (16 if text else data.dtype.itemsize)
        if self._left_bytes < 0 or declared > _MOST_BYTES:
            raise RefusedError(
                f"array {data.name} declares shape {data.shape}, more than the file can contain"
            )
        values = _texts(data) if text else np.asarray(data[()])
        with self._arrays.open(f"{data.name.lstrip('/')}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(  # type: ignore[no-untyped-call]
                member, values, allow_pickle=False
            )


def _texts(data: h5py.Dataset) -> NDArray[Any]:
    texts = np.asarray(data.asstr()[()], object)
    if any(len(text) > _LONGEST_TEXT for text in texts.flat):
        raise RefusedError(
            f"array {data.name} contains a text of over {_LONGEST_TEXT:,} characters"
        )
    return texts.astype(str)


if __name__ == "__main__":
    sys.exit(serve(_unpack, "is not valid HDF5"))
