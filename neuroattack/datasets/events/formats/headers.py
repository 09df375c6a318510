"""Text headers of AEDAT files."""

from __future__ import annotations

import re
from pathlib import Path

from neuroattack.errors import FileError

__all__ = ["aedat_version", "check_version"]

_VERSION = re.compile(rb"#!AER-DAT(\d\.\d)\r?\n")


def aedat_version(start: bytes) -> str | None:
    """Return the version in the first bytes of an AEDAT file, such as "2.0"; None if missing."""
    found = _VERSION.match(start)
    return found.group(1).decode() if found else None


def check_version(path: Path, content: bytes, expected: str) -> None:
    """Raise FileError unless a file begins with the line of an AEDAT version."""
    found = aedat_version(content[:20])
    if found != expected:
        kind = "not an AEDAT file" if found is None else f"an AEDAT {found} file"
        raise FileError(path, f"is {kind}, expected #!AER-DAT{expected} in its first line")
