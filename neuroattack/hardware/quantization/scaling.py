"""How many units stand for a volt, and which exponents the weights have: a population's scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.hardware.quantization.number_format import NumberFormat
from neuroattack.hardware.quantization.rounding import (
    LEAK_BITS,
    bias_range,
    largest_threshold,
    round_to_steps,
)
from neuroattack.hardware.quantization.signs import Part
from neuroattack.ir.fixed_point import POTENTIAL_LIMIT
from neuroattack.ir.network import Population
from neuroattack.validation import check_whole

__all__ = ["check_format", "exponents_of", "scale_of", "squared_error", "too_far_apart"]

# How much farther apart than without clipping, at most 256 times: weights that few others reach.
_FACTORS = tuple(2.0 ** (eighth / 8) for eighth in range(65))


def check_format(number_format: NumberFormat) -> None:
    """Raise ValidationError if a format contradicts itself, or has states beyond 24 bits."""
    me = f"format {number_format.name!r}"
    for what, bits, lowest in (
        ("weight_bits", number_format.weight_bits, 1),
        ("threshold_bits", number_format.threshold_bits, 1),
    ):
        if bits is not None:
            check_whole(f"{me} {what}", bits, lowest, 23)
    state = number_format.state
    if state is None:
        return
    if not -POTENTIAL_LIMIT <= state.lowest <= 0 <= state.highest <= POTENTIAL_LIMIT:
        raise ValidationError(
            f"{me} state",
            f"{state.lowest} to {state.highest}",
            f"limits around 0, of at most {POTENTIAL_LIMIT} in magnitude",
        )
    if largest_threshold(state, number_format.threshold_bits) < 1:
        raise ValidationError(
            f"{me} state",
            f"up to {state.highest} with thresholds {state.shift} bits above the last",
            "room for a threshold below the highest potential",
        )
    if state.leak_bits is not None:
        check_whole(f"{me} leak_bits", state.leak_bits, 0, LEAK_BITS)
    lowest, highest = exponents_of(number_format)
    if lowest > highest:
        raise ValidationError(
            f"{me} weight exponents",
            f"up to {highest}",
            f"at least {lowest}, the state's last bit",
        )


def exponents_of(number_format: NumberFormat) -> tuple[int, int]:
    """Return the range of exponents; no weight has bits below the state's last."""
    lowest, highest = number_format.weight_exponents
    if number_format.state is not None:
        lowest = max(lowest, -number_format.state.shift)
    return lowest, highest


def scale_of(
    population: Population, incoming: Sequence[Part], number_format: NumberFormat, *, clip: bool
) -> tuple[float, int]:
    """Return units of the weight mantissas per volt at exponent 0, and the exponent to use.

    Parameters
    ----------
    population : Population
        In floating point.
    incoming : sequence of Part
        All that ends there.
    number_format : NumberFormat
        What the chip holds.
    clip : bool
        Whether weights may be clipped where that makes the squared error of all of them less.

    Raises
    ------
    UnsupportedFeatureError
        If no such scale is a finite number.
    """
    limit = _limit(population, number_format)
    # At exponent 0, where the largest weight is the largest mantissa.
    reach = min(
        (part.steps.largest / part.largest_v for part in incoming if part.largest_v),
        default=math.inf,
    )
    if number_format.state is None and (number_format.weight_bits is None or math.isinf(reach)):
        return 1.0, _nearest_to_0(number_format)
    found = _highest_fitting(reach, limit, number_format)
    if clip and math.isfinite(reach):
        found = min(
            (_highest_fitting(reach * factor, limit, number_format) for factor in _FACTORS),
            key=lambda each: sum(squared_error(part, *each) for part in incoming),
        )
    farthest = float(np.abs([*population.threshold_v, *population.bias_v]).max())
    if not math.isfinite(found[0] * farthest):
        raise too_far_apart(f"population {population.name!r}", number_format)
    return found


def squared_error(part: Part, scale: float, exponent: int) -> float:
    """Return the sum of the squared errors of weights rounded to the nearest, in square volts."""
    per_v = scale / 2.0**exponent
    mantissas, _ = round_to_steps(part.weights_v * per_v, part.steps)
    return float(np.square(mantissas / per_v - part.weights_v).sum())


def _limit(population: Population, number_format: NumberFormat) -> float:
    """Return the largest scale at which thresholds and biases fit."""
    state = number_format.state
    if state is None:
        return math.inf
    mantissa = largest_threshold(state, number_format.threshold_bits)
    limit = mantissa / float(population.threshold_v.max())
    bias = float(np.abs(population.bias_v).max())
    if bias:
        mantissa, most = bias_range(number_format.bias)
        largest_bias = min(mantissa << most, POTENTIAL_LIMIT)
        limit = min(limit, largest_bias / 2**state.shift / bias)
    return limit


def _highest_fitting(reach: float, limit: float, number_format: NumberFormat) -> tuple[float, int]:
    """Return scale and exponent, given the scale that weights allow at exponent 0.

    The exponent is 0, or the nearest to it that the chip has, and lower as far as thresholds
    and biases would not fit otherwise.
    """
    lowest, _ = exponents_of(number_format)
    exponent = _nearest_to_0(number_format)
    while math.isfinite(reach) and exponent > lowest and math.ldexp(reach, exponent) > limit:
        exponent -= 1
    return min(limit, math.ldexp(reach, exponent)), exponent


def _nearest_to_0(number_format: NumberFormat) -> int:
    lowest, highest = exponents_of(number_format)
    return min(max(0, lowest), highest)


def too_far_apart(what: str, number_format: NumberFormat) -> UnsupportedFeatureError:
    """Return the error for what rounding would destroy."""
    return UnsupportedFeatureError(
        f"{what} would be 0 in {number_format.name}'s formats: weights, thresholds and biases of a "
        "population share one scale, and here they are too far apart"
    )
