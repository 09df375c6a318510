"""Quantization of a network to a chip's number formats, and what it loses.

If the chip's potentials are integers, the network is in fixed point afterwards. If they are
analog, or their format is not known, it stays in floating point with small integer weights: its
potentials are then in units of a weight step instead of volts, which changes none of its dynamics.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError
from neuroattack.hardware.profiles.number_format import LEAK_BITS, NumberFormat, SignMode
from neuroattack.hardware.quantization.scaling import own_exponent, scale_of, too_far_apart
from neuroattack.hardware.quantization.shortfalls import unknown_fields, without_shortfalls
from neuroattack.hardware.quantization.signs import Part, parts_of
from neuroattack.ir.fixed_point import LEAK_ONE, FixedPopulation
from neuroattack.ir.network import Network, Population, Projection
from neuroattack.validation import check_whole

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
    """How a network is rounded.

    Parameters
    ----------
    scale : {"shared", "per_projection"}
        Whether all projections into a population share one exponent, or each has the smallest at
        which its largest weight fits. The units per volt are the same in either case.
    rounding : {"nearest", "stochastic"}
        Of weights: to nearest, ties to even; or up or down at random, so that a weight's mean is
        exact. Everything else is rounded to nearest.
    clipping : {"none", "least_error"}
        Whether the largest weight of a population always fits, or scale and exponents minimize
        the squared error of its weights, some of them clipped. With few bits, a few large weights
        would otherwise leave none to the others.
    seed : int
        Of stochastic rounding; each projection has its own stream, whatever others there are.
    signs : {"unchanged", "split"}
        Whether a projection with weights of both signs stays one where the chip supports it, or
        becomes an excitatory and an inhibitory one where the chip has both modes: weights then
        have one more bit each.
    allow_lossy : bool
        Whether features that the chip lacks are dropped instead of refused.

    Raises
    ------
    UnknownNameError, ValidationError
        If a setting is none of these.
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
        check_whole("rounding seed", self.seed, 0)


