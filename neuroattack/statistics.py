"""Intervals for proportions."""

from __future__ import annotations

import math

__all__ = ["wilson_interval"]


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion (Wilson 1927).

    Parameters
    ----------
    successes, trials : int
        Of independent trials, `trials` at least 1.
    """
    z = 1.959963984540054
    centre = (successes + z * z / 2) / (trials + z * z)
    share = successes / trials
    half = z / (trials + z * z) * math.sqrt(share * (1 - share) * trials + z * z / 4)
    # At the ends the interval closes exactly, which rounding would miss by a hair.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high
