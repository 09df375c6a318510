"""Optimal perturbations of event samples for a linear model of the scores, within a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.events.patches import best_patch, patch_mask, patch_sums

__all__ = ["best_event_change", "changed_events"]

Sample = NDArray[np.float64]

_BISECTIONS = 30
# Prices at which patches are compared, relative to the largest one.
_PRICES = np.append(0.0, np.geomspace(1e-3, 1.0, 19))


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

    With a patch, this applies to the events in it. For ``events``, ``insertions``, ``deletions``
    and ``jitter``, the patch is the best one. For ``shift`` and ``moved``, it is the patch whose
    gain has the largest limit by Lagrangian duality, usually the best one unless the bound allows
    only a few retimed events.
    """
    scores = slopes.reshape(len(original), -1)
    sample = original.reshape(scores.shape) > 0
    plan = _retimed_within if bound.is_retiming else _toggled_within
    changed = plan(bound, original, sample, scores)
    change: Sample = (changed.astype(np.float64) - sample).ravel()
    return change


def changed_events(bound: Bound, original: Sample) -> int:
    """Return the maximum number of inserted and deleted events."""
    return int(bound.maximum * max(int(np.count_nonzero(original)), 1) + 1e-9)


def _toggled_within(
    bound: Bound, original: Sample, sample: NDArray[np.bool_], scores: Sample
) -> NDArray[np.bool_]:
    """Insert and delete the events of largest gain."""
    most = changed_events(bound, original)
    gains: Sample = np.where(sample, -scores, scores)
    if bound.norm == "insertions":
        gains[sample] = 0
    elif bound.norm == "deletions":
        gains[~sample] = 0
    gains = np.maximum(gains, 0).ravel()
    if bound.refractory_steps:
        # Imported here because numba is slow to import.
        from neuroattack.attacks.events.thinning import thinned

        # The refractory period relates events of one neuron: what is chosen there depends neither
        # on the other neurons nor on the number of changes.
        order = _by_gain(gains, len(gains))
        gains = np.where(thinned(sample, order, bound.refractory_steps).ravel(), gains, 0)
    if bound.patch_px:
        cells = gains.reshape(original.shape)
        gains = np.where(best_patch(cells, bound.patch_px, most), cells, 0).ravel()
    changed: NDArray[np.bool_] = sample.copy()
    changed.ravel()[_by_gain(gains, most)] ^= True
    return changed


def _by_gain(gains: Sample, most: int) -> NDArray[np.intp]:
    """Return the cells of largest positive gain, as many, in decreasing order."""
    cells = np.flatnonzero(gains > 0)
    if 0 < most < len(cells):
        # Only the cells of largest gain are sorted.
        found = gains[cells]
        cells = cells[found >= np.partition(found, -most)[-most]]
    return cells[np.argsort(-gains[cells], kind="stable")][:most]


def _retimed_within(
    bound: Bound, original: Sample, sample: NDArray[np.bool_], scores: Sample
) -> NDArray[np.bool_]:
    # Imported here because numba is slow to import.
    from neuroattack.attacks.events.retiming import retimed

    reach = int(bound.maximum) if bound.norm == "jitter" else len(sample)
    highest = float(np.ptp(scores))

    def at(price: float, scores: Sample) -> NDArray[np.bool_]:
        per_step, per_move = (price, 0.0) if bound.norm == "shift" else (0.0, price)
        return retimed(sample, scores, reach, bound.refractory_steps, per_step, per_move)

    def holds(changed: NDArray[np.bool_]) -> bool:
        return bound.holds(original, changed.reshape(original.shape).astype(np.float64))

    if bound.patch_px:
        prices = [0.0] if bound.norm == "jitter" else highest * _PRICES
        plans = [(price, at(price, scores)) for price in prices]
        scores = np.where(_patch_to_retime(bound, original, scores, plans), scores, 0)
    if bound.norm == "jitter":
        return at(0.0, scores)
    return _cheapest(lambda price: at(price, scores), holds, highest)


def _patch_to_retime(
    bound: Bound,
    original: Sample,
    scores: Sample,
    plans: Sequence[tuple[float, NDArray[np.bool_]]],
) -> NDArray[np.bool_]:
    """Return the neurons of the patch whose gain has the largest limit by Lagrangian duality.

    Parameters
    ----------
    plans : sequence of (float, bool array)
        Prices, and the retimed sample that is optimal at each.
    """
    budget = bound.maximum * max(int(np.count_nonzero(original)), 1)
    limits = []
    for price, changed in plans:
        change = changed - original.reshape(scores.shape)
        costs = np.abs(np.cumsum(change, axis=0)) if bound.norm == "shift" else change > 0
        gains = (scores * change - price * costs).reshape(original.shape)
        limits.append(patch_sums(gains, bound.patch_px) + price * budget)
    limit: Sample = np.min(limits, axis=0)
    row, column = divmod(int(limit.argmax()), limit.shape[1])
    mask = patch_mask(original.shape[-2:], bound.patch_px, row, column)
    return np.broadcast_to(mask, original.shape[1:]).ravel()


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
