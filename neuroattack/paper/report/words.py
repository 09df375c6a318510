"""How the report of the paper writes numbers, lists and judgements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from neuroattack.report.numbers import NBSP, percent

__all__ = [
    "deltas_text",
    "listed",
    "number",
    "percent_ci95",
    "points",
    "points_ci95",
    "sentence",
    "signed",
    "times",
    "transformation_name",
]


def sentence(text: str) -> str:
    """Return text with a capital at its start."""
    return text[:1].upper() + text[1:]


def listed(words: Iterable[str]) -> str:
    """Return words as a list in a sentence."""
    parts = list(words)
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def signed(value: float, decimals: int = 1) -> str:
    """Return a number with its sign, the minus as long as the plus; 0 without one."""
    if round(value, decimals) == 0:
        return f"{0:.{decimals}f}"
    return f"{value:+.{decimals}f}".replace("-", "\u2212")


def points(difference: float, decimals: int = 1) -> str:
    """Return a difference of shares in percentage points."""
    return f"{signed(100 * difference, decimals)}{NBSP}points"


def points_ci95(difference: float, ci95: Sequence[float] | None, decimals: int = 1) -> str:
    """Return a difference of shares in percentage points with its 95 % interval."""
    if ci95 is None:
        return points(difference, decimals)
    low, high = (signed(100 * end, decimals) for end in ci95)
    return f"{points(difference, decimals)} (95{NBSP}% interval {low} to {high})"


def percent_ci95(share: float, ci95: Sequence[float], decimals: int = 1) -> str:
    """Return a share as a percentage with its 95 % interval, short, for a table."""
    low, high = (f"{100 * end:.{decimals}f}" for end in ci95)
    return f"{percent(share, decimals)} ({low} to {high})"


def deltas_text(deltas: Sequence[float]) -> str:
    """Return magnitudes of noise as a list in a sentence."""
    return listed(f"{delta:g}" for delta in deltas)


def number(value: float) -> str:
    """Return a number with three digits or, where whole, as it is."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"


def transformation_name(found: Mapping[str, Any]) -> str:
    """Return a transformation in words, with the unit of its parameter."""
    value = found["parameter"]
    if value is None:
        return "none, new draws"
    name = {
        "jpeg": f"JPEG, quality {value:g}",
        "resize": f"resized to {value:.2g} and back",
        "rotation": f"rotated by {value:+g}\u00b0",
        "blur": f"blur, SD {value:g} px",
        "gamma": f"gamma {value:g}",
        "noise": f"noise, SD {value:g}",
    }[found["family"]]
    return name.replace("-", "\u2212")


def times(count: int, of: int) -> str:
    """Return how many of how many."""
    return f"{count} of {of}"
