"""Checked access to the arrays of a node in a NIR file.

NIR's own reader accepts NaN, negative time constants and arrays of inconsistent shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError

__all__ = ["Fields"]

_LARGEST_SIDE = 1_000_000

Arrays = Mapping[str, NDArray[Any]]


class Fields:
    """Arrays of one node by field, with checks common to all nodes."""

    def __init__(self, name: str, kind: str, arrays: Arrays) -> None:
        self.name = name
        self.kind = kind
        self.me = f"{kind} node {name!r}"
        self._arrays = arrays

    def wrong(self, field: str, got: object, expected: str) -> ValidationError:
        """Return the error for an invalid field."""
        return ValidationError(f"{self.me} {field}", got, expected)

    def __contains__(self, field: str) -> bool:
        return field in self._arrays

    def numbers(
        self, field: str, default: float | None = None, *, infinite: bool = False
    ) -> NDArray[np.float64]:
        """Return an array of numbers, which are finite unless `infinite`."""
        if field not in self._arrays and default is not None:
            return np.array(default, np.float64)
        array = self._array(field)
        if array.dtype.kind not in "fiu":
            raise self.wrong(field, f"type {array.dtype}", "numbers")
        values = array.astype(np.float64)
        if not (np.isfinite(values) | (infinite & np.isinf(values))).all():
            raise self.wrong(field, "NaN or infinite values", "finite numbers")
        return values

    def integers(self, field: str, least: int, count: int | None) -> tuple[int, ...]:
        """Return `count` integers (any number if None); a single one in the file is repeated."""
        array = self._array(field)
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise self.wrong(field, f"{array.dtype} of shape {array.shape}", "integers")
        values = tuple(int(value) for value in array.flat)
        if count is not None and len(values) == 1:
            values *= count
        if len(values) != (count or len(values)):
            raise self.wrong(field, f"{len(values)} numbers", f"{count}")
        if any(not least <= value <= _LARGEST_SIDE for value in values):
            raise self.wrong(field, values, f"numbers from {least} to {_LARGEST_SIDE}")
        return values

    def within(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return the arrays whose fields begin with a prefix, by the rest of the field."""
        return {
            field.removeprefix(prefix): array
            for field, array in self._arrays.items()
            if field.startswith(prefix)
        }

    def pair(self, field: str, least: int = 1) -> tuple[int, int]:
        """Return two integers, for rows and columns."""
        rows, columns = self.integers(field, least, 2)
        return rows, columns

    def text(self, field: str) -> str | None:
        """Return a text; None if the field is not text."""
        array = self._arrays.get(field)
        return str(array) if array is not None and array.dtype.kind == "U" else None

    def _array(self, field: str) -> NDArray[Any]:
        if field not in self._arrays:
            raise self.wrong(field, "nothing", "an array of that name")
        return self._arrays[field]

    def one_shape(self, **values: NDArray[np.float64]) -> None:
        """Raise ValidationError unless all arrays of more than one element have the same shape."""
        shapes = {array.shape for array in values.values() if array.size != 1}
        if len(shapes) > 1 or any(0 in shape for shape in shapes):
            named = ", ".join(f"{field} {array.shape}" for field, array in values.items())
            raise self.wrong("parameters", f"shapes {named}", "one shape")