@dataclass(frozen=True)
class ProjectionRounding:
    """What rounding did to the weights of one projection.

    Parameters
    ----------
    source, target : str
        Its populations.
    signs : SignMode
        Of its weights.
    exponent : int
        A weight is ``mantissa * 2**exponent``, with an integer state in units of its last bit.
    bits_used : int
        Bits of its largest mantissa, the sign of mixed weights included.
    largest_error_v, rms_error_v : float
        Largest and root-mean-square error of a weight in volts.
    lost_fraction, saturated_fraction : float
        Fraction of the connections whose weight became 0, and of those whose weight was clipped.
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


@dataclass(frozen=True)
class PopulationRounding:
    """What rounding did to one population.

    Parameters
    ----------
    name : str
        Of the population.
    state_bit_v : float
        Volts of the last bit of its state; in floating point, of the unit of its potentials.
    tau_m_s, effective_tau_m_s : float
        Membrane time constant before rounding, and the one of the rounded leak.
    largest_threshold_error_v, largest_bias_error_v : float
        Largest error of a threshold and of a bias in volts.
    """

    name: str
    state_bit_v: float
    tau_m_s: float
    effective_tau_m_s: float
    largest_threshold_error_v: float
    largest_bias_error_v: float


@dataclass(frozen=True, eq=False)
class Quantized:
    """A network in a chip's number formats, and what it lost.

    Parameters
    ----------
    network : Network
        Populations and projections in the original order; the two parts of a split projection
        take its place.
    populations : tuple of PopulationRounding
        In the order of the network.
    projections : tuple of ProjectionRounding
        In the order of the network.
    dropped : tuple of str
        Features that the chip lacks and that were left out.
    unchecked : tuple of str
        Fields of the format that are not known, or do not apply to potentials in floating point:
        the network was not checked against them.
    """

    network: Network
    populations: tuple[PopulationRounding, ...]
    projections: tuple[ProjectionRounding, ...]
    dropped: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    def roundings_as_json(self) -> dict[str, list[dict[str, Any]]]:
        """Return what rounding did as JSON values; a time constant without leak is None."""
        return {
            "populations": [
                {name: None if value == math.inf else value for name, value in asdict(each).items()}
                for each in self.populations
            ],
            "projections": [asdict(each) for each in self.projections],
        }


_NEAREST = Rounding()


@functools.cache
def fixed_format() -> NumberFormat:
    """Return the number format of ``--precision fixed``: that of the Loihi 1 profile."""
    # Reading a profile imports pydantic, which takes longer than a short command.
    from neuroattack.hardware.profiles.files import load_profile

    return load_profile("loihi1").number_format()


def quantize(
    network: Network, number_format: NumberFormat, options: Rounding = _NEAREST
) -> Quantized:
    """Quantize a network to a chip's number formats.

    The units per volt are a population's own: the most at which no weight, threshold or bias of
    it exceeds the format's range. Projections have exponent 0, or the supported one nearest to
    it; a lower one as far as thresholds and biases would otherwise not fit, so that the weights
    keep their bits. Weights are clipped only if `options` say so.

    Parameters
    ----------
    network : Network
        In floating point.
    number_format : NumberFormat
        Of the chip.
    options : Rounding, optional
        By default one exponent for all projections into a population, rounding to nearest.

    Raises
    ------
    UnsupportedFeatureError
        If the network is in fixed point already; has a feature that the chip lacks, unless it may
        be dropped; or has weights, biases and thresholds of a population so far apart that all
        weights of a projection or a threshold would become 0.
    ValidationError
        If the format contradicts itself, or has states beyond 24 bits.
    """
    if network.precision == "fixed":
        raise UnsupportedFeatureError("the network is in fixed point already")
    number_format.check()
    clip = options.clipping == "least_error"
    fitted, dropped = without_shortfalls(network, number_format, allow_lossy=options.allow_lossy)
    parts: list[tuple[Part, NDArray[np.float64] | None]] = []
    met: Counter[tuple[str, str]] = Counter()
    for projection in fitted.projections:
        held, lost = parts_of(
            projection,
            number_format,
            fitted.outgoing(projection.source),
            split=options.signs == "split",
            allow_lossy=options.allow_lossy,
        )
        dropped += () if lost is None else (lost,)
        ends = (projection.source, projection.target)
        met[ends] += 1
        draws = _draws(projection, met[ends], options)
        parts.extend((part, draws) for part in held)

    scales: dict[str, tuple[float, int]] = {}
    populations, population_roundings = [], []
    for population, asked in zip(fitted.populations, network.populations, strict=True):
        if not isinstance(population, Population) or not isinstance(asked, Population):
            raise TypeError("a population in fixed point")
        incoming = [part for part, _ in parts if part.asked.target == population.name]
        scales[population.name] = scale_of(population, incoming, number_format, clip=clip)
        scale, _ = scales[population.name]
        rounded, rounding = _round_population(population, asked, network.dt_s, scale, number_format)
        populations.append(rounded)
        population_roundings.append(rounding)

    projections, projection_roundings = [], []
    for part, draws in parts:
        scale, exponent = scales[part.asked.target]
        if options.scale == "per_projection":
            exponent = own_exponent(part, scale, exponent, number_format, clip=clip)
        weights, weight_rounding = _round_weights(part, scale, exponent, number_format, draws)
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


def _draws(projection: Projection, place: int, options: Rounding) -> NDArray[np.float64] | None:
    """Return uniform numbers for the weights of the n-th projection between its populations."""
    if options.rounding == "nearest":
        return None
    name = f"{projection.source}->{projection.target}#{place}"
    rng = np.random.default_rng([options.seed, *name.encode()])
    return rng.random(projection.mantissas.shape)


def _round_weights(
    part: Part,
    scale: float,
    exponent: int,
    number_format: NumberFormat,
    draws: NDArray[np.float64] | None,
) -> tuple[Projection, ProjectionRounding]:
    asked, state = part.asked, number_format.state
    if number_format.weight_bits is None and state is None:
        mantissas = np.where(part.kept, asked.mantissas, 0)
        exponent, saturated = asked.exponent, np.zeros(mantissas.shape, bool)
    else:
        mantissas, saturated = part.rounded(scale / 2.0**exponent, draws)
    connected = asked.mantissas != 0
    connections = max(int(connected.sum()), 1)
    lost = int((mantissas[connected] == 0).sum())
    if connected.any() and lost == connections:
        raise too_far_apart(f"all of {asked.source}->{asked.target}", number_format)
    error_v = np.ldexp(mantissas.astype(np.float64), exponent) / scale - asked.weights_v
    largest = int(np.abs(mantissas).max()) // part.step
    shift = 0 if state is None else state.shift
    rounded = replace(asked, mantissas=mantissas, exponent=exponent + shift)
    return rounded, ProjectionRounding(
        asked.source,
        asked.target,
        part.signs,
        rounded.exponent,
        largest.bit_length() + (part.signs == "mixed"),
        float(np.abs(error_v).max()),
        float(np.sqrt(np.mean(error_v**2))),
        lost / connections,
        float(saturated.sum()) / connections,
    )


def _round_population(
    population: Population,
    asked: Population,
    dt_s: float,
    scale: float,
    number_format: NumberFormat,
) -> tuple[Population | FixedPopulation, PopulationRounding]:
    """Round a population without its shortfalls; compare it with the one that was asked for."""
    state = number_format.state
    held: Population | FixedPopulation
    threshold: NDArray[Any]
    bias: NDArray[Any]
    if state is None:
        threshold, bias = population.threshold_v * scale, population.bias_v * scale
        held = replace(
            population, threshold_v=threshold, bias_v=bias, reset_v=population.reset_v * scale
        )
        per_v, tau_m_s = scale, population.tau_m_s
    else:
        threshold = np.rint(population.threshold_v * scale).astype(np.int32) << state.shift
        if (threshold == 0).any():
            raise too_far_apart(f"a threshold of population {population.name!r}", number_format)
        per_v = scale * 2**state.shift
        bias = _round_bias(population.bias_v * per_v, number_format.bias_range[0])
        leak = _round_leak(population.decay(dt_s), state.leak_bits)
        held = FixedPopulation(
            name=population.name,
            size=population.size,
            leak=leak,
            threshold=threshold,
            bias=bias,
            refractory_steps=population.refractory_steps,
            lowest=state.lowest,
            highest=state.highest,
        )
        tau_m_s = -dt_s / math.log1p(-leak / LEAK_ONE) if leak else math.inf
    return held, PopulationRounding(
        name=asked.name,
        state_bit_v=1 / per_v,
        tau_m_s=asked.tau_m_s,
        effective_tau_m_s=tau_m_s,
        largest_threshold_error_v=float(np.abs(threshold / per_v - asked.threshold_v).max()),
        largest_bias_error_v=float(np.abs(bias / per_v - asked.bias_v).max()),
    )


def _round_bias(bias: NDArray[np.float64], largest: int) -> NDArray[np.int32]:
    """Round biases to mantissas times two to the smallest exponent at which all fit."""
    exponent = 0
    reach = float(np.abs(bias).max())
    while np.rint(reach / 2**exponent) > largest:
        exponent += 1
    rounded: NDArray[np.int32] = np.rint(bias / 2**exponent).astype(np.int32) << exponent
    return rounded


def _round_leak(decay: float, bits: int | None) -> int:
    """Return the leak nearest to a decay, in parts of 4096 per step; never all of it."""
    bits = LEAK_BITS if bits is None else bits
    whole = 1 << bits
    return min(round(whole * (1 - decay)), whole - 1) << (LEAK_BITS - bits)
