"""Folder of built networks, and temporary folders in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from neuroattack.errors import BackendUnavailableError

__all__ = ["builds_folder", "locked", "scratch_folder"]

_SCRATCH = "scratch-"


def builds_folder() -> Path:
    """Return the folder of built networks in the user's cache; it may be deleted at any time.

    Raises BackendUnavailableError if it cannot be created.
    """
    import pooch

    folder = Path(pooch.os_cache("neuroattack")) / "brian2"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendUnavailableError(
            f"the folder {folder} for networks built with Brian2 cannot be created: "
            f"{error.strerror or error}"
        ) from error
    return folder


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock between processes in the block; it is released if its holder is killed."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new folder that is removed after the block, or later if the process is killed.

    Raises BackendUnavailableError or OSError if it cannot be created.
    """
    root = builds_folder()
    # While the lock is held, no other process treats the new folder as abandoned.
    with locked(root / "folders.lock"):
        _remove_abandoned(root)
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=root))
        owner = os.open(folder, os.O_RDONLY)
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(owner)


def _remove_abandoned(root: Path) -> None:
    for folder in root.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):
            owner = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(owner)
