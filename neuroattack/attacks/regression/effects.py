"""Bayesian ridge regression of class scores on perturbations of all pixels."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.gradients.differentiable import Differentiable

__all__ = ["EffectEstimator", "Effects", "Scale", "scores_on"]

Scale = Literal["counts", "log"]
"""Scale on which pixel effects are assumed additive: spike counts or their logarithms."""

# Grid of ratios of slope variance to noise variance.
_RATIOS = np.logspace(-6, 6, 49)
_HALF_A_SPIKE = 0.5
# Eigenvalues below this fraction of the largest are rounding errors.
_LEAST_POWER = 1e-10


def scores_on(scale: Scale, counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return counts on a scale, same shape; ``"log"`` adds half a spike before the logarithm."""
    values = counts.astype(np.float64)
    return values if scale == "counts" else np.log(values + _HALF_A_SPIKE)


@dataclass(frozen=True, eq=False)
class Effects:
    """Linear model of the class scores around an image, or of their residuals from a prior mean.

    Parameters
    ----------
    base : float64 array, shape (classes,)
        Scores of the unperturbed image.
    slopes : float64 array, shape (pixels, classes)
        Change of each score per unit of pixel intensity (the full range [0, 1]).
    trust : float64 array, shape (classes,), optional
        Factor of the log scores of the substitutes that are added to each score; None without.
    support : float, optional
        Logarithm of the likelihood ratio of the model with and without substitutes, over all
        classes; 0 without.
    """

    base: NDArray[np.float64]
    slopes: NDArray[np.float64]
    trust: NDArray[np.float64] | None = None
    support: float = 0.0

    def predict(self, change: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the linear part, shape (classes,), for a perturbation of shape (pixels,)."""
        predicted: NDArray[np.float64] = self.base + change @ self.slopes
        return predicted


class EffectEstimator:
    """Estimate the effect of each pixel on each class from the counts of perturbed images.

    Bayesian linear regression with a Gaussian prior on the slopes of each class. The prior
    correlation of two pixels of a channel at distance d is ``exp(-d^2 / (2 l^2))``, because
    neighboring pixels tend to reach the same neurons; with fewer queries than pixels, this prior
    determines the accuracy of the estimate. Channels, and the values of a vector, are independent.
    The length l and, for each class, the ratio of slope variance to
    noise variance maximize the marginal likelihood (type II maximum likelihood, Bishop 2006, 3.5).

    With substitutes, the prior mean of each class's scores is their log scores times a nonnegative
    factor plus a constant. Both are estimated together with the variances, by generalized least
    squares, so that substitutes that do not predict the counts lose their influence.

    Parameters
    ----------
    original : float64 array, shape (height, width), (channels, height, width) or (values,)
        Image relative to which perturbations are measured.
    correlations_px : sequence of float
        Candidates for the length l, in pixels; 0 for independent pixels.
    substitutes : Differentiable, optional
        Models of the target for the prior mean.
    channel_correlation : float, optional
        Prior correlation of the entries of the first axis, in [0, 1); by default, channels are
        independent.
    common_effect : float, optional
        Prior standard deviation of an effect that all pixels have in common, relative to that of
        each pixel's own; none by default.
    """

    def __init__(
        self,
        original: NDArray[np.float64],
        correlations_px: Sequence[float],
        substitutes: Differentiable | None = None,
        channel_correlation: float = 0.0,
        common_effect: float = 0.0,
    ) -> None:
        self._original = original
        self._channel_correlation = channel_correlation
        self._common_effect = common_effect
        self._substitutes = substitutes
        self._prior_scores: list[NDArray[np.float64]] = []
        self._correlations_px = tuple(correlations_px) if original.ndim > 1 else (0.0,)
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
        """Add the results of a batch of queries.

        Parameters
        ----------
        images : float64 array, shape (images, ...)
            Queried images.
        counts : int array, shape (images, classes)
            Returned counts.
        shared_randomness : bool, optional
            Whether the images of the batch share their random numbers. Scores are then centered
            within the batch, which removes the noise that its images have in common.
        """
        self._changes.append((images - self._original).reshape(len(images), -1))
        self._counts.append(counts)
        if self._substitutes is not None:
            self._prior_scores.append(self._substitutes.log_scores(images))
        if shared_randomness:
            self._last_group += 1
        group = self._last_group if shared_randomness else -1
        self._groups.append(np.full(len(images), group))

    def correlated(
        self, rng: np.random.Generator, count: int, length: float
    ) -> NDArray[np.float64]:
        """Return random perturbations with the correlations of the prior, of L2 norm 1.

        Parameters
        ----------
        rng : numpy.random.Generator
            Random number generator.
        count : int
            Number of perturbations.
        length : float
            Length l of the prior in pixels; without effect on vectors.

        Returns
        -------
        float64 array, shape (count, ...)
        """
        length = length if self._original.ndim > 1 else 0.0
        rows = self._smoothed(rng.normal(size=(count, self._original.size)), length)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.reshape(count, *self._original.shape)

    def fit(self, *scales: Scale) -> list[Effects]:
        """Return the estimated effects on each scale; needs at least one added batch."""
        changes = np.concatenate(self._changes)
        counts = np.concatenate(self._counts)
        group = np.unique(np.concatenate(self._groups), return_inverse=True)[1]
        features = _centered(changes, group)
        ridges = [
            (length, _Ridge(self._with_common_effect(features, self._smoothed(features, length))))
            for length in self._correlations_px
        ]
        prior = np.concatenate(self._prior_scores) if self._prior_scores else None
        centered_prior = None if prior is None else _centered(prior, group)
        fitted = []
        for scale in scales:
            scores = scores_on(scale, counts)
            centered = _centered(scores, group)
            solutions = [(length, ridge(centered, centered_prior)) for length, ridge in ridges]
            length, best = max(solutions, key=lambda solution: solution[1].likelihood)
            own = best.coefficients[: features.shape[1]]
            slopes = self._smoothed(own.T, length).T
            if self._common_effect:
                slopes += self._common_effect * best.coefficients[-1]
            base = scores.mean(axis=0) - changes.mean(axis=0) @ slopes
            if prior is not None:
                base -= best.trust * prior.mean(axis=0)
            if prior is None:
                fitted.append(Effects(base, slopes))
            else:
                fitted.append(Effects(base, slopes, best.trust, best.support))
        return fitted

    def _with_common_effect(
        self, features: NDArray[np.float64], smoothed: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        if not self._common_effect:
            return smoothed
        common = self._common_effect * features.sum(axis=1, keepdims=True)
        return np.hstack([smoothed, common])

    def _smoothed(self, rows: NDArray[np.float64], length: float) -> NDArray[np.float64]:
        """Multiply rows of shape (n, pixels) by the square root of the prior correlation matrix."""
        if self._channel_correlation:
            rows = self._with_correlated_channels(rows)
        if not length:
            return rows
        height, width = self._original.shape[-2:]
        along_rows = _correlation_root(height, length)
        along_columns = _correlation_root(width, length)
        smooth: NDArray[np.float64] = along_rows @ rows.reshape(-1, height, width) @ along_columns
        return smooth.reshape(rows.shape)

    def _with_correlated_channels(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        channels = rows.reshape(len(rows), len(self._original), -1)
        mean = channels.mean(axis=1, keepdims=True)
        own = 1 - self._channel_correlation
        # The eigenvalues of the correlation matrix: of the mean, and of deviations from it.
        common = own + len(self._original) * self._channel_correlation
        mixed: NDArray[np.float64] = np.sqrt(common) * mean + np.sqrt(own) * (channels - mean)
        return mixed.reshape(rows.shape)


def _centered(rows: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return rows minus the mean of their group."""
    sums = np.zeros((int(group.max()) + 1, rows.shape[1]))
    np.add.at(sums, group, rows)
    return np.asarray(rows - (sums / np.bincount(group)[:, None])[group])


@functools.lru_cache(maxsize=8)
def _correlation_root(side: int, length: float) -> NDArray[np.float64]:
    """Return the symmetric square root of the correlation matrix along one axis of the image."""
    offsets = np.subtract.outer(np.arange(side), np.arange(side))
    values, vectors = np.linalg.eigh(np.exp(-(offsets**2) / (2 * length**2)))
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


@dataclass(frozen=True, eq=False)
class _Solution:
    """Coefficients (columns, classes), factors of the prior scores, log evidence and its gain."""

    coefficients: NDArray[np.float64]
    trust: NDArray[np.float64]
    likelihood: float
    support: float


class _Ridge:
    """Ridge regressions on the same features, with one decomposition for all targets.

    Parameters
    ----------
    features : float64 array, shape (rows, columns)
        Design matrix, decomposed as U diag(s) V^T via the smaller of its two Gram matrices.
    """

    def __init__(self, features: NDArray[np.float64]) -> None:
        self._features = features
        self._dual = features.shape[0] < features.shape[1]
        gram = features @ features.T if self._dual else features.T @ features
        powers, vectors = np.linalg.eigh(gram)
        kept = powers > _LEAST_POWER * np.maximum(powers[-1], np.finfo(np.float64).tiny)
        self._powers, self._vectors = powers[kept], vectors[:, kept]
        # For each ratio, the variance of each rotated score relative to the noise.
        self._spread = 1 + np.multiply.outer(_RATIOS, self._powers)

    def __call__(
        self, scores: NDArray[np.float64], prior: NDArray[np.float64] | None = None
    ) -> _Solution:
        """Fit scores, shape (rows, classes), optionally with prior scores of the same shape."""
        rotated = self._rotated(scores)
        squares = self._products(scores, scores, rotated, rotated)
        without = self._likelihood(squares, len(scores))
        trust = np.zeros_like(squares)
        if prior is not None:
            rotated_prior = self._rotated(prior)
            own = self._products(prior, prior, rotated_prior, rotated_prior)
            common = self._products(scores, prior, rotated, rotated_prior)
            np.divide(np.maximum(common, 0), own, out=trust, where=own > 0)
            squares = squares - trust * (2 * common - trust * own)
        likelihood = self._likelihood(squares, len(scores))
        best = likelihood.argmax(axis=0)
        chosen = trust[best, np.arange(len(best))]
        if prior is not None:
            rotated = rotated - chosen * rotated_prior
        solution = (_RATIOS[best] / self._spread.T[:, best]) * rotated
        if self._dual:
            coefficients = self._features.T @ (self._vectors @ solution)
        else:
            coefficients = self._vectors @ (np.sqrt(self._powers)[:, None] * solution)
        evidence, blind = (float(each.max(axis=0).sum()) for each in (likelihood, without))
        return _Solution(coefficients, chosen, evidence, evidence - blind)

    def _likelihood(self, squares: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
        """Return the log likelihood of each ratio and class, given the weighted squares.

        The noise variance is its maximum-likelihood estimate for each ratio.
        """
        # A class without spikes has no residual; any ratio fits it.
        noise = np.maximum(squares, np.finfo(np.float64).tiny) / rows
        spread = np.log(self._spread).sum(axis=1)[:, None]
        return np.asarray(-rows / 2 * np.log(noise) - spread / 2)

    def _rotated(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return U^T scores, shape (components, classes)."""
        if self._dual:
            return np.asarray(self._vectors.T @ scores)
        projected = self._vectors.T @ (self._features.T @ scores)
        return np.asarray(projected / np.sqrt(self._powers)[:, None])

    def _products(
        self,
        left: NDArray[np.float64],
        right: NDArray[np.float64],
        rotated_left: NDArray[np.float64],
        rotated_right: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the products of each class's scores, weighted by the inverse covariance.

        Shape (ratios, classes); the covariance is in units of the noise variance.
        """
        rotated = rotated_left * rotated_right
        outside = (left * right).sum(axis=0) - rotated.sum(axis=0)
        if left is right:
            outside = np.maximum(outside, 0)
        return np.asarray(outside + (1 / self._spread) @ rotated)
