"""Safe reading of NIR files into arrays."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import FileError
from neuroattack.files import require_file
from neuroattack.ir.nir.graph.unpack import REFUSED

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
        _unpack(path, unpacked)
        with np.load(unpacked, allow_pickle=False) as arrays:
            return dict(arrays)


def _unpack(path: Path, unpacked: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - this Python, on a file that the user named
            [sys.executable, "-m", "neuroattack.ir.nir.graph.unpack", path.absolute(), unpacked],
            # Do not load compression plugins that the file names from system folders.
            env={**os.environ, "HDF5_PLUGIN_PRELOAD": "::"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FileError(
            path, f"is damaged: reading it took over {_LONGEST_S:.0f} s, expected a NIR file"
        ) from error
    if done.returncode == REFUSED:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise FileError(path, lines[-1])
    if done.returncode != 0:
        raise FileError(path, "is damaged: reading it crashes HDF5, expected a NIR file")
