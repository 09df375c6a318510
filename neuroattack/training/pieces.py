"""Networks evaluated piece by piece, so that an image's result is its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from neuroattack.training.siegert import FloatArray

__all__ = ["evaluate_in_pieces"]

_PIECE = 64


def evaluate_in_pieces(
    rows: NDArray[np.floating[Any]],
    classes: int,
    evaluate: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Evaluate rows, each to the same last bit whatever stands beside it, on any number of cores.

    Parameters
    ----------
    rows : float array (n, pixels)
        Inputs.
    classes : int
        Outputs of a row.
    evaluate : callable
        Of float32 arrays (64, pixels) to float32 arrays (64, classes), each row by itself.

    Returns
    -------
    float32 array (n, classes)
        Outputs.
    """
    count = len(rows)
    out = np.empty((count, classes), np.float32)
    # A piece always has as many rows, and BLAS one thread: its order of summation depends on
    # both. What stands in the rows that fill up the last piece does not matter.
    piece = np.zeros((_PIECE, rows.shape[1]), np.float32)
    with threadpool_limits(limits=1, user_api="blas"):
        for start in range(0, count, _PIECE):
            filled = min(_PIECE, count - start)
            piece[:filled] = rows[start : start + filled]
            out[start : start + filled] = evaluate(piece)[:filled]
    return out
