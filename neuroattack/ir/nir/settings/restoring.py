"""Restoring of the constants of layers from the numbers that exporters derived from them.

Exporters compute in single precision and round. Of all numbers that give what is in the file, the
shortest one is what the layer was made with, or is next to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["betas", "restored"]

Values = NDArray[np.float64]


def restored(
    target: Values, guess: Values, forward: Callable[[Any], Any], kind: type = np.float64
) -> Values:
    """Return the shortest numbers near the guesses that an exporter maps to the target.

    Parameters
    ----------
    target : float64 array
        Numbers in the file.
    guess : float64 array
        Parameters of the layer, up to rounding.
    forward : function
        The exporter's computation on arrays, in its arithmetic.
    kind : type, optional
        Type of the parameters in the framework.
    """
    distinct, first, where = np.unique(target, return_index=True, return_inverse=True)
    start = guess.ravel()[first]
    near: list[NDArray[Any]] = [
        start.astype(kind),
        *(np.round(start, digits).astype(kind) for digits in range(8)),
    ]
    for towards in (-np.inf, np.inf):
        neighbor = near[0]
        for _ in range(4):
            neighbor = np.nextafter(neighbor, kind(towards))
            near.append(neighbor)
    candidates = np.array(near)
    with np.errstate(divide="ignore"):
        fitting = forward(candidates).astype(np.float64) == distinct
    found = np.where(
        fitting.any(axis=0), candidates[fitting.argmax(axis=0), range(len(start))], start
    )
    for place in np.flatnonzero(np.count_nonzero(fitting, axis=0) > 1):
        options = candidates[fitting[:, place], place]
        found[place] = min(options, key=lambda each: (len(str(each)), abs(each - start[place])))
    values: Values = found[where.reshape(target.shape)]
    return values


def betas(tau: Values, dt: float) -> Values:
    """Return the decay factors beta for which an exporter wrote tau = dt / (1 - beta).

    Factors above 1, which learning may give, act as 1, and the exporter writes negative times.
    Factors below 0 act as 0.
    """
    one = np.float32(1)
    endless = ~np.isfinite(tau) | (tau <= 0)
    # Times that are not finite say nothing about the precision of the others.
    finite = np.where(endless, np.float32(dt), tau)
    guess = 1 - dt / finite
    single = finite.astype(np.float32).astype(np.float64) == finite

    def rounded(beta: Any) -> Any:
        return np.float32(dt) / (one - beta)

    def exact(beta: Any) -> Any:
        return dt / (1 - beta.astype(np.float64))

    if single.all():
        found = restored(finite, guess, rounded, np.float32)
    else:
        # Parameters in double precision, unless single precision fits.
        guess = restored(finite, guess, exact)
        found = restored(finite, guess, exact, np.float32)
    return np.where(endless, 1.0, np.maximum(found, 0.0))
