"""What a few different input spikes change, compiled: the loops behind :mod:`.neighbours`.

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
    "count_differences",
    "find_differences",
    "follow_differences",
    "measure_margins",
]

_0, _1, _8 = np.uint64(0), np.uint64(1), np.uint64(8)
_LOWEST_BITS = np.uint64(0x0101010101010101)


@numba.njit(cache=True, nogil=True)
def find_differences(
    trains: tuple[NDArray[np.int64], NDArray[np.int32]],
    base: tuple[NDArray[np.int64], NDArray[np.int32]],
    most: int,
    offsets: NDArray[np.int64],
    rows: NDArray[np.int32],
    near: NDArray[np.bool_],
) -> int:
    """Fill `offsets`, `rows` and `near` with each image's differences; return how many there are.

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
            # Most steps are the same, and most that are not have few events after the difference.
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
    return written


@numba.njit(cache=True, nogil=True)
def count_differences(
    offsets: NDArray[np.int64], rows: NDArray[np.int32], counts: NDArray[np.int32]
) -> None:
    """Turn the base's counts, repeated in `counts`, into those of its neighbours."""
    for image in range(counts.shape[0]):
        for row in rows[offsets[image, 0] : offsets[image, -1]]:
            if row >= 0:
                counts[image, row] += 1
            else:
                counts[image, ~row] -= 1


@numba.njit(cache=True, nogil=True)
def measure_margins(
    grid_v: float,
    decay: float,
    threshold_v: NDArray[np.float64],
    bias_v: NDArray[np.float64],
    currents: Weights,
    states: NDArray[np.float64],
    margins_v: NDArray[np.float64],
) -> None:
    """Fill `margins_v` with how near the base's neurons come to their thresholds.

    Parameters
    ----------
    currents, states
        As :func:`~.kernels.simulate_floating` traces them.
    margins_v : float64 array, shape (steps + 1, size)
        Smallest distance from the threshold at that step or any later.
    """
    steps, size = currents.shape[0], threshold_v.size
    margins_v[steps] = np.inf
    for k in range(steps - 1, -1, -1):
        for j in range(size):
            potential = states[k, j] * decay + (currents[k, j] * grid_v + bias_v[j])
            # Infinite where refractory, as the potential is.
            margins_v[k, j] = min(abs(potential - threshold_v[j]), margins_v[k + 1, j])


@numba.njit(cache=True, nogil=True)
def _find_touched(
    arrivals: NDArray[np.int64],
    rows: NDArray[np.int32],
    weights: Weights,
    grid_v: float,
    margins_v: NDArray[np.float64],
    rounding_v: float,
    moved_v: NDArray[np.float64],
    touched: NDArray[np.uint64],
) -> tuple[int, int]:
    """Write to `touched` the neurons whose spikes may change; return the first step and how many.

    The potential of a neuron moves by at most the sum of the weights that differed so far, until
    here and in the base it spikes together and is at reset; so one that does not come as near to
    its threshold spikes as in the base. Rounding adds `rounding_v` to that sum at most.
    """
    steps, size = arrivals.size - 1, margins_v.shape[1]
    first_step = steps
    moved_v[:] = 0.0
    reached = np.zeros(size, np.uint8)
    for k in range(steps):
        if arrivals[k + 1] > arrivals[k]:
            first_step = min(first_step, k)
            for event in range(arrivals[k], arrivals[k + 1]):
                row = rows[event] if rows[event] >= 0 else ~rows[event]
                for j in range(size):
                    moved_v[j] += abs(weights[row, j]) * grid_v
            for j in range(size):
                reached[j] |= np.uint8(margins_v[k, j] <= moved_v[j] + rounding_v)
    found = 0
    for j in range(size):
        touched[found] = j
        found += reached[j]
    return first_step, found


@numba.njit(cache=True, nogil=True)
def _start_touched(
    first_step: int,
    refractory_steps: int,
    spikes: tuple[NDArray[np.int64], NDArray[np.int32]],
    touched: NDArray[np.uint64],
    slots: NDArray[np.int64],
    resting: NDArray[np.float64],
) -> None:
    """Give touched neurons their slots, and the steps that the base leaves them refractory."""
    offsets, neurons = spikes
    untouched = slots[-1]
    for a in range(touched.size):
        slots[touched[a]] = a
        resting[a] = 0.0
    for k in range(max(first_step - refractory_steps, 0), first_step):
        for spike in range(offsets[0, k], offsets[0, k + 1]):
            slot = slots[neurons[spike]]
            if slot != untouched:
                resting[slot] = refractory_steps - (first_step - 1 - k)


