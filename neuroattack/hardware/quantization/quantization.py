"""Rounding of a network to the numbers that a chip holds, and what was lost on the way.

Where the chip's potentials are whole numbers the network is in fixed point afterwards; where they
are analogue, or their format is not known, it stays in floating point with weights that are small
whole numbers: its potentials are then in units of a weight's step instead of volts, which
changes none of its dynamics.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError
from neuroattack.hardware.placement.shortfalls import unknown_fields, without_shortfalls
from neuroattack.hardware.quantization.number_format import NumberFormat, SignMode
from neuroattack.hardware.quantization.rounding import (
    bias_range,
    exponent_for,
    round_bias,
    round_leak,
    round_to_steps,
)
from neuroattack.hardware.quantization.scaling import (
    check_format,
    exponents_of,
    scale_of,
    squared_error,
    too_far_apart,
)
from neuroattack.hardware.quantization.signs import Part, parts_of
from neuroattack.ir.fixed_point import LEAK_ONE, FixedPopulation
from neuroattack.ir.network import Network, Population, Projection
from neuroattack.validation import check_whole

__all__ = [
    "PopulationRounding",
    "ProjectionRounding",
    "Quantised",
    "Rounding",
    "quantise",
]


@dataclass(frozen=True)
class Rounding:
    """How a network is rounded.

    Parameters
    ----------
    scale : {"shared", "per_projection"}
        Whether all projections into a population have one exponent, or each has the smallest at
        which its largest weight fits. Volts stand for the same number of units in either case.
    rounding : {"nearest", "stochastic"}
        Of weights: to the nearest, ties to even; or up or down at random, so that a weight is
        right on average. Everything else goes to the nearest.
    clipping : {"none", "least_error"}
        Whether the largest weight of a population is always held, or scale and exponents are
        those with the least squared error of its weights, some of them clipped. Of few bits, a
        few large weights would otherwise leave none to the others.
    seed : int
        Of the random numbers; each projection has its own, whatever others there are.
    signs : {"as_given", "split"}
        Whether a projection with weights of both signs stays one where the chip can hold it so,
        or becomes an excitatory and an inhibitory one wherever the chip has both: weights then
        have a bit more each.
    allow_lossy : bool
        Whether what the chip lacks may be dropped; it is refused otherwise.

    Raises
    ------
    UnknownNameError, ValidationError
        If a setting is none of these.
    """

    scale: Literal["shared", "per_projection"] = "shared"
    rounding: Literal["nearest", "stochastic"] = "nearest"
    clipping: Literal["none", "least_error"] = "none"
    seed: int = 0
    signs: Literal["as_given", "split"] = "as_given"
    allow_lossy: bool = False

    def __post_init__(self) -> None:
        for what, name, known in (
            ("scale", self.scale, ("shared", "per_projection")),
            ("rounding", self.rounding, ("nearest", "stochastic")),
            ("clipping", self.clipping, ("none", "least_error")),
            ("signs", self.signs, ("as_given", "split")),
        ):
            if name not in known:
                raise UnknownNameError(what, name, known)
        check_whole("rounding seed", self.seed, 0)


@dataclass(frozen=True)
class ProjectionRounding:
    """What rounding did to the weights of one projection.

    Parameters
    ----------
    source, target : str
        Its populations.
    signs : {"mixed", "excitatory", "inhibitory", "per_source"}
        Signs that its weights may have.
    exponent : int
        A weight is ``mantissa * 2**exponent``, in units of the state's last bit where the state
        is whole numbers.
    bits_used : int
        That its largest mantissa needs, the sign of mixed weights included.
    largest_error_v, rms_error_v : float
        Largest and root-mean-square difference between a weight and what stands for it, in volts.
    lost_fraction : float
        Share of the connections whose weight became 0.
    saturated_fraction : float
        Share of the connections whose weight was clipped to the largest mantissa.
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
        Membrane time constant asked for, and the one that the rounded leak amounts to.
    largest_threshold_error_v : float
        Largest difference between a threshold and what stands for it, in volts.
    largest_bias_error_v : float
        The same of the biases.
    """

    name: str
    state_bit_v: float
    tau_m_s: float
    effective_tau_m_s: float
    largest_threshold_error_v: float
    largest_bias_error_v: float


@dataclass(frozen=True, eq=False)
class Quantised:
    """A network in a chip's numbers, and what it lost.

    Parameters
    ----------
    network : Network
        Its order of populations and projections is that of the original; one that was split
        stands as two in its place.
    populations : tuple of PopulationRounding
        In the order of the network.
    projections : tuple of ProjectionRounding
        In the order of the network.
    dropped : tuple of str
        What the chip lacks and was therefore left out, a sentence each.
    unchecked : tuple of str
        Fields of the format that are not known, or do not apply where potentials are in floating
        point: what the network has of them is as it was.
    """

    network: Network
    populations: tuple[PopulationRounding, ...]
    projections: tuple[ProjectionRounding, ...]
    dropped: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    def roundings_as_json(self) -> dict[str, list[dict[str, Any]]]:
        """Return what rounding did as JSON values; the time constant of no leak is None."""
        return {
            "populations": [
                {name: None if value == math.inf else value for name, value in asdict(each).items()}
                for each in self.populations
            ],
            "projections": [asdict(each) for each in self.projections],
        }


_NEAREST = Rounding()


def quantise(
    network: Network, number_format: NumberFormat, options: Rounding = _NEAREST
) -> Quantised:
    """Round a network to a chip's numbers.

    Units per volt are a population's own: the most at which no weight, threshold or bias of it
    passes the format's range. Projections have exponent 0, or the nearest to it that the chip
    has; a lower one as far as thresholds and biases would otherwise not fit, so that the weights
    keep their bits. Weights are clipped only where `options` say so.

    Parameters
    ----------
    network : Network
        In floating point.
    number_format : NumberFormat
        What the chip holds.
    options : Rounding, optional
        By default one exponent for all projections into a population, and to the nearest.

    Raises
    ------
    UnsupportedFeatureError
        If the network is in fixed point already; has what the chip lacks, unless that may be
        dropped; or has weights, biases and thresholds of a population so far apart that all
        weights of a projection or a threshold would become 0.
    ValidationError
        If the format contradicts itself, or has states beyond 24 bits.
    """
    if network.precision == "fixed":
        raise UnsupportedFeatureError("the network is in fixed point already")
    check_format(number_format)
    fitted, dropped = without_shortfalls(network, number_format, allow_lossy=options.allow_lossy)
    parts: list[tuple[Part, NDArray[np.float64] | None]] = []
    met: dict[tuple[str, str], int] = {}
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
        met[ends] = met.get(ends, 0) + 1
        draws = _draws(projection, met[ends], options)
        parts.extend((part, draws) for part in held)

    scales, exponents = {}, {}
    populations, population_roundings = [], []
    for population, asked in zip(fitted.populations, network.populations, strict=True):
        if not isinstance(population, Population) or not isinstance(asked, Population):
            raise TypeError("a population in fixed point")
        incoming = [part for part, _ in parts if part.asked.target == population.name]
        scale, exponent = scale_of(
            population, incoming, number_format, clip=options.clipping == "least_error"
        )
        scales[population.name], exponents[population.name] = scale, exponent
        held_population = _round_population(population, network.dt_s, scale, number_format)
        populations.append(held_population)
        population_roundings.append(
            _population_rounding(asked, held_population, network.dt_s, scale, number_format)
        )

    projections, projection_roundings = [], []
    for part, draws in parts:
        target = part.asked.target
        scale, exponent = scales[target], exponents[target]
        if options.scale == "per_projection":
            exponent = _own_exponent(part, scale, exponent, number_format, options)
        rounded, rounding = _round_weights(part, scale, exponent, number_format, draws)
        projections.append(rounded)
        projection_roundings.append(rounding)
    return Quantised(
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
    """Return numbers in [0, 1) for the weights of the n-th projection between its populations."""
    if options.rounding == "nearest":
        return None
    name = f"{projection.source}->{projection.target}#{place}"
    rng = np.random.default_rng([options.seed, *name.encode()])
    return rng.random(projection.mantissas.shape)


def _own_exponent(
    part: Part, scale: float, exponent: int, number_format: NumberFormat, options: Rounding
) -> int:
    """Return the exponent that suits a projection by itself, at most the population's."""
    lowest, _ = exponents_of(number_format)
    if not part.largest_v:
        return exponent
    if options.clipping == "none":
        return exponent_for(part.largest_v * scale, part.steps, lowest, exponent)
    return min(range(exponent, lowest - 1, -1), key=lambda each: squared_error(part, scale, each))


