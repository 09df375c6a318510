"""Spikes that arrive at a population, from one or several sources, as rows of its weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .general_kernels import place_events

__all__ = ["Events", "delayed", "merge", "window"]

Events = tuple[NDArray[np.int64], NDArray[np.int32]]
"""Offsets, shape (images, steps + 1), into an array of neurons or rows, and this array."""


def delayed(offsets: NDArray[np.int64], delay: int) -> NDArray[np.int64]:
    """Return the offsets, shape (images, steps + 1), of events delayed by `delay` steps."""
    steps = offsets.shape[1] - 1
    delay = min(delay, steps)
    shifted = np.empty_like(offsets)
    shifted[:, :delay] = offsets[:, :1]
    shifted[:, delay:] = offsets[:, : steps + 1 - delay]
    return shifted


def window(offsets: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Return the offsets, shape (images, 2), of the events of one step; none if it is negative."""
    if step < 0:
        return np.zeros((len(offsets), 2), np.int64)
    return np.ascontiguousarray(offsets[:, step : step + 2])


def merge(given: Sequence[Events], first_rows: Sequence[int], shape: tuple[int, int]) -> Events:
    """Return the events of all sources as rows.

    Parameters
    ----------
    given : sequence of Events
        Arriving events of each source.
    first_rows : sequence of int
        Number of the row of each source's first neuron.
    shape : (int, int)
        Numbers of images and steps.
    """
    if len(given) == 1:
        return given[0]
    images, steps = shape
    numbers = sum((np.diff(offsets) for offsets, _ in given), np.zeros(shape, np.int64))
    offsets = np.zeros((images, steps + 1), np.int64)
    ends = np.cumsum(numbers).reshape(shape)
    offsets[:, 1:] = ends
    offsets[1:, 0] = ends[:-1, -1]
    rows = np.empty(offsets[-1, -1], np.int32)
    free = offsets[:, :-1].copy()
    for events, first_row in zip(given, first_rows, strict=False):
        place_events(events, int(first_row), free, rows)
    return offsets, rows
