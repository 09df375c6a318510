"""Optimal perturbations of event samples for a linear model of the scores, within a bound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound

__all__ = ["best_event_change", "changed_events"]

Sample = NDArray[np.float64]

_BISECTIONS = 30


def best_event_change(bound: Bound, original: Sample, slopes: NDArray[np.float64]) -> Sample:
    """Return the perturbation that maximizes a linear score within a bound on events.

    Parameters
    ----------
    bound : Bound
        Bound on inserted, deleted or retimed events.
    original : float64 array, shape (steps, ...)
        Clean sample of zeros and ones.
    slopes : float64 array, shape (cells,)
        Change of the score per event, for each step and neuron.

    Returns
    -------
    float64 array, shape (cells,)
        Changes of -1, 0 and 1.

    Notes
    -----
    ``events``, ``insertions``, ``deletions``: the cells of largest gain, one after the other, as
    far as the refractory period of the bound allows. ``jitter``: exact, by dynamic programming over
    the events of each neuron. ``shift``, ``moved``: the same with a price per step of shift or per
    moved event, the smallest with which the bound holds (Lagrangian relaxation); it is optimal for
    the shift that it uses, which may be a little less than the bound allows.
    """
    scores = slopes.reshape(len(original), -1)
    sample = original.reshape(scores.shape) > 0
    if bound.is_retiming:
        changed = _retimed_within(bound, original, sample, scores)
    else:
        changed = _toggled(sample, scores, bound, changed_events(bound, original))
    change: Sample = (changed.astype(np.float64) - sample).ravel()
    return change


def changed_events(bound: Bound, original: Sample) -> int:
    """Return the maximum number of inserted and deleted events."""
    return int(bound.maximum * max(int(np.count_nonzero(original)), 1) + 1e-9)


def _toggled(
    sample: NDArray[np.bool_], scores: Sample, bound: Bound, most: int
) -> NDArray[np.bool_]:
    """Insert and delete the events of largest gain."""
    gains: Sample = np.where(sample, -scores, scores)
    if bound.norm == "insertions":
        gains[sample] = 0
    elif bound.norm == "deletions":
        gains[~sample] = 0
    candidates = np.flatnonzero(gains.ravel() > 0)
    if not bound.refractory_steps and 0 < most < len(candidates):
        # Only the cells of largest gain are sorted.
        found = gains.ravel()[candidates]
        candidates = candidates[found >= np.partition(found, -most)[-most]]
    order = candidates[np.argsort(-gains.ravel()[candidates], kind="stable")]
    changed: NDArray[np.bool_] = sample.copy()
    if not bound.refractory_steps:
        order = order[:most]
        changed.ravel()[order] ^= True
        return changed
    reach, left = bound.refractory_steps, most
    for cell in order.tolist():
        if not left:
            break
        step, neuron = divmod(cell, sample.shape[1])
        if changed[step, neuron]:
            changed[step, neuron] = False
        elif changed[max(step - reach, 0) : step + reach + 1, neuron].any():
            continue
        else:
            changed[step, neuron] = True
        left -= 1
    return changed


def _retimed_within(
    bound: Bound, original: Sample, sample: NDArray[np.bool_], scores: Sample
) -> NDArray[np.bool_]:
    # Imported here because numba is slow to import.
    from neuroattack.attacks.events.retiming import retimed

    if bound.norm == "jitter":
        return retimed(sample, scores, int(bound.maximum), bound.refractory_steps)
    shape = original.shape

    def at(price: float) -> NDArray[np.bool_]:
        per_step, per_move = (price, 0.0) if bound.norm == "shift" else (0.0, price)
        return retimed(sample, scores, len(sample), bound.refractory_steps, per_step, per_move)

    def holds(changed: NDArray[np.bool_]) -> bool:
        return bound.holds(original, changed.reshape(shape).astype(np.float64))

    return _cheapest(at, holds, float(np.ptp(scores)))


def _cheapest(
    at: Callable[[float], NDArray[np.bool_]],
    holds: Callable[[NDArray[np.bool_]], bool],
    highest: float,
) -> NDArray[np.bool_]:
    """Return the result of the smallest price that holds, by bisection."""
    free = at(0.0)
    if holds(free):
        return free
    low, high = 0.0, highest
    best = at(high)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        found = at(middle)
        if holds(found):
            high, best = middle, found
        else:
            low = middle
    return best
