"""The errors users meet: each says in one sentence what it was, and what was expected.

The command line prints the sentence and exits with code 2; a program catches
:class:`NeuroattackError` or one of its kinds.
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
        # By default Python would call the constructor with the sentence alone, and an error that
        # a worker process raised could not be read here.
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
        The object, and the field where there is one: ``"population 'hidden1' size"``.
    got : object
        What it was; shown as it is, so pass a short description for arrays.
    expected : str
        What would have been accepted.
    """

    def __init__(self, thing: str, got: object, expected: str) -> None:
        super().__init__(f"{thing}: got {got}, expected {expected}")
        self.thing = thing


class FileError(NeuroattackError):
    """A file is missing, damaged, too large, or of another kind than expected."""

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class OutputError(FileError):
    """A result could not be written; what stood there before is unharmed."""


class UnknownNameError(NeuroattackError):
    """A name is not among the known ones; the nearest known name is suggested.

    `kind` is what the name is of: ``"data set"``, ``"backend"``.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        super().__init__(f"unknown {kind} {name!r}{hint}: expected one of {', '.join(names)}")


class BackendUnavailableError(NeuroattackError):
    """A backend is registered but cannot run here; says why and what to install."""


class SimulationError(NeuroattackError):
    """A simulator failed while it ran; the next run starts from a sound one."""


class UnsupportedFeatureError(NeuroattackError):
    """A backend cannot hold a feature of the network exactly, and does not approximate."""


class BudgetExceededError(NeuroattackError):
    """A query of `asked` images was refused: the target's budget has only `left` queries left."""

    def __init__(self, asked: int, left: int) -> None:
        super().__init__(
            f"query refused: it asks for {asked} images and the budget has {left} left"
        )
        self.asked = asked
        self.left = left


class QueryRefusedError(NeuroattackError):
    """A target takes its queries for an attack, and answers no more.

    It took them for one `detections` times, and `allowed` are allowed.
    """

    def __init__(self, detections: int, allowed: int) -> None:
        super().__init__(
            f"query refused: {detections} detections of near duplicates, {allowed} are allowed"
        )
        self.detections = detections
        self.allowed = allowed


class RemoteError(NeuroattackError):
    """A server could not be asked, or did not answer as expected; `url` is its address."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url}: {problem}")
        self.url = url


class DoesNotFitError(NeuroattackError):
    """A network needs more of a chip than there is.

    Parameters
    ----------
    who, need, chip : str
        For the message: ``"population 'hidden1'"``, ``"connections into a neuron"``, a name.
    resource : str
        What there is too little of, as a field of the chip's limits.
    population : str or None
        The population that takes it, or most of it; None where it is all of them.
    used, available : int
        How much is needed, and how much the chip has.
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
