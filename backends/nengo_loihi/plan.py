"""Description of a fixed-point network in the formats of nengo-loihi, and queries of the worker.

The numbers are those that nengo-loihi stores after its own discretization: integers, with weights
and thresholds already shifted left. Networks that need other numbers are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.fixed_point import LEAK_ONE
from neuroattack.ir.network import INPUT, AnyProjection, FixedPopulation, Network

__all__ = [
    "CompartmentPlan",
    "NengoLoihiPlan",
    "Query",
    "Response",
    "States",
    "SynapsePlan",
]

Integers = NDArray[np.int32]

_SHIFT = 6
_HIGHEST_EXPONENT = 7
_LARGEST_THRESHOLD = 2**17 - 1
_LARGEST_BIAS, _LARGEST_BIAS_EXPONENT = 2**12 - 1, 7
_LONGEST_REFRACTORY_STEPS = 62
_LARGEST_WEIGHT = 255
_LARGEST_MIXED_WEIGHT, _SMALLEST_MIXED_WEIGHT = 254, -256
_MIXED, _EXCITATORY, _INHIBITORY = 1, 2, 3


@dataclass(frozen=True, eq=False)
class CompartmentPlan:
    """Neurons of one population.

    Parameters
    ----------
    name : str
        Identifier.
    size : int
        Number of neurons.
    decay_u, decay_v : int
        Stored decays in units of 1/4096 per step; a current decays by one unit more.
    threshold, bias : int32 arrays, shape (size,)
        Threshold and bias in units of the last bit of the state.
    refract_delay : int
        Stored refractory period, which includes the step of the spike.
    lowest, highest : int
        Limits of the potentials.
    """

    name: str
    size: int
    decay_u: int
    decay_v: int
    threshold: Integers
    bias: Integers
    refract_delay: int
    lowest: int
    highest: int

    @classmethod
    def of(cls, population: FixedPopulation) -> CompartmentPlan:
        """Return the plan of a population; raise UnsupportedFeatureError if there is none."""
        me, threshold = f"population {population.name!r}", population.threshold
        _check(f"{me} leak", population.leak, population.leak < LEAK_ONE, "at most 4095")
        _check(f"{me} current_leak", population.current_leak, population.current_leak, "at least 1")
        _check(
            f"{me} refractory_steps",
            population.refractory_steps,
            population.refractory_steps <= _LONGEST_REFRACTORY_STEPS,
            f"at most {_LONGEST_REFRACTORY_STEPS}",
        )
        fine = (threshold % 2**_SHIFT != 0) | (threshold >> _SHIFT > _LARGEST_THRESHOLD)
        if fine.any():
            _refuse(
                f"{me} threshold", threshold[fine][0], f"a mantissa of 17 bits times {2**_SHIFT}"
            )
        unfit = ~_are_biases(population.bias)
        if unfit.any():
            _refuse(
                f"{me} bias", population.bias[unfit][0], "a mantissa of 12 bits and an exponent"
            )
        lowest, highest = population.lowest, population.highest
        _check(f"{me} lowest", lowest, not (-lowest + 1) & -lowest, "1 - 2**k")
        powers = [2 ** (9 + 2 * each) - 1 for each in range(8)]
        _check(f"{me} highest", highest, highest in powers, "2**(9 + 2 * k) - 1")
        return cls(
            population.name,
            population.size,
            population.current_leak - 1,
            population.leak,
            threshold,
            population.bias,
            population.refractory_steps + 1,
            lowest,
            highest,
        )


@dataclass(frozen=True, eq=False)
class SynapsePlan:
    """Synapses of a projection.

    Parameters
    ----------
    source, target : str
        Names of the populations, or of the input.
    weights : csr_matrix of int64, shape (source size, target size)
        Weights in units of the last bit of the state.
    weight_exp : int
        Stored exponent of the weights.
    fanout_type : int
        Stored sign mode: 1 for mixed, 2 for excitatory, 3 for inhibitory weights.
    delay_steps : int
        Delay; 1 unless the source is the input.
    """

    source: str
    target: str
    weights: Any
    weight_exp: int
    fanout_type: int
    delay_steps: int

    @classmethod
    def of(cls, projection: AnyProjection) -> SynapsePlan:
        """Return the plan of a projection; raise UnsupportedFeatureError if there is none."""
        me, exponent = projection.label, projection.exponent
        delay = projection.delay_steps
        _check(f"{me} delay_steps", delay, projection.source == INPUT or delay == 1, "1")
        _check(
            f"{me} exponent",
            exponent,
            0 <= exponent <= _SHIFT + _HIGHEST_EXPONENT,
            f"from 0 to {_SHIFT + _HIGHEST_EXPONENT}",
        )
        lowest, highest = int(projection.grid.min()), int(projection.grid.max())
        if lowest < 0 < highest:
            kind, step = _MIXED, 2
            smallest, largest = _SMALLEST_MIXED_WEIGHT, _LARGEST_MIXED_WEIGHT
        else:
            kind, step = _INHIBITORY if lowest < 0 else _EXCITATORY, 1
            smallest, largest = -_LARGEST_WEIGHT, _LARGEST_WEIGHT
        unfit = (projection.grid % step != 0) | (projection.grid < smallest)
        unfit |= projection.grid > largest
        if unfit.any():
            multiples = "even numbers " if step > 1 else ""
            _refuse(
                f"{me} mantissas",
                projection.grid[unfit][0],
                f"{multiples}from {smallest} to {largest}",
            )
        weights = projection.sparse()
        weights.data <<= exponent
        return cls(projection.source, projection.target, weights, exponent - _SHIFT, kind, delay)


def _check(thing: str, value: int, fits: object, expected: str) -> None:
    if not fits:
        _refuse(thing, value, expected)


def _refuse(thing: str, value: int, expected: str) -> None:
    raise UnsupportedFeatureError(
        f"emulator 'nengo-loihi': {thing}: got {value}, expected {expected}"
    )


def _are_biases(bias: Integers) -> NDArray[np.bool_]:
    """Return whether each bias is a mantissa of 12 bits and a sign times 2**0 to 2**7."""
    fits = np.zeros(bias.shape, bool)
    for exponent in range(_LARGEST_BIAS_EXPONENT + 1):
        fits |= (bias % 2**exponent == 0) & (np.abs(bias) >> exponent <= _LARGEST_BIAS)
    return fits


@dataclass(frozen=True, eq=False)
class NengoLoihiPlan:
    """Network for the worker.

    Parameters
    ----------
    input_size : int
        Number of input neurons.
    compartments : tuple of CompartmentPlan
        In the order of the network.
    synapses : tuple of SynapsePlan
        Those of projections with nonzero weights.
    """

    input_size: int
    compartments: tuple[CompartmentPlan, ...]
    synapses: tuple[SynapsePlan, ...]

    @classmethod
    def of(cls, network: Network) -> NengoLoihiPlan:
        """Return the plan of a fixed-point network; raise UnsupportedFeatureError if none fits."""
        compartments = []
        for population in network.populations:
            if not isinstance(population, FixedPopulation):
                raise UnsupportedFeatureError(
                    f"emulator 'nengo-loihi': population {population.name!r}: got floating point, "
                    "expected fixed point; use the profile loihi1"
                )
            compartments.append(CompartmentPlan.of(population))
        synapses = [SynapsePlan.of(each) for each in network.projections if each.connections]
        return cls(network.input.size, tuple(compartments), tuple(synapses))


@dataclass(frozen=True, eq=False)
class Query:
    """Batch of images.

    Parameters
    ----------
    spikes, states : bool
        Whether spikes, and all states, are returned.
    inputs : SpikeTrains
        Spikes of the input.
    """

    spikes: bool
    states: bool
    inputs: SpikeTrains


@dataclass(frozen=True, eq=False)
class States:
    """Currents, potentials and spikes of a population after each step.

    Parameters
    ----------
    currents, potentials : int32 arrays, shape (images, steps, size)
        In units of the last bit of the state; potentials are those after the reset.
    spikes : bool array, shape (images, steps, size)
        Whether a neuron spiked.
    """

    currents: Integers
    potentials: Integers
    spikes: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Response:
    """Activity of all populations.

    Parameters
    ----------
    counts : dict of str to int32 array, shape (images, size)
        Spike counts.
    spikes : dict of str to SpikeTrains, or None
        Spikes, if requested.
    states : dict of str to States, or None
        Currents, potentials and spikes of every step, if requested.
    """

    counts: dict[str, Integers]
    spikes: dict[str, SpikeTrains] | None = None
    states: dict[str, States] | None = None
