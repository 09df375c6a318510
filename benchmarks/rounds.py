"""Timing in interleaved rounds, since a shared machine is not equally fast for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import Figures

Subject = TypeVar("Subject", bound=Hashable)

__all__ = ["ratio_to_fastest", "seconds", "spread", "stated", "throughputs"]


def seconds(
    subjects: Mapping[Subject, Callable[[], object]], rounds: int, *, warm_up: int = 2
) -> dict[Subject, NDArray[np.float64]]:
    """Time every subject once a round.

    Parameters
    ----------
    subjects : mapping of subject to callable
        What is timed.
    rounds : int
        Rounds; each begins with another subject, so that none is always the first.
    warm_up : int, optional
        Calls of each before the first round. Two, since what a first call leaves behind can
        make the second one compile again.

    Returns
    -------
    dict of subject to float64 array, shape (rounds,)
        Seconds of each subject in each round.
    """
    for subject in subjects.values():
        for _ in range(warm_up):
            subject()
    names = list(subjects)
    figures = {name: np.empty(rounds) for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            subjects[name]()
            figures[name][turn] = time.perf_counter() - start
    return figures


def throughputs(
    subjects: Mapping[Subject, Callable[[], object]], images: int, rounds: int
) -> dict[Subject, NDArray[np.float64]]:
    """Return the images per second of each subject in each round; each processes as many."""
    return {name: images / taken_s for name, taken_s in seconds(subjects, rounds).items()}


def ratio_to_fastest(
    ours: NDArray[np.float64], others: Iterable[NDArray[np.float64]]
) -> NDArray[np.float64] | None:
    """Return, round by round, our throughput by that of the round's fastest other, if any."""
    found = list(others)
    return ours / np.max(found, axis=0) if found else None


def spread(values: NDArray[np.float64] | None) -> tuple[float | None, list[float] | None]:
    """Return the median, and smallest and largest; None for nothing."""
    if values is None:
        return None, None
    return float(np.median(values)), [float(values.min()), float(values.max())]


def stated(key: str, values: NDArray[np.float64] | None) -> Figures:
    """Return the median of all rounds under `key`, with its spread beside it."""
    median, ends = spread(values)
    return {key: median, f"{key}_spread": ends}
