"""Floating-point weights that faults made large, on the fixed-point grid of networks.

A flipped exponent bit can multiply a weight by up to 2**128 in single precision. Networks store
weights as integers times one power of two per projection, whose sums must be exact in float64.
Weights are therefore rounded to the grid of the projection, and limited:

- A multiple of the grid of at most 2**39 - 1 steps, some 65,000 times the largest weight that the
  projection could have before, is exact. Its high bits are in a second projection.
- A larger weight is limited to that number of steps. A spike through it makes the neuron spike, or
  keeps it silent, as the original weight would.
- NaN is the lowest weight: a potential that is NaN never exceeds a threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST_STEPS", "split_weights"]

_LOW_BITS = 16

LARGEST_STEPS = 2**39 - 1
"""Largest weight in steps of the grid of its projection."""


def split_weights(
    weights_v: NDArray[np.float64], exponent: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Split weights into mantissas of two grids whose sum they are.

    Parameters
    ----------
    weights_v : float64 array
        Weights in volts per spike, of any value.
    exponent : int
        Exponent of the finer grid.

    Returns
    -------
    fine, coarse : int64 arrays
        Mantissas, below 2**23 in magnitude.
    coarse_exponent : int
        Exponent of the coarser grid.
    limited : int
        Number of weights that were limited.
    """
    largest = float(LARGEST_STEPS)
    # Division by a power of two, which may overflow to infinity.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        steps = np.rint(np.ldexp(weights_v, -exponent))
        beyond = ~(np.abs(steps) <= largest)
    kept = np.where(np.isnan(steps), -largest, np.clip(steps, -largest, largest)).astype(np.int64)
    is_large = np.abs(kept) >= 2**23
    # Toward zero, so that both mantissas are below 2**23 in magnitude.
    coarse = np.where(is_large, np.sign(kept) * (np.abs(kept) >> _LOW_BITS), 0)
    fine = kept - (coarse << _LOW_BITS)
    return fine, coarse, exponent + _LOW_BITS, int(beyond.sum())
