"""Description of a network on SANA-FE's Loihi for the worker, and its queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import DoesNotFitError, UnsupportedFeatureError
from neuroattack.hardware.placement.mesh_order import capacity, mesh_positions
from neuroattack.hardware.placement.placement import Placement
from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE, FixedPopulation
from neuroattack.ir.network import INPUT, AnyProjection, Convolution, Network

__all__ = [
    "ENERGIES",
    "EVENTS",
    "MESSAGES",
    "NEVER",
    "Figures",
    "PopulationPlan",
    "ProjectionPlan",
    "Query",
    "Response",
    "SanafePlan",
]

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

# SANA-FE truncates potentials to multiples of 1/64, which is thus the last bit of our state.
_ONE = 64.0
NEVER = 2.0**40
"""Threshold of neurons that never spike, larger than any potential."""

ENERGIES = ("synapse", "dendrite", "soma", "network", "total")
"""Energies that SANA-FE reports."""

MESSAGES = (
    "messages",
    "hops_ew",
    "hops_ns",
    "input_messages",
    "input_hops_ew",
    "input_hops_ns",
)
"""Events of messages, of neurons on the chip and of the input."""

EVENTS = ("synaptic_operations", "accesses", "updates", "spikes", *MESSAGES)
"""All events."""

_INPUTS_PER_CORE = 1024
# Each connection takes about 4 kB.
_MOST_SYNAPSES = 2**20


@dataclass(frozen=True, eq=False)
class PopulationPlan:
    """Population in SANA-FE's units, 64 times the last bit of the state.

    Parameters
    ----------
    name : str
        Identifier.
    cores : int64 array, shape (size,)
        Core of each neuron in SANA-FE's order: tile by tile.
    leak_decay : float
        Factor of the potential per step.
    refractory_delay : int
        Refractory period, including the step of the spike; 0 for none.
    lowest : float
        Smallest potential.
    threshold, bias : float64 arrays, shape (size,)
        Threshold, which potentials must exceed, and constant input per step.
    synapse_unit : str
        Unit of the incoming synapses in SANA-FE's description of the chip.
    """

    name: str
    cores: Counts
    leak_decay: float
    refractory_delay: int
    lowest: float
    threshold: Values
    bias: Values
    synapse_unit: str

    @classmethod
    def of(
        cls, population: FixedPopulation, cores: Counts, incoming: Sequence[AnyProjection]
    ) -> PopulationPlan:
        """Return the plan of a population with its incoming projections."""
        kernels = bool(incoming) and all(isinstance(each, Convolution) for each in incoming)
        refractory = population.refractory_steps
        threshold = population.threshold / _ONE
        # A potential is clipped to `highest` before it is compared.
        threshold[population.threshold >= population.highest] = NEVER
        return cls(
            population.name,
            cores,
            (LEAK_ONE - population.leak) / LEAK_ONE,
            refractory + 1 if refractory else 0,
            population.lowest / _ONE,
            threshold,
            population.bias / _ONE,
            "loihi_conv_synapse" if kernels else "loihi_dense_synapse",
        )


@dataclass(frozen=True, eq=False)
class ProjectionPlan:
    """Synapses of a projection.

    Parameters
    ----------
    source, target : str
        Names of the populations, or of the input.
    sources, targets : int64 arrays, shape (synapses,)
        Neurons within the populations.
    weights : float64 array, shape (synapses,)
        Weights in SANA-FE's units.
    """

    source: str
    target: str
    sources: Counts
    targets: Counts
    weights: Values

    @classmethod
    def of(cls, projection: AnyProjection) -> ProjectionPlan:
        """Return the plan of a projection."""
        mantissas = projection.sparse().tocoo()
        return cls(
            projection.source,
            projection.target,
            mantissas.row.astype(np.int64),
            mantissas.col.astype(np.int64),
            np.ldexp(mantissas.data.astype(np.float64), projection.exponent) / _ONE,
        )


@dataclass(frozen=True, eq=False)
class SanafePlan:
    """Network for the worker.

    Parameters
    ----------
    input_cores : int64 array, shape (input neurons,)
        Cores of the input neurons, which SANA-FE simulates on the chip.
    populations : tuple of PopulationPlan
        In the order of the network.
    projections : tuple of ProjectionPlan
        Those that have synapses.
    gap_steps : int
        Number of steps between images, after which no neuron is refractory.
    tiles : int
        Number of tiles in use.
    """

    input_cores: Counts
    populations: tuple[PopulationPlan, ...]
    projections: tuple[ProjectionPlan, ...]
    gap_steps: int
    tiles: int

    @classmethod
    def of(cls, network: Network, placement: Placement) -> SanafePlan:
        """Return the plan of a placed network in fixed point.

        Input neurons are placed on the cores after those in use.

        Raises
        ------
        UnsupportedFeatureError
            If SANA-FE does not support a property of the network exactly.
        DoesNotFitError
            If there are no cores for the input.
        """
        fixed = [_checked(population, network) for population in network.populations]
        for projection in network.projections:
            if projection.delay_steps != 1:
                raise UnsupportedFeatureError(
                    f"sanafe does not support delays of more than one step ({projection.label})"
                )
        synapses = sum(projection.connections for projection in network.projections)
        if synapses > _MOST_SYNAPSES:
            raise UnsupportedFeatureError(
                f"sanafe stores every synapse: got {synapses:,} connections, expected at most "
                f"{_MOST_SYNAPSES:,}"
            )
        of_input = placement.cores_used + np.arange(network.input.size) // _INPUTS_PER_CORE
        last = int(of_input[-1]) + 1
        mesh = placement.limits.mesh
        if mesh is not None and last > capacity(mesh):
            raise DoesNotFitError(
                "the network with its input",
                "cores",
                "SANA-FE's Loihi",
                resource="cores_per_chip",
                population=INPUT,
                used=last,
                available=capacity(mesh),
            )
        projections = [ProjectionPlan.of(each) for each in network.projections]
        longest = max(population.refractory_steps for population in fixed)
        input_cores = _in_tile_order(of_input, placement)
        cores = {each.name: _in_tile_order(placement.cores[each.name], placement) for each in fixed}
        used = np.concatenate([input_cores, *cores.values()])
        return cls(
            input_cores,
            tuple(
                PopulationPlan.of(each, cores[each.name], network.incoming(each.name))
                for each in fixed
            ),
            tuple(each for each in projections if len(each.weights)),
            longest + 1 if longest else 0,
            len(np.unique(used // (mesh.cores_per_node if mesh else 1))),
        )


@dataclass(frozen=True, eq=False)
class Query:
    """Batch of images.

    Parameters
    ----------
    record : bool
        Whether spikes are returned, and not only counts.
    measure : bool
        Whether events, energy and time are returned.
    inputs : SpikeTrains
        Spikes of the input.
    """

    record: bool
    measure: bool
    inputs: SpikeTrains


@dataclass(frozen=True, eq=False)
class Figures:
    """Events, energy and time of images.

    Parameters
    ----------
    events : dict of str to int64 array, shape (images,)
        Numbers of :data:`EVENTS`.
    energy_j : dict of str to float64 array, shape (images,)
        Energies that SANA-FE reports, see :data:`ENERGIES`.
    time_s : float64 array, shape (images,)
        Hardware time that SANA-FE reports.
    """

    events: dict[str, Counts]
    energy_j: dict[str, Values]
    time_s: Values


@dataclass(frozen=True, eq=False)
class Response:
    """Activity of all populations.

    Parameters
    ----------
    counts : dict of str to int32 array, shape (images, size)
        Spike counts.
    spikes : dict of str to SpikeTrains, or None
        Spikes, if recorded.
    figures : Figures or None
        Events, energy and time, if measured.
    """

    counts: dict[str, NDArray[np.int32]]
    spikes: dict[str, SpikeTrains] | None
    figures: Figures | None


def _checked(population: object, network: Network) -> FixedPopulation:
    """Return a population in fixed point whose currents cannot wrap around."""
    if not isinstance(population, FixedPopulation):
        name = getattr(population, "name", "")
        raise UnsupportedFeatureError(
            f"sanafe does not support floating point (population {name!r}); use --profile loihi1"
        )
    largest = sum(
        int(projection.largest_sum()) * 2.0**projection.exponent
        for projection in network.incoming(population.name)
    )
    if largest >= CURRENT_SPAN // 2:
        raise UnsupportedFeatureError(
            f"sanafe does not support currents that wrap around at 24 bits (population "
            f"{population.name!r}): got weights that sum to {largest:,.0f}, expected less than "
            f"{CURRENT_SPAN // 2:,}"
        )
    return population


def _in_tile_order(cores: NDArray[np.integer], placement: Placement) -> Counts:
    """Return SANA-FE's numbers of cores, which count up the columns of the mesh."""
    mesh = placement.limits.mesh
    numbers = cores.astype(np.int64)
    if mesh is None:
        return numbers
    column, row = mesh_positions(numbers, mesh, placement.band)
    order: Counts = (column * mesh.height + row) * mesh.cores_per_node
    return order + numbers % mesh.cores_per_node
