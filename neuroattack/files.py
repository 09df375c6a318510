"""Validated reading of user files and atomic writing of results."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import FileError, OutputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "atomic_path",
    "check_writable",
    "require_file",
    "toml_value",
    "tomllib",
    "write_arrays",
    "write_json",
    "write_text",
]


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to `target`; if the block succeeds, it replaces `target`.

    If the block raises an exception, the temporary file is removed and `target` is unchanged.
    Missing parent folders are created. Raises OutputError if the folder or the file cannot be
    written, or the disk is full.
    """
    # If the target is a symbolic link, replace the file it points to, not the link.
    target = Path(target).resolve()
    check_writable(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(target, f"cannot be written: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(target: str | os.PathLike[str]) -> None:
    """Raise OutputError if `target` cannot be written; called before long computations.

    Creates the parent folder, but no file.
    """
    target = Path(target)
    try:
        if target.exists() and not target.is_file():
            kind = "a folder" if target.is_dir() else "not a regular file"
            raise OutputError(target, f"cannot be written: it is {kind}, expected a file name")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OutputError(target, f"cannot be written: {error.strerror or error}") from error


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically. Raises OutputError."""
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically. Raises OutputError."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_arrays(target: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named numeric arrays as a compressed npz file, atomically. Raises OutputError."""
    with atomic_path(target) as path, path.open("wb") as file:
        np.savez_compressed(file, **dict[str, Any](arrays))


def require_file(path: str | os.PathLike[str], limit_bytes: int, what: str) -> Path:
    """Return `path` if it is a readable, non-empty file of at most `limit_bytes`.

    `what` describes the expected file in error messages: ``"a network file"``. Raises FileError if
    the file is missing, a folder, empty, too large or unreadable.
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


def toml_value(text: str) -> Any:
    """Parse `text` as a TOML value (number, ``true``, list, ...); return it unchanged otherwise."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
