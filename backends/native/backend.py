"""Simulation of batches of images with the native backend.

In feed-forward networks, populations can be simulated one after the other over all steps of an
image, so that only one weight matrix at a time is moved through the caches. Images are distributed
to threads in slices of limited memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from neuroattack import __version__
from neuroattack.deployment.backend import (
    UNKNOWN_WORKLOAD,
    Availability,
    Recording,
    Workload,
    check_inputs,
)
from neuroattack.deployment.features import check_supported
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT, Network
from neuroattack.validation import check_integer

from .kernels import count_spikes
from .layer import Layer
from .neighbors import Base, Counts, can_have_neighbors, find_neighbors
from .trace import Differences

__all__ = ["NativeBackend", "NativeSimulator"]

# Maximum memory of the spikes of one population in a slice of images, in bytes.
_SLICE_BYTES = 64 * 2**20
_SLICE_IMAGES = 128

_Batch = TypeVar("_Batch", SpikeTrains, Differences)
_Result = TypeVar("_Result")


class NativeSimulator:
    """Network on the native backend; the spikes do not depend on the number of threads."""

    def __init__(self, network: Network, threads: int) -> None:
        self._threads = threads
        self._network = network
        self._layers = [Layer.of(network, population) for population in network.populations]
        # Compile now, so that later timings measure only simulation.
        self.run(SpikeTrains.from_events([], [], [], (1, 1, network.input.size)))

    def run(self, inputs: SpikeTrains, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        check_inputs(self._network, inputs)
        if not record_spikes:
            return Recording(self._count(inputs))
        parts = self._each_slice(self._simulate, inputs, np.arange(inputs.images))
        return Recording(
            _joined([_counts(spikes) for spikes in parts]),
            {name: SpikeTrains.concatenate([part[name] for part in parts]) for name in parts[0]},
        )

    def close(self) -> None:
        """Do nothing: the simulator has only arrays."""

    def _count(self, inputs: SpikeTrains) -> Counts:
        if not can_have_neighbors(self._layers, inputs.images, inputs.steps):
            differences, near = None, np.zeros(inputs.images, bool)
        else:
            differences, near = find_neighbors(inputs)
        others, neighbors = np.flatnonzero(~near), np.flatnonzero(near)
        parts = self._each_slice(lambda part: _counts(self._simulate(part)), inputs, others)
        if differences is not None and len(neighbors):
            base = Base(self._layers, inputs[:1])
            parts += self._each_slice(base.run, differences, neighbors)
        counts = _joined(parts)
        if len(neighbors) and len(others):
            order = np.argsort(np.concatenate([others, neighbors]))
            counts = {name: one[order] for name, one in counts.items()}
        return counts

    def _each_slice(
        self, work: Callable[[_Batch], _Result], batch: _Batch, images: NDArray[np.intp]
    ) -> list[_Result]:
        """Return the results of `work` for slices of the given images of a batch, in order."""
        steps = batch.offsets.shape[1] - 1
        largest = max(layer.population.most_spikes(steps) for layer in self._layers)
        size = min(
            _SLICE_IMAGES,
            _SLICE_BYTES // max(4 * largest, 1),
            -(-len(images) // self._threads),
        )
        slices = [batch[images[i : i + max(size, 1)]] for i in range(0, len(images), max(size, 1))]
        if self._threads == 1 or len(slices) == 1:
            return [work(part) for part in slices]
        # A new pool per query: in a forked process, the threads of an existing pool do not run.
        with ThreadPoolExecutor(self._threads, "native") as pool:
            return list(pool.map(work, slices))

    def _simulate(self, inputs: SpikeTrains) -> dict[str, SpikeTrains]:
        spikes = {INPUT: inputs}
        for layer in self._layers:
            spikes[layer.population.name] = layer.run(spikes, inputs.images, inputs.steps)
        return spikes


def _counts(spikes: dict[str, SpikeTrains]) -> Counts:
    counts = {}
    for name, trains in spikes.items():
        counts[name] = np.zeros((trains.images, trains.size), np.int32)
        count_spikes(trains.offsets, trains.neurons, counts[name])
    return counts


def _joined(parts: list[Counts]) -> Counts:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class NativeBackend:
    """Simulator of neuroattack.

    Parameters
    ----------
    threads : int, optional
        Number of threads; by default the number of cores available to this process.
    """

    name = "native"
    supported = frozenset({"fixed_point"})

    def __init__(self, threads: int | None = None) -> None:
        self._threads = check_integer(
            "native backend threads", _usable_cores() if threads is None else threads, 1
        )

    def availability(self) -> Availability:
        """Return that the backend is available; it needs only dependencies of neuroattack."""
        return Availability(True, version=__version__)

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> NativeSimulator:
        """Prepare a network to run; see :meth:`neuroattack.deployment.backend.Backend.deploy`."""
        del workload
        check_supported(self.name, self.supported, network)
        return NativeSimulator(network, self._threads)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
