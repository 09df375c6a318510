"""Cells: the units of work of an experiment, each run once despite interruptions.

A cell is a function of this package with JSON arguments. Its result is stored under a digest of
function, arguments and version, so that one folder can hold any number of experiments.
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
    """A unit of work.

    Parameters
    ----------
    name : str
        Readable name; the beginning of the key.
    work : callable
        Public function of a module of this package. Called with the arguments by name, with
        `folder`, in which it may store files, and with `before` if it depends on another cell.
        Returns JSON values and arrays by name.
    arguments : mapping of str to JSON value
        Arguments, which determine the result.
    cost : float, optional
        Duration in any unit, for the estimate of the remaining time.
    files : tuple of str, optional
        Keys of the result that name files in the folder; the cell is run again if one is missing.
    after : str, optional
        Key of a cell whose result is passed to `work` as `before`.
    """

    name: str
    work: Work
    arguments: Mapping[str, Any]
    cost: float = 1.0
    files: tuple[str, ...] = ()
    after: str | None = None

    @property
    def key(self) -> str:
        """Name and digest of all that determines the result."""
        identity = [self.work.__module__, self.work.__qualname__, __version__, self.arguments]
        return f"{self.name}-{digest_of(identity)}"

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values with which another process can run the cell."""
        return {
            "module": self.work.__module__,
            "function": self.work.__qualname__,
            "arguments": dict(self.arguments),
        }


def read_kept(path: Path, *names: str) -> list[NDArray[Any]]:
    """Return named arrays of an npz file that a cell wrote.

    Raises
    ------
    FileError
        If the file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except Exception as error:
        # Damaged files raise errors of zip, zlib or NumPy's header parser.
        raise FileError(
            path, "damaged, expected an npz archive; delete it and run the command again"
        ) from error


def digest_of(values: Any) -> str:
    """Return a digest of JSON values: twelve hexadecimal digits of SHA-256."""
    text = json.dumps(values, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
