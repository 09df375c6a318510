"""Compiled loops of the native backend over images, tiles of neurons, and steps.

Common arguments: `weights` are those of :mod:`.tiles`, one row per source neuron; the events
``rows[arrivals[b, k] : arrivals[b, k + 1]]`` arrive in step ``k + delay`` of image b. The spikes of
a tile in a step are the bits of one integer; `masks` are those of all images, of shape (images,
steps, tiles).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .tiles import TILE, advance_tile, bit_count, first_bit
from .vectors import Weights

__all__ = ["Spikes", "count_spikes", "simulate"]

Spikes = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]
"""Offsets and neurons of :class:`SpikeTrains`, without gaps; and counts, shape (images, size)."""

# Unsigned, because numba checks signed indices for negative values before every access.
_0, _1, _TILE = (np.uint64(n) for n in (0, 1, TILE))


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
def simulate(
    arrivals: NDArray[np.int64],
    delay: int,
    rows: NDArray[np.int32],
    weights: Weights,
    size: int,
    refractory_steps: int,
    parameters: Any,
) -> Spikes:
    """Return the spikes of one population of `size` neurons, in floating or fixed point.

    Parameters
    ----------
    parameters : tuple
        Parameters of :func:`.tiles.advance_tile`, whose first entry are the thresholds. If there is
        a refractory period, the potential after a spike is one that stays below every threshold:
        the lowest integer, or minus infinity, which becomes NaN with a decay of 0.
    """
    images, steps = arrivals.shape[0], arrivals.shape[1] - 1
    tiles = weights.shape[0]
    masks = np.empty((images, steps, tiles), np.uint64)
    v = np.empty_like(parameters[0])
    # All images with one tile before the next, whose weights stay in the second-level cache.
    for tile in range(np.uint64(tiles)):
        for image in range(images):
            v[tile * _TILE : (tile + _1) * _TILE] = 0
            arriving = arrivals[image]
            fired = masks[image]
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
