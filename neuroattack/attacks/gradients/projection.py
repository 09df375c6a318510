"""Projection of images onto a norm bound and the intensities in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import visibility_sd
from neuroattack.attacks.events.changes import best_event_change

__all__ = ["project"]

Rows = NDArray[np.float64]

_BISECTIONS = 40


def project(bound: Bound, originals: Rows, images: Rows) -> Rows:
    """Return the images within the bound, with intensities in [0, 1], that are nearest to images.

    Parameters
    ----------
    bound : Bound
        Norm bound on the distance from the originals.
    originals, images : float64 arrays, shape (images, ...)
        Clean images, and the images to project, whose values may be outside [0, 1].

    Returns
    -------
    float64 array, shape (images, ...)
        Nearest in L2; for ``local_sd`` nearest in the L2 norm of changes divided by the SD.

    Notes
    -----
    With a ball around a point of the box, the projection onto both is the clipped projection onto
    a smaller ball or larger penalty, found by bisection of one number per image.
    """
    if bound.is_of_events:
        nearest = [
            original + best_event_change(bound, original, image - original).reshape(original.shape)
            for original, image in zip(originals, images, strict=True)
        ]
        return np.stack(nearest)
    start = originals.reshape(len(originals), -1)
    change = images.reshape(start.shape) - start
    low, high = -start, 1 - start
    if bound.norm == "linf":
        change = np.clip(change, -bound.maximum, bound.maximum)
    elif bound.norm == "l0":
        change = _largest(np.clip(change, low, high), int(bound.maximum))
    elif bound.norm == "l2":

        def shrunk(factor: Rows) -> Rows:
            return np.asarray(np.clip(factor * change, low, high))

        change = _most(shrunk, lambda rows: np.linalg.norm(rows, axis=1) <= bound.maximum, change)
    else:
        sd = np.stack([visibility_sd(original) for original in originals]).reshape(start.shape)
        scaled = change / sd
        peak = np.abs(scaled).max(axis=1, keepdims=True)

        def thresholded(factor: Rows) -> Rows:
            kept = np.maximum(np.abs(scaled) - (1 - factor) * peak, 0.0)
            return np.asarray(np.clip(np.sign(scaled) * kept * sd, low, high))

        change = _most(
            thresholded, lambda rows: (np.abs(rows) / sd).sum(axis=1) <= bound.maximum, change
        )
    projected: Rows = np.clip(start + change, 0.0, 1.0)
    return projected.reshape(originals.shape)


def _most(
    moved: Callable[[Rows], Rows], holds: Callable[[Rows], NDArray[np.bool_]], change: Rows
) -> Rows:
    """Return the change of the largest factor in [0, 1], per row, within the bound."""
    lower, upper = np.zeros((len(change), 1)), np.ones((len(change), 1))
    whole = holds(moved(upper))
    for _ in range(_BISECTIONS):
        middle = (lower + upper) / 2
        inside = holds(moved(middle))[:, None]
        lower, upper = np.where(inside, middle, lower), np.where(inside, upper, middle)
    return moved(np.where(whole[:, None], 1.0, lower))


def _largest(change: Rows, pixels: int) -> Rows:
    if pixels >= change.shape[1]:
        return change
    order = np.argsort(-np.abs(change), axis=1, kind="stable")[:, :pixels]
    kept = np.zeros_like(change)
    np.put_along_axis(kept, order, np.take_along_axis(change, order, axis=1), axis=1)
    return kept
