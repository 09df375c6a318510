"""Description of a network for the worker, and its queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.features import biases_on_grid
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import AnyProjection, Network, Population
from neuroattack.ir.structure import is_recurrent, lags, recurrent_groups

__all__ = ["NestPlan", "PopulationPlan", "ProjectionPlan", "Query", "Response"]

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PopulationPlan:
    """Population in units of NEST: potentials in volts relative to rest, times in time steps.

    Parameters
    ----------
    name : str
        Identifier.
    decay, threshold_v, reset_v, bias_v : float64 arrays, shape (size,)
        Factor of the potential per step; threshold, which NEST compares with ``>=``; reset
        potential; constant input per step.
    refractory_steps : int64 array, shape (size,)
        Refractory period.
    lag : int
        Number of steps by which the population is simulated late.
    """

    name: str
    decay: Values
    threshold_v: Values
    reset_v: Values
    bias_v: Values
    refractory_steps: NDArray[np.int64]
    lag: int

    @classmethod
    def of(cls, population: Population, dt_s: float, lag: int) -> PopulationPlan:
        """Return the plan of a population."""
        threshold_v = population.threshold_v
        if population.comparison == "strict":
            threshold_v = np.nextafter(threshold_v, np.inf)
        return cls(
            population.name,
            population.decay(dt_s),
            threshold_v,
            population.reset_v,
            population.bias_v,
            population.refractory_steps,
            lag,
        )

    @property
    def size(self) -> int:
        """Number of neurons."""
        return len(self.decay)


@dataclass(frozen=True, eq=False)
class ProjectionPlan:
    """Synapses of a projection, with their delay in steps, at least 1.

    Parameters
    ----------
    source, target : str
        Names of the populations, or of the input.
    sources, targets : int64 arrays, shape (synapses,)
        Neurons within the populations.
    weights_v : float64 array, shape (synapses,)
        Weights in volts per spike.
    delay_steps : int
        Delay, including the lags of both populations.
    """

    source: str
    target: str
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights_v: Values
    delay_steps: int

    @classmethod
    def of(cls, projection: AnyProjection, lag_of: dict[str, int]) -> ProjectionPlan:
        """Return the plan of a projection."""
        mantissas = projection.sparse().tocoo()
        return cls(
            projection.source,
            projection.target,
            mantissas.row.astype(np.int64),
            mantissas.col.astype(np.int64),
            np.ldexp(mantissas.data.astype(np.float64), projection.exponent),
            projection.delay_steps + lag_of[projection.target] - lag_of[projection.source],
        )


@dataclass(frozen=True, eq=False)
class NestPlan:
    """Network for the worker.

    Parameters
    ----------
    input_size : int
        Number of input neurons.
    populations : tuple of PopulationPlan
        In the order of the network.
    projections : tuple of ProjectionPlan
        Those that have synapses.
    silenced : bool
        Whether thresholds must be raised between images, because the network might not fall silent.
    gap_steps : int
        Number of steps between images, after which no spike is on its way and no neuron is
        refractory.
    """

    input_size: int
    populations: tuple[PopulationPlan, ...]
    projections: tuple[ProjectionPlan, ...]
    silenced: bool
    gap_steps: int

    @classmethod
    def of(cls, network: Network) -> NestPlan:
        """Return the plan of a network of LIF populations in floating point."""
        given = [each for each in network.populations if isinstance(each, Population)]
        # Rounded sums depend on their order: the bias must be added last. A generator delivers it
        # in the step before, in which the spikes of neurons must have been delivered already.
        slow = [each.name for each in given if not biases_on_grid(each, network)]
        lag_of = lags(network, slow)
        populations = [PopulationPlan.of(each, network.dt_s, lag_of[each.name]) for each in given]
        projections = [ProjectionPlan.of(each, lag_of) for each in network.projections]
        silenced = any(is_recurrent(network, group) for group in recurrent_groups(network)) or any(
            (population.threshold_v <= 0).any() for population in populations
        )
        delays = {population.name: 1 for population in populations}
        for each in projections:
            delays[each.target] = max(delays[each.target], each.delay_steps)
        longest = max(delays.values()) if silenced else sum(delays.values())
        refractory = max(int(population.refractory_steps.max()) for population in populations)
        return cls(
            network.input.size,
            tuple(populations),
            tuple(each for each in projections if len(each.weights_v)),
            silenced,
            longest + refractory + 1,
        )


@dataclass(frozen=True, eq=False)
class Query:
    """Batch of images.

    Parameters
    ----------
    record : bool
        Whether spikes are returned, and not only counts.
    inputs : SpikeTrains
        Spikes of the input.
    """

    record: bool
    inputs: SpikeTrains


@dataclass(frozen=True, eq=False)
class Response:
    """Activity of all populations.

    Parameters
    ----------
    counts : dict of str to int32 array, shape (images, size)
        Spike counts.
    spikes : dict of str to SpikeTrains, or None
        Spikes, if recorded.
    """

    counts: dict[str, NDArray[np.int32]]
    spikes: dict[str, SpikeTrains] | None
