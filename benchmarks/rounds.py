"""Timing in interleaved rounds, because the speed of a shared machine varies over time."""

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
    """Time every subject once per round.

    Parameters
    ----------
    subjects : mapping of subject to callable
        Callables to time.
    rounds : int
        Number of rounds; each begins with another subject, so that none is always the first.
    warm_up : int, optional
        Calls of each subject before the first round. The default is two, because the state after
        a first call can make the second one compile again.

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
    """Return the images per second of each subject in each round, given the images per call."""
    return {name: images / taken_s for name, taken_s in seconds(subjects, rounds).items()}


def ratio_to_fastest(
    ours: NDArray[np.float64], others: Iterable[NDArray[np.float64]]
) -> NDArray[np.float64] | None:
    """Return our throughput divided by the fastest other one in each round; None without others."""
    found = list(others)
    return ours / np.max(found, axis=0) if found else None


def spread(values: NDArray[np.float64] | None) -> tuple[float | None, list[float] | None]:
    """Return the median, and the minimum and maximum; None for None."""
    if values is None:
        return None, None
    return float(np.median(values)), [float(values.min()), float(values.max())]


def stated(key: str, values: NDArray[np.float64] | None) -> Figures:
    """Return the median over rounds under `key`, and its spread under ``<key>_spread``."""
    median, ends = spread(values)
    return {key: median, f"{key}_spread": ends}
