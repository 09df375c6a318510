"""Simulation of a network in its order of populations.

Populations that do not receive their own spikes, not even by way of others, are simulated one
after another over all steps of an image, so that only one weight matrix at a time is moved through
the caches. Populations of a loop are simulated together, step by step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import (
    INPUT,
    FixedPopulation,
    Network,
    Population,
    Projection,
)
from neuroattack.ir.structure import is_recurrent, recurrent_groups
from neuroattack.ir.values import is_uniform

from .events import Events, delayed, window
from .general import GeneralLayer, Run
from .incoming import Order, neuron_orders
from .kernels import count_spikes
from .layer import Layer

__all__ = ["Activity", "Counts", "Simulation"]

_Number = TypeVar("_Number", np.int32, np.float64)

Counts = dict[str, NDArray[np.int32]]
"""Spike counts by population, shape (images, size)."""


@dataclass(frozen=True)
class Activity:
    """Spikes of all populations, and potentials of the readout if they are the output.

    Neurons of the spikes are in the order of simulation, those of counts in that of the network.
    """

    spikes: dict[str, SpikeTrains]
    counts: Counts
    potentials: NDArray[np.float64] | None
    orders: dict[str, Order]

    def trains(self) -> dict[str, SpikeTrains]:
        """Return the spikes, with neurons in the order of the network."""
        return {name: _renumbered(self.spikes[name], self.orders[name]) for name in self.counts}


class Simulation:
    """Populations of a network, ready to be simulated."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._names = list(network.sizes)
        self._orders = neuron_orders(network)
        self._groups: list[tuple[list[Layer | GeneralLayer], bool]] = []
        for group in recurrent_groups(network):
            loops = is_recurrent(network, group)
            populations = [network.population(name) for name in group]
            plain = not loops and _is_plain(network, populations[0])
            kind = Layer.of if plain else GeneralLayer
            self._groups.append(([kind(network, p, self._orders) for p in populations], loops))

    def bytes_per_image(self, steps: int) -> int:
        """Return the maximum memory of the spikes and states of one population for an image."""
        # A bit per neuron and step, and offsets. States are up to 33 bytes per neuron, and their
        # copies and counts are a few bytes.
        return max(
            4 * p.most_spikes(steps) + steps * (p.size // 8 + 16) + 64 * p.size
            for p in self._network.populations
        )

    def run(self, inputs: InputSignal) -> Activity:
        """Simulate a batch."""
        spikes: dict[str, SpikeTrains] = {}
        counts: Counts = {}
        constant = None
        if isinstance(inputs, ConstantInput):
            constant = inputs
        else:
            spikes[INPUT] = inputs
            counts[INPUT] = np.zeros((len(inputs), inputs.size), np.int32)
            count_spikes(inputs.offsets, inputs.neurons, counts[INPUT])
        images, steps = inputs.images, inputs.steps
        potentials = None
        for layers, loops in self._groups:
            if not loops and isinstance(layers[0], Layer):
                name = layers[0].population.name
                spikes[name], counts[name] = layers[0].run(spikes, images, steps)
                continue
            general = [layer for layer in layers if isinstance(layer, GeneralLayer)]
            runs = [layer.start(images, steps, constant, stepwise=loops) for layer in general]
            names = [layer.population.name for layer in general]
            spikes.update({name: run.spikes for name, run in zip(names, runs, strict=True)})
            if loops:
                _run_together(general, runs, spikes, steps)
            else:
                _run_alone(general[0], runs[0], spikes, steps)
            for name, run in zip(names, runs, strict=True):
                counts[name] = _in_network_order(run.counts, self._orders[name])
                if len(run.potentials):
                    potentials = _in_network_order(run.potentials, self._orders[name])
        ordered = {name: counts[name] for name in self._names if name in counts}
        return Activity(spikes, ordered, potentials, self._orders)


def _is_plain(network: Network, population: Population | FixedPopulation) -> bool:
    """Return whether :class:`.layer.Layer` can simulate a population that is not part of a loop."""
    direct = isinstance(network.input.encoder, DirectEncoder)
    for projection in network.incoming(population.name):
        if not isinstance(projection, Projection) or (direct and projection.source == INPUT):
            return False
    if population.has_current:
        return False
    if isinstance(population, FixedPopulation):
        return True
    if network.readout == population.name and network.readout_quantity != "spike_count":
        return False
    parameters = population.tau_m_s, population.reset_v, population.refractory_steps
    return population.reset == "value" and all(is_uniform(values) for values in parameters)


def _run_alone(layer: GeneralLayer, run: Run, spikes: dict[str, SpikeTrains], steps: int) -> None:
    given: list[Events] = [
        (delayed(spikes[name].offsets, delay), spikes[name].neurons)
        for name, delay in zip(layer.sources, layer.delays, strict=True)
    ]
    layer.advance(run, 0, steps, given)


def _run_together(
    layers: list[GeneralLayer], runs: list[Run], spikes: dict[str, SpikeTrains], steps: int
) -> None:
    for k in range(steps):
        for layer, run in zip(layers, runs, strict=True):
            given: list[Events] = [
                (window(spikes[name].offsets, k - delay), spikes[name].neurons)
                for name, delay in zip(layer.sources, layer.delays, strict=True)
            ]
            layer.advance(run, k, 1, given)


def _in_network_order(values: NDArray[_Number], order: Order) -> NDArray[_Number]:
    if order is None:
        return values
    ordered = np.empty_like(values)
    ordered[:, order] = values
    return ordered


def _renumbered(trains: SpikeTrains, order: Order) -> SpikeTrains:
    if order is None:
        return trains
    image, step, neuron = trains.events()
    return SpikeTrains.from_events(
        image, step, order[neuron], (trains.images, trains.steps, trains.size)
    )
