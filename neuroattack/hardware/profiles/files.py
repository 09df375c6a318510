"""Profile files: those that ship, a user's own, and the sentence each unusable one gets."""

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
# Python's reader of TOML takes time with the square of a key's parts.
_LIMIT_LINE_BYTES = 2000
_WHAT = "a hardware profile (TOML)"


def list_profiles() -> list[str]:
    """Return the names of the profiles that ship, in order."""
    return sorted(_shipped())


def load_profile(name_or_path: str | os.PathLike[str]) -> Profile:
    """Return a chip's profile.

    Parameters
    ----------
    name_or_path : str or path
        A name of :func:`list_profiles`, or a file: whatever has a path separator in it, ends in
        ``.toml``, or is there under that name.

    Raises
    ------
    UnknownNameError
        If no profile of that name ships.
    FileError
        If the file cannot be read or is not a profile, saying what and where.
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
    """Return whether a profile's name can be nothing but a file's."""
    return name.endswith(".toml") or not {os.sep, os.altsep or os.sep}.isdisjoint(name)


def read_profile(path: str | os.PathLike[str]) -> Profile:
    """Return the profile in a file. Raises FileError."""
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
        # A mark that some editors put first is no part of the text.
        tables = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FileError(path, f"is not UTF-8 (byte {error.start}), expected {_WHAT}") from error
    except RecursionError as error:
        raise FileError(path, f"is nested too deeply, expected {_WHAT}") from error
    except ValueError as error:
        # Besides what is not TOML: dates that there are not.
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
    "int_type": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "float_type": "a number",
    "string_type": "text in quotes",
    "string_too_short": "text that is not empty",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "a name of letters, digits and underscores, a letter first; "
    "for people also blanks and . , : ; ( ) + / & ' -",
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
    """Return the first of pydantic's complaints in this toolkit's words."""
    first = error.errors(include_url=False)[0]
    place = ".".join(_part(part) for part in first["loc"] if part != "[key]")
    prefix = f"{place}: " if place else ""
    if first["type"] == "profile":
        return prefix + first["msg"]
    if first["type"] == "model_type":
        expected = "a table"
        if len(first["loc"]) > 1:
            expected = _SOURCE if first["loc"][0] == "source" else _ENTRY
    elif first["type"] in _EXPECTED:
        expected = _EXPECTED[first["type"]].format(**first.get("ctx", {}))
    else:
        expected = f"something else ({_one_line(first['msg'])})"
    return f"{prefix}got {shown(first['input'])}, expected {expected}"


def _part(name: object) -> str:
    text = str(name)
    return text if text.replace("-", "_").isidentifier() or text.isdecimal() else shown(name)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
