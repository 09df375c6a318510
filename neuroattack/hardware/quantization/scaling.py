"""Scale of a population: units per volt, and exponent of its incoming weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.profiles.number_format import NumberFormat
from neuroattack.hardware.quantization.signs import Part
from neuroattack.ir.fixed_point import POTENTIAL_LIMIT
from neuroattack.ir.network import Population

__all__ = ["own_exponent", "scale_of", "too_far_apart"]

# Candidate factors of the scale relative to no clipping, from 1 to 256.
_FACTORS = tuple(2.0 ** (eighth / 8) for eighth in range(65))

# Tolerance for rounding errors in the product of the scale and a weight that just fits.
_FITS = 1 + 1e-9


def scale_of(
    population: Population, incoming: Sequence[Part], number_format: NumberFormat, *, clip: bool
) -> tuple[float, int]:
    """Return the units of weight mantissas per volt at exponent 0, and the exponent to use.

    Parameters
    ----------
    population : Population
        Population in floating point.
    incoming : sequence of Part
        All incoming weights.
    number_format : NumberFormat
        Number formats of the chip.
    clip : bool
        Whether weights may be clipped if that reduces their total squared error.

    Raises
    ------
    UnsupportedFeatureError
        If there is no finite scale.
    """
    limit = _limit(population, number_format)
    # Scale at exponent 0 for which the largest weight is the largest mantissa.
    reach = min(
        (part.largest_mantissa / part.largest_v for part in incoming if part.largest_v),
        default=math.inf,
    )
    if number_format.state is None and (number_format.weight_bits is None or math.isinf(reach)):
        return 1.0, _nearest_to_0(number_format)
    found = _highest_fitting(reach, limit, number_format)
    if clip and math.isfinite(reach):
        found = min(
            (_highest_fitting(reach * factor, limit, number_format) for factor in _FACTORS),
            key=lambda each: sum(_squared_error(part, *each) for part in incoming),
        )
    thresholds = population.threshold_v[np.isfinite(population.threshold_v)]
    each = (thresholds, population.bias_v, population.current_bias_v)
    farthest = max(float(np.abs(values).max(initial=0.0)) for values in each)
    if not math.isfinite(found[0] * farthest):
        raise too_far_apart(f"population {population.name!r}", number_format)
    return found


def own_exponent(
    part: Part, scale: float, highest: int, number_format: NumberFormat, *, clip: bool
) -> int:
    """Return the best exponent for one part, at most that of its population.

    This is the smallest exponent for which the largest weight fits; with `clip`, the exponent with
    the smallest squared error.
    """
    lowest, _ = number_format.exponents
    if not part.largest_v:
        return highest
    if clip:
        return min(
            range(highest, lowest - 1, -1), key=lambda each: _squared_error(part, scale, each)
        )
    largest = part.largest_v * scale
    while lowest < highest and largest > part.largest_mantissa * 2.0**lowest * _FITS:
        lowest += 1
    return lowest


def _squared_error(part: Part, scale: float, exponent: int) -> float:
    """Return the total squared error of weights rounded to nearest, in volts squared."""
    per_v = scale / 2.0**exponent
    mantissas, _ = part.rounded(per_v)
    return float(np.square(mantissas / per_v - part.weights_v).sum())


def _limit(population: Population, number_format: NumberFormat) -> float:
    """Return the largest scale for which thresholds and biases fit."""
    state, largest = number_format.state, number_format.largest_threshold
    if state is None or largest is None:
        return math.inf
    limit = largest / float(population.threshold_v.max())
    bias = float(np.abs(population.bias_v).max())
    if bias:
        mantissa, most = number_format.bias_range
        limit = min(limit, min(mantissa << most, POTENTIAL_LIMIT) / 2**state.shift / bias)
    return limit


def _highest_fitting(reach: float, limit: float, number_format: NumberFormat) -> tuple[float, int]:
    """Return scale and exponent, given the largest scale for the weights at exponent 0.

    The exponent is the supported one nearest to 0, or lower if thresholds and biases would not fit
    otherwise.
    """
    lowest, _ = number_format.exponents
    exponent = _nearest_to_0(number_format)
    while math.isfinite(reach) and exponent > lowest and math.ldexp(reach, exponent) > limit:
        exponent -= 1
    return min(limit, math.ldexp(reach, exponent)), exponent


def _nearest_to_0(number_format: NumberFormat) -> int:
    lowest, highest = number_format.exponents
    return min(max(0, lowest), highest)


def too_far_apart(what: str, number_format: NumberFormat) -> UnsupportedFeatureError:
    """Return the error for values that would be rounded to 0."""
    return UnsupportedFeatureError(
        f"{what} would be rounded to 0 in the number formats of {number_format.name}: weights, "
        "thresholds and biases of a population share one scale, and their magnitudes differ too "
        "much"
    )
