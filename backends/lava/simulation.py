"""Simulation of the populations of one layer, block by block, without Lava."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.network import INPUT, FixedPopulation

from .neurons import FixedNeurons, FloatingNeurons, Neurons
from .plan import Block, LayerPlan, PopulationPlan, packed_bytes
from .synapses import synapses_of

__all__ = ["LayerSimulation"]


class LayerSimulation:
    """Populations of one layer, which are simulated step by step in the order of the network."""

    def __init__(self, plan: LayerPlan) -> None:
        group = {each.name for each in plan.populations}
        self._populations = [_Population(each, plan, group) for each in plan.populations]
        self._sizes = {each.name: each.population.size for each in plan.populations}
        self._sizes |= plan.received.sizes
        self._sources = {s.source for each in self._populations for s in each.spiking}
        # Packed spikes of each source in this query: (total steps, images, bytes).
        self._history: dict[str, NDArray[np.uint8]] = {}

    def begin(self, block: Block, values: NDArray[np.int32] | None) -> None:
        """Begin a query; `values` are the constant input of its images, if there is one."""
        self._history = {
            name: np.empty(
                (block.total_steps, block.images, packed_bytes(self._sizes[name])), np.uint8
            )
            for name in self._sources
        }
        for population in self._populations:
            population.begin(block.images, values)

    def simulate(
        self, block: Block, spikes: Mapping[str, NDArray[np.uint8]]
    ) -> dict[str, NDArray[np.uint8]]:
        """Simulate a block, given the packed spikes of earlier layers in it.

        Returns the packed spikes of this layer's populations, each of shape (steps, images, bytes).
        """
        for source in self._sources & spikes.keys():
            self._history[source][block.span] = spikes[source]
        for population in self._populations:
            population.receive(block, self._history)
        fired = {
            each.name: np.empty((block.steps, block.images, each.neurons.size), bool)
            for each in self._populations
        }
        for k in range(block.steps):
            step = block.first_step + k
            for population in self._populations:
                name = population.name
                fired[name][k] = population.step(k, step, self._history)
                if name in self._history:
                    self._history[name][step] = _packed(fired[name][k])
        return {name: _packed(spiking) for name, spiking in fired.items()}

    def write_results(self, results: NDArray[np.int32]) -> None:
        """Write the counts, and potentials if they are the output, into the results of a query."""
        for population in self._populations:
            population.write_results(results)


def _packed(spikes: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.packbits(spikes, axis=-1, bitorder="little")


class _Population:
    """Synapses and neurons of one population.

    Input from earlier layers is summed for a whole block, and input from populations of the same
    layer in every step.
    """

    def __init__(self, plan: PopulationPlan, layer: LayerPlan, group: set[str]) -> None:
        self.name = plan.name
        self._plan = plan
        incoming = [synapses_of(projection) for projection in plan.incoming]
        bits = layer.constant_bits
        self._constant = [s for s in incoming if s.source == INPUT and bits is not None]
        self.spiking = [s for s in incoming if s not in self._constant]
        self._earlier = [s for s in self.spiking if s.source not in group]
        self._mutual = [s for s in self.spiking if s.source in group]
        exponents = [s.exponent for s in (*self._earlier, *self._mutual)]
        exponents += [s.exponent - (bits or 0) for s in self._constant]
        self.neurons = _make_neurons(plan, layer.dt_s, exponents)

    def begin(self, images: int, values: NDArray[np.int32] | None) -> None:
        """Begin a query."""
        self.neurons.rest(images)
        self._values = [s.constant(values) for s in self._constant if values is not None]
        self._highest = np.full((images, self.neurons.size), -np.inf)

    def receive(self, block: Block, history: Mapping[str, NDArray[np.uint8]]) -> None:
        """Sum the input from earlier layers in a block."""
        shape = (block.steps, block.images, self.neurons.size)
        self._sums = [
            s.sums(s.arriving(history[s.source], block.first_step, block.steps)).reshape(shape)
            for s in self._earlier
        ]

    def step(
        self, number: int, step: int, history: Mapping[str, NDArray[np.uint8]]
    ) -> NDArray[np.bool_]:
        """Simulate a step, given its number in the block and in the query; return the spikes."""
        sums = [part[number] for part in self._sums]
        sums += [s.sums(s.arriving(history[s.source], step, 1)) for s in self._mutual]
        for synapses, values in zip(self._constant, self._values, strict=True):
            sums.append(values if step >= synapses.delay_steps else np.zeros_like(values))
        fired = self.neurons.step(sums)
        if self._plan.readout_quantity == "max_potential":
            np.maximum(self._highest, self.neurons.v, out=self._highest)
        return fired

    def write_results(self, results: NDArray[np.int32]) -> None:
        """Write counts and potentials into their columns."""
        images = len(self.neurons.counts)
        results[:images, self._plan.counts] = self.neurons.counts
        if self._plan.potentials is not None:
            final = self._plan.readout_quantity == "final_potential"
            potentials = self.neurons.v if final else self._highest
            results[:images, self._plan.potentials] = potentials.view(np.int32)


def _make_neurons(plan: PopulationPlan, dt_s: float, exponents: Sequence[int]) -> Neurons:
    population = plan.population
    if isinstance(population, FixedPopulation):
        return FixedNeurons(population, exponents)
    return FloatingNeurons(population, dt_s, exponents)
