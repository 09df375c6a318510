"""Names of a worker's files in shared memory, and their removal."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

__all__ = ["new_prefix", "private_folder", "remove_leftovers"]

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where Linux keeps it


def new_prefix() -> str:
    """Return a prefix for the files of a worker, short enough for ``multiprocessing``."""
    return f"na{secrets.token_hex(3)}"


def private_folder(prefix: str) -> Path:
    """Return the folder for a worker's sockets, which is not created here.

    It is in shared memory, where its path is short and all files are in one place.
    """
    return _SHARED_MEMORY / f"{prefix}-sockets"


def remove_leftovers(prefix: str) -> None:
    """Remove the memory segments, semaphores and sockets of a worker that has ended."""
    for pattern in (f"{prefix}*", f"sem.{prefix}*"):
        for path in _SHARED_MEMORY.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
