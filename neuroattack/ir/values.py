"""Checks and conversions of values that the parts of a network have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import ValidationError
from neuroattack.validation import check_integer

__all__ = [
    "INPUT",
    "MAX_POPULATION",
    "MAX_REFRACTORY_STEPS",
    "ByValue",
    "check_name",
    "check_population",
    "freeze",
    "is_uniform",
    "per_neuron",
    "span",
    "steps_per_neuron",
]

INPUT = "input"
"""Name of the input population in projections and recordings."""

MAX_POPULATION = 1_000_000
MAX_REFRACTORY_STEPS = 1_000_000


class ByValue:
    """Mixin for the equality of dataclasses that contain arrays; instances are not hashable."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(value, getattr(other, name)) for name, value in vars(self).items())


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return bool(a == b)


def check_name(thing: str, value: object) -> None:
    """Raise ValidationError unless `value` is an ASCII identifier."""
    if not (isinstance(value, str) and value and value.isascii() and value.isidentifier()):
        raise ValidationError(
            f"{thing} name", repr(value), "letters, digits and underscores, no digit first"
        )


def check_population(population: Any) -> str:
    """Check name and size of a population of any kind; return the name for messages."""
    check_name("population", population.name)
    if population.name == INPUT:
        raise ValidationError(
            "population name", repr(INPUT), "another name: this one is reserved for the input"
        )
    me = f"population {population.name!r}"
    freeze(population, size=check_integer(f"{me} size", population.size, 1, MAX_POPULATION))
    return me


def freeze(part: object, **values: object) -> None:
    """Set fields of a frozen dataclass to their checked values."""
    for name, value in values.items():
        object.__setattr__(part, name, value)


def per_neuron(thing: str, value: ArrayLike, size: int, expected: str) -> NDArray[np.float64]:
    """Return one float64 per neuron as a read-only array; raise ValidationError for NaN.

    `expected` describes valid values in the message.
    """
    array = np.array(value, np.float64)
    if array.shape not in ((), (size,)):
        raise ValidationError(thing, f"shape {array.shape}", f"one number or shape ({size},)")
    if np.isnan(array).any():
        raise ValidationError(thing, "NaN", expected)
    return _read_only(np.broadcast_to(array, (size,)).copy())


def steps_per_neuron(thing: str, value: ArrayLike, size: int) -> NDArray[np.int64]:
    """Return a refractory period in time steps per neuron, as a read-only array."""
    array = np.asarray(value)
    if array.shape not in ((), (size,)):
        raise ValidationError(thing, f"shape {array.shape}", f"one number or shape ({size},)")
    if array.shape == ():
        steps: Any = check_integer(thing, array.item(), 0, MAX_REFRACTORY_STEPS)
    elif array.dtype.kind not in "iu":
        raise ValidationError(thing, f"type {array.dtype}", "integers")
    elif array.min() < 0 or array.max() > MAX_REFRACTORY_STEPS:
        raise ValidationError(
            thing, f"{array.min()} to {array.max()}", f"from 0 to {MAX_REFRACTORY_STEPS}"
        )
    else:
        steps = array
    return _read_only(np.broadcast_to(steps, (size,)).astype(np.int64))


def _read_only(values: NDArray[Any]) -> NDArray[Any]:
    values.flags.writeable = False
    return values


def is_uniform(values: NDArray[Any]) -> bool:
    """Return whether all neurons have the same value."""
    return bool((values == values[0]).all())


def span(values: NDArray[Any]) -> str:
    """Return the lowest and the highest value as text, or the single value if they are equal."""
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
