"""Defences to attack through: targets that tell less, or for fewer queries, than the one behind."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.errors import BudgetExceededError, QueryRefusedError
from neuroattack.targets.black_box import Randomness, Response, Target
from neuroattack.validation import check_positive, check_whole

__all__ = [
    "CappedCounts",
    "HardLabel",
    "IndependentTrials",
    "NearDuplicateDetector",
    "QueryLimited",
    "RoundedCounts",
    "TargetWrapper",
]


class TargetWrapper:
    """A target behind another: passes all on, and is what defences change.

    Every query is one of the target behind it, and counted there.

    Parameters
    ----------
    target : Target
        What is behind.
    """

    def __init__(self, target: Target) -> None:
        self._target = target

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._target.image_shape

    @property
    def n_classes(self) -> int:
        """Classes it tells apart."""
        return self._target.n_classes

    @property
    def response(self) -> Response:
        """What it tells of an image."""
        return self._target.response

    @property
    def randomness(self) -> Randomness:
        """Whether the images of a batch have a draw of input spikes each."""
        return self._target.randomness

    @property
    def queries(self) -> int:
        """Images answered so far."""
        return self._target.queries

    @property
    def remaining(self) -> int | None:
        """Images still answered; None where there is no budget."""
        return self._target.remaining

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return spike counts; see :meth:`neuroattack.targets.black_box.Target.query`."""
        return self._target.query(images)


class QueryLimited(TargetWrapper):
    """A target that answers so many queries from now on, and no more.

    Parameters
    ----------
    target : Target
        What is behind.
    most : int
        Queries still answered.

    Raises
    ------
    ValidationError
        If `most` is not a whole number of at least 1.
    """

    def __init__(self, target: Target, most: int) -> None:
        super().__init__(target)
        self._end = target.queries + check_whole("queries of a limited target", most, 1)

    @property
    def remaining(self) -> int:
        """Images still answered."""
        ration = self._end - self.queries
        left = super().remaining
        return ration if left is None else min(ration, left)

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return spike counts; BudgetExceededError beyond the limit, with nothing counted."""
        rows = validate_images(images, self.image_shape)
        if len(rows) > self.remaining:
            raise BudgetExceededError(len(rows), self.remaining)
        return super().query(rows)


class HardLabel(TargetWrapper):
    """A target that tells only the class it decides for: a one there, nothing on a tie or silence.

    Parameters
    ----------
    target : Target
        What is behind.
    """

    @property
    def response(self) -> Response:
        """``"labels"``."""
        return "labels"

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return a one for the class decided for, shape (batch, classes)."""
        decided = decide(super().query(images))
        labels = np.zeros((len(decided), self.n_classes), np.int32)
        sure = decided != UNDECIDED
        labels[sure, decided[sure]] = 1
        return labels


class RoundedCounts(TargetWrapper):
    """A target that rounds its counts to multiples of a step, halves up.

    Parameters
    ----------
    target : Target
        What is behind.
    step : int
        In spikes, at least 1.

    Raises
    ------
    ValidationError
        If the step is not a whole number of at least 1.
    """

    def __init__(self, target: Target, step: int) -> None:
        super().__init__(target)
        self._step = check_whole("step of rounded counts", step, 1, np.iinfo(np.int32).max)

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return rounded counts, shape (batch, classes)."""
        counts = super().query(images).astype(np.int64)
        rounded = (2 * counts + self._step) // (2 * self._step) * self._step
        return np.asarray(np.minimum(rounded, np.iinfo(np.int32).max), np.int32)


class CappedCounts(TargetWrapper):
    """A target whose counters stop at a cap, as narrow ones in hardware do.

    Parameters
    ----------
    target : Target
        What is behind.
    cap : int
        In spikes, at least 1. Classes that reach it are tied.

    Raises
    ------
    ValidationError
        If the cap is not a whole number of at least 1.
    """

    def __init__(self, target: Target, cap: int) -> None:
        super().__init__(target)
        self._cap = check_whole("cap of counts", cap, 1, np.iinfo(np.int32).max)

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return capped counts, shape (batch, classes)."""
        return np.asarray(np.minimum(super().query(images), self._cap), np.int32)


class IndependentTrials(TargetWrapper):
    """A target that draws input spikes anew for every image, also within a batch.

    It takes common random numbers from an attacker.

    Parameters
    ----------
    target : Target
        What is behind; of common draws, it gets a batch image by image.
    """

    @property
    def randomness(self) -> Randomness:
        """``"independent"``."""
        return "independent"

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return spike counts, shape (batch, classes)."""
        rows = validate_images(images, self.image_shape)
        if self._target.randomness == "independent":
            return super().query(rows)
        left = self.remaining
        if left is not None and len(rows) > left:
            raise BudgetExceededError(len(rows), left)
        return np.concatenate([super(IndependentTrials, self).query(row[None]) for row in rows])


class NearDuplicateDetector(TargetWrapper):
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
    neighbors : int, optional
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
        neighbors: int = 50,
        memory: int = 1000,
        detections_allowed: int | None = None,
    ) -> None:
        super().__init__(target)
        self._threshold = check_positive("threshold of the detector", threshold, "distance")
        self._neighbours = check_whole("neighbors", neighbors, 1)
        check_whole("memory of the detector", memory, neighbors)
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
