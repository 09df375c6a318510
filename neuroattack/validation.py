"""Checks of single values given by users; each raises ValidationError with a full message."""

from __future__ import annotations

import math

import numpy as np

from neuroattack.errors import ValidationError

__all__ = ["check_fields", "check_integer", "check_number", "check_positive"]


def check_integer(thing: str, value: object, low: int, high: int | None = None) -> int:
    """Return an integer from `low` to `high`; raise ValidationError for anything else."""
    expected = f"an integer of at least {low}"
    if high is not None:
        expected = f"an integer from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValidationError(thing, repr(value), expected)
    if value < low or (high is not None and value > high):
        raise ValidationError(thing, value, expected)
    return int(value)


def check_positive(thing: str, value: float, unit: str = "number") -> float:
    """Return a positive, finite number; raise ValidationError for anything else."""
    if not (math.isfinite(value) and value > 0):
        raise ValidationError(thing, value, f"a positive {unit}")
    return float(value)


def check_number(thing: str, value: float, interval: str) -> float:
    """Return a finite number in an interval such as ``"(0, 1]"`` or ``"[0, inf)"``.

    Raises
    ------
    ValidationError
        For anything else.
    """
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    if not (math.isfinite(value) and above and below):
        raise ValidationError(thing, value, f"a number in {interval}")
    return float(value)


def check_fields(source: object, thing: str, **intervals: str) -> None:
    """Check fields of an object against intervals; see :func:`check_number`."""
    for name, interval in intervals.items():
        check_number(f"{thing} {name}", getattr(source, name), interval)
