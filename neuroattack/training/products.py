"""Matrix products whose rows do not depend on each other, to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from neuroattack.training.siegert import FloatArray

__all__ = ["Product", "ordered_product"]

Product = Callable[[FloatArray, FloatArray], FloatArray]
"""Product of float32 arrays (n, inputs) and (inputs, units), of shape (n, units)."""

# Number of rows processed in one pass over the weights.
_ROWS = 4


@njit(cache=True, nogil=True)
def ordered_product(x: FloatArray, weights: FloatArray) -> FloatArray:
    """Multiply (n, inputs) by (inputs, units), summing over the inputs from first to last.

    The order of summation in BLAS depends on the processor, the number of threads and, in some
    kernels, on the position of a row in the matrix.
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
