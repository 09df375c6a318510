"""How many units stand for a volt, and which exponents the weights have: a population's scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.hardware.number_format import NumberFormat
from neuroattack.hardware.rounding import LEAK_BITS, bias_range, largest_threshold
from neuroattack.hardware.signs import Part
from neuroattack.ir.fixed_point import POTENTIAL_LIMIT
from neuroattack.ir.network import Population
from neuroattack.validation import check_whole

__all__ = ["check_format", "exponents_of", "scale_of", "too_far_apart"]


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
    population: Population, incoming: Sequence[Part], number_format: NumberFormat
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

    Raises
    ------
    UnsupportedFeatureError
        If no such scale is a finite number.
    """
    lowest, highest = exponents_of(number_format)
    exponent = min(max(0, lowest), highest)
    state = number_format.state
    if state is None and number_format.weight_bits is None:
        return 1.0, exponent
    limit = math.inf
    if state is not None:
        mantissa = largest_threshold(state, number_format.threshold_bits)
        limit = mantissa / float(population.threshold_v.max())
        bias = float(np.abs(population.bias_v).max())
        if bias:
            mantissa, most = bias_range(number_format.bias)
            largest_bias = min(mantissa << most, POTENTIAL_LIMIT)
            limit = min(limit, largest_bias / 2**state.shift / bias)
    # At exponent 0, where the largest weight is the largest mantissa.
    reach = min(
        (part.steps.largest / largest for part in incoming if (largest := part.largest_v)),
        default=math.inf,
    )
    if math.isfinite(reach):
        while exponent > lowest and math.ldexp(reach, exponent) > limit:
            exponent -= 1
    elif state is None:
        return 1.0, exponent
    scale = min(limit, math.ldexp(reach, exponent))
    farthest = float(np.abs([*population.threshold_v, *population.bias_v]).max())
    if not math.isfinite(scale * farthest):
        raise too_far_apart(f"population {population.name!r}", number_format)
    return scale, exponent


def too_far_apart(what: str, number_format: NumberFormat) -> UnsupportedFeatureError:
    """Return the error for what rounding would destroy."""
    return UnsupportedFeatureError(
        f"{what} would be 0 in {number_format.name}'s formats: weights, thresholds and biases of a "
        "population share one scale, and here they are too far apart"
    )
