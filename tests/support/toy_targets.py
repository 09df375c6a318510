"""Small targets whose counts are known in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.targets.black_box import BlackBox, Randomness

SHAPE = (6, 6)
CLASSES = 3


def linear_scores(seed: int = 0, shape: tuple[int, int] = SHAPE) -> NDArray[np.float64]:
    """Return random slopes of shape (pixels, classes)."""
    return np.random.default_rng(seed).normal(0, 8, (shape[0] * shape[1], CLASSES))


def linear_target(
    slopes: NDArray[np.float64],
    *,
    lead: float = 20.0,
    noise_seed: int | None = None,
    budget: int | None = None,
    randomness: Randomness = "independent",
    shape: tuple[int, int] = SHAPE,
) -> BlackBox:
    """Return a target with counts linear in the pixels; class 0 is predicted for a gray image.

    With a noise seed the counts are random: Poisson, or Gaussian and shared within a batch.
    """
    rng = np.random.default_rng(noise_seed)
    base = 40.0 + np.array([lead] + [0.0] * (slopes.shape[1] - 1))

    def answer(rows: NDArray[np.float64]) -> NDArray[np.int32]:
        means = np.maximum(base + (rows - 0.5) @ slopes, 0.0)
        if noise_seed is None:
            return np.rint(means).astype(np.int32)
        if randomness == "shared":
            return np.rint(means + rng.normal(0, 6, means.shape[1])).clip(0).astype(np.int32)
        return rng.poisson(means).astype(np.int32)

    return BlackBox(answer, shape, slopes.shape[1], budget, randomness)


def gray() -> NDArray[np.float64]:
    """Return a gray image, of which class 0 is predicted."""
    return np.full(SHAPE, 0.5)
