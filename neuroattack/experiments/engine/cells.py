"""Cells: the pieces of an experiment, each done once, whatever interrupts it.

A cell is a function of the toolkit and its arguments, JSON values all. Its result is kept under a
digest of function, arguments and version, so that one folder serves any number of experiments.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack import __version__
from neuroattack.errors import FileError

__all__ = ["Cell", "digest_of", "read_kept"]

Work = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class Cell:
    """A piece of work.

    Parameters
    ----------
    name : str
        For people; the beginning of its key.
    work : callable
        A public function of a module of the toolkit. Called with the arguments by name, with
        `folder`, where it may keep files under names of their own, and with `before` if it waits
        for another cell. Returns JSON values and arrays by name.
    arguments : mapping of str to JSON value
        What decides the result.
    cost : float, optional
        Time it takes, in any unit, for the estimate of the time left.
    files : tuple of str, optional
        Keys of its result that each name a file in the folder; without these files the cell is
        done again.
    after : str, optional
        Key of a cell whose result this one needs, passed to its work as `before`.
    """

    name: str
    work: Work
    arguments: Mapping[str, Any]
    cost: float = 1.0
    files: tuple[str, ...] = ()
    after: str | None = None

    @property
    def key(self) -> str:
        """Its name with a digest of all that decides its result."""
        identity = [self.work.__module__, self.work.__qualname__, __version__, self.arguments]
        return f"{self.name}-{digest_of(identity)}"

    def as_json(self) -> dict[str, Any]:
        """Return what another process needs to do it, as JSON values."""
        return {
            "module": self.work.__module__,
            "function": self.work.__qualname__,
            "arguments": dict(self.arguments),
        }


def read_kept(path: Path, *names: str) -> list[NDArray[Any]]:
    """Return the arrays of these names in an npz file that a cell left in the folder.

    Raises
    ------
    FileError
        If it cannot be read; it says what to do.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except Exception as error:
        # Damage shows itself in errors of zip, zlib and NumPy's header parser alike.
        raise FileError(
            path, "is damaged, expected an archive of arrays; delete it and it is made anew"
        ) from error


def digest_of(values: Any) -> str:
    """Return twelve hexadecimal digits that tell JSON values from all others."""
    text = json.dumps(values, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
