"""Substitutes of attacks in experiments: named in the settings, kept in the experiment's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from neuroattack.attacks.substitutes.opening import is_file_name
from neuroattack.attacks.substitutes.storage import cached_substitutes
from neuroattack.datasets import OWN_SUFFIXES
from neuroattack.experiments.model_cells import keep_file

__all__ = [
    "KEY",
    "keep_substitutes",
    "kept_substitutes",
    "prepare_substitutes",
    "substitute_names",
    "with_folder",
    "with_kept_substitutes",
]

KEY = "substitutes"
"""Name of the parameter of attacks."""


def substitute_names(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of data sets and files in the settings of an attack."""
    value = settings.get(KEY, ())
    names = (value,) if isinstance(value, str) else tuple(value)
    return tuple(name for name in names if isinstance(name, str))


def with_folder(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the settings with file names relative to a folder."""
    names = [
        str(folder / name) if is_file_name(name) or name.lower().endswith(OWN_SUFFIXES) else name
        for name in substitute_names(settings)
    ]
    return {**settings, KEY: names} if names else dict(settings)


def prepare_substitutes(
    settings: Iterable[Mapping[str, Any]], on_progress: Callable[[float], None] | None = None
) -> None:
    """Train the substitutes of data sets that are not in the cache."""
    for name in _different(settings):
        if not is_file_name(name):
            cached_substitutes(name, on_progress=on_progress)


def keep_substitutes(settings: Iterable[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """Copy the substitutes of attacks into the folder, and return their files there by name.

    Raises
    ------
    NeuroattackError
        If there is no such data set, or a file cannot be read or written.
    """
    return {
        name: keep_file(
            Path(name) if is_file_name(name) else cached_substitutes(name), folder, f"{KEY}/"
        )
        for name in _different(settings)
    }


def kept_substitutes(settings: Mapping[str, Any], kept: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of an attack cell that name the files of its substitutes."""
    names = substitute_names(settings)
    return {KEY: {name: kept[name] for name in names}} if names else {}


def with_kept_substitutes(
    settings: Mapping[str, Any], kept: Mapping[str, str], folder: Path
) -> dict[str, Any]:
    """Return the settings with the files in the folder instead of the names."""
    names = [str(folder / kept[name]) for name in substitute_names(settings)] if kept else []
    return {**settings, KEY: names} if names else dict(settings)


def _different(settings: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for each in settings for name in substitute_names(each)))
