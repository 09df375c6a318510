"""Compiled loops of the native backend over images, tiles of neurons, and steps.

Common arguments: `weights` are those of :mod:`.tiles`, one row per source neuron; the events
``rows[arrivals[b, k] : arrivals[b, k + 1]]`` arrive in step ``k + delay`` of image b. The spikes of
a tile in a step are the bits of one integer; `masks` are those of all images, of shape (images,
steps, tiles).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.fixed_point import LEAK_ONE

from .tiles import TILE, advance_tile, bit_count, first_bit, sum_tile
from .vectors import PACK, Weights

__all__ = ["Parameters", "Spikes", "count_spikes", "simulate_fixed", "simulate_floating"]

Parameters = tuple[
    float | None,
    float,
    NDArray[np.float64],
    NDArray[np.float64] | None,
    float,
    float,
]
"""Parameters of the neurons, as of :func:`.tiles.advance_tile`."""

Spikes = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]
"""Offsets and neurons of :class:`SpikeTrains`, without gaps; and counts, shape (images, size)."""

# Unsigned, because numba checks signed indices for negative values before every access.
_0, _1, _8, _56, _TILE = (np.uint64(n) for n in (0, 1, 8, 56, TILE))


@numba.njit(cache=True, nogil=True)
def count_spikes(
    offsets: NDArray[np.int64], neurons: NDArray[np.int32], counts: NDArray[np.int32]
) -> None:
    """Add the spike counts to `counts`, shape (images, size); see :meth:`SpikeTrains.counts`."""
    for image in range(counts.shape[0]):
        for event in range(offsets[image, 0], offsets[image, -1]):
            counts[image, neurons[event]] += 1


@numba.njit(cache=True, nogil=True)
def _collect(masks: NDArray[np.uint64], size: int) -> Spikes:
    """Return the spikes and their counts."""
    images, steps, tiles = masks.shape
    total = _0
    for bits in masks.flat:
        total += bit_count(bits)
    offsets = np.empty((images, steps + 1), np.int64)
    neurons = np.empty(np.int64(total), np.int32)
    counts = np.zeros((images, size), np.int32)
    written = _0
    for image in range(images):
        counted = counts[image]
        offsets[image, 0] = written
        for k in range(steps):
            for tile in range(np.uint64(tiles)):
                bits = masks[image, k, tile]
                while bits:
                    neuron = tile * _TILE + first_bit(bits)
                    bits &= bits - _1
                    counted[neuron] += 1
                    neurons[written] = neuron
                    written += _1
            offsets[image, k + 1] = written
    return offsets, neurons, counts


# No fastmath: a fused multiply-add would round v * decay + input once instead of twice.
@numba.njit(cache=True, nogil=True)
def simulate_floating(
    arrivals: NDArray[np.int64],
    delay: int,
    rows: NDArray[np.int32],
    weights: Weights,
    size: int,
    refractory_steps: int,
    parameters: Parameters,
) -> Spikes:
    """Return the spikes of one population of `size` neurons.

    Parameters
    ----------
    parameters : Parameters
        Parameters of the neurons, padded to full tiles with infinite thresholds. If there is a
        refractory period, the potential after a spike is minus infinity: for any input, it stays
        below every threshold. With a decay of 0 it becomes NaN, which is not above any threshold
        either.
    """
    images, steps = arrivals.shape[0], arrivals.shape[1] - 1
    tiles = weights.shape[0]
    masks = np.empty((images, steps, tiles), np.uint64)
    v = np.zeros(tiles * TILE)
    for image in range(images):
        v[:] = 0.0
        arriving = arrivals[image]
        fired = masks[image]
        for tile in range(np.uint64(tiles)):
            begin = np.uint64(arriving[0])
            for k in range(steps):
                end = np.uint64(arriving[max(k + 1 - delay, 0)])
                released = _0
                if 0 < refractory_steps < k:
                    released = fired[k - 1 - refractory_steps, tile]
                fired[k, tile] = advance_tile(
                    weights, rows, tile, begin, end, released, v, parameters
                )
                begin = end
    return _collect(masks, size)


@numba.njit(cache=True, nogil=True)
def simulate_fixed(
    arrivals: NDArray[np.int64],
    delay: int,
    rows: NDArray[np.int32],
    weights: NDArray[np.int16] | NDArray[np.int32],
    size: int,
    refractory_steps: int,
    unit: np.int32,
    wraps: bool | None,
    leak: np.int32,
    leaks_much: bool | None,
    threshold: NDArray[np.int32],
    bias: NDArray[np.int32] | None,
    lowest: np.int32,
    highest: np.int32,
) -> Spikes:
    """Return the spikes like :func:`simulate_floating`, but in fixed point.

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
    threshold, bias : int32 array, shape (tiles * TILE,)
        Thresholds, padded with the largest number; bias, if any.
    lowest, highest : int32
        Limits to which potentials are clipped.
    """
    images, steps = arrivals.shape[0], arrivals.shape[1] - 1
    tiles = weights.shape[0]
    masks = np.empty((images, steps, tiles), np.uint64)
    current = np.empty(TILE, weights.dtype)
    v = np.empty(TILE, np.int32)
    spikes = np.empty(TILE, np.uint8)
    eights = spikes.view(np.uint64)
    zero, spare_bits, parts_bits = np.int32(0), np.int32(8), np.int32(12)
    parts_mask = np.int32(LEAK_ONE - 1)
    # Below every potential, and so below every threshold.
    held = np.int32(-(2**31))
    after_spike = held if refractory_steps else zero
    for image in range(images):
        arriving = arrivals[image]
        fired = masks[image]
        for tile in range(np.uint64(tiles)):
            first = tile * _TILE
            above = threshold[first : first + _TILE]
            v[:] = 0
            begin = np.uint64(arriving[0])
            for k in range(steps):
                end = np.uint64(arriving[max(k + 1 - delay, 0)])
                sum_tile(weights, rows, tile, begin, end, current)
                begin = end
                for j in range(TILE):
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
                        moved = np.int32(moved + bias[first + j])
                    moved = min(max(moved, lowest), highest)
                    potential = held if old == held else moved
                    fires = potential > above[j]
                    spikes[j] = fires
                    v[j] = after_spike if fires else potential
                bits = _0
                for i in range(_8):
                    bits |= ((eights[i] * PACK) >> _56) << (_8 * i)
                fired[k, tile] = bits
                if 0 < refractory_steps <= k:
                    released = fired[k - refractory_steps, tile]
                    while released:
                        v[first_bit(released)] = 0
                        released &= released - _1
    return _collect(masks, size)
