"""How far an image is from its original: functions of two images."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.imperceptibility import SD_FLOOR, local_standard_deviation

__all__ = ["DISTANCES", "Distance", "l0", "l2", "local_sd", "visibility_sd"]

Distance = Callable[[NDArray[np.float64], NDArray[np.float64]], float]
"""A function of the original and the adversarial image, each of shape (height, width)."""

# A smaller change of a pixel is a rounding error.
_ROUNDING = 1e-9


def l0(original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
    """Return the number of pixels that differ."""
    return float(np.count_nonzero(_change(original, adversarial)))


def l2(original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
    """Return the root of the sum of squared differences."""
    return math.sqrt(float((_change(original, adversarial) ** 2).sum()))


def local_sd(original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
    """Return the sum of differences over the local SD of the original (Luo et al. 2018).

    The SD is floored, see :func:`visibility_sd`.
    """
    return float((_change(original, adversarial) / visibility_sd(original)).sum())


DISTANCES: dict[str, Distance] = {"l0": l0, "l2": l2, "local_sd": local_sd}
"""Distances by name."""


def visibility_sd(original: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what :func:`local_sd` divides the change of each pixel by, of the image's shape.

    It is the SD of the pixel's 3 x 3 neighborhood, at least
    :data:`~neuroattack.attacks.imperceptibility.SD_FLOOR`.
    """
    return np.maximum(local_standard_deviation(original), SD_FLOOR)


def _change(original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> NDArray[np.float64]:
    change: NDArray[np.float64] = np.abs(np.asarray(adversarial) - original)
    change[change < _ROUNDING] = 0.0
    return change
