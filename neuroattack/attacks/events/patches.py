"""Patches: squares of pixels that contain all changes of an event sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["best_patch", "is_within_patch", "patch_mask", "patch_sums"]

Sample = NDArray[np.float64]


def is_within_patch(original: Sample, adversarial: Sample, patch_px: int) -> bool:
    """Return whether all changed cells lie within a square of pixels.

    Parameters
    ----------
    original, adversarial : float64 array, shape (steps, ..., rows, columns)
        Samples of zeros and ones.
    patch_px : int
        Side of the square.
    """
    changed = np.nonzero(original != adversarial)[-2:]
    return all(np.ptp(places) < patch_px for places in changed if len(places))


def patch_mask(sides: tuple[int, ...], patch_px: int, row: int, column: int) -> NDArray[np.bool_]:
    """Return the pixels of the patch with this top left pixel, shape (rows, columns)."""
    mask = np.zeros(sides, np.bool_)
    mask[row : row + patch_px, column : column + patch_px] = True
    return mask


def patch_sums(values: NDArray[Any], patch_px: int) -> NDArray[np.float64]:
    """Return the sum of values in each patch, by the row and column of its top left pixel.

    Parameters
    ----------
    values : array, shape (..., rows, columns)
        Values of cells.
    patch_px : int
        Side of the patch; of the sensor, if it is shorter.
    """
    rows, columns = values.shape[-2:]
    pixels = values.reshape(-1, rows, columns).sum(axis=0, dtype=np.float64)
    windows = sliding_window_view(pixels, (min(patch_px, rows), min(patch_px, columns)))
    sums: NDArray[np.float64] = windows.sum(axis=(2, 3))
    return sums


def best_patch(gains: NDArray[np.float64], patch_px: int, most: int) -> NDArray[np.bool_]:
    """Return the pixels of the patch in which changes gain most, shape (rows, columns).

    Parameters
    ----------
    gains : float64 array, shape (..., rows, columns)
        Gain of a change of each cell, not negative.
    patch_px : int
        Side of the patch.
    most : int
        Largest number of changes: a patch gains the sum of its largest gains, as many.

    Notes
    -----
    The sum of the m largest gains is at most m t plus the sum of all max(gain - t, 0), for every t.
    Patches are evaluated in decreasing order of this limit, for two values of t, until no other
    patch can be better.
    """
    rows, columns = gains.shape[-2:]
    pixels = min(patch_px, rows) * min(patch_px, columns)
    limits = patch_sums(gains, patch_px)
    positive = gains[gains > 0]
    # Good limits if the largest gains are in one patch, and if all patches are alike.
    for count in {most, most * rows * columns // pixels}:
        if 0 < count < len(positive):
            least = np.partition(positive, -count)[-count]
            sums = patch_sums(np.maximum(gains - least, 0), patch_px)
            limits = np.minimum(limits, most * least + sums)
    best, mask = -np.inf, np.zeros((rows, columns), np.bool_)
    for place in np.argsort(-limits, axis=None, kind="stable").tolist():
        row, column = divmod(place, limits.shape[1])
        if limits[row, column] <= best:
            break
        inside = gains[..., row : row + patch_px, column : column + patch_px].ravel()
        if most < len(inside):
            inside = np.partition(inside, -most)[len(inside) - most :]
        if inside.sum() > best:
            best, mask = inside.sum(), patch_mask((rows, columns), patch_px, row, column)
    return mask