def _round_weights(
    part: Part,
    scale: float,
    exponent: int,
    number_format: NumberFormat,
    draws: NDArray[np.float64] | None,
) -> tuple[Projection, ProjectionRounding]:
    asked, asked_v = part.asked, part.asked.weights_v
    state = number_format.state
    if number_format.weight_bits is None and state is None:
        mantissas = np.where(part.kept, asked.mantissas, 0)
        exponent, saturated = asked.exponent, np.zeros(mantissas.shape, bool)
    else:
        mantissas, saturated = round_to_steps(
            part.weights_v * (scale / 2.0**exponent), part.steps, draws
        )
    connected = asked.mantissas != 0
    connections = max(int(connected.sum()), 1)
    lost = int((mantissas[connected] == 0).sum())
    if connected.any() and lost == connections:
        raise too_far_apart(f"all of {asked.source}->{asked.target}", number_format)
    error_v = np.ldexp(mantissas.astype(np.float64), exponent) / scale - asked_v
    largest = int(np.abs(mantissas).max()) // part.steps.size
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
    population: Population, dt_s: float, scale: float, number_format: NumberFormat
) -> Population | FixedPopulation:
    state = number_format.state
    if state is None:
        return replace(
            population,
            threshold_v=population.threshold_v * scale,
            bias_v=population.bias_v * scale,
            reset_v=population.reset_v * scale,
        )
    threshold = np.rint(population.threshold_v * scale).astype(np.int32) << state.shift
    if (threshold == 0).any():
        raise too_far_apart(f"a threshold of population {population.name!r}", number_format)
    mantissa, _ = bias_range(number_format.bias)
    return FixedPopulation(
        name=population.name,
        size=population.size,
        leak=round_leak(population.decay(dt_s), state.leak_bits),
        threshold=threshold,
        bias=round_bias(population.bias_v * scale * 2**state.shift, mantissa),
        refractory_steps=population.refractory_steps,
        lowest=state.lowest,
        highest=state.highest,
    )


def _population_rounding(
    asked: Population,
    held: Population | FixedPopulation,
    dt_s: float,
    scale: float,
    number_format: NumberFormat,
) -> PopulationRounding:
    if isinstance(held, FixedPopulation):
        per_v = scale * 2 ** (number_format.state.shift if number_format.state else 0)
        threshold, bias = held.threshold.astype(float), held.bias.astype(float)
        tau_m_s = -dt_s / math.log1p(-held.leak / LEAK_ONE) if held.leak else math.inf
    else:
        per_v, threshold, bias, tau_m_s = scale, held.threshold_v, held.bias_v, held.tau_m_s
    return PopulationRounding(
        name=asked.name,
        state_bit_v=1 / per_v,
        tau_m_s=asked.tau_m_s,
        effective_tau_m_s=tau_m_s,
        largest_threshold_error_v=float(np.abs(threshold / per_v - asked.threshold_v).max()),
        largest_bias_error_v=float(np.abs(bias / per_v - asked.bias_v).max()),
    )
