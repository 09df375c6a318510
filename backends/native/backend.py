"""Simulating batches of images on the native engine.

Populations are simulated one after the other over all steps of an image, which a feed-forward
network allows; so one weight matrix at a time is moved through the caches. Images are spread
over threads in slices of bounded memory.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from neuroattack import __version__
from neuroattack.ir.network import INPUT, Network
from neuroattack.simulation import (
    UNKNOWN_WORKLOAD,
    Availability,
    Recording,
    Workload,
    check_inputs,
)
from neuroattack.spikes import SpikeTrains
from neuroattack.validation import check_whole

from .kernels import count_spikes
from .layer import Layer

__all__ = ["NativeBackend", "NativeSimulator"]

# Spikes of one population that a slice of images may hold at most, in bytes.
_SLICE_BYTES = 64 * 2**20
_SLICE_IMAGES = 128


class NativeSimulator:
    """A network on the native backend.

    Parameters
    ----------
    network : Network
        What to run.
    threads : int
        Threads that share the images of a batch; the spikes do not depend on it.
    """

    def __init__(self, network: Network, threads: int) -> None:
        self._threads = threads
        self._network = network
        self._layers = [Layer.of(network, population) for population in network.populations]
        # Compiles now, so that what is timed later is simulation.
        self.run(SpikeTrains.from_events([], [], [], (1, 1, network.input.size)))

    def run(self, inputs: SpikeTrains, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.simulation.Simulator.run`."""
        check_inputs(self._network, inputs)
        largest = max(layer.most_spikes(inputs.steps) for layer in self._layers)
        slice_images = max(
            1,
            min(
                _SLICE_IMAGES,
                _SLICE_BYTES // max(4 * largest, 1),
                -(-inputs.images // self._threads),
            ),
        )
        slices = [
            inputs[start : start + slice_images] for start in range(0, inputs.images, slice_images)
        ]
        if self._threads == 1 or len(slices) == 1:
            parts = [self._run_slice(part, record_spikes) for part in slices]
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                parts = list(pool.map(lambda part: self._run_slice(part, record_spikes), slices))
        return Recording.concatenate(parts)

    def close(self) -> None:
        """Give nothing back: the simulator holds arrays only."""

    def _run_slice(self, inputs: SpikeTrains, record_spikes: bool) -> Recording:
        spikes = {INPUT: inputs}
        counts = {INPUT: np.zeros((inputs.images, inputs.size), np.int32)}
        count_spikes(inputs.offsets, inputs.neurons, counts[INPUT])
        for layer in self._layers:
            name = layer.population.name
            spikes[name], counts[name] = layer.run(spikes, inputs.images, inputs.steps)
        if not record_spikes:
            return Recording(counts)
        return Recording(
            counts, {name: SpikeTrains.concatenate([trains]) for name, trains in spikes.items()}
        )


class NativeBackend:
    """neuroattack's own simulator.

    Parameters
    ----------
    threads : int, optional
        Threads to run images on; by default all cores this process may use.
    """

    name = "native"

    def __init__(self, threads: int | None = None) -> None:
        self._threads = check_whole(
            "native backend threads", _usable_cores() if threads is None else threads, 1
        )

    def availability(self) -> Availability:
        """Return that it can run: numba is a dependency of neuroattack."""
        return Availability(True, version=__version__)

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> NativeSimulator:
        """Prepare a network to run; holds every feature of the IR."""
        del workload
        return NativeSimulator(network, self._threads)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
