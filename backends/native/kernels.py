"""The loops of the native backend over steps, spikes and neurons, compiled.

What they take is the same throughout: weights as rows of whole numbers, one row a source neuron,
padded with zeros to whole vectors; events as ``rows[arrivals[b, k] : arrivals[b, k + 1]]``, the
rows that arrive at step k of image b.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.fixed_point import LEAK_ONE, POTENTIAL_LIMIT

__all__ = ["Weights", "count_spikes", "simulate_fixed", "simulate_floating"]

Weights = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.float64]

# Unsigned: numba tests a signed index for being negative, before every access.
_0, _8 = np.uint64(0), np.uint64(8)


@numba.njit(cache=True, nogil=True)
def count_spikes(
    offsets: NDArray[np.int64], neurons: NDArray[np.int32], counts: NDArray[np.int32]
) -> None:
    """Add to `counts`, shape (images, size), what :meth:`SpikeTrains.counts` would return."""
    for image in range(counts.shape[0]):
        for event in range(offsets[image, 0], offsets[image, -1]):
            counts[image, neurons[event]] += 1


@numba.njit(inline="always")
def _add_arriving_rows(current: Weights, weights: Weights, rows: NDArray[np.int32]) -> None:
    """Set `current` to the sum of those rows of `weights`."""
    size = current.size
    # Four rows at a time: the sums then travel to memory a quarter as often.
    fours = rows.size // 4 * 4
    if fours == 0:
        current[:] = 0
    for first in range(0, fours, 4):
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


# In both loops below, the neurons that fired are gathered eight at a time, for most are silent, and
# without a branch that none could predict: what is written after the last entry kept is
# overwritten, so that `neurons` needs room for one more. As a function of its own this took a tenth
# longer: numba then counts references to its arrays at every step.


# No fastmath: a fused multiply-add would round v * decay + input once instead of twice.
@numba.njit(cache=True, nogil=True)
def simulate_floating(
    arrivals: NDArray[np.int64],
    rows: NDArray[np.int32],
    weights: Weights,
    grid_v: float,
    decay: float,
    threshold_v: NDArray[np.float64],
    bias_v: NDArray[np.float64] | None,
    reset_v: float,
    refractory_steps: int,
    offsets: NDArray[np.int64],
    neurons: NDArray[np.int32],
) -> None:
    """Fill `offsets` and `neurons` with the spikes of one population, weights in `grid_v` volts.

    One image's spikes follow those of the one before without a gap: memory that is not touched
    need not be cleared by the system, which would take as long as the simulation.
    """
    steps = arrivals.shape[1] - 1
    size = threshold_v.size
    v = np.empty(size)
    current = np.empty(weights.shape[1], weights.dtype)
    fired = np.zeros(-(-size // 8) * 8, np.uint8)
    fired_by_eight = fired.view(np.uint64)
    eights = np.empty(fired_by_eight.size + 1, np.uint64)
    # Whatever arrives, minus infinity stays and is below every threshold.
    held = -np.inf if refractory_steps else reset_v
    written = 0
    for image in range(arrivals.shape[0]):
        v[:] = 0.0
        offsets[image, 0] = written
        for k in range(steps):
            _add_arriving_rows(current, weights, rows[arrivals[image, k] : arrivals[image, k + 1]])
            for j in range(size):
                # Pruned by the compiler where there is no bias, a twelfth of the time.
                if bias_v is None:
                    potential = v[j] * decay + current[j] * grid_v
                else:
                    potential = v[j] * decay + (current[j] * grid_v + bias_v[j])
                fires = potential > threshold_v[j]
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
                    v[neurons[spike]] = reset_v


@numba.njit(cache=True, nogil=True)
def simulate_fixed(
    arrivals: NDArray[np.int64],
    rows: NDArray[np.int32],
    weights: NDArray[np.int16] | NDArray[np.int32],
    unit: np.int32,
    leak: np.int32,
    leaks_much: bool | None,
    threshold: NDArray[np.int32],
    bias: NDArray[np.int32] | None,
    refractory_steps: int,
    offsets: NDArray[np.int64],
    neurons: NDArray[np.int32],
) -> None:
    """Do as :func:`simulate_floating` in fixed point.

    All is done in 32 bits, of which a vector holds twice as many as of 64. The wrap at 24 bits
    comes of letting a current overflow that stands in the upper 24; it is negated there, because
    the interval that a current wraps into is (-2**23, 2**23].

    Parameters
    ----------
    unit : int32
        A weight's unit, times -256 for that.
    leak : int32
        Parts of 4096 lost in a step.
    leaks_much : True or None
        Whether `leak` times a potential needs more than 32 bits: above 255.
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
    highest, lowest = np.int32(POTENTIAL_LIMIT), np.int32(-POTENTIAL_LIMIT)
    # Below every potential, and so below every threshold.
    held = np.int32(-(2**31))
    after_spike = held if refractory_steps else zero
    written = 0
    for image in range(arrivals.shape[0]):
        v[:] = 0
        offsets[image, 0] = written
        for k in range(steps):
            _add_arriving_rows(current, weights, rows[arrivals[image, k] : arrivals[image, k + 1]])
            for j in range(size):
                old = v[j]
                # Toward zero.
                rounding = parts_mask if old > zero else zero
                if leaks_much is None:
                    lost = np.int32(np.int32(np.int32(old * leak) + rounding) >> parts_bits)
                else:
                    rest = np.int32(np.int32(old & parts_mask) * leak)
                    lost = np.int32(np.int32(rest + rounding) >> parts_bits)
                    lost = np.int32(np.int32(np.int32(old >> parts_bits) * leak) + lost)
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
