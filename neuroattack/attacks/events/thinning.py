"""Choice of insertions and deletions that keep a refractory period."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["thinned"]


def thinned(
    sample: NDArray[np.bool_], order: NDArray[np.intp], refractory_steps: int
) -> NDArray[np.bool_]:
    """Toggle cells in an order, except for insertions too close to another event of the neuron.

    Parameters
    ----------
    sample : bool array, shape (steps, neurons)
        Clean sample.
    order : int array
        Flat indices of the cells to toggle.
    refractory_steps : int
        Least number of steps between an inserted event and others.

    Returns
    -------
    bool array, shape (steps, neurons)
        Cells that were toggled.
    """
    changed = sample.copy()
    _thin(changed, order, refractory_steps)
    toggled: NDArray[np.bool_] = changed ^ sample
    return toggled


@numba.njit(cache=True)
def _thin(changed: Any, order: Any, refractory_steps: int) -> None:
    neurons = changed.shape[1]
    for cell in order:
        step, neuron = cell // neurons, cell % neurons
        if changed[step, neuron]:
            changed[step, neuron] = False
        elif not changed[
            max(step - refractory_steps, 0) : step + refractory_steps + 1, neuron
        ].any():
            changed[step, neuron] = True
