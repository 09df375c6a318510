"""Reading of included and user-defined hardware profiles, with error messages."""

from __future__ import annotations

import hashlib
import os
import sys
from importlib import resources
from typing import TYPE_CHECKING

import pydantic

from neuroattack.errors import FileError, UnknownNameError, ValidationError
from neuroattack.files import require_file
from neuroattack.hardware.profiles.profile import Profile
from neuroattack.hardware.profiles.schema import ProfileDocument
from neuroattack.hardware.profiles.tables import shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from importlib.abc import Traversable

__all__ = ["list_profiles", "load_profile", "read_profile"]

_LIMIT_BYTES = 2**20
# Python's TOML parser takes quadratic time in the number of parts of a dotted key.
_LIMIT_LINE_BYTES = 2000
_WHAT = "a hardware profile (TOML)"


def list_profiles() -> list[str]:
    """Return the names of the included profiles, sorted."""
    return sorted(_shipped())


def load_profile(name_or_path: str | os.PathLike[str]) -> Profile:
    """Load a hardware profile by name or from a file.

    Parameters
    ----------
    name_or_path : str or path
        A name in :func:`list_profiles`, or a file. Names with a path separator or the extension
        ``.toml`` are files, and so are other names if such a file exists and no such profile.

    Raises
    ------
    UnknownNameError
        If there is neither a profile nor a file of that name.
    FileError
        If the file cannot be read or is not a valid profile; the message names the problem and its
        location in the file.
    """
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, os.PathLike) or is_profile_path(name):
        return read_profile(name_or_path)
    shipped = _shipped()
    if name not in shipped and name and os.path.lexists(name):
        return read_profile(name)
    if name not in shipped:
        raise UnknownNameError("hardware profile", name, [*shipped, "a path to a .toml file"])
    return _parse(shipped[name].read_bytes(), name)


def is_profile_path(name: str) -> bool:
    """Return whether a profile is specified by a file rather than by name."""
    return name.endswith(".toml") or not {os.sep, os.altsep or os.sep}.isdisjoint(name)


def read_profile(path: str | os.PathLike[str]) -> Profile:
    """Read a profile from a file; raises FileError."""
    try:
        with require_file(path, _LIMIT_BYTES, _WHAT).open("rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from error
    if len(content) > _LIMIT_BYTES:
        raise FileError(path, f"is larger than 1 MiB, expected {_WHAT}")
    return _parse(content, path)


def _shipped() -> dict[str, Traversable]:
    folder = resources.files("neuroattack.hardware_profiles")
    return {
        file.name.removesuffix(".toml"): file
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".toml")
    }


def _parse(content: bytes, path: str | os.PathLike[str]) -> Profile:
    longest = max(map(len, content.split(b"\n")))
    if longest > _LIMIT_LINE_BYTES:
        raise FileError(
            path, f"has a line of {longest} bytes, expected lines of at most {_LIMIT_LINE_BYTES}"
        )
    try:
        # utf-8-sig: ignore a byte order mark, which some editors write.
        tables = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FileError(path, f"is not UTF-8 (byte {error.start}), expected {_WHAT}") from error
    except RecursionError as error:
        raise FileError(path, f"is nested too deeply, expected {_WHAT}") from error
    except ValueError as error:
        # Invalid TOML, or invalid dates in it.
        raise FileError(path, f"is not TOML ({_one_line(error)}), expected {_WHAT}") from error
    try:
        document = ProfileDocument.model_validate(tables)
    except pydantic.ValidationError as error:
        raise FileError(path, _sentence(error)) from error
    profile = Profile(document, hashlib.sha256(content).hexdigest())
    try:
        profile.number_format().check()
    except ValidationError as error:
        raise FileError(path, str(error)) from error
    return profile


_EXPECTED = {
    "int_type": "an integer",
    "int_parsing_size": "an integer with fewer digits",
    "float_type": "a number",
    "string_type": "text in quotes",
    "string_too_short": "text that is not empty",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "letters, digits and underscores, starting with a letter; in "
    "display names also spaces and . , : ; ( ) + / & ' -",
    "bool_type": "true or false",
    "literal_error": "{expected}",
    "tuple_type": "a list",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "missing": "one more value",
    "dict_type": "a table",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
}

_SOURCE = "a table such as { ref = ..., access = ... }"
_ENTRY = "a table such as { v = 128, src = ..., at = ..., basis = ..., cond = ... }"


def _sentence(error: pydantic.ValidationError) -> str:
    """Return the first of pydantic's errors as an error message of this package."""
    first = error.errors(include_url=False)[0]
    location = ".".join(_part(part) for part in first["loc"] if part != "[key]")
    prefix = f"{location}: " if location else ""
    if first["type"] == "profile":
        return prefix + first["msg"]
    if first["type"] == "model_type":
        expected = "a table"
        if len(first["loc"]) > 1:
            expected = _SOURCE if first["loc"][0] == "source" else _ENTRY
    elif first["type"] in _EXPECTED:
        expected = _EXPECTED[first["type"]].format(**first.get("ctx", {}))
    else:
        expected = f"another value ({_one_line(first['msg'])})"
    return f"{prefix}got {shown(first['input'])}, expected {expected}"


def _part(name: object) -> str:
    text = str(name)
    return text if text.replace("-", "_").isidentifier() or text.isdecimal() else shown(name)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
