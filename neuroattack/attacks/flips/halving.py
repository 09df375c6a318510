"""Search for flips of stored bits by queries, without knowledge of their values (black box).

The attacker can flip any bit of the memory and observes output spike counts only. In each round,
random sets of candidate bits compete by successive halving (Karnin, Koren and Somekh, "Almost
Optimal Exploration in Multi-Armed Bandits", ICML 2013): all sets are scored on a few images, and
the better half on twice as many, until one is left. It is kept if the score on all images rises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.validation import check_integer

__all__ = ["QuerySearch", "search_by_queries"]

Addresses = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class QuerySearch:
    """Flips found by queries, in order.

    Parameters
    ----------
    addresses : int64 array, shape (flips,)
        Addresses of the flipped bits; fewer than requested if the query budget was spent.
    scores : float array, shape (rounds + 1,)
        Score on all images before the first round and after each round that kept flips.
    queries : int
        Number of images that were classified.
    """

    addresses: Addresses
    scores: NDArray[np.float64]
    queries: int


def search_by_queries(
    score: Callable[[Addresses, int], float],
    candidates: ArrayLike,
    *,
    flips: int,
    images: int,
    queries: int,
    seed: int,
    block: int = 1,
    contenders: int = 16,
) -> QuerySearch:
    """Search for flips that raise a score.

    Parameters
    ----------
    score : callable
        Returns the score of a set of flips on the first n images, such as the mean fraction of
        output spikes in wrong classes.
    candidates : int64 array
        Addresses of bits that may be flipped.
    flips : int
        Number of flips to find.
    images : int
        Number of images.
    queries : int
        Maximum number of images that are classified.
    seed : int
        Random seed.
    block : int, optional
        Number of bits of a set.
    contenders : int, optional
        Number of sets per round, a power of two is best.

    Raises
    ------
    ValidationError
        If a number is out of range.
    """
    left = np.array(candidates, np.int64).reshape(-1)
    check_integer("flips", flips, 1, len(left))
    for thing, value in (("images", images), ("queries", queries), ("block", block)):
        check_integer(thing, value, 1)
    check_integer("contenders", contenders, 2)
    rng = np.random.default_rng(seed)
    rng.shuffle(left)
    found, used, place = np.zeros(0, np.int64), images, 0
    scores = [score(found, images)]
    while len(found) < flips and place < len(left):
        size = min(block, flips - len(found))
        sets = [
            left[start : start + size]
            for start in range(place, min(place + size * contenders, len(left)), size)
        ]
        place += size * contenders
        halvings = max((len(sets) - 1).bit_length(), 1)
        for left_over in range(halvings, 0, -1):
            tried = max(images >> left_over, 1)
            if used + tried * len(sets) > queries:
                return QuerySearch(found, np.array(scores), used)
            used += tried * len(sets)
            ranked = [score(np.concatenate([found, each]), tried) for each in sets]
            best = np.argsort(ranked, kind="stable")[::-1][: (len(sets) + 1) // 2]
            sets = [sets[each] for each in sorted(best)]
        if used + images > queries:
            break
        used += images
        together = np.concatenate([found, sets[0]])
        reached = score(together, images)
        if reached > scores[-1]:
            found = together
            scores.append(reached)
    return QuerySearch(found, np.array(scores), used)
