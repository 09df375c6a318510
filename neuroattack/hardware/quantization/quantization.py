"""Quantization of a network to a chip's number formats, with its errors and losses.

If the chip's potentials are integers, the quantized network is in fixed point. If they are analog
or their format is unknown, it stays in floating point with small integer weights. Potentials are
then in units of a weight step instead of volts, which does not change the dynamics.
"""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError
from neuroattack.hardware.profiles.number_format import NumberFormat, SignMode
from neuroattack.hardware.quantization.populations import PopulationRounding, round_population
from neuroattack.hardware.quantization.scaling import own_exponent, scale_of, too_far_apart
from neuroattack.hardware.quantization.shortfalls import unknown_fields, without_shortfalls
from neuroattack.hardware.quantization.signs import Part, parts_of
from neuroattack.ir.network import AnyProjection, Network, Population
from neuroattack.validation import check_integer

__all__ = [
    "PopulationRounding",
    "ProjectionRounding",
    "Quantized",
    "Rounding",
    "fixed_format",
    "quantize",
]


@dataclass(frozen=True)
class Rounding:
    """Settings of the quantization of a network.

    Parameters
    ----------
    scale : {"shared", "per_projection"}
        Whether all projections into a population share one exponent, or each has the smallest
        exponent for which its largest weight fits. The units per volt are the same in both cases.
    rounding : {"nearest", "stochastic"}
        Rounding of weights: to nearest, ties to even; or randomly up or down such that the expected
        value is exact. Everything else is rounded to nearest.
    clipping : {"none", "least_error"}
        Whether the scale fits the largest weight of a population, or scale and exponents minimize
        the squared error of its weights, clipping some. With few bits, a few large weights would
        otherwise round most others to 0.
    seed : int
        Random seed of stochastic rounding; the random stream of each projection does not depend on
        other projections.
    signs : {"unchanged", "split"}
        Whether a projection with weights of both signs stays one projection if the chip supports
        it, or is split into an excitatory and an inhibitory one if the chip supports both modes,
        which gives each weight one more bit.
    allow_lossy : bool
        Whether unsupported features are dropped or converted instead of refused.

    Raises
    ------
    UnknownNameError, ValidationError
        If a setting is unknown or invalid.
    """

    scale: Literal["shared", "per_projection"] = "shared"
    rounding: Literal["nearest", "stochastic"] = "nearest"
    clipping: Literal["none", "least_error"] = "none"
    seed: int = 0
    signs: Literal["unchanged", "split"] = "unchanged"
    allow_lossy: bool = False

    def __post_init__(self) -> None:
        for what, known in (
            ("scale", ("shared", "per_projection")),
            ("rounding", ("nearest", "stochastic")),
            ("clipping", ("none", "least_error")),
            ("signs", ("unchanged", "split")),
        ):
            if getattr(self, what) not in known:
                raise UnknownNameError(what, getattr(self, what), known)
        check_integer("rounding seed", self.seed, 0)


@dataclass(frozen=True)
class ProjectionRounding:
    """Rounding of the weights of one projection; those of a kernel, for a convolution.

    Parameters
    ----------
    source, target : str
        Names of the populations.
    signs : SignMode
        Signs of the weights.
    exponent : int
        Exponent of weights ``mantissa * 2**exponent``; with an integer state, in units of its last
        bit.
    bits_used : int
        Bits of the largest mantissa, including the sign of mixed weights.
    largest_error_v, rms_error_v : float
        Largest and root-mean-square error of the weights in volts.
    lost_fraction, saturated_fraction : float
        Fractions of nonzero weights that were rounded to 0, and that were clipped.
    """

    source: str
    target: str
    signs: SignMode
    exponent: int
    bits_used: int
    largest_error_v: float
    rms_error_v: float
    lost_fraction: float
    saturated_fraction: float


@dataclass(frozen=True, eq=False)
class Quantized:
    """Network in a chip's number formats, with its rounding errors and losses.

    Parameters
    ----------
    network : Network
        Quantized network, with populations and projections in the original order. A split
        projection is replaced by its two parts.
    populations : tuple of PopulationRounding
        Rounding of the populations, in the order of the network.
    projections : tuple of ProjectionRounding
        Rounding of the projections, in the order of the network.
    dropped : tuple of str
        Unsupported features that were dropped or converted.
    unchecked : tuple of str
        Fields of the format that were not checked, because they are unknown or do not apply to
        potentials in floating point.
    """

    network: Network
    populations: tuple[PopulationRounding, ...]
    projections: tuple[ProjectionRounding, ...]
    dropped: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    def roundings_as_json(self) -> dict[str, list[dict[str, Any]]]:
        """Return the rounding as JSON values."""
        return {
            "populations": [each.as_json() for each in self.populations],
            "projections": [asdict(each) for each in self.projections],
        }


_NEAREST = Rounding()


@functools.cache
def fixed_format() -> NumberFormat:
    """Return the number format of ``--precision fixed``, which is that of the Loihi 1 profile."""
    # Imported here because profiles import pydantic, which is slow to import.
    from neuroattack.hardware.profiles.files import load_profile

    return load_profile("loihi1").number_format()


