"""Matrix products whose every row is its own: the same bits whatever stands beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from neuroattack.training.siegert import FloatArray

__all__ = ["Product", "ordered_product"]

Product = Callable[[FloatArray, FloatArray], FloatArray]
"""Takes float32 arrays (n, inputs) and (inputs, units), returns their product (n, units)."""

# Rows that share a pass over the weights.
_ROWS = 4


@njit(cache=True, nogil=True)
def ordered_product(x: FloatArray, weights: FloatArray) -> FloatArray:
    """Multiply (n, inputs) by (inputs, units), adding over the inputs from the first to the last.

    BLAS adds in an order that depends on the processor, on the number of threads and, with some
    kernels, on where a row stands in the matrix.
    """
    rows, inputs = x.shape
    units = weights.shape[1]
    out = np.zeros((rows, units), np.float32)
    for start in range(0, rows, _ROWS):
        for source in range(inputs):
            for row in range(start, min(start + _ROWS, rows)):
                value = x[row, source]
                for unit in range(units):
                    out[row, unit] += value * weights[source, unit]
    return out
