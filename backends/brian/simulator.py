"""Batches of images in both modes of the Brian2 backend."""

from __future__ import annotations

import abc

from neuroattack.deployment.backend import Recording, check_inputs
from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import INPUT, Network

from .model import check_supported

__all__ = ["BatchSimulator", "images_per_run"]

_MOST_IMAGES = 100

# Limit of recorded spikes, of 12 bytes each in Brian2, if all neurons always spike.
_MOST_SPIKES = 2**25

# Limit of neurons x steps of the input in a built network.
_MOST_INPUTS = 2**28


def images_per_run(network: Network, steps: int) -> int:
    """Return the maximum number of images per run, limited by the memory of inputs and spikes."""
    spikes = sum(population.most_spikes(steps) for population in network.populations)
    fitting = _MOST_SPIKES // max(spikes, 1), _MOST_INPUTS // max(network.input.size * steps, 1)
    return max(1, min(_MOST_IMAGES, *fitting))


class BatchSimulator(abc.ABC):
    """Simulator that splits batches; raises UnsupportedFeatureError if Brian2 is not exact."""

    def __init__(self, network: Network) -> None:
        check_supported(network)
        self._network = network

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        check_inputs(self._network, inputs)
        if isinstance(inputs, ConstantInput):
            raise UnsupportedFeatureError("brian2: got direct coding, expected input spikes")
        size = images_per_run(self._network, inputs.steps)
        parts = [inputs[start : start + size] for start in range(0, inputs.images, size)]
        return Recording.concatenate([self._record(part, record_spikes) for part in parts])

    def _record(self, inputs: SpikeTrains, record_spikes: bool) -> Recording:
        if inputs.steps:
            spikes = self._run_part(inputs)
        else:
            spikes = {
                p.name: SpikeTrains.from_events([], [], [], (inputs.images, 0, p.size))
                for p in self._network.populations
            }
        spikes = {INPUT: inputs, **spikes}
        counts = {name: trains.counts() for name, trains in spikes.items()}
        if not record_spikes:
            return Recording(counts)
        # Drop the unused entries of a slice of a batch.
        return Recording(
            counts, {name: SpikeTrains.concatenate([trains]) for name, trains in spikes.items()}
        )

    @abc.abstractmethod
    def _run_part(self, inputs: SpikeTrains) -> dict[str, SpikeTrains]:
        """Return the spikes of all populations except the input for images that fit in one run."""
