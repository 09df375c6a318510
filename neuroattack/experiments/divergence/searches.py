"""Search among variations of the reference dynamics, by the mismatches that they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import numpy as np

from neuroattack.experiments.divergence.replay import Replay
from neuroattack.experiments.divergence.variation import (
    Integration,
    Levels,
    Order,
    Resets,
    RoundingRule,
    Variation,
    WeightGrid,
    WeightLimit,
)
from neuroattack.ir.network import FixedPopulation

__all__ = ["count_mismatches", "quantized", "rules", "saturated"]

_MOST_BITS = 12

# Points of the first grid of limits, and of each finer grid around the best point; number of grids,
# and the number after which the search ends if half of the mismatches remain.
_COARSE, _FINE, _ZOOMS, _TRIED = 16, 9, 10, 2

_SHIFTS = (1, -1, 2, -2)

# Variations without a free number, the simplest first.
_FLOATING: tuple[dict[str, Any], ...] = (
    {"arithmetic": "float32"},
    *(
        {"integration": scheme, "exact_current": exact}
        for scheme in get_args(Integration)[1:]
        for exact in (False, True)
    ),
    *({"decay_bits": bits} for bits in (16, 12, 8)),
)
_FIXED: tuple[dict[str, Any], ...] = ({"arithmetic": "floor"}, {"arithmetic": "nearest"})
_ALL: tuple[dict[str, Any], ...] = (
    {"comparison": "other"},
    *({"refractory_steps": shift} for shift in _SHIFTS),
    *(
        {"while_refractory": held, "refractory_steps": shift}
        for held in ("leak", "integrate")
        for shift in (0, -1, 1)
    ),
    *({"reset": reset} for reset in get_args(Resets)[1:]),
    *({"delay_steps": (shift,)} for shift in _SHIFTS),
    *(
        {"order": order, **delays}
        for order in get_args(Order)[1:]
        for delays in ({}, {"delay_steps": (-1,)})
    ),
    {"late_input": True},
)


def count_mismatches(replays: Sequence[Replay], variation: Variation) -> int:
    """Return the number of recorded spikes of all populations that are not predicted."""
    return sum(each.mismatches(variation) for each in replays)


def rules(best: Variation, replays: Sequence[Replay]) -> Iterator[Variation]:
    """Yield variations of `best` without a free number, the simplest first."""
    is_fixed = isinstance(replays[0].population, FixedPopulation)
    projections = len(replays[0].projections)
    single: list[dict[str, Any]] = []
    if len(replays) == 1 and projections > 1:
        single = [
            {"delay_steps": tuple(shift * (i == position) for i in range(projections))}
            for shift, position in product(_SHIFTS, range(projections))
        ]
    for changes in (*_ALL, *single, *(_FIXED if is_fixed else _FLOATING)):
        yield replace(best, **changes)


def saturated(best: Variation, replays: Sequence[Replay]) -> tuple[Variation, int]:
    """Return the best limits of potentials or weights, and their number of mismatches."""
    potentials = [each.run(best).potentials for each in replays]
    low = min(float(each.min()) for each in potentials)
    high = max(float(each.max()) for each in potentials)
    weight = max(each.largest_weight for each in replays)
    searches: list[tuple[float, Callable[[float], Variation]]] = [
        (-low, lambda limit: replace(best, lowest=-limit)),
        (high, lambda limit: replace(best, highest=limit)),
        (max(-low, high), lambda limit: replace(best, lowest=-limit, highest=limit)),
        (weight, lambda limit: replace(best, weights=WeightLimit(limit))),
    ]
    zero = replace(best, lowest=0.0)
    found = [(zero, count_mismatches(replays, zero))]
    for most, varied in searches:
        if most <= 0 or not found[-1][1]:
            continue
        found.append(_zoomed(most, varied, replays))
    return min(found, key=lambda each: each[1])


def _zoomed(
    most: float, varied: Callable[[float], Variation], replays: Sequence[Replay]
) -> tuple[Variation, int]:
    """Return the limit with the fewest mismatches, searched on finer and finer grids."""
    is_fixed = isinstance(replays[0].population, FixedPopulation)
    limits = most * np.geomspace(0.02, 1.0, _COARSE)
    best, before = varied(most), count_mismatches(replays, varied(most))
    least = before
    for zoom in range(_ZOOMS):
        if is_fixed:
            limits = np.unique(np.rint(limits))
        scores = np.array([count_mismatches(replays, varied(float(limit))) for limit in limits])
        # The middle of the limits that are equally good.
        good = np.flatnonzero(scores == scores.min())
        if scores.min() <= least:
            best, least = varied(float(limits[good[len(good) // 2]])), int(scores.min())
        if not least or (zoom >= _TRIED and least > before / 2):
            break
        inner = limits[max(good[0] - 1, 0)], limits[min(good[-1] + 1, len(limits) - 1)]
        limits = np.linspace(*inner, _FINE)
    return best, least


def quantized(best: Variation, replays: Sequence[Replay]) -> tuple[Variation, int]:
    """Return the best quantization of the weights, and its number of mismatches."""
    scores: dict[Variation, int] = {}

    def score(grid: WeightGrid) -> int:
        variation = replace(best, weights=grid)
        if variation not in scores:
            scores[variation] = count_mismatches(replays, variation)
        return scores[variation]

    plain = [WeightGrid(bits) for bits in range(1, _MOST_BITS + 1)]
    likely = sorted(plain, key=score)[:2]
    bits = sorted({b for grid in likely for b in range(grid.bits - 1, grid.bits + 2) if b > 0})
    for count, rule, levels, is_shared in product(
        bits,
        get_args(RoundingRule),
        get_args(Levels),
        (False, True),
    ):
        if not score(WeightGrid(count, rule, levels, is_shared)):
            break
    variation = min(scores, key=lambda each: scores[each])
    return variation, scores[variation]
