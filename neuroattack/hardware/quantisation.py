"""Rounding of a network to the whole numbers that a chip holds.

Pure functions: formats in, a network in fixed point out, and what was lost on the way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.ir.fixed_point import LEAK_ONE, POTENTIAL_LIMIT, FixedPopulation
from neuroattack.ir.network import Network, Population, Projection

__all__ = [
    "LOIHI",
    "FixedPointFormat",
    "PopulationRounding",
    "ProjectionRounding",
    "Quantised",
    "quantise",
]


@dataclass(frozen=True)
class FixedPointFormat:
    """The ranges of a chip's whole numbers.

    Parameters
    ----------
    name : str
        Of the chip, for messages.
    largest_weight : int
        Largest magnitude of a weight mantissa.
    weight_step : int
        Weight mantissas are multiples of it, of projections of a single sign too.
    shift : int
        Weights and thresholds stand this many bits above the state's last bit.
    largest_threshold : int
        Of threshold mantissas, before the shift.
    largest_leak : int
        In parts of 4096 a step.
    largest_bias, largest_bias_exponent : int
        A bias is ``mantissa * 2**exponent`` in units of the state's last bit, its exponent the
        same for a population.
    most_refractory_steps, most_delay_steps : int
        Longest refractory period, and longest delay from spike to arrival.
    """

    name: str
    largest_weight: int
    weight_step: int
    shift: int
    largest_threshold: int
    largest_leak: int
    largest_bias: int
    largest_bias_exponent: int
    most_refractory_steps: int
    most_delay_steps: int

    def __post_init__(self) -> None:
        if self.largest_threshold << self.shift > POTENTIAL_LIMIT:
            raise ValidationError(
                f"format {self.name!r} thresholds",
                f"up to {self.largest_threshold} * 2**{self.shift}",
                f"at most {POTENTIAL_LIMIT}, the state's largest",
            )


LOIHI = FixedPointFormat(
    name="Loihi",
    largest_weight=254,
    weight_step=2,
    shift=6,
    largest_threshold=2**17 - 1,
    largest_leak=LEAK_ONE - 1,
    largest_bias=2**12 - 1,
    largest_bias_exponent=7,
    most_refractory_steps=62,
    most_delay_steps=62,
)
"""Loihi 1 as lava-nc 0.10.0 and nengo-loihi describe it; where they differ, the narrower range.

Mixed-sign weights of 8 bits lose their last bit; thresholds have 17 bits, biases a mantissa of
13 bits and an exponent of 3, the leak 12 bits, refractory periods and delays 6 bits.
"""


@dataclass(frozen=True)
class ProjectionRounding:
    """What rounding did to the weights of one projection.

    Parameters
    ----------
    source, target : str
        Its populations.
    largest_error_v, rms_error_v : float
        Largest and root-mean-square difference between a weight and what stands for it, in volts.
    lost_fraction : float
        Share of the connections whose weight became 0.
    """

    source: str
    target: str
    largest_error_v: float
    rms_error_v: float
    lost_fraction: float


@dataclass(frozen=True)
class PopulationRounding:
    """What rounding did to one population.

    Parameters
    ----------
    name : str
        Of the population.
    state_bit_v : float
        Volts of the last bit of its state.
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
    """A network in fixed point, and what it lost.

    Parameters
    ----------
    network : Network
        In fixed point; its order of populations and projections is that of the original.
    populations : tuple of PopulationRounding
    projections : tuple of ProjectionRounding
    """

    network: Network
    populations: tuple[PopulationRounding, ...]
    projections: tuple[ProjectionRounding, ...]


def quantise(network: Network, limits: FixedPointFormat = LOIHI) -> Quantised:
    """Round a network to whole numbers, to the nearest, ties to even.

    All projections into a population share its scale: the largest at which no weight, threshold
    or bias of it passes the format's range.

    Parameters
    ----------
    network : Network
        In floating point.
    limits : FixedPointFormat, optional
        What the chip holds.

    Raises
    ------
    UnsupportedFeatureError
        If the network is in fixed point already, or has what the format cannot hold at all: a
        reset potential other than rest, a longer delay or refractory period; weights, biases
        and thresholds of a population so far apart that some would all become 0.
    """
    populations, projections = [], dict[int, Projection]()
    roundings, weight_roundings = [], dict[int, ProjectionRounding]()
    for population in network.populations:
        if isinstance(population, FixedPopulation):
            raise UnsupportedFeatureError("the network is in fixed point already")
        _check(population, network.incoming(population.name), limits)
        incoming = {
            place: projection
            for place, projection in enumerate(network.projections)
            if projection.target == population.name
        }
        scale = _scale(population, list(incoming.values()), limits)
        held, rounding = _round_population(population, network.dt_s, scale, limits)
        populations.append(held)
        roundings.append(rounding)
        for place, projection in incoming.items():
            projections[place], weight_roundings[place] = _round_weights(projection, scale, limits)
    order = range(len(network.projections))
    return Quantised(
        replace(
            network,
            populations=tuple(populations),
            projections=tuple(projections[place] for place in order),
            origin={**network.origin, "fixed_point_format": limits.name},
        ),
        tuple(roundings),
        tuple(weight_roundings[place] for place in order),
    )


