"""Distances between an adversarial image and the clean image."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.events import distances as of_events
from neuroattack.attacks.imperceptibility import SD_FLOOR, local_standard_deviation

__all__ = [
    "DISTANCES",
    "EVENT_DISTANCES",
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


_IMAGE_DISTANCES: dict[str, Distance] = {"l0": l0, "l2": l2, "linf": linf, "local_sd": local_sd}

EVENT_DISTANCES: dict[str, Distance] = {
    each.__name__: each
    for each in (
        of_events.events,
        of_events.insertions,
        of_events.deletions,
        of_events.jitter,
        of_events.shift,
        of_events.moved,
    )
}
"""Distances of event samples by name."""

DISTANCES: dict[str, Distance] = {**_IMAGE_DISTANCES, **EVENT_DISTANCES}
"""Distances by name."""


def measure_distances(
    original: NDArray[np.float64], adversarial: NDArray[np.float64], *, are_events: bool = False
) -> dict[str, float | None]:
    """Return all distances of images, or of event samples, by name.

    None for those that are not defined: the local SD of a vector, and infinite ones.
    """
    if are_events:
        distances = {name: of(original, adversarial) for name, of in EVENT_DISTANCES.items()}
        return {name: each if math.isfinite(each) else None for name, each in distances.items()}
    return {
        name: None if name == "local_sd" and original.ndim < 2 else distance(original, adversarial)
        for name, distance in _IMAGE_DISTANCES.items()
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
