"""Track the best image of a search."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import l2
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.result import Incumbent

__all__ = ["BestSeen", "NearestSeen"]


class BestSeen:
    """Track the image of largest gap within a bound; each image's gap is from a single trial.

    Parameters
    ----------
    original : float64 array of the target's image shape
        Clean image, the initial best image.
    goal : Goal
        Goal that defines the gap.
    bound : Bound or None
        Norm bound; images outside it are ignored. None for no bound.
    """

    def __init__(self, original: NDArray[np.float64], goal: Goal, bound: Bound | None) -> None:
        self._original = original
        self._goal = goal
        self._bound = bound
        self._history = [Incumbent(original, -math.inf, 0)]

    @property
    def image(self) -> NDArray[np.float64]:
        """The best image; the clean image if none was better."""
        return self._history[-1].image

    @property
    def gap(self) -> float:
        """Gap of the best image, in spikes; minus infinity for the clean image."""
        return self._history[-1].gap

    @property
    def history(self) -> tuple[Incumbent, ...]:
        """The successive best images, with the clean image first."""
        return tuple(self._history)

    def remember(
        self, images: NDArray[np.float64], counts: NDArray[np.int32], queries: int
    ) -> None:
        """Update the best image with the results of a batch of queries.

        Parameters
        ----------
        images : float64 array, shape (images, ...)
            Queried images, intensities in [0, 1].
        counts : int array, shape (images, classes)
            Returned counts.
        queries : int
            Number of queries spent so far, including this batch.
        """
        values = self._values(images, counts)
        first = queries - len(images) + 1
        for position in range(len(images)):
            if values[position] > self.gap and self._allowed(images[position]):
                self._history.append(
                    Incumbent(images[position].copy(), float(values[position]), first + position)
                )

    def _values(
        self, images: NDArray[np.float64], counts: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        del images
        return self._goal.gap(counts.astype(np.float64))

    def _allowed(self, image: NDArray[np.float64]) -> bool:
        return self._bound is None or self._bound.holds(self._original, image)


class NearestSeen(BestSeen):
    """Track the nearest image to the clean image of those that reached the goal in their trial.

    Its `gap` is minus the distance in the norm of the bound, or in L2 if there is no bound.
    """

    def _values(
        self, images: NDArray[np.float64], counts: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        distance = self._bound.distance if self._bound else l2
        distances = np.array([distance(self._original, image) for image in images])
        return np.where(self._goal.reached(counts), -distances, -math.inf)
