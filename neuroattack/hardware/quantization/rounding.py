"""Numbers to whole numbers: how weights, biases and leaks are rounded, on arrays alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.quantization.number_format import BiasFormat, SignMode, StateFormat
from neuroattack.ir.fixed_point import LEAK_ONE, POTENTIAL_LIMIT
from neuroattack.ir.parts import MANTISSA_BITS

__all__ = [
    "LEAK_BITS",
    "Steps",
    "bias_range",
    "exponent_for",
    "largest_threshold",
    "round_bias",
    "round_leak",
    "round_to_steps",
]

LEAK_BITS = LEAK_ONE.bit_length() - 1
"""Bits of the finest leak that a network in fixed point has."""

# Of a product of the scale and a weight, where that only just fits.
_FITS = 1 + 1e-9


@dataclass(frozen=True)
class Steps:
    """The mantissas that weights may have: multiples of `size`, as many as `most` to either side.

    Parameters
    ----------
    size, most : int
        A step, and how many of them make the largest mantissa.
    """

    size: int
    most: int

    @classmethod
    def of(cls, bits: int | None, signs: SignMode, mixed_step: int) -> Steps:
        """Return those of a number of bits, or of as many as a network can hold."""
        size = mixed_step if signs == "mixed" else 1
        if bits is None:
            return cls(size, (2 ** (MANTISSA_BITS - 1) - 1) // size)
        return cls(size, 2 ** (bits - 1) - 1 if signs == "mixed" else 2**bits - 1)

    @property
    def largest(self) -> int:
        """Largest mantissa."""
        return self.size * self.most


def round_to_steps(
    values: NDArray[np.float64], steps: Steps, draws: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Round to mantissas, and clip those beyond the largest.

    Parameters
    ----------
    values : float array
        In units of the mantissas.
    steps : Steps
        The mantissas there are.
    draws : float array, of the shape of `values`, optional
        From [0, 1), uniform: each value goes up where its draw is at least what is missing to
        the next step, so that its mean is the value. By default it goes to the nearest step,
        ties to the even one.

    Returns
    -------
    mantissas : int32 array
    saturated : bool array
        Where a value is beyond the largest mantissa by more than half a step.
    """
    in_steps = values / steps.size
    rounded = np.rint(in_steps) if draws is None else np.floor(in_steps + draws)
    mantissas = steps.size * np.clip(rounded, -steps.most, steps.most).astype(np.int32)
    return mantissas, np.abs(in_steps) > steps.most + 0.5


def exponent_for(largest: float, steps: Steps, lowest: int, highest: int) -> int:
    """Return the smallest exponent at which a value fits into mantissas, or the highest.

    Parameters
    ----------
    largest : float
        In units of the mantissas at exponent 0.
    steps : Steps
        The mantissas there are.
    lowest, highest : int
        Exponents that may be had.
    """
    exponent = lowest
    while exponent < highest and largest > steps.largest * 2.0**exponent * _FITS:
        exponent += 1
    return exponent


def largest_threshold(state: StateFormat, bits: int | None) -> int:
    """Return the largest threshold mantissa that a potential can pass."""
    reachable = (state.highest - 1) >> state.shift
    return reachable if bits is None else min(2**bits - 1, reachable)


def bias_range(bias: BiasFormat | None) -> tuple[int, int]:
    """Return the largest mantissa and the largest exponent of biases."""
    if bias is None:
        return POTENTIAL_LIMIT, 0
    return 2 ** (bias.mantissa_bits - 1) - 1, 2**bias.exponent_bits - 1


def round_bias(bias: NDArray[np.float64], largest: int) -> NDArray[np.int32]:
    """Round biases to mantissas times two to the smallest exponent at which all fit.

    Parameters
    ----------
    bias : float array
        In units of the state's last bit.
    largest : int
        Of the mantissas.
    """
    exponent = 0
    reach = float(np.abs(bias).max())
    while np.rint(reach / 2**exponent) > largest:
        exponent += 1
    rounded: NDArray[np.int32] = np.rint(bias / 2**exponent).astype(np.int32) << exponent
    return rounded


def round_leak(decay: float, bits: int | None) -> int:
    """Return the leak nearest to a decay, in parts of 4096 a step; never all of it.

    Parameters
    ----------
    decay : float
        Share of a potential that is left after a step.
    bits : int or None
        A leak is in parts of ``2**bits``; by default as fine as there is.
    """
    bits = LEAK_BITS if bits is None else bits
    whole = 1 << bits
    return min(round(whole * (1 - decay)), whole - 1) << (LEAK_BITS - bits)
