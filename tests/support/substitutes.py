"""Substitutes of the toy targets, known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.gradients.differentiable import Pullback
from support.toy_targets import SHAPE


@dataclass(frozen=True, eq=False)
class LinearSubstitute:
    """Scores that are linear in the pixels, as those of `linear_target`."""

    slopes: NDArray[np.float64]
    base: tuple[float, ...] = (20.0, 0.0, 0.0)
    image_shape: tuple[int, ...] = SHAPE

    @property
    def n_classes(self) -> int:
        return self.slopes.shape[1]

    def log_scores(self, images: NDArray[np.float64]) -> NDArray[np.float64]:
        return (images.reshape(len(images), -1) - 0.5) @ self.slopes + self.base

    def linearize(self, images: NDArray[np.float64]) -> tuple[NDArray[np.float64], Pullback]:
        return self.log_scores(images), lambda weights: (weights @ self.slopes.T).reshape(
            images.shape
        )
