"""Defenses: target wrappers that return less information or restrict queries."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.errors import BudgetExceededError, QueryRefusedError
from neuroattack.targets.black_box import Randomness, Response, Target
from neuroattack.validation import check_integer, check_positive

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
    """Target that forwards queries to another target; base class of defenses.

    Queries are counted by the wrapped target.

    Parameters
    ----------
    target : Target
        Wrapped target.
    """

    def __init__(self, target: Target) -> None:
        self._target = target

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._target.image_shape

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._target.n_classes

    @property
    def response(self) -> Response:
        """Whether queries return spike counts or one-hot labels."""
        return self._target.response

    @property
    def randomness(self) -> Randomness:
        """Whether the images of a batch have independent or shared random numbers."""
        return self._target.randomness

    @property
    def meter(self) -> str | None:
        """Quantity whose reading is the last column of each response; None without a meter."""
        return self._target.meter

    @property
    def queries(self) -> int:
        """Number of queries so far, one per image."""
        return self._target.queries

    @property
    def remaining(self) -> int | None:
        """Number of queries left; None without a budget."""
        return self._target.remaining

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return spike counts; see :meth:`neuroattack.targets.black_box.Target.query`."""
        return self._target.query(images)


class QueryLimited(TargetWrapper):
    """Target with a limited number of further queries.

    Parameters
    ----------
    target : Target
        Wrapped target.
    most : int
        Maximum number of further queries.

    Raises
    ------
    ValidationError
        If `most` is not an integer of at least 1.
    """

    def __init__(self, target: Target, most: int) -> None:
        super().__init__(target)
        self._end = target.queries + check_integer("queries of a limited target", most, 1)

    @property
    def remaining(self) -> int:
        """Number of queries left."""
        own = self._end - self.queries
        left = super().remaining
        return own if left is None else min(own, left)

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return spike counts; raise BudgetExceededError, without counting, beyond the limit."""
        rows = validate_images(images, self.image_shape)
        if len(rows) > self.remaining:
            raise BudgetExceededError(len(rows), self.remaining)
        return super().query(rows)


class HardLabel(TargetWrapper):
    """Target that returns one-hot labels instead of counts; all zeros for a tie or silence.

    Parameters
    ----------
    target : Target
        Wrapped target.
    """

    @property
    def response(self) -> Response:
        """``"labels"``."""
        return "labels"

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return one-hot labels, shape (batch, classes)."""
        decided = decide(super().query(images))
        labels = np.zeros((len(decided), self.n_classes), np.int32)
        unique = decided != UNDECIDED
        labels[unique, decided[unique]] = 1
        return labels


class RoundedCounts(TargetWrapper):
    """Target that rounds counts to multiples of a step, with halves rounded up.

    Parameters
    ----------
    target : Target
        Wrapped target.
    step : int
        Step in spikes, at least 1.

    Raises
    ------
    ValidationError
        If the step is not an integer of at least 1.
    """

    def __init__(self, target: Target, step: int) -> None:
        super().__init__(target)
        self._step = check_integer("step of rounded counts", step, 1, np.iinfo(np.int32).max)

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return rounded counts, shape (batch, classes)."""
        counts = super().query(images).astype(np.int64)
        rounded = (2 * counts + self._step) // (2 * self._step) * self._step
        return np.asarray(np.minimum(rounded, np.iinfo(np.int32).max), np.int32)


class CappedCounts(TargetWrapper):
    """Target whose counts saturate, like narrow hardware counters.

    Parameters
    ----------
    target : Target
        Wrapped target.
    cap : int
        Maximum count in spikes, at least 1. Classes that reach it are tied.

    Raises
    ------
    ValidationError
        If the cap is not an integer of at least 1.
    """

    def __init__(self, target: Target, cap: int) -> None:
        super().__init__(target)
        self._cap = check_integer("cap of counts", cap, 1, np.iinfo(np.int32).max)

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return capped counts, shape (batch, classes)."""
        return np.asarray(np.minimum(super().query(images), self._cap), np.int32)


class IndependentTrials(TargetWrapper):
    """Target with independent randomness for every image, also within a batch.

    As a defense, it denies common random numbers to the attacker.

    Parameters
    ----------
    target : Target
        Wrapped target; if its randomness is shared within a batch, it is queried image by image.
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
    """Stateful detection of query attacks (Chen, Carlini and Wagner 2020, arXiv 1907.05587).

    A query is detected if its mean L2 distance to the k nearest earlier queries is below a
    threshold; the memory is then cleared, as in the paper. The paper compares learned features and
    chooses the threshold for a given false-positive rate; here, pixels are compared and the
    threshold is a parameter.

    Parameters
    ----------
    target : Target
        Wrapped target.
    threshold : float
        Threshold of the mean L2 distance, for intensities in [0, 1].
    neighbors : int, optional
        Number k of nearest queries; nothing is detected before k queries are in memory.
    memory : int, optional
        Maximum number of most recent queries in memory.
    detections_allowed : int, optional
        Number of detections after which the next one leads to the refusal of its batch and all
        later queries. By default no query is refused.

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
        self._neighbors = check_integer("neighbors", neighbors, 1)
        check_integer("memory of the detector", memory, neighbors)
        if detections_allowed is not None:
            check_integer("detections allowed", detections_allowed, 0)
        self._allowed = detections_allowed
        self._seen: deque[NDArray[np.float64]] = deque(maxlen=memory)
        self._detections = 0

    @property
    def detections(self) -> int:
        """Number of detections so far."""
        return self._detections

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        """Return spike counts.

        Raises
        ------
        BudgetExceededError
            If the batch exceeds the budget; it is then not examined.
        QueryRefusedError
            After more detections than allowed; the batch is then not run or counted.
        """
        rows = validate_images(images, self.image_shape)
        left = self.remaining
        if left is not None and len(rows) > left:
            raise BudgetExceededError(len(rows), left)
        for row in rows:
            if self._is_detected(row):
                self._detections += 1
                self._seen.clear()
            self._seen.append(row.copy())
        if self._allowed is not None and self._detections > self._allowed:
            raise QueryRefusedError(self._detections, self._allowed)
        return super().query(rows)

    def _is_detected(self, row: NDArray[np.float64]) -> bool:
        if len(self._seen) < self._neighbors:
            return False
        distances = np.linalg.norm(np.array(self._seen) - row, axis=1)
        nearest = np.partition(distances, self._neighbors - 1)[: self._neighbors]
        return bool(nearest.mean() < self._threshold)
