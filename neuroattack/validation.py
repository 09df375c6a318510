"""Checks of single values that users give, each with the sentence they get."""

from __future__ import annotations

import math

import numpy as np

from neuroattack.errors import ValidationError

__all__ = ["check_positive", "check_whole"]


def check_whole(thing: str, value: object, low: int, high: int | None = None) -> int:
    """Return a whole number from `low` to `high`; raise ValidationError for anything else."""
    expected = f"a whole number of at least {low}"
    if high is not None:
        expected = f"a whole number from {low} to {high}"
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
