"""Exceptions for users. Each message is one sentence: the problem and the expected value.

The command line prints the message and exits with code 2; programs catch
:class:`NeuroattackError` or one of its subclasses.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "BackendUnavailableError",
    "BudgetExceededError",
    "DoesNotFitError",
    "FileError",
    "MemoryLimitError",
    "NeuroattackError",
    "OutputError",
    "QueryRefusedError",
    "RemoteError",
    "SimulationError",
    "UnknownNameError",
    "UnsupportedFeatureError",
    "ValidationError",
]


class NeuroattackError(Exception):
    """Base of every error that neuroattack raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, unpickling calls the constructor with the message only. Errors raised in a
        # worker process could then not be unpickled here.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[NeuroattackError], args: tuple[Any, ...], state: dict[str, Any]
) -> NeuroattackError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class ValidationError(NeuroattackError):
    """A value is outside what its field allows.

    Parameters
    ----------
    thing : str
        Name of the object, and of its field if any: ``"population 'hidden1' size"``.
    got : object
        The invalid value, formatted as is; for arrays pass a short description.
    expected : str
        Description of valid values.
    """

    def __init__(self, thing: str, got: object, expected: str) -> None:
        super().__init__(f"{thing}: got {got}, expected {expected}")
        self.thing = thing


class FileError(NeuroattackError):
    """A file is missing, damaged, too large or of an unexpected kind."""

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class MemoryLimitError(NeuroattackError):
    """Something needs more memory than this process may still use.

    Parameters
    ----------
    what : str
        What needs the memory: ``"recording the spikes of 10,000 images"``.
    needed, available : int
        Memory needed and available, in bytes.
    advice : str
        What to change, in the imperative.
    """

    def __init__(self, what: str, needed: int, available: int, advice: str) -> None:
        super().__init__(
            f"{what}: needs {needed / 1e9:,.1f} GB of memory, {available / 1e9:,.1f} GB are "
            f"available; {advice}"
        )
        self.needed = needed
        self.available = available


class OutputError(FileError):
    """A result could not be written; an existing file at that path is unchanged."""


class UnknownNameError(NeuroattackError):
    """A name is unknown; the message suggests the most similar known name.

    `kind` is the kind of object named, such as ``"data set"`` or ``"backend"``.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        super().__init__(f"unknown {kind} {name!r}{hint}: expected one of {', '.join(names)}")


class BackendUnavailableError(NeuroattackError):
    """A backend is registered but cannot run here; the message has the reason."""


class SimulationError(NeuroattackError):
    """A simulator failed during a run; the next run starts a new simulator."""


class UnsupportedFeatureError(NeuroattackError):
    """A backend, chip or file format does not support a feature of the network exactly."""


class BudgetExceededError(NeuroattackError):
    """A query of `requested` images exceeds the `left` queries that remain in the query budget."""

    def __init__(self, requested: int, left: int) -> None:
        super().__init__(
            f"query refused: got {requested} images, expected at most {left} (the remaining budget)"
        )
        self.requested = requested
        self.left = left


class QueryRefusedError(NeuroattackError):
    """A target refuses further queries because a defense detected an attack.

    `detections` is the number of detections so far, `allowed` the number allowed.
    """

    def __init__(self, detections: int, allowed: int) -> None:
        super().__init__(
            f"query refused: got {detections} detections of near duplicates, "
            f"expected at most {allowed}"
        )
        self.detections = detections
        self.allowed = allowed


class RemoteError(NeuroattackError):
    """A server cannot be reached or responded unexpectedly; `url` is its address."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url}: {problem}")
        self.url = url


class DoesNotFitError(NeuroattackError):
    """A network exceeds a resource limit of a chip.

    Parameters
    ----------
    who, need, chip : str
        Parts of the message: ``"population 'hidden1'"``, ``"connections into a neuron"`` and the
        name of the chip.
    resource : str
        Exceeded limit, a field of the chip's limits.
    population : str or None
        Population that needs the resource, or most of it; None if all populations do.
    used, available : int
        Amounts needed by the network and available on the chip.
    """

    def __init__(
        self,
        who: str,
        need: str,
        chip: str,
        *,
        resource: str,
        population: str | None,
        used: int,
        available: int,
    ) -> None:
        super().__init__(f"{who} needs {used:,} {need}, {chip} has {available:,}")
        self.resource = resource
        self.population = population
        self.used = used
        self.available = available