# No fastmath, as in kernels.py.
@numba.njit(cache=True, nogil=True)
def follow_differences(  # noqa: PLR0912 (as simulate_floating)
    arrivals: NDArray[np.int64],
    rows: NDArray[np.int32],
    weights: Weights,
    grid_v: float,
    decay: float,
    threshold_v: NDArray[np.float64],
    reset_v: float,
    refractory_steps: int,
    bias_v: NDArray[np.float64],
    spikes: tuple[NDArray[np.int64], NDArray[np.int32]],
    currents: Weights,
    states: NDArray[np.float64],
    margins_v: NDArray[np.float64],
    rounding_v: float,
    offsets: NDArray[np.int64],
    differing: NDArray[np.int32],
) -> None:
    """Fill `offsets` and `differing` with the differences that those arriving make.

    Only the neurons that they may touch are simulated.

    Parameters
    ----------
    spikes, currents, states, margins_v
        The base: its spikes, what :func:`~.kernels.simulate_floating` traced, and its margins.
    rounding_v : float
        What a potential may be off by rounding.
    """
    same_offsets, same_neurons = spikes
    steps, size = currents.shape[0], threshold_v.size
    moved_v = np.empty(size)
    touched = np.zeros(size + 8, np.uint64)
    v, current = np.empty(size), np.empty(size, weights.dtype)
    resting, thresholds, biases = np.empty(size), np.empty(size), np.empty(size)
    # Bit 0: it spikes here, bit 1: in the base. The last entry is for all that are not touched.
    marks = np.zeros((size // 8 + 2) * 8, np.uint8)
    marks_by_eight = marks.view(np.uint64)
    eights = np.empty(marks_by_eight.size + 1, np.uint64)
    untouched = marks.size - 1
    # Of the touched neurons; one entry more, that of none.
    slots = np.full(size + 1, untouched)
    written = 0
    for image in range(arrivals.shape[0]):
        first_step, found = _find_touched(
            arrivals[image], rows, weights, grid_v, margins_v, rounding_v, moved_v, touched
        )
        offsets[image, : first_step + 1] = written
        if first_step == steps:
            continue
        _start_touched(first_step, refractory_steps, spikes, touched[:found], slots, resting)
        for a in range(found):
            v[a] = states[first_step, touched[a]]
            thresholds[a], biases[a] = threshold_v[touched[a]], bias_v[touched[a]]
        marks[found : found + 8] = 0
        for k in range(first_step, steps):
            for a in range(found):
                current[a] = currents[k, touched[a]]
            for event in range(arrivals[image, k], arrivals[image, k + 1]):
                row = rows[event]
                for a in range(found):
                    if row >= 0:
                        current[a] += weights[row, touched[a]]
                    else:
                        current[a] -= weights[~row, touched[a]]
            for a in range(found):
                potential = v[a] * decay + (current[a] * grid_v + biases[a])
                potential = reset_v if resting[a] > 0.0 else potential
                fires = potential > thresholds[a]
                marks[a] = fires
                v[a] = reset_v if fires else potential
                resting[a] = float(refractory_steps) if fires else max(resting[a] - 1.0, 0.0)
            for spike in range(same_offsets[0, k], same_offsets[0, k + 1]):
                marks[slots[same_neurons[spike]]] |= np.uint8(2)
            # As in kernels.py.
            differ = _0
            for eight in range(np.uint64(-(-found // 8))):
                word = marks_by_eight[eight]
                eights[differ] = eight
                differ += np.uint64((word ^ (word >> _1)) & _LOWEST_BITS != _0)
            for i in range(differ):
                first = _8 * eights[i]
                for a in range(_8):
                    mark = np.int64(marks[first + a])
                    differing[written] = np.int64(touched[first + a]) ^ -(mark >> 1)
                    written += (mark ^ (mark >> 1)) & 1
            offsets[image, k + 1] = written
        for a in range(found):
            slots[touched[a]] = untouched