def quantize(
    network: Network, number_format: NumberFormat, options: Rounding = _NEAREST
) -> Quantized:
    """Quantize a network to a chip's number formats.

    Each population has its own units per volt: the largest for which no weight, threshold or bias
    exceeds the range of the format. Projections have exponent 0, or the nearest supported one. If
    thresholds or biases would not fit otherwise, the exponent is lower, so that weights keep their
    bits. Weights are clipped only if `options` allow it.

    Parameters
    ----------
    network : Network
        Network in floating point.
    number_format : NumberFormat
        Number formats of the chip.
    options : Rounding, optional
        Settings; by default one exponent for all projections into a population, and rounding to
        nearest.

    Raises
    ------
    UnsupportedFeatureError
        If the network is already in fixed point; has an unsupported feature that may not be
        dropped; or the magnitudes of weights, biases and thresholds of a population differ so much
        that a threshold, or all weights of a projection, would be rounded to 0.
    ValidationError
        If the format is inconsistent or has states of over 24 bits.
    """
    if network.precision == "fixed":
        raise UnsupportedFeatureError(
            "network: got fixed point, expected a network in floating point to quantize"
        )
    number_format.check()
    clip = options.clipping == "least_error"
    fitted, dropped = without_shortfalls(network, number_format, allow_lossy=options.allow_lossy)
    parts: list[tuple[Part, NDArray[np.float64] | None]] = []
    numbers: Counter[tuple[str, str]] = Counter()
    for projection in fitted.projections:
        represented, lost = parts_of(
            projection,
            number_format,
            fitted.outgoing(projection.source),
            split=options.signs == "split",
            allow_lossy=options.allow_lossy,
        )
        dropped += () if lost is None else (lost,)
        ends = (projection.source, projection.target)
        numbers[ends] += 1
        uniform = _random_numbers(projection, numbers[ends], options)
        parts.extend((part, uniform) for part in represented)

    scales: dict[str, float] = {}
    exponents = [0] * len(parts)
    populations, population_roundings = [], []
    for population, original in zip(fitted.populations, network.populations, strict=True):
        if not isinstance(population, Population) or not isinstance(original, Population):
            raise TypeError("a population in fixed point")
        name = population.name
        incoming = [i for i, (part, _) in enumerate(parts) if part.original.target == name]
        arriving = [parts[i][0] for i in incoming]
        scale, highest = scale_of(population, arriving, number_format, clip=clip)
        scales[name] = scale
        for i in incoming:
            exponents[i] = highest
            if options.scale == "per_projection":
                exponents[i] = own_exponent(parts[i][0], scale, highest, number_format, clip=clip)
        finest = min((exponents[i] for i in incoming), default=0)
        rounded, rounding = round_population(
            population, original, network.dt_s, scale, finest, number_format
        )
        populations.append(rounded)
        population_roundings.append(rounding)

    projections, projection_roundings = [], []
    for (part, uniform), exponent in zip(parts, exponents, strict=True):
        scale = scales[part.original.target]
        weights, weight_rounding = _round_weights(part, scale, exponent, number_format, uniform)
        projections.append(weights)
        projection_roundings.append(weight_rounding)
    return Quantized(
        replace(
            fitted,
            populations=tuple(populations),  # type: ignore[arg-type]  # one kind
            projections=tuple(projections),
            origin={**network.origin, "number_format": number_format.name},
        ),
        tuple(population_roundings),
        tuple(projection_roundings),
        dropped,
        unknown_fields(network, number_format),
    )


def _random_numbers(
    projection: AnyProjection, number: int, options: Rounding
) -> NDArray[np.float64] | None:
    """Return uniform random numbers for the n-th projection between two populations."""
    if options.rounding == "nearest":
        return None
    name = f"{projection.source}->{projection.target}#{number}"
    rng = np.random.default_rng([options.seed, *name.encode()])
    return rng.random(projection.grid.shape)


def _round_weights(
    part: Part,
    scale: float,
    exponent: int,
    number_format: NumberFormat,
    uniform: NDArray[np.float64] | None,
) -> tuple[AnyProjection, ProjectionRounding]:
    original, state = part.original, number_format.state
    if number_format.weight_bits is None and state is None:
        mantissas = np.where(part.kept, original.grid, 0)
        exponent, saturated = original.exponent, np.zeros(mantissas.shape, bool)
    else:
        mantissas, saturated = part.rounded(scale / 2.0**exponent, uniform)
    connected = original.grid != 0
    connections = max(int(connected.sum()), 1)
    lost = int((mantissas[connected] == 0).sum())
    if connected.any() and lost == connections:
        raise too_far_apart(f"all weights of {original.source}->{original.target}", number_format)
    error_v = np.ldexp(mantissas.astype(np.float64), exponent) / scale - original.grid_v
    largest = int(np.abs(mantissas).max()) // part.step
    shift = 0 if state is None else state.shift
    rounded: AnyProjection = original.with_grid(mantissas, exponent + shift)
    return rounded, ProjectionRounding(
        original.source,
        original.target,
        part.signs,
        rounded.exponent,
        largest.bit_length() + (part.signs == "mixed"),
        float(np.abs(error_v).max()),
        float(np.sqrt(np.mean(error_v**2))),
        lost / connections,
        float(saturated.sum()) / connections,
    )
