"""Optimal perturbations within a norm bound for a linear score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import visibility_sd
from neuroattack.attacks.events.changes import best_event_change

__all__ = ["best_change", "pixels_to_probe"]

_BISECTIONS = 60


def best_change(
    bound: Bound, original: NDArray[np.float64], slopes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the perturbation that maximizes a linear score within a bound and the range [0, 1].

    Parameters
    ----------
    bound : Bound
        Norm bound on the perturbation.
    original : float64 array of the target's image shape
        Clean image.
    slopes : float64 array, shape (pixels,)
        Change of the score per unit of pixel intensity.

    Returns
    -------
    float64 array, shape (pixels,)

    Notes
    -----
    ``l2``: proportional to the slopes, clipped at intensities 0 and 1, with the largest step that
    the bound allows. ``l0``: the pixels of largest gain, each set to 0 or 1. ``linf``: each pixel
    in the direction of its slope, as far as the bound and the range allow. ``local_sd``: pixels in
    the order of gain per distance, ``|slope|`` times SD, each set to 0 or 1, the last one as far as
    the bound allows; this greedy solution of the fractional knapsack problem is exact. Bounds on
    events: :func:`neuroattack.attacks.events.changes.best_event_change`.
    """
    if bound.is_of_events:
        return best_event_change(bound, original, slopes)
    start = original.ravel()
    room = np.where(slopes > 0, 1 - start, -start)
    if bound.norm == "l2":
        return _clipped_step(slopes, room, bound.maximum)
    if bound.norm == "linf":
        return np.asarray(np.sign(slopes) * np.minimum(np.abs(room), bound.maximum))
    if bound.norm == "l0":
        most = np.argsort(-slopes * room, kind="stable")[: int(bound.maximum)]
        change = np.zeros_like(start)
        change[most] = room[most]
        return np.where(slopes == 0, 0.0, change)
    sd = visibility_sd(original).ravel()
    order = np.argsort(-np.abs(slopes) * sd, kind="stable")
    cost = np.where(slopes == 0, 0.0, np.abs(room) / sd)[order]
    spent_before = np.cumsum(cost) - cost
    fraction = np.ones_like(cost)
    np.divide(bound.maximum - spent_before, cost, out=fraction, where=cost > 0)
    change = np.zeros_like(start)
    change[order] = room[order] * np.clip(fraction, 0.0, 1.0)
    return np.where(slopes == 0, 0.0, change)


def _clipped_step(
    slopes: NDArray[np.float64], room: NDArray[np.float64], bound: float
) -> NDArray[np.float64]:
    """Return the clipped step along the slopes whose L2 norm is the bound, or the largest step."""
    most = np.where(slopes == 0, 0.0, np.abs(room))
    if np.linalg.norm(most) <= bound:
        return np.asarray(np.sign(slopes) * most)
    if not slopes.any():
        return np.zeros_like(slopes)
    strength = np.abs(slopes) / np.abs(slopes).max()
    low, high = 0.0, bound
    while np.linalg.norm(np.minimum(high * strength, most)) < bound:
        high *= 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if np.linalg.norm(np.minimum(middle * strength, most)) <= bound:
            low = middle
        else:
            high = middle
    return np.asarray(np.sign(slopes) * np.minimum(low * strength, most))


def pixels_to_probe(
    bound: Bound, original: NDArray[np.float64], gains: NDArray[np.float64], breadth: float
) -> NDArray[np.bool_]:
    """Return a mask of the pixels whose effect is worth estimating.

    Parameters
    ----------
    bound : Bound
        Norm bound on the perturbation.
    original : float64 array of the target's image shape
        Clean image.
    gains : float64 array, shape (pixels,)
        Estimated gain per unit of intensity of each pixel, nonnegative.
    breadth : float
        Maximum distance of changing all selected pixels by 1, as a multiple of the bound.

    Returns
    -------
    bool array of the image's shape
        For ``local_sd``, the pixels of largest gain times SD, with ties included and at least one
        pixel. For the other bounds, all pixels, since each has the same cost.
    """
    if bound.norm != "local_sd":
        return np.ones(original.shape, np.bool_)
    sd = visibility_sd(original)
    value = gains.reshape(original.shape) * sd
    order = np.argsort(-value, axis=None, kind="stable")
    affordable = np.cumsum(1 / sd.ravel()[order]) <= breadth * bound.maximum
    last = max(int(np.count_nonzero(affordable)) - 1, 0)
    return np.asarray(value >= value.ravel()[order[last]])
