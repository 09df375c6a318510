"""Substitutes corrected by the target's responses, as a differentiable model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.gradients.differentiable import Differentiable, Pullback
from neuroattack.attacks.regression.effects import Effects

__all__ = ["Corrected"]


class Corrected:
    """Scores of the regression: those of the substitutes, scaled per class, and a linear part.

    Parameters
    ----------
    substitutes : Differentiable
        Models of the prior mean.
    original : float64 array of the target's image shape
        Image around which the effects are linear.
    effects : Effects
        Result of the regression with these substitutes.
    """

    def __init__(
        self, substitutes: Differentiable, original: NDArray[np.float64], effects: Effects
    ) -> None:
        self._substitutes = substitutes
        self._original = original
        self._effects = effects
        self._trust = np.zeros_like(effects.base) if effects.trust is None else effects.trust

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._substitutes.image_shape

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._substitutes.n_classes

    def log_scores(self, images: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predicted scores on the scale of the regression, shape (images, classes)."""
        return self._corrected(images, self._substitutes.log_scores(images))

    def linearize(self, images: NDArray[np.float64]) -> tuple[NDArray[np.float64], Pullback]:
        """Return the scores and their gradients, as in ``Differentiable``."""
        scores, pullback = self._substitutes.linearize(images)

        def corrected_pullback(weights: NDArray[np.float64]) -> NDArray[np.float64]:
            linear = (weights @ self._effects.slopes.T).reshape(images.shape)
            return np.asarray(pullback(weights * self._trust) + linear)

        return self._corrected(images, scores), corrected_pullback

    def _corrected(
        self, images: NDArray[np.float64], scores: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        changes = (images - self._original).reshape(len(images), -1)
        return np.asarray(scores * self._trust + self._effects.predict(changes))
