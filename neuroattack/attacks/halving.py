"""Selection of the best of several images by successive halving on repeated trials."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.result import Goal
from neuroattack.targets.black_box import Target

__all__ = ["select_by_halving"]


def select_by_halving(
    target: Target, candidates: NDArray[np.float64], goal: Goal, queries: int
) -> tuple[NDArray[np.float64], float]:
    """Return the candidate of largest mean margin, and that mean.

    Each stage spends an equal part of the queries on the remaining candidates and drops the worse
    half. Candidates without trials are compared by their order: the first is the best.

    Parameters
    ----------
    target : Target
        Black box to query.
    candidates : float64 array, shape (images, ...)
        At least one image.
    goal : Goal
        Goal that defines the margin.
    queries : int
        Maximum number of queries.

    Raises
    ------
    QueryRefusedError
        If the target refuses the queries.
    """
    sums = np.zeros(len(candidates))
    trials = np.zeros(len(candidates))
    chosen = np.arange(min(len(candidates), max(1, queries)))
    stages = max(1, (len(chosen) - 1).bit_length())
    for stage in range(stages):
        repeats = queries // (stages - stage) // len(chosen)
        if repeats:
            counts = target.query(np.concatenate([candidates[chosen]] * repeats))
            gaps = goal.gap(counts.astype(np.float64)).reshape(repeats, -1)
            sums[chosen] += gaps.sum(axis=0)
            trials[chosen] += repeats
            queries -= repeats * len(chosen)
            chosen = chosen[np.argsort(-sums[chosen] / trials[chosen], kind="stable")]
        chosen = chosen[: (len(chosen) + 1) // 2]
    best = int(chosen[0])
    image: NDArray[np.float64] = candidates[best]
    return image, float(sums[best] / trials[best]) if trials[best] else -np.inf
