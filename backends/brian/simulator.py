"""Batches of images in both modes of the Brian2 backend."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.backend import Recording, check_inputs
from neuroattack.encoding.constant import InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT, Network

from .direct import is_direct

__all__ = ["BatchSimulator", "Recorded", "images_per_run"]

_MOST_IMAGES = 100

# Limit of recorded spikes, of 12 bytes each in Brian2, if all neurons always spike; and of recorded
# potentials, of 8 bytes each.
_MOST_RECORDED = 2**25

# Limit of neurons x steps of the input in a built network.
_MOST_INPUTS = 2**28


def images_per_run(network: Network, steps: int) -> int:
    """Return the maximum number of images per run, limited by the memory of inputs and results."""
    recorded = sum(population.most_spikes(steps) for population in network.populations)
    if network.readout_quantity != "spike_count":
        recorded += steps * network.classes
    fitting = [_MOST_RECORDED // max(recorded, 1)]
    if not is_direct(network):
        fitting.append(_MOST_INPUTS // max(network.input.size * steps, 1))
    return max(1, min(_MOST_IMAGES, *fitting))


@dataclass(frozen=True, eq=False)
class Recorded:
    """Spikes of all populations except the input, and potentials of the readout if it has any.

    The potentials are those after each step, shape (images, steps, classes).
    """

    spikes: dict[str, SpikeTrains]
    potentials: NDArray[np.float64] | None


class BatchSimulator(abc.ABC):
    """Simulator that splits batches of a network that Brian2 supports exactly."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        check_inputs(self._network, inputs)
        size = images_per_run(self._network, inputs.steps)
        parts = [inputs[start : start + size] for start in range(0, inputs.images, size)]
        return Recording.concatenate([self._record(part, record_spikes) for part in parts])

    def _record(self, inputs: InputSignal, record_spikes: bool) -> Recording:
        recorded = self._run_part(inputs) if inputs.steps else self._nothing(inputs.images)
        spikes = recorded.spikes
        if isinstance(inputs, SpikeTrains):
            spikes = {INPUT: inputs, **spikes}
        counts = {INPUT: inputs.counts()}
        counts |= {name: trains.counts() for name, trains in spikes.items()}
        # Drop the unused entries of a slice of a batch.
        kept = {name: SpikeTrains.concatenate([trains]) for name, trains in spikes.items()}
        return Recording(
            counts, kept if record_spikes else None, self._read_out(recorded.potentials)
        )

    def _read_out(self, potentials: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        if potentials is None:
            return None
        if not potentials.shape[1]:
            return np.zeros((len(potentials), self._network.classes))
        if self._network.readout_quantity == "max_potential":
            largest: NDArray[np.float64] = potentials.max(axis=1)
            return largest
        return potentials[:, -1]

    def _nothing(self, images: int) -> Recorded:
        """Return the result of images without steps."""
        network = self._network
        spikes = {
            p.name: SpikeTrains.from_events([], [], [], (images, 0, p.size))
            for p in network.populations
        }
        if network.readout_quantity == "spike_count":
            return Recorded(spikes, None)
        return Recorded(spikes, np.zeros((images, 0, network.classes)))

    @abc.abstractmethod
    def _run_part(self, inputs: InputSignal) -> Recorded:
        """Simulate images that fit in one run, of at least one step."""
