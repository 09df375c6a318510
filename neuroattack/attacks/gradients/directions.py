"""Random directions of gradient estimates, and their optimal bias towards a prior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["block_directions", "normalized", "optimal_bias"]

_Array = NDArray[np.float64]


def optimal_bias(ratio: float, dimensions: int, directions: int) -> float:
    """Return lambda*, the optimal bias of the random directions (Cheng et al. 2019, Eq. 12).

    Direction i is ``sqrt(lambda) * v + sqrt(1 - lambda) * u_i`` with the prior v and random unit
    vectors u_i of a space orthogonal to v. The optimum minimizes the expected squared error of the
    scaled gradient estimate.

    Parameters
    ----------
    ratio : float
        Squared length of the gradient's projection on v, divided by that of its projection on the
        space of the random vectors: for all directions, cosine**2 / (1 - cosine**2).
    dimensions : int
        Dimensions of that space: for all directions, the number of pixels minus 1.
    directions : int
        Number of directions, q in the paper.

    Notes
    -----
    With these arguments, Eq. 12 and its counterpart for data-dependent subspaces are one formula.
    """
    if ratio * (dimensions + 2 * directions - 2) <= 1:
        return 0.0
    if ratio * dimensions >= 2 * directions - 1:
        return 1.0
    above = 1 - ratio * (dimensions + 2 * directions - 2)
    below = 1 + (ratio * dimensions) ** 2
    below -= 2 * ratio * (directions + dimensions * directions - 1)
    return above / below


def block_directions(
    shape: tuple[int, ...], block: int, count: int, rng: np.random.Generator
) -> _Array:
    """Return random vectors whose values are equal in square blocks, shape (count, ...).

    The blocks are at a random offset, in the last two axes. Values are standard normal.
    """
    if len(shape) < 2 or block == 1:
        return rng.normal(size=(count, *shape))
    *channels, height, width = shape
    rows, columns = height // block + 2, width // block + 2
    coarse = rng.normal(size=(count, *channels, rows, columns))
    fine = coarse.repeat(block, axis=-2).repeat(block, axis=-1)
    cut = []
    for number, (top, left) in enumerate(rng.integers(0, block, (count, 2))):
        cut.append(fine[number, ..., top : top + height, left : left + width])
    return np.array(cut)


def normalized(rows: _Array) -> _Array:
    """Return rows of unit L2 norm; zeros remain zeros."""
    lengths = np.sqrt((rows.reshape(len(rows), -1) ** 2).sum(axis=1))
    lengths = np.maximum(lengths, np.finfo(np.float64).tiny)
    normalized: _Array = rows / lengths.reshape(-1, *[1] * (rows.ndim - 1))
    return normalized
