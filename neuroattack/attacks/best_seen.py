"""The best image of all that a search has shown."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import l2
from neuroattack.attacks.result import Goal, Incumbent

__all__ = ["BestSeen", "NearestSeen"]


class BestSeen:
    """The image of highest gap within a bound, each by the one draw it was shown under.

    Parameters
    ----------
    original : float64 array, shape (height, width)
        The image attacked: what it starts from.
    goal : Goal
        Whose gap is compared.
    bound : Bound or None
        Images beyond it are passed over.
    """

    def __init__(self, original: NDArray[np.float64], goal: Goal, bound: Bound | None) -> None:
        self._original = original
        self._goal = goal
        self._bound = bound
        self._history = [Incumbent(original, -math.inf, 0)]

    @property
    def image(self) -> NDArray[np.float64]:
        """The best image, shape (height, width); the original where none was better."""
        return self._history[-1].image

    @property
    def gap(self) -> float:
        """Its gap, in counts; minus infinity before any image was shown."""
        return self._history[-1].gap

    @property
    def history(self) -> tuple[Incumbent, ...]:
        """Every image that was the best for a time."""
        return tuple(self._history)

    def remember(
        self, images: NDArray[np.float64], counts: NDArray[np.int32], queries: int
    ) -> None:
        """Take images that were shown.

        Parameters
        ----------
        images : float64 array, shape (images, height, width)
            Intensities in [0, 1].
        counts : int array, shape (images, classes)
            What came back.
        queries : int
            Spent so far, these included.
        """
        worths = self._worths(images, counts)
        first = queries - len(images) + 1
        for position in range(len(images)):
            if worths[position] > self.gap and self._allowed(images[position]):
                seen = Incumbent(images[position].copy(), float(worths[position]), first + position)
                self._history.append(seen)

    def _worths(
        self, images: NDArray[np.float64], counts: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        del images
        return self._goal.gap(counts.astype(np.float64))

    def _allowed(self, image: NDArray[np.float64]) -> bool:
        return self._bound is None or self._bound.holds(self._original, image)


class NearestSeen(BestSeen):
    """The image nearest to the original of those that reached the goal in the draw they were shown.

    Its gap is minus the distance: the bound's, or by L2 where there is no bound.
    """

    def _worths(
        self, images: NDArray[np.float64], counts: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        distance = self._bound.distance if self._bound else l2
        away = np.array([distance(self._original, image) for image in images])
        return np.where(self._goal.reached(counts), -away, -math.inf)
