"""How numbers are written in a report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Not at run time: what prints a table should not wait for all that an attack imports.
    from neuroattack.attacks.result import Verification

__all__ = [
    "NBSP",
    "decimals_for",
    "distance_text",
    "energy_text",
    "interval",
    "percent",
    "proportion",
    "successes",
    "throughput",
]

NBSP = "\u00a0"
"""Between a number and its unit, which belong on one line."""


def successes(found: Verification) -> str:
    """Return how many draws succeeded, of how many, and the proportion."""
    return f"{found.successes} of {found.trials} ({proportion(found)})"


def proportion(found: Verification) -> str:
    """Return a proportion as a percentage with its 95 % interval."""
    decimals = decimals_for(found.trials)
    return f"{percent(found.rate, decimals)}, {interval(found.ci95, decimals)}"


def interval(ci95: tuple[float, float], decimals: int) -> str:
    """Return a 95 % interval in words."""
    return f"95{NBSP}% interval {100 * ci95[0]:.{decimals}f} to {percent(ci95[1], decimals)}"


def decimals_for(trials: int) -> int:
    """Return the decimals that a percentage of so many trials deserves."""
    return 0 if trials <= 200 else 1


def percent(fraction: float, decimals: int = 1) -> str:
    """Return a fraction, 0 to 1, as a percentage."""
    return f"{100 * fraction:.{decimals}f}{NBSP}%"


def distance_text(distance: float) -> str:
    """Return a distance D with two decimals, or that it is infinite."""
    return f"{distance:.2f}" if math.isfinite(distance) else "infinite"


def throughput(images_per_s: float) -> str:
    """Return images per second with three digits at least."""
    return f"{images_per_s:,.0f}" if images_per_s >= 100 else f"{images_per_s:.3g}"


def energy_text(energy_pj: float) -> str:
    """Return an energy with three digits, in the unit that needs few."""
    for unit, size_pj in (("mJ", 1e9), ("\u00b5J", 1e6), ("nJ", 1e3)):
        if energy_pj >= size_pj:
            return f"{energy_pj / size_pj:.3g}{NBSP}{unit}"
    return f"{energy_pj:.3g}{NBSP}pJ"
