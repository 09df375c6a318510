"""What both forms of the Brian2 backend do with inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping

from neuroattack.deployment.backend import Recording
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT, Network

__all__ = ["empty_recording", "images_per_run", "make_recording"]

_MOST_IMAGES = 100

# Brian2 keeps 12 bytes for a recorded spike: this bounds them if all neurons always spike.
_MOST_SPIKES = 2**25

# Bounds what an input of so many neurons and steps takes in a built network.
_MOST_INPUTS = 2**28


def images_per_run(network: Network, steps: int) -> int:
    """Return how many images one run may hold, so that inputs and spikes fit into memory."""
    spikes = sum(p.size * -(-steps // (p.refractory_steps + 1)) for p in network.populations)
    return max(
        1,
        min(
            _MOST_IMAGES,
            _MOST_SPIKES // max(spikes, 1),
            _MOST_INPUTS // max(network.input.size * steps, 1),
        ),
    )


def empty_recording(network: Network, inputs: SpikeTrains, record_spikes: bool) -> Recording:
    """Return the recording of images of no steps, which Brian2 is not asked for."""
    spikes = {INPUT: inputs}
    for population in network.populations:
        spikes[population.name] = SpikeTrains.from_events(
            [], [], [], (inputs.images, 0, population.size)
        )
    return make_recording(spikes, record_spikes)


def make_recording(spikes: Mapping[str, SpikeTrains], record_spikes: bool) -> Recording:
    """Return the recording of all populations, with the spikes where they were asked for."""
    counts = {name: trains.counts() for name, trains in spikes.items()}
    if not record_spikes:
        return Recording(counts)
    # Without the unused entries that a slice of a batch has.
    return Recording(
        counts, {name: SpikeTrains.concatenate([trains]) for name, trains in spikes.items()}
    )
