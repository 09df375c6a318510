"""Effects of all pixels on all classes, estimated together from queries that move many at once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["EffectEstimator", "Effects", "Scale", "scores_on"]

Scale = Literal["counts", "log"]
"""On which effects are taken to add up: spike counts, or their logarithms."""

# Ratios of effects' variance to noise's that are tried.
_RATIOS = np.logspace(-6, 6, 49)
_HALF_A_SPIKE = 0.5
# Directions weaker than that, next to the strongest, are roundings.
_LEAST_POWER = 1e-10


def scores_on(scale: Scale, counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return counts on a scale, same shape; on ``"log"``, of the count and half a spike."""
    values = counts.astype(np.float64)
    return values if scale == "counts" else np.log(values + _HALF_A_SPIKE)


@dataclass(frozen=True, eq=False)
class Effects:
    """A linear model of the classes' scores around an image.

    Parameters
    ----------
    base : float64 array, shape (classes,)
        Scores of the image as it is.
    slopes : float64 array, shape (pixels, classes)
        Change of each score when a pixel gains the whole intensity range.
    """

    base: NDArray[np.float64]
    slopes: NDArray[np.float64]

    def predict(self, change: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores, shape (classes,), under a change of shape (pixels,)."""
        predicted: NDArray[np.float64] = self.base + change @ self.slopes
        return predicted


class EffectEstimator:
    """Collects answers to moved images, and estimates what each pixel does to each class.

    Bayesian linear regression. A priori the slopes of a class are Gaussian, correlated between
    pixels as ``exp(-d^2 / (2 l^2))`` at d pixels, since a neuron that sees one pixel sees its
    neighbours: with fewer queries than pixels, this decides how much can be known. The length l
    and, for each class by itself, the ratio of the slopes' variance to the noise's are those under
    which the answers are likeliest (type II maximum likelihood, Bishop 2006, 3.5).

    Parameters
    ----------
    original : float64 array, shape (height, width)
        The image that moves are counted from.
    correlations_px : sequence of float
        Lengths l, in pixels, to choose from; 0 for independent pixels.
    """

    def __init__(self, original: NDArray[np.float64], correlations_px: Sequence[float]) -> None:
        self._original = original
        self._correlations_px = tuple(correlations_px)
        self._changes: list[NDArray[np.float64]] = []
        self._counts: list[NDArray[np.integer]] = []
        self._groups: list[NDArray[np.int64]] = []
        self._last_group = -1

    def add(
        self,
        images: NDArray[np.float64],
        counts: NDArray[np.integer],
        *,
        shared_randomness: bool = False,
    ) -> None:
        """Take the answers to images.

        Parameters
        ----------
        images : float64 array, shape (images, height, width)
            As they were shown.
        counts : int array, shape (images, classes)
            What came back.
        shared_randomness : bool, optional
            Whether all of them were shown under one draw of input spikes: they are then compared
            with each other only, since what the draw adds to all of them says nothing.
        """
        self._changes.append((images - self._original).reshape(len(images), -1))
        self._counts.append(counts)
        if shared_randomness:
            self._last_group += 1
        group = self._last_group if shared_randomness else -1
        self._groups.append(np.full(len(images), group))

    def fit(self, *scales: Scale) -> list[Effects]:
        """Return the effects on each of these scales.

        At least one answer must have been added.
        """
        changes = np.concatenate(self._changes)
        counts = np.concatenate(self._counts)
        group = np.unique(np.concatenate(self._groups), return_inverse=True)[1]
        moves = _centred(changes, group)
        ridges = [
            (length, _Ridge(self._smoothed(moves, length))) for length in self._correlations_px
        ]
        found = []
        for scale in scales:
            scores = scores_on(scale, counts)
            centred = _centred(scores, group)
            length, (coefficients, _) = max(
                ((length, ridge(centred)) for length, ridge in ridges),
                key=lambda fitted: fitted[1][1],
            )
            slopes = self._smoothed(coefficients.T, length).T
            base = scores.mean(axis=0) - changes.mean(axis=0) @ slopes
            found.append(Effects(base, slopes))
        return found

    def _smoothed(self, rows: NDArray[np.float64], length: float) -> NDArray[np.float64]:
        """Multiply rows of shape (n, pixels) by the root of the prior's correlations."""
        if not length:
            return rows
        height, width = self._original.shape
        along_rows = _correlation_root(height, length)
        along_columns = _correlation_root(width, length)
        smooth: NDArray[np.float64] = along_rows @ rows.reshape(-1, height, width) @ along_columns
        return smooth.reshape(rows.shape)


def _centred(rows: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return rows less the mean of their group."""
    sums = np.zeros((int(group.max()) + 1, rows.shape[1]))
    np.add.at(sums, group, rows)
    return np.asarray(rows - (sums / np.bincount(group)[:, None])[group])


@functools.lru_cache(maxsize=8)
def _correlation_root(side: int, length: float) -> NDArray[np.float64]:
    """Return the symmetric root of the correlations along one side; the image's is a product."""
    apart = np.subtract.outer(np.arange(side), np.arange(side))
    values, vectors = np.linalg.eigh(np.exp(-(apart**2) / (2 * length**2)))
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


class _Ridge:
    """Ridge regressions on the same features: one decomposition for any number of answers.

    Parameters
    ----------
    features : float64 array, shape (rows, columns)
        Taken apart as U diag(s) V^T, through the smaller of its two squares.
    """

    def __init__(self, features: NDArray[np.float64]) -> None:
        self._features = features
        self._dual = features.shape[0] < features.shape[1]
        square = features @ features.T if self._dual else features.T @ features
        powers, vectors = np.linalg.eigh(square)
        kept = powers > _LEAST_POWER * np.maximum(powers[-1], np.finfo(np.float64).tiny)
        self._powers, self._vectors = powers[kept], vectors[:, kept]

    def __call__(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """Return coefficients, (columns, classes), for scores (rows, classes); log likelihood."""
        singular = np.sqrt(self._powers)[:, None]
        if self._dual:
            rotated = self._vectors.T @ scores
        else:
            rotated = (self._vectors.T @ (self._features.T @ scores)) / singular
        ratios, likelihood = self._likeliest(rotated, (scores**2).sum(axis=0), len(scores))
        along = ratios * singular / (1 + ratios * self._powers[:, None]) * rotated
        if self._dual:
            return self._features.T @ (self._vectors @ (along / singular)), likelihood
        return self._vectors @ along, likelihood

    def _likeliest(
        self, rotated: NDArray[np.float64], total: NDArray[np.float64], rows: int
    ) -> tuple[NDArray[np.float64], float]:
        """Return each class's likeliest ratio of variances, slopes to noise, and how likely all is.

        The noise's own variance, for each ratio, is the one of highest likelihood given it.
        """
        spread = 1 + np.multiply.outer(_RATIOS, self._powers)
        explained = (rotated**2).sum(axis=0)
        residual = np.maximum(total - explained, 0) + (1 / spread) @ rotated**2
        # A class that never answers has no residual, and any ratio fits it.
        noise = np.maximum(residual, np.finfo(np.float64).tiny) / rows
        likelihood = -rows / 2 * np.log(noise) - np.log(spread).sum(axis=1)[:, None] / 2
        return _RATIOS[likelihood.argmax(axis=0)], float(likelihood.max(axis=0).sum())
