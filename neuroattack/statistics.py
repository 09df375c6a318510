"""Confidence intervals of proportions and means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

__all__ = ["mean_interval", "newcombe_interval", "ratio_interval", "wilson_interval"]


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion (Wilson 1927).

    Parameters
    ----------
    successes : float
        Number of successes. If each trial has a success rate in [0, 1] instead, the sum of the
        rates; the interval is then conservative (too wide rather than too narrow).
    trials : int
        Number of independent trials, at least 1.
    """
    z = 1.959963984540054
    center = (successes + z * z / 2) / (trials + z * z)
    fraction = successes / trials
    half = z / (trials + z * z) * math.sqrt(fraction * (1 - fraction) * trials + z * z / 4)
    # The bounds at proportions 0 and 1 are exact; rounding errors would move them slightly.
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == trials else center + half
    return low, high


def newcombe_interval(
    successes: tuple[float, float], trials: tuple[int, int]
) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two proportions, first minus second.

    Computed from the two Wilson intervals (Newcombe 1998, method 10), hence also valid if no or
    all trials succeed.

    Parameters
    ----------
    successes, trials : pairs
        Two values each, as for :func:`wilson_interval`.
    """
    first, second = successes[0] / trials[0], successes[1] / trials[1]
    low1, high1 = wilson_interval(successes[0], trials[0])
    low2, high2 = wilson_interval(successes[1], trials[1])
    difference = first - second
    return (
        difference - math.hypot(first - low1, high2 - second),
        difference + math.hypot(high1 - first, second - low2),
    )


def ratio_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the ratio of two paired mean rates, first over second.

    Computed from the two Wilson intervals and the correlation of the rates (MOVER-R: Donner and
    Zou 2012, Statistical Methods in Medical Research 21, 347-359), hence also valid if a mean is 0
    or 1, in which case the rates count as uncorrelated.

    Parameters
    ----------
    first, second : sequences of float
        Rates in [0, 1], as many in both; the mean of the second is positive.
    """
    trials = len(first)
    one, two = statistics.fmean(first), statistics.fmean(second)
    low1, high1 = wilson_interval(sum(first), trials)
    low2, high2 = wilson_interval(sum(second), trials)
    correlation = 0.0
    if min(first) < max(first) and min(second) < max(second):
        correlation = statistics.correlation(first, second)
    # The ends r solve a r^2 - 2 b r + c = 0. The lower one is written so that a may be 0.
    a, c = high2 * (2 * two - high2), low1 * (2 * one - low1)
    b = one * two - correlation * (one - low1) * (high2 - two)
    low = c / (b + math.sqrt(max(b * b - a * c, 0.0))) if c > 0 else 0.0
    a, c = low2 * (2 * two - low2), high1 * (2 * one - high1)
    b = one * two - correlation * (high1 - one) * (two - low2)
    return low, (b + math.sqrt(max(b * b - a * c, 0.0))) / a


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of a median from order statistics; None for fewer than six values.

    Its ends are the values of ranks k and n + 1 - k, with the largest k for which a binomial
    variable of n trials and probability 1/2 is below k with a probability of at most 2.5 %
    (Conover 1999, "Practical Nonparametric Statistics", section 3.2).
    """
    count, rank, below = len(values), 0, 0.5 ** len(values)
    while below <= 0.025:
        rank += 1
        below += math.comb(count, rank) * 0.5**count
    if not rank:
        return None
    ordered = sorted(values)
    return ordered[rank - 1], ordered[count - rank]


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    # Imported here because SciPy is slow to import and most results have no such interval.
    from scipy.special import stdtrit

    mean = statistics.fmean(values)
    spread = statistics.stdev(values) / math.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, 0.975)) * spread
    return mean - half, mean + half
