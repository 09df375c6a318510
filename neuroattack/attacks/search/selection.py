"""Select the best of several images on fresh trials, by successive halving."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.goals import Goal
from neuroattack.targets.black_box import Target

__all__ = ["Candidate", "Trials"]

Observer = Callable[[NDArray[np.float64], NDArray[np.int32]], None]
"""Function of queried images and returned counts."""


class Candidate:
    """Image and the results of its trials.

    Parameters
    ----------
    image : float64 array of the target's image shape
        Intensities in [0, 1].

    Attributes
    ----------
    trials, reached : int
        Number of trials, and of those that reached the goal.
    constant : bool
        Whether all trials returned the same counts.
    """

    def __init__(self, image: NDArray[np.float64]) -> None:
        self.image = image
        self.trials = 0
        self.reached = 0
        self.constant = True
        self._gap_sum = 0.0
        self._first: NDArray[np.int32] | None = None

    def add(self, counts: NDArray[np.int32], gap: float, reached: bool) -> None:
        """Add one trial."""
        self._first = counts if self._first is None else self._first
        self.constant &= bool(np.array_equal(counts, self._first))
        self._gap_sum += gap
        self.reached += reached
        self.trials += 1

    @property
    def gap(self) -> float:
        """Mean gap over trials; minus infinity without any."""
        return self._gap_sum / self.trials if self.trials else -np.inf


class Trials:
    """Fresh trials of candidates on a target, within a number of queries.

    Parameters
    ----------
    target : Target
        Black box to query.
    goal : Goal
        Goal that defines the gap.
    queries : int or None
        Maximum number of queries from now on, in addition to the target's budget.
    observe : callable, optional
        Called with the images and counts of every batch.
    """

    def __init__(
        self, target: Target, goal: Goal, queries: int | None, observe: Observer | None = None
    ) -> None:
        self._target = target
        self._goal = goal
        self._before = target.queries
        limits = [limit for limit in (queries, target.remaining) if limit is not None]
        self._queries = min(limits) if limits else None
        self._observe = observe

    @property
    def spent(self) -> int:
        """Number of queries so far."""
        return self._target.queries - self._before

    @property
    def left(self) -> int:
        """Number of queries left; a large number without a limit."""
        return np.iinfo(np.int64).max if self._queries is None else self._queries - self.spent

    def query(self, images: NDArray[np.float64]) -> NDArray[np.int32]:
        """Query a batch of images, and pass the counts to the observer."""
        counts = self._target.query(images)
        if self._observe is not None:
            self._observe(images, counts)
        return counts

    def run(self, candidates: Sequence[Candidate], trials: int) -> None:
        """Run fresh trials of each candidate, the same number of each, as far as queries are left.

        If the randomness of a batch is shared, all candidates of a batch have the same.
        """
        trials = max(0, min(trials, self.left // len(candidates)))
        images = np.array([candidate.image for candidate in candidates])
        if self._target.randomness == "shared":
            results = [self.query(images) for _ in range(trials)]
        elif trials:
            counts = self.query(np.concatenate([images] * trials))
            results = list(counts.reshape(trials, len(images), -1))
        else:
            results = []
        for counts in results:
            gaps, reached = self._goal.gap(counts.astype(np.float64)), self._goal.reached(counts)
            for candidate, row, gap, success in zip(candidates, counts, gaps, reached, strict=True):
                candidate.add(row, float(gap), bool(success))

    def halve(self, candidates: Sequence[Candidate], queries: int) -> Candidate:
        """Return the best candidate by successive halving (Karnin, Koren and Somekh 2013).

        Each stage spends the same part of the queries on its candidates, and drops the half with
        the smaller mean gap over all of their trials.
        """
        kept = list(candidates)
        stages = (len(kept) - 1).bit_length()
        while len(kept) > 1:
            self.run(kept, queries // stages // len(kept))
            kept.sort(key=lambda candidate: -candidate.gap)
            kept = kept[: (len(kept) + 1) // 2]
        return kept[0]
