"""A target as a classifier of the Adversarial Robustness Toolbox (ART): every pass is a query."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.best_seen import BestSeen
from neuroattack.attacks.result import Goal
from neuroattack.encoding.readout import UNDECIDED, decide, spike_fractions
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.targets.black_box import Target

__all__ = ["ArtTarget", "Ended", "global_chance", "import_art"]

# Above float32's rounding of shares, below what one spike of thousands changes.
_TIE = 1e-6
# Above float32's rounding of intensities, below what any search moves a pixel by.
_ROUNDING = 1e-6


class Ended(Exception):  # noqa: N818  # no error: how a search leaves ART's loops
    """The queries are spent, or ART asked for an image that is none."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ArtTarget:
    """What ART's BlackBoxClassifierNeuralNetwork asks: counted, within a budget, remembered.

    Parameters
    ----------
    target : Target
        The black box.
    original : float64 array, shape (height, width)
        The image attacked: its pixels that ART did not move are shown as they are, not as ART's
        float32 has them.
    goal : Goal
        Whom ties go to: a tie is no success, but ART takes the first class of equal ones.
    best : BestSeen
        Is shown all that is queried.
    queries : int
        Spent at most.
    labels : bool
        Whether ART gets a one for the class decided for, or shares of the spikes, which sum to 1
        as its attacks want.
    shown : callable, optional
        Makes of an image that ART asks about the image that is shown; by default the same.
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
        shown: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    ) -> None:
        self._target = target
        self._original = original
        self._goal = goal
        self._best = best
        self._before = target.queries
        left = target.remaining
        self._queries = queries if left is None else min(queries, left)
        self._labels = labels
        self._shown = shown

    @property
    def spent(self) -> int:
        """Queries of this search."""
        return self._target.queries - self._before

    @property
    def left(self) -> int:
        """Queries that it may still spend."""
        return self._queries - self.spent

    def classifier(self) -> Any:
        """Return the ART classifier, for images of shape (1, height, width)."""
        estimators = import_art("art.estimators.classification")
        return estimators.BlackBoxClassifierNeuralNetwork(
            self._predict,
            input_shape=(1, *self._target.image_shape),
            nb_classes=self._target.n_classes,
            clip_values=(0.0, 1.0),
        )

    def _predict(self, batch: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return shares or labels; where the queries do not last, spend them and end."""
        images = np.asarray(batch, np.float64).reshape(-1, *self._target.image_shape)
        if not np.isfinite(images).all():
            raise Ended("not a number")
        images = np.clip(images, 0.0, 1.0)
        images = np.where(np.abs(images - self._original) < _ROUNDING, self._original, images)
        affordable = images[: max(self.left, 0)]
        if len(affordable):
            if self._shown:
                affordable = np.array([self._shown(image) for image in affordable])
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
    """Return a module of ART, without the warnings it gives for frameworks that are absent.

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
def global_chance(seed: int) -> Iterator[None]:
    """Seed the global generators that ART draws from, and give them back as they were."""
    import random

    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
