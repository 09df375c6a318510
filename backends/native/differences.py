"""Compiled loops for the effects of a few different input spikes, used by :mod:`.neighbors`.

Differences from one image, the *base*, are stored like events, as
``rows[offsets[b, k] : offsets[b, k + 1]]``: n is a spike of neuron n that is not in the base, and
``~n`` a spike that is only in the base.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from .kernels import Weights

__all__ = [
    "compare_trains",
    "count_differences",
    "find_touched",
    "measure_margins",
]


@numba.njit(cache=True, nogil=True)
def compare_trains(
    trains: tuple[NDArray[np.int64], NDArray[np.int32]],
    base: tuple[NDArray[np.int64], NDArray[np.int32]],
    most: int,
    offsets: NDArray[np.int64],
    rows: NDArray[np.int32],
    near: NDArray[np.bool_],
) -> None:
    """Fill `offsets`, `rows` and `near` with the differences of each image.

    Images with over `most` differences are not near, and their differences are not stored; `rows`
    needs space for `most` entries per image.
    """
    their_offsets, theirs = trains
    base_offsets, ours = base
    written = 0
    for image in range(their_offsets.shape[0]):
        begin = written
        offsets[image, 0] = begin
        near[image] = True
        for k in range(offsets.shape[1] - 1):
            i, i_end = their_offsets[image, k], their_offsets[image, k + 1]
            j, j_end = base_offsets[0, k], base_offsets[0, k + 1]
            while i < i_end or j < j_end:
                if i < i_end and j < j_end and theirs[i] == ours[j]:
                    i += 1
                    j += 1
                    continue
                if written - begin == most:
                    near[image] = False
                    break
                if j == j_end or (i < i_end and theirs[i] < ours[j]):
                    rows[written] = theirs[i]
                    i += 1
                else:
                    rows[written] = ~ours[j]
                    j += 1
                written += 1
            offsets[image, k + 1] = written
            if not near[image]:
                written = begin
                offsets[image] = begin
                break


@numba.njit(cache=True, nogil=True)
def count_differences(
    offsets: NDArray[np.int64], rows: NDArray[np.int32], counts: NDArray[np.int32]
) -> None:
    """Convert the counts of the base, repeated in `counts`, to those of its neighbors."""
    for image in range(counts.shape[0]):
        for row in rows[offsets[image, 0] : offsets[image, -1]]:
            if row >= 0:
                counts[image, row] += 1
            else:
                counts[image, ~row] -= 1


@numba.njit(cache=True, nogil=True)
def measure_margins(
    grid: float,
    decay: float,
    threshold: NDArray[np.float64],
    bias: NDArray[np.float64],
    currents: Weights,
    states: NDArray[np.float64],
    margins: NDArray[np.float64],
) -> None:
    """Fill `margins`, of shape (steps + 1, size), with the base's distances to the thresholds.

    A margin is the smallest distance in this or any later step. Currents and states are traced by
    :func:`~.kernels.simulate_floating`.
    """
    steps, size = currents.shape[0], threshold.size
    margins[steps] = np.inf
    for k in range(steps - 1, -1, -1):
        for j in range(size):
            potential = states[k, j] * decay + (currents[k, j] * grid + bias[j])
            # Infinite if refractory, like the potential, which is NaN with a decay of 0.
            margin = abs(potential - threshold[j]) if states[k, j] != -np.inf else np.inf
            margins[k, j] = min(margin, margins[k + 1, j])


@numba.njit(cache=True, nogil=True)
def find_touched(
    arrivals: NDArray[np.int64],
    rows: NDArray[np.int32],
    weights: Weights,
    grid: float,
    margins: NDArray[np.float64],
    rounding: float,
    touched: NDArray[np.bool_],
) -> None:
    """Set `touched` for neurons whose spikes may be changed by the differences of any image.

    The potential of a neuron differs from the base by at most the sum of the weights of all
    differences so far, as long as it spikes in the same steps. If its margin is larger than this
    sum plus `rounding`, an upper bound of rounding errors, its spikes are those of the base.
    """
    moved = np.empty(touched.size)
    for image in range(arrivals.shape[0]):
        moved[:] = 0.0
        for k in range(arrivals.shape[1] - 1):
            if arrivals[image, k + 1] == arrivals[image, k]:
                continue
            for event in range(arrivals[image, k], arrivals[image, k + 1]):
                row = rows[event] if rows[event] >= 0 else ~rows[event]
                for j in range(touched.size):
                    moved[j] += abs(weights[row, j]) * grid
            for j in range(touched.size):
                touched[j] |= margins[k, j] <= moved[j] + rounding
