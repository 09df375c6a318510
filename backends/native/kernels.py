"""Compiled loops of the native backend over steps, spikes and neurons.

Common arguments: weights are rows of integers, one row per source neuron, padded with zeros to full
vectors; events are ``rows[arrivals[b, k] : arrivals[b, k + 1]]``, the rows that arrive in step k of
image b.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.fixed_point import LEAK_ONE

__all__ = [
    "Start",
    "Weights",
    "add_arriving_rows",
    "count_spikes",
    "simulate_fixed",
    "simulate_floating",
]

Weights = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.float64]

# First step of each image; and of the base image, potentials at the start of each step, and offsets
# and neurons of its spikes.
Start = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int32]]

# Unsigned, because numba checks signed indices for negative values before every access.
_0, _8 = np.uint64(0), np.uint64(8)


@numba.njit(cache=True, nogil=True)
def count_spikes(
    offsets: NDArray[np.int64], neurons: NDArray[np.int32], counts: NDArray[np.int32]
) -> None:
    """Add the spike counts to `counts`, shape (images, size); see :meth:`SpikeTrains.counts`."""
    for image in range(counts.shape[0]):
        for event in range(offsets[image, 0], offsets[image, -1]):
            counts[image, neurons[event]] += 1


@numba.njit(inline="always")
def add_arriving_rows(current: Weights, weights: Weights, rows: NDArray[np.int32]) -> None:
    """Set `current` to the sum of the given rows of `weights`."""
    size = current.size
    # Eight rows at once, then four, to reduce memory accesses for the sums.
    start = 8 if rows.size >= 8 else 0
    fours = rows.size // 4 * 4
    if start:
        a, b, c, d = weights[rows[0]], weights[rows[1]], weights[rows[2]], weights[rows[3]]
        e, f, g, h = weights[rows[4]], weights[rows[5]], weights[rows[6]], weights[rows[7]]
        for j in range(size):
            current[j] = ((a[j] + b[j]) + (c[j] + d[j])) + ((e[j] + f[j]) + (g[j] + h[j]))
    elif fours == 0:
        current[:] = 0
    for first in range(start, fours, 4):
        a, b = weights[rows[first]], weights[rows[first + 1]]
        c, d = weights[rows[first + 2]], weights[rows[first + 3]]
        if first == 0:
            for j in range(size):
                current[j] = (a[j] + b[j]) + (c[j] + d[j])
        else:
            for j in range(size):
                current[j] += (a[j] + b[j]) + (c[j] + d[j])
    for last in range(fours, rows.size):
        a = weights[rows[last]]
        for j in range(size):
            current[j] += a[j]


@numba.njit(inline="always")
def _add_differing_rows(
    current: Weights, same: Weights, weights: Weights, rows: NDArray[np.int32], signs: Weights
) -> None:
    """Set `current` to `same` plus the given rows of `weights`; rows ``~r`` are subtracted."""
    size = current.size
    if rows.size == 0:
        for j in range(size):
            current[j] = same[j]
    # Two rows at a time, for the same reason; a single last row is used twice, with sign 0.
    for first in range(0, rows.size, 2):
        second = min(first + 1, rows.size - 1)
        # The shift gives 0 for a row r, and -1, the index of the last sign, for ~r.
        a_side, b_side = rows[first] >> 31, rows[second] >> 31
        a, b = rows[first] ^ a_side, rows[second] ^ b_side
        a_sign, b_sign = signs[a_side], signs[b_side if second > first else 1]
        if first == 0:
            for j in range(size):
                current[j] = same[j] + (a_sign * weights[a, j] + b_sign * weights[b, j])
        else:
            for j in range(size):
                current[j] += a_sign * weights[a, j] + b_sign * weights[b, j]


@numba.njit(cache=True, nogil=True)
def _copy_start(
    start: Start,
    image: int,
    v: NDArray[np.float64],
    offsets: NDArray[np.int64],
    neurons: NDArray[np.int32],
    written: int,
) -> int:
    """Copy state and spikes of the base up to an image's first step; return the end of spikes."""
    first_steps, states, same_offsets, same_neurons = start
    first_step = first_steps[image]
    if first_step < states.shape[0]:
        v[:] = states[first_step]
    for k in range(first_step + 1):
        offsets[image, k] = written + same_offsets[0, k] - same_offsets[0, 0]
    for spike in range(same_offsets[0, 0], same_offsets[0, first_step]):
        neurons[written] = same_neurons[spike]
        written += 1
    return written


