"""A target as a classifier for the Adversarial Robustness Toolbox (ART)."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.search.best_seen import BestSeen
from neuroattack.encoding.images import planes_of
from neuroattack.encoding.readout import UNDECIDED, decide, spike_fractions
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.targets.black_box import Target

__all__ = ["ArtTarget", "Ended", "import_art", "seeded_generators"]

# Above float32 rounding errors of fractions, below the effect of one spike in thousands.
_TIE = 1e-6
# Above float32 rounding errors of intensities, below any pixel change of an attack.
_ROUNDING = 1e-6


class Ended(Exception):  # noqa: N818  # control flow: leaves ART's loops
    """Raised to end a search: the queries are spent, or ART queried non-finite intensities."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ArtTarget:
    """Prediction function for ART's BlackBoxClassifierNeuralNetwork, with a query budget.

    Parameters
    ----------
    target : Target
        Black box to query.
    original : float64 array of the target's image shape
        Clean image. Pixels that ART did not change are restored to float64.
    goal : Goal
        Goal of the attack. Ties are resolved so that ART, which predicts the first of equal
        classes, does not count them as a success.
    best : BestSeen
        Tracker that receives all queried images.
    queries : int
        Maximum number of queries.
    labels : bool
        Whether ART gets one-hot labels, or output spike fractions, which sum to 1.
    project : callable, optional
        Function applied to each image before it is queried; identity by default.
    """

    def __init__(
        self,
        target: Target,
        original: NDArray[np.float64],
        goal: Goal,
        best: BestSeen,
        queries: int,
        *,
        labels: bool,
        project: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    ) -> None:
        self._target = target
        self._original = original
        self._goal = goal
        self._best = best
        self._before = target.queries
        left = target.remaining
        self._queries = queries if left is None else min(queries, left)
        self._labels = labels
        self._project = project

    @property
    def spent(self) -> int:
        """Queries spent by this search."""
        return self._target.queries - self._before

    @property
    def left(self) -> int:
        """Queries left to this search."""
        return self._queries - self.spent

    def classifier(self) -> Any:
        """Return the ART classifier, for images of shape (channels, height, width)."""
        estimators = import_art("art.estimators.classification")
        return estimators.BlackBoxClassifierNeuralNetwork(
            self._predict,
            input_shape=planes_of(self._original).shape,
            nb_classes=self._target.n_classes,
            clip_values=(0.0, 1.0),
        )

    def _predict(self, batch: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return fractions or labels; raise Ended if the budget covers only part of the batch."""
        images = np.asarray(batch, np.float64).reshape(-1, *self._target.image_shape)
        if not np.isfinite(images).all():
            raise Ended("not a number")
        images = np.clip(images, 0.0, 1.0)
        images = np.where(np.abs(images - self._original) < _ROUNDING, self._original, images)
        affordable = images[: max(self.left, 0)]
        if len(affordable):
            if self._project:
                affordable = np.array([self._project(image) for image in affordable])
            counts = self._target.query(affordable)
            self._best.remember(affordable, counts, self.spent)
        if len(affordable) < len(images):
            raise Ended("budget")
        return self._as_labels(counts) if self._labels else self._as_fractions(counts)

    def _as_labels(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        decided = decide(counts)
        decided = np.where(decided == UNDECIDED, self._goal.label, decided)
        return np.asarray(np.eye(self._target.n_classes)[decided])

    def _as_fractions(self, counts: NDArray[np.int32]) -> NDArray[np.float64]:
        fractions = spike_fractions(counts) + _TIE
        if self._goal.target_class is None:
            fractions[:, self._goal.label] += _TIE
        else:
            fractions[:, self._goal.target_class] -= _TIE
        return np.asarray(fractions / fractions.sum(axis=1, keepdims=True))


def import_art(module: str) -> Any:
    """Import a module of ART without its warnings about frameworks that are not installed.

    Raises
    ------
    UnsupportedFeatureError
        If ART is not installed.
    """
    import importlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(module)
        except ImportError as error:
            raise UnsupportedFeatureError(
                "attacks of the Adversarial Robustness Toolbox need the extra `attacks`: "
                f"pip install 'neuroattack[attacks]' ({error})"
            ) from None


@contextlib.contextmanager
def seeded_generators(seed: int) -> Iterator[None]:
    """Seed the global random generators that ART uses, and restore their states afterwards."""
    import random

    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
