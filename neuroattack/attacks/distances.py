"""Distances between an adversarial image and the clean image."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.imperceptibility import SD_FLOOR, local_standard_deviation

__all__ = [
    "DISTANCES",
    "Distance",
    "l0",
    "l2",
    "linf",
    "local_sd",
    "measure_distances",
    "visibility_sd",
]

Distance = Callable[[NDArray[np.float64], NDArray[np.float64]], float]
"""A function of the original and the adversarial image, of the same shape."""

# Smaller changes of a pixel are rounding errors.
_ROUNDING = 1e-9


def l0(original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
    """Return the number of pixels that differ; each channel of a pixel counts."""
    return float(np.count_nonzero(_change(original, adversarial)))


def l2(original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
    """Return the L2 norm of the difference."""
    return math.sqrt(float((_change(original, adversarial) ** 2).sum()))


def linf(original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
    """Return the largest absolute difference of a pixel."""
    return float(_change(original, adversarial).max())


def local_sd(original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
    """Return the sum of absolute differences divided by the local SD (Luo et al. 2018).

    The SD is that of the clean image in the same channel, and has a lower limit, see
    :func:`visibility_sd`.
    """
    return float((_change(original, adversarial) / visibility_sd(original)).sum())


DISTANCES: dict[str, Distance] = {"l0": l0, "l2": l2, "linf": linf, "local_sd": local_sd}
"""Distances by name."""


def measure_distances(
    original: NDArray[np.float64], adversarial: NDArray[np.float64]
) -> dict[str, float | None]:
    """Return all distances by name; None for the local SD of a vector, which is not defined."""
    return {
        name: None if name == "local_sd" and original.ndim < 2 else distance(original, adversarial)
        for name, distance in DISTANCES.items()
    }


def visibility_sd(original: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the SD of each pixel's 3 x 3 neighborhood, of the image's shape.

    Neighborhoods are in one channel. Values below
    :data:`~neuroattack.attacks.imperceptibility.SD_FLOOR` are replaced by it.
    """
    return np.maximum(local_standard_deviation(original), SD_FLOOR)


def _change(original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> NDArray[np.float64]:
    change: NDArray[np.float64] = np.abs(np.asarray(adversarial) - original)
    change[change < _ROUNDING] = 0.0
    return change
