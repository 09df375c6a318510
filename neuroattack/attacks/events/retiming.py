"""Optimal retiming of the events of each neuron, by dynamic programming."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["retimed"]

# Of equal scores, the smaller shift is better.
_TIE = 1e-9


def retimed(
    sample: NDArray[np.bool_],
    scores: NDArray[np.float64],
    reach: int,
    refractory_steps: int = 0,
    per_step: float = 0.0,
    per_move: float = 0.0,
) -> NDArray[np.bool_]:
    """Retime the events of each neuron for the largest sum of scores minus prices.

    Events stay in order and at different steps, by more than `refractory_steps` if they were.

    Parameters
    ----------
    sample : bool array, shape (steps, neurons)
        Clean sample.
    scores : float64 array, shape (steps, neurons)
        Score of an event in each step.
    reach : int
        Largest shift of an event in steps.
    refractory_steps : int, optional
        Least number of steps between two events of a neuron.
    per_step, per_move : float, optional
        Price of a shift per step, and of a moved event.
    """
    result = np.zeros_like(sample)
    scale = max(float(np.abs(scores).max(initial=0.0)), 1e-300)
    _retime(
        np.ascontiguousarray(sample),
        np.ascontiguousarray(scores),
        reach,
        refractory_steps,
        per_step + _TIE * scale,
        per_move,
        result,
    )
    return result


@numba.njit(cache=True)
def _retime(
    sample: Any,
    scores: Any,
    reach: int,
    refractory_steps: int,
    per_step: float,
    per_move: float,
    result: Any,
) -> None:
    """Fill the retimed sample: dynamic programming over the events of each neuron."""
    steps, neurons = sample.shape
    times = np.empty(steps, np.int64)
    # Largest sum of the events so far if the last one is at most at this step, and its step.
    sums = np.empty((steps + 1, steps))
    where = np.empty((steps + 1, steps), np.int64)
    for neuron in range(neurons):
        count = 0
        for step in range(steps):
            if sample[step, neuron]:
                times[count] = step
                count += 1
        for rank in range(count):
            own = times[rank]
            gap = min(refractory_steps + 1, own - times[rank - 1]) if rank else 0
            best, at = -np.inf, -1
            for step in range(steps):
                distance = abs(step - own)
                if distance <= reach and step >= gap:
                    value = scores[step, neuron] - per_step * distance
                    if distance:
                        value -= per_move
                    if rank:
                        value += sums[rank - 1, step - gap]
                    if value > best:
                        best, at = value, step
                sums[rank, step], where[rank, step] = best, at
        last = steps - 1
        for rank in range(count - 1, -1, -1):
            at = where[rank, last]
            result[at, neuron] = True
            if rank:
                last = at - min(refractory_steps + 1, times[rank] - times[rank - 1])
