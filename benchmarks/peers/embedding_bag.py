"""A simulation in PyTorch without a spiking library, based on ``embedding_bag``.

The weight rows of the spikes are summed by `torch.nn.functional.embedding_bag`, all steps of a
layer at once, as sparsely as in the native backend; the neurons are then updated step by step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.peers.configuration import COMPILED_STEPS, BagConfiguration
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import Network

__all__ = ["EQUIVALENCE", "BagInputs", "BagSimulation"]

EQUIVALENCE = (
    "the network's own dynamics with its refractory period of one step, in float32; layer by "
    "layer, spikes as lists of neurons, currents of all steps by one embedding_bag"
)


@dataclass(frozen=True, eq=False)
class BagInputs:
    """Input spikes as bags: neuron indices, and the start of each step and image.

    Parameters
    ----------
    neurons : int64 tensor, shape (spikes,)
        Neuron of each spike, ordered by step, then by image.
    starts : int64 tensor, shape (steps * images,)
        Start of each bag.
    steps, batch : int
        Number of steps and images.
    """

    neurons: torch.Tensor
    starts: torch.Tensor
    steps: int
    batch: int


class BagSimulation:
    """A network in float32 with one embedding bag per layer.

    As in the network, a spike arrives one step after it was fired. The last steps of the input
    never reach the output's count and are left out.

    Parameters
    ----------
    network : Network
        A chain of layers with delays of one step, without biases; refractory periods of one step.
    configuration : BagConfiguration
        Configuration of the neuron update.
    """

    def __init__(self, network: Network, configuration: BagConfiguration) -> None:
        if any((population.refractory_steps != 1).any() for population in network.populations):
            raise RuntimeError("refractory periods other than one step are not supported")
        self._configuration = configuration
        # Compiled once per layer width.
        self._compiled = torch.compile(_silent_in_some_steps, dynamic=False, fullgraph=True)
        self._layers = [
            (
                torch.from_numpy(projection.weights_v.astype(np.float32)),
                float(population.decay(network.dt_s)[0]),
                float(population.threshold_v[0]),
            )
            for population, projection in zip(network.populations, network.projections, strict=True)
        ]

    def prepare(self, inputs: SpikeTrains) -> BagInputs:
        """Convert input spikes to the format of :meth:`run`."""
        steps = inputs.steps - len(self._layers)
        return _listed_by_torch(torch.from_numpy(inputs.to_dense()).transpose(0, 1)[:steps])

    def run(self, inputs: BagInputs) -> NDArray[np.int64]:
        """Return the spike counts of the output, shape (batch, classes)."""
        plain = self._configuration is BagConfiguration.PLAIN
        with torch.inference_mode():
            bags = inputs
            for layer, (weights, decay, threshold_v) in enumerate(self._layers):
                currents = torch.nn.functional.embedding_bag(
                    bags.neurons, weights, bags.starts, mode="sum"
                ).view(bags.steps, bags.batch, -1)
                if plain:
                    fired = _fired(currents, decay, threshold_v)
                else:
                    fired = self._silent(currents, decay, threshold_v) == 0
                if layer + 1 < len(self._layers):
                    bags = (_listed_by_torch if plain else _listed_by_numpy)(fired)
            return fired.sum(0).numpy()

    def _silent(self, currents: torch.Tensor, decay: float, threshold_v: float) -> torch.Tensor:
        v, silent = torch.zeros_like(currents[0]), torch.ones_like(currents[0])
        if self._configuration is BagConfiguration.TUNED:
            return _silent_in_place(currents, v, silent, decay, threshold_v)
        parts = []
        whole = len(currents) - len(currents) % COMPILED_STEPS
        for start in range(0, whole, COMPILED_STEPS):
            part = currents[start : start + COMPILED_STEPS]
            found, v = self._compiled(part, v, silent, decay, threshold_v)
            silent = found[-1]
            parts.append(found)
        if whole < len(currents):
            # The remaining steps are too few for a separate kernel.
            parts.append(_silent_in_place(currents[whole:], v, silent, decay, threshold_v))
        return torch.cat(parts)


# In all variants the potential after a spike is reset in the next (refractory) step.


def _fired(currents: torch.Tensor, decay: float, threshold_v: float) -> torch.Tensor:
    v = torch.zeros_like(currents[0])
    fired = torch.zeros_like(v, dtype=torch.bool)
    trains = []
    for current in currents:
        v = torch.where(fired, 0.0, v * decay + current)
        fired = v > threshold_v
        trains.append(fired)
    return torch.stack(trains)


def _silent_in_place(
    currents: torch.Tensor, v: torch.Tensor, silent: torch.Tensor, decay: float, threshold_v: float
) -> torch.Tensor:
    """Return 0 for spikes and 1 for none, in the shape of the currents; `v` is overwritten."""
    trains = torch.empty_like(currents)
    for current, train in zip(currents, trains, strict=True):
        torch.add(current, v, alpha=decay, out=v)
        v.mul_(silent)
        silent = torch.le(v, threshold_v, out=train)
    return trains


def _silent_in_some_steps(
    currents: torch.Tensor, v: torch.Tensor, silent: torch.Tensor, decay: float, threshold_v: float
) -> tuple[torch.Tensor, torch.Tensor]:
    trains = []
    for current in currents:
        v = (v * decay + current) * silent
        silent = (v <= threshold_v).to(torch.float32)
        trains.append(silent)
    return torch.stack(trains), v


def _listed_by_torch(fired: torch.Tensor) -> BagInputs:
    steps, batch, size = fired.shape
    flat = fired.reshape(steps * batch, size)
    per_bag = flat.sum(1)
    return BagInputs(
        flat.nonzero()[:, 1].contiguous(), torch.cumsum(per_bag, 0) - per_bag, steps, batch
    )


def _listed_by_numpy(fired: torch.Tensor) -> BagInputs:
    steps, batch, size = fired.shape
    spikes = torch.from_numpy(np.flatnonzero(fired.numpy()))
    starts = torch.searchsorted(spikes, torch.arange(steps * batch) * size)
    return BagInputs(spikes % size, starts, steps, batch)