# Both loops below collect the neurons that fired eight at a time, because most are silent, and
# without branches, which would be unpredictable: entries after the last valid one are overwritten,
# so `neurons` needs space for one more entry. As a separate function, this takes 10 % longer,
# because numba then counts references to its arrays in every step.


# No fastmath: a fused multiply-add would round v * decay + input once instead of twice.
@numba.njit(cache=True, nogil=True)
def simulate_floating(  # noqa: PLR0912 (a call in it costs a tenth of its time)
    arrivals: NDArray[np.int64],
    rows: NDArray[np.int32],
    weights: Weights,
    grid: float | None,
    decay: float,
    threshold: NDArray[np.float64],
    reset: float,
    refractory_steps: int,
    same_threshold: float | None,
    bias: NDArray[np.float64] | None,
    start: Start | None,
    currents: Weights | None,
    trace: tuple[Weights, NDArray[np.float64]] | None,
    offsets: NDArray[np.int64],
    neurons: NDArray[np.int32],
) -> None:
    """Fill `offsets` and `neurons` with the spikes of one population.

    The spikes of consecutive images are stored without gaps, because untouched memory does not have
    to be cleared by the system, which would take as long as the simulation.

    Parameters
    ----------
    grid : float or None
        Unit of the weights in units of the potentials; None for 1.
    same_threshold, bias : float and float64 array, shape (size,), or None
        Common threshold of all neurons, if they have one; constant input, if any.
    start : Start or None
        State of the base image from which its neighbors continue; None to start at rest.
    currents : array, shape (steps, columns), or None
        Input of the base image. If given, `rows` are differences from it: row r arrives in
        addition, or, as ``~r``, does not arrive.
    trace : (array, shape (steps, columns), and float64 array, shape (steps, size)), or None
        Output arrays for the input of each step and the potentials at its start, for one image.
    """
    steps = arrivals.shape[1] - 1
    size = threshold.size
    v = np.zeros(size)
    current = np.empty(weights.shape[1], weights.dtype)
    signs = np.zeros(3, weights.dtype)
    signs[0], signs[-1] = 1, -1
    fired = np.zeros(-(-size // 8) * 8, np.uint8)
    fired_by_eight = fired.view(np.uint64)
    eights = np.empty(fired_by_eight.size + 1, np.uint64)
    # For any input, minus infinity stays below every threshold. With a decay of 0 it becomes NaN,
    # which is not above any threshold either.
    held = -np.inf if refractory_steps else reset
    written = 0
    for image in range(arrivals.shape[0]):
        # The compiler removes branches for arguments that are None; a bias takes 1/12 of the time.
        if start is None:
            first_step = 0
            v[:] = 0.0
            offsets[image, 0] = written
        else:
            first_step = start[0][image]
            written = _copy_start(start, image, v, offsets, neurons, written)
        for k in range(first_step, steps):
            arriving = rows[arrivals[image, k] : arrivals[image, k + 1]]
            if currents is None:
                add_arriving_rows(current, weights, arriving)
            else:
                _add_differing_rows(current, currents[k], weights, arriving, signs)
            if trace is not None:
                for j in range(current.size):
                    trace[0][k, j] = current[j]
                for j in range(size):
                    trace[1][k, j] = v[j]
            for j in range(size):
                arrived = current[j] if grid is None else current[j] * grid
                if bias is not None:
                    arrived += bias[j]
                potential = v[j] * decay + arrived
                fires = potential > (threshold[j] if same_threshold is None else same_threshold)
                fired[j] = fires
                v[j] = held if fires else potential
            found = _0
            for eight in range(np.uint64(fired_by_eight.size)):
                eights[found] = eight
                found += np.uint64(fired_by_eight[eight] != _0)
            end = np.uint64(written)
            for i in range(found):
                first = _8 * eights[i]
                for j in range(_8):
                    neurons[end] = first + j
                    end += np.uint64(fired[first + j])
            written = np.int64(end)
            offsets[image, k + 1] = written
            if 0 < refractory_steps <= k:
                released = k - refractory_steps
                for spike in range(offsets[image, released], offsets[image, released + 1]):
                    v[neurons[spike]] = reset


@numba.njit(cache=True, nogil=True)
def simulate_fixed(  # noqa: PLR0912 (as above)
    arrivals: NDArray[np.int64],
    rows: NDArray[np.int32],
    weights: NDArray[np.int16] | NDArray[np.int32],
    unit: np.int32,
    wraps: bool | None,
    leak: np.int32,
    leaks_much: bool | None,
    threshold: NDArray[np.int32],
    bias: NDArray[np.int32] | None,
    refractory_steps: int,
    lowest: np.int32,
    highest: np.int32,
    offsets: NDArray[np.int64],
    neurons: NDArray[np.int32],
) -> None:
    """Fill `offsets` and `neurons` like :func:`simulate_floating`, but in fixed point.

    All arithmetic is in 32 bits, so that a vector has twice as many numbers as with 64 bits. The
    wrap at 24 bits is an overflow of the current in the upper 24 bits, where it is negated, because
    currents wrap into the interval (-2**23, 2**23].

    Parameters
    ----------
    unit : int32
        Unit of the weights, times -256 if currents wrap.
    wraps : True or None
        Whether any current may exceed 24 bits.
    leak : int32
        Decay of potentials per step in units of 1/4096.
    leaks_much : True or None
        Whether `leak` times a potential needs more than 32 bits (leak above 255).
    lowest, highest : int32
        Limits to which potentials are clipped.
    """
    steps = arrivals.shape[1] - 1
    size = threshold.size
    v = np.empty(size, np.int32)
    current = np.empty(weights.shape[1], weights.dtype)
    fired = np.zeros(-(-size // 8) * 8, np.uint8)
    fired_by_eight = fired.view(np.uint64)
    eights = np.empty(fired_by_eight.size + 1, np.uint64)
    zero, spare_bits, parts_bits = np.int32(0), np.int32(8), np.int32(12)
    parts_mask = np.int32(LEAK_ONE - 1)
    # Below every potential, and so below every threshold.
    held = np.int32(-(2**31))
    after_spike = held if refractory_steps else zero
    written = 0
    for image in range(arrivals.shape[0]):
        v[:] = 0
        offsets[image, 0] = written
        for k in range(steps):
            add_arriving_rows(current, weights, rows[arrivals[image, k] : arrivals[image, k + 1]])
            for j in range(size):
                old = v[j]
                # Round the remaining potential toward zero.
                rounding = parts_mask if old > zero else zero
                if leaks_much is None:
                    lost = np.int32(np.int32(np.int32(old * leak) + rounding) >> parts_bits)
                else:
                    rest = np.int32(np.int32(old & parts_mask) * leak)
                    lost = np.int32(np.int32(rest + rounding) >> parts_bits)
                    lost = np.int32(np.int32(np.int32(old >> parts_bits) * leak) + lost)
                if wraps is None:
                    wrapped = np.int32(current[j] * unit)
                else:
                    wrapped = np.int32(-np.int32(np.int32(current[j] * unit) >> spare_bits))
                moved = np.int32(np.int32(old - lost) + wrapped)
                if bias is not None:
                    moved = np.int32(moved + bias[j])
                moved = min(max(moved, lowest), highest)
                potential = held if old == held else moved
                fires = potential > threshold[j]
                fired[j] = fires
                v[j] = after_spike if fires else potential
            found = _0
            for eight in range(np.uint64(fired_by_eight.size)):
                eights[found] = eight
                found += np.uint64(fired_by_eight[eight] != _0)
            end = np.uint64(written)
            for i in range(found):
                first = _8 * eights[i]
                for j in range(_8):
                    neurons[end] = first + j
                    end += np.uint64(fired[first + j])
            written = np.int64(end)
            offsets[image, k + 1] = written
            if 0 < refractory_steps <= k:
                released = k - refractory_steps
                for spike in range(offsets[image, released], offsets[image, released + 1]):
                    v[neurons[spike]] = 0
