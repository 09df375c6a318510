"""Codes of numbers in memory: integers and IEEE 754 floating point as words of bits.

Bit 0 is the least significant bit of a word. Two's complement and sign-magnitude are the textbook
codes; floating-point words are those of IEEE 754-2019, section 3.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.validation import check_integer

__all__ = ["BitChoice", "Codes", "Layout", "WordFormat"]

Codes = NDArray[np.uint64]

Layout = Literal["twos_complement", "sign_magnitude", "unsigned", "float32", "float64"]

BitChoice = Literal["all", "sign", "exponent", "mantissa", "msb"]
"""Bits of a word: all; the sign; the exponent; all others; or the bit that changes the value most.

The most significant bit (``"msb"``) is the sign of two's complement, the highest bit of a magnitude
and the highest bit of a floating-point exponent.
"""

_FLOAT_BITS = {"float32": 32, "float64": 64}
_MANTISSA_BITS = {"float32": 23, "float64": 52}
_MAX_INTEGER_BITS = 32


@dataclass(frozen=True)
class WordFormat:
    """Code of numbers in words of a fixed number of bits.

    Parameters
    ----------
    layout : Layout
        Code of the numbers.
    bits : int
        Bits of a word: from 1 to 32 for integers, and 32 or 64 for floating point.
    step : int, optional
        Value of the last bit of integers: they are multiples of `step`.

    Raises
    ------
    UnknownNameError, ValidationError
        If the layout is unknown, or the number of bits or the step is out of range.
    """

    layout: Layout
    bits: int
    step: int = 1

    def __post_init__(self) -> None:
        if self.layout not in get_args(Layout):
            raise UnknownNameError("layout", str(self.layout), get_args(Layout))
        if self.is_float and self.bits != _FLOAT_BITS[self.layout]:
            raise ValidationError(
                f"bits of {self.layout}", self.bits, f"{_FLOAT_BITS[self.layout]}"
            )
        check_integer("bits of a word", self.bits, 1, 64 if self.is_float else _MAX_INTEGER_BITS)
        check_integer("step of a word", self.step, 1)

    @property
    def is_float(self) -> bool:
        """Whether words are in floating point."""
        return self.layout in _FLOAT_BITS

    def encode(self, values: ArrayLike) -> Codes:
        """Return the codes of numbers.

        Raises
        ------
        UnsupportedFeatureError
            If a number has no code: it is out of range or between two codes.
        """
        given = np.asarray(values, np.float64)
        codes = self._encoded(given)
        if not np.array_equal(self.decode(codes), given):
            raise UnsupportedFeatureError(
                f"values: got {given.min(initial=0):g} to {given.max(initial=0):g}, expected "
                f"numbers that words of {self.bits} bits ({self.layout}) represent"
            )
        return codes

    def decode(self, codes: Codes) -> NDArray[np.float64]:
        """Return the numbers of codes, float64; every code has one, which may be NaN or infinite.

        All integers of this class are exact in float64.
        """
        if self.layout == "float32":
            with np.errstate(invalid="ignore"):  # conversion of signaling NaN
                single: NDArray[np.float64] = (
                    codes.astype(np.uint32).view(np.float32).astype(np.float64)
                )
            return single
        if self.layout == "float64":
            floats: NDArray[np.float64] = codes.view(np.float64).copy()
            return floats
        integers = codes.astype(np.int64)
        sign = np.int64(1) << (self.bits - 1)
        if self.layout == "twos_complement":
            integers -= (integers & sign) << 1
        elif self.layout == "sign_magnitude":
            integers = np.where(integers & sign, -(integers ^ sign), integers)
        values: NDArray[np.float64] = (integers * self.step).astype(np.float64)
        return values

    def positions(self, choice: BitChoice) -> tuple[int, ...]:
        """Return the positions of a choice of bits, in ascending order; empty if there are none.

        Raises
        ------
        UnknownNameError
            If the choice is unknown.
        """
        top = self.bits - 1
        exponent = tuple(range(_MANTISSA_BITS[self.layout], top)) if self.is_float else ()
        sign = () if self.layout == "unsigned" else (top,)
        chosen = {
            "all": tuple(range(self.bits)),
            "sign": sign,
            "exponent": exponent,
            "mantissa": tuple(p for p in range(self.bits) if p not in (*sign, *exponent)),
            "msb": (top if self.layout in ("twos_complement", "unsigned") else max(top - 1, 0),),
        }
        if choice not in chosen:
            raise UnknownNameError("bits", str(choice), chosen)
        return chosen[choice]

    def _encoded(self, values: NDArray[np.float64]) -> Codes:
        if self.layout == "float64":
            doubles: Codes = np.ascontiguousarray(values).view(np.uint64).copy()
            return doubles
        if self.layout == "float32":
            with np.errstate(over="ignore"):
                singles: Codes = values.astype(np.float32).view(np.uint32).astype(np.uint64)
            return singles
        integers = np.rint(values / self.step).astype(np.int64)
        if self.layout == "sign_magnitude":
            sign = np.int64(1) << (self.bits - 1)
            integers = np.where(integers < 0, sign | -integers, integers)
        codes: Codes = (integers & ((np.int64(1) << self.bits) - 1)).astype(np.uint64)
        return codes
