"""A defence that remembers: it takes many queries near each other for an attack."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.errors import BudgetExceededError, QueryRefusedError
from neuroattack.targets.black_box import Target
from neuroattack.targets.defenses import Shielded
from neuroattack.validation import check_positive, check_whole

__all__ = ["NearDuplicateDetector"]


class NearDuplicateDetector(Shielded):
    """Stateful detection after Chen, Carlini and Wagner 2020 (arXiv 1907.05587), on raw pixels.

    The mean L2 distance of a query to its k nearest predecessors, below a threshold, is a
    detection; the memory is then emptied, as in the paper. The paper compares learned features and
    finds a threshold for a given rate of false alarms; here the threshold is given.

    Parameters
    ----------
    target : Target
        What is behind.
    threshold : float
        L2 distance, intensities of [0, 1].
    neighbours : int, optional
        k; before there are so many predecessors nothing is detected.
    memory : int, optional
        Queries remembered at most, the newest.
    detections_allowed : int, optional
        So many are suffered; at the next one the query, and every one after it, is refused. By
        default none is ever refused.

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """

    def __init__(
        self,
        target: Target,
        threshold: float,
        *,
        neighbours: int = 50,
        memory: int = 1000,
        detections_allowed: int | None = None,
    ) -> None:
        super().__init__(target)
        self._threshold = check_positive("threshold of the detector", threshold, "distance")
        self._neighbours = check_whole("neighbours", neighbours, 1)
        check_whole("memory of the detector", memory, neighbours)
        if detections_allowed is not None:
            check_whole("detections allowed", detections_allowed, 0)
        self._allowed = detections_allowed
        self._seen: deque[NDArray[np.float64]] = deque(maxlen=memory)
        self._detections = 0

    @property
    def detections(self) -> int:
        """How often it took a query for part of an attack."""
        return self._detections

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return spike counts.

        Raises
        ------
        BudgetExceededError
            If the batch would overrun the budget; nothing of it is looked at.
        QueryRefusedError
            After more detections than are allowed; the batch is then not answered or counted.
        """
        rows = validate_images(images, self.image_shape)
        left = self.remaining
        if left is not None and len(rows) > left:
            raise BudgetExceededError(len(rows), left)
        for row in rows:
            if self._near(row):
                self._detections += 1
                self._seen.clear()
            self._seen.append(row.copy())
        if self._allowed is not None and self._detections > self._allowed:
            raise QueryRefusedError(self._detections, self._allowed)
        return super().query(rows)

    def _near(self, row: NDArray[np.float64]) -> bool:
        if len(self._seen) < self._neighbours:
            return False
        away = np.linalg.norm(np.array(self._seen) - row, axis=1)
        nearest = np.partition(away, self._neighbours - 1)[: self._neighbours]
        return bool(nearest.mean() < self._threshold)
