"""Safe reading of NIR files into arrays."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import FileError
from neuroattack.files import require_file
from neuroattack.ir.projection import SMALLER_NETWORK
from neuroattack.isolation import read_isolated
from neuroattack.memory import check_memory

__all__ = ["read_arrays"]

_LARGEST_FILE = 2**30
_LONGEST_S = 60.0
_OWN_MAGIC = b"neuroattack sha256 "


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read all arrays of an HDF5 file by their paths; nothing in the file is executed.

    A separate process parses the file, because a damaged file may crash its reader. Its memory is
    limited to 256 MiB plus twice the size of the file times 1032, deflate's maximum expansion.

    Raises
    ------
    FileError
        If the file is missing, not HDF5, damaged, too large, declares more than it can contain, or
        links to other files or in a circle.
    """
    path = require_file(path, _LARGEST_FILE, "a NIR file (HDF5)")
    with path.open("rb") as file:
        if file.read(len(_OWN_MAGIC)) == _OWN_MAGIC:
            raise FileError(path, "is a neuroattack file, expected a NIR file")
    with tempfile.TemporaryDirectory(prefix="neuroattack-nir-") as folder:
        unpacked = Path(folder) / "arrays.npz"
        read_isolated(
            "neuroattack.ir.nir.graph.unpack",
            path,
            unpacked,
            what="a NIR file",
            parser="HDF5",
            longest_s=_LONGEST_S,
        )
        check_memory(f"{path}: arrays", unpacked.stat().st_size, SMALLER_NETWORK)
        with np.load(unpacked, allow_pickle=False) as arrays:
            return dict(arrays)
