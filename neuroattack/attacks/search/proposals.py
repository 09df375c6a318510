"""Search that queries proposed images, each once, and returns the one of largest gap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.result import SearchResult
from neuroattack.attacks.search.best_seen import BestSeen
from neuroattack.errors import QueryRefusedError
from neuroattack.targets.black_box import Target

__all__ = ["best_proposal"]

_BATCH = 64


def best_proposal(
    target: Target,
    original: NDArray[np.float64],
    goal: Goal,
    bound: Bound,
    queries: int,
    propose: Callable[[int], NDArray[np.float64]],
) -> SearchResult:
    """Query proposed images and return the one of largest gap in its single trial.

    Parameters
    ----------
    target : Target
        Black box to query.
    original : float64 array of the target's image shape
        Clean image.
    goal : Goal
        Goal that defines the gap.
    bound : Bound
        Norm bound; images outside it are not returned.
    queries : int
        Maximum number of queries, in addition to the target's budget.
    propose : callable
        Function that returns the image of each query, from number 0. Called in this order.
    """
    best = BestSeen(original, goal, bound)
    before, left = target.queries, target.remaining
    queries = queries if left is None else min(queries, left)
    stopped_by = "budget"
    for start in range(0, queries, _BATCH):
        images = np.array([propose(query) for query in range(start, min(start + _BATCH, queries))])
        try:
            counts = target.query(images)
        except QueryRefusedError:
            stopped_by = "refused"
            break
        best.remember(images, counts, target.queries - before)
    return SearchResult(
        original, best.image, goal, target.queries - before, stopped_by, best.history
    )
