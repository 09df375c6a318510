"""Timing in interleaved rounds, since a shared machine is not equally fast for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Subject = TypeVar("Subject", bound=Hashable)

__all__ = ["ratio_to_fastest", "spread", "throughputs"]


def throughputs(
    subjects: Mapping[Subject, Callable[[], object]], images: int, rounds: int
) -> dict[Subject, NDArray[np.float64]]:
    """Time every subject once a round.

    Parameters
    ----------
    subjects : mapping of subject to callable
        Each processes the same `images` images; called before the first round to warm up.
    images : int
        Images that one call processes.
    rounds : int
        Rounds; each begins with another subject, so that none always follows the same one.

    Returns
    -------
    dict of subject to float64 array, shape (rounds,)
        Images per second of each subject in each round.
    """
    for subject in subjects.values():
        # Twice: what a first call leaves behind can make the second one compile again.
        subject()
        subject()
    names = list(subjects)
    figures = {name: np.empty(rounds) for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            subjects[name]()
            figures[name][turn] = images / (time.perf_counter() - start)
    return figures


def ratio_to_fastest(
    ours: NDArray[np.float64], others: Iterable[NDArray[np.float64]]
) -> NDArray[np.float64] | None:
    """Return, round by round, our throughput by that of the round's fastest other, if any."""
    found = list(others)
    return ours / np.max(found, axis=0) if found else None


def spread(values: NDArray[np.float64] | None) -> tuple[float | None, Sequence[float] | None]:
    """Return the median, and smallest and largest; None for nothing."""
    if values is None:
        return None, None
    return float(np.median(values)), [float(values.min()), float(values.max())]