def _check(
    population: Population, incoming: tuple[Projection, ...], limits: FixedPointFormat
) -> None:
    me = f"population {population.name!r}"
    if population.reset_v:
        raise UnsupportedFeatureError(
            f"{me} resets to {population.reset_v:g} V: {limits.name}'s neurons reset to rest, 0 V"
        )
    if population.refractory_steps > limits.most_refractory_steps:
        raise UnsupportedFeatureError(
            f"{me} has {population.refractory_steps} refractory steps: {limits.name} holds at most "
            f"{limits.most_refractory_steps}"
        )
    for projection in incoming:
        if projection.delay_steps > limits.most_delay_steps:
            raise UnsupportedFeatureError(
                f"projection {projection.source}->{projection.target} has a delay of "
                f"{projection.delay_steps} steps: {limits.name} holds at most "
                f"{limits.most_delay_steps}"
            )


def _scale(population: Population, incoming: list[Projection], limits: FixedPointFormat) -> float:
    """Return units of the weight mantissas per volt."""
    ranges = [
        (float(np.abs(projection.weights_v).max()), limits.largest_weight)
        for projection in incoming
    ]
    ranges.append((float(population.threshold_v.max()), limits.largest_threshold))
    largest_bias = limits.largest_bias << limits.largest_bias_exponent
    ranges.append((float(np.abs(population.bias_v).max()), largest_bias >> limits.shift))
    scale = min(limit / largest for largest, limit in ranges if largest > 0)
    if not math.isfinite(scale):
        raise _too_far_apart(f"population {population.name!r}", limits)
    return scale


def _too_far_apart(what: str, limits: FixedPointFormat) -> UnsupportedFeatureError:
    return UnsupportedFeatureError(
        f"{what} would be 0 in {limits.name}'s formats: weights, thresholds and biases of a "
        "population share one scale, and here they are too far apart"
    )


def _round_weights(
    projection: Projection, scale: float, limits: FixedPointFormat
) -> tuple[Projection, ProjectionRounding]:
    weights_v = projection.weights_v
    step = limits.weight_step
    mantissas = step * np.rint(weights_v * (scale / step)).astype(np.int32)
    error_v = mantissas / scale - weights_v
    connected = projection.mantissas != 0
    lost = float((mantissas[connected] == 0).mean()) if connected.any() else 0.0
    if lost == 1:
        raise _too_far_apart(f"all of {projection.source}->{projection.target}", limits)
    return (
        replace(projection, mantissas=mantissas, exponent=limits.shift),
        ProjectionRounding(
            projection.source,
            projection.target,
            float(np.abs(error_v).max()),
            float(np.sqrt(np.mean(error_v**2))),
            lost,
        ),
    )


def _round_population(
    population: Population, dt_s: float, scale: float, limits: FixedPointFormat
) -> tuple[FixedPopulation, PopulationRounding]:
    state_scale = scale * 2**limits.shift
    threshold = np.rint(population.threshold_v * scale).astype(np.int32) << limits.shift
    if (threshold == 0).any():
        raise _too_far_apart(f"a threshold of population {population.name!r}", limits)
    bias = _round_bias(population.bias_v * state_scale, limits)
    leak = min(round(LEAK_ONE * (1 - population.decay(dt_s))), limits.largest_leak)
    held = FixedPopulation(
        name=population.name,
        size=population.size,
        leak=leak,
        threshold=threshold,
        bias=bias,
        refractory_steps=population.refractory_steps,
    )
    return held, PopulationRounding(
        name=population.name,
        state_bit_v=1 / state_scale,
        tau_m_s=population.tau_m_s,
        effective_tau_m_s=-dt_s / math.log1p(-leak / LEAK_ONE) if leak else math.inf,
        largest_threshold_error_v=float(
            np.abs(held.threshold / state_scale - population.threshold_v).max()
        ),
        largest_bias_error_v=float(np.abs(held.bias / state_scale - population.bias_v).max()),
    )


def _round_bias(bias: NDArray[np.float64], limits: FixedPointFormat) -> NDArray[np.int32]:
    largest = float(np.abs(bias).max())
    exponent = 0
    while np.rint(largest / 2**exponent) > limits.largest_bias:
        exponent += 1
    rounded: NDArray[np.int32] = np.rint(bias / 2**exponent).astype(np.int32) << exponent
    return rounded
