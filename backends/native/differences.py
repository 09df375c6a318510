"""What a few different input spikes change, compiled: the loops behind :mod:`.neighbors`.

Differences from one image, the *base*, stand where events stand elsewhere: as
``rows[offsets[b, k] : offsets[b, k + 1]]``, where n is a spike of neuron n that the base does not
have, and ``~n`` one that only the base has.
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
    """Fill `offsets`, `rows` and `near` with each image's differences.

    Images with over `most` differences are not near, and none of theirs are kept; `rows` needs
    room for `most` an image.
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
    """Turn the base's counts, repeated in `counts`, into those of its neighbors."""
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
    """Fill `margins`, of shape (steps + 1, size), with how near the base comes to its thresholds.

    That is the smallest distance at that step or any later. Currents and states are as
    :func:`~.kernels.simulate_floating` traces them.
    """
    steps, size = currents.shape[0], threshold.size
    margins[steps] = np.inf
    for k in range(steps - 1, -1, -1):
        for j in range(size):
            potential = states[k, j] * decay + (currents[k, j] * grid + bias[j])
            # Infinite where refractory, as the potential is; but with a decay of 0 not a number.
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
    """Set `touched` for the neurons whose spikes the differences of some image may change.

    The potential of a neuron moves by at most the sum of the weights that differed so far, until
    here and in the base it spikes together and is at reset; so one that does not come as near to
    its threshold spikes as in the base. Rounding adds `rounding` to that sum at most.
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
