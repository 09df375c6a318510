"""Simulation of batches of images with the native backend.

Images are distributed to threads in slices of limited memory.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray

from neuroattack import __version__
from neuroattack.deployment.backend import (
    UNKNOWN_WORKLOAD,
    Availability,
    Recording,
    Workload,
    check_inputs,
)
from neuroattack.deployment.features import FEATURES, check_supported
from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT, Network
from neuroattack.validation import check_integer

from .layer import Layer
from .neighbors import Base, can_have_neighbors, find_neighbors
from .simulation import Counts, Simulation
from .trace import Differences

__all__ = ["NativeBackend", "NativeSimulator"]

# Maximum memory of the spikes and states of one population in a slice of images, in bytes.
_SLICE_BYTES = 64 * 2**20
_SLICE_IMAGES = 128

_Batch = SpikeTrains | ConstantInput | Differences
_Result = TypeVar("_Result")


class NativeSimulator:
    """Network on the native backend; the spikes do not depend on the number of threads."""

    def __init__(self, network: Network, threads: int) -> None:
        self._threads = threads
        self._network = network
        self._simulation = Simulation(network)
        # Compile now, so that later timings measure only simulation.
        encoder = network.input.encoder
        black, first = np.zeros((1, network.input.size)), np.zeros(1, np.int64)
        self.run(encoder.encode(black, indices=first, steps=1, dt_s=network.dt_s, seed=0))

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        check_inputs(self._network, inputs)
        if not record_spikes and isinstance(inputs, SpikeTrains):
            layers = self._simulation.plain_layers()
            if layers and can_have_neighbors(layers, inputs.images, inputs.steps):
                return Recording(self._count(inputs, layers))
        images = np.arange(inputs.images)
        return Recording.concatenate(
            self._each_slice(lambda part: self._record(part, record_spikes), inputs, images)
        )

    def close(self) -> None:
        """Do nothing: the simulator has only arrays."""

    def _record(self, inputs: InputSignal, record_spikes: bool) -> Recording:
        activity = self._simulation.run(inputs)
        counts = activity.counts
        if isinstance(inputs, ConstantInput):
            counts = {INPUT: inputs.counts(), **counts}
        return Recording(counts, activity.trains() if record_spikes else None, activity.potentials)

    def _count(self, inputs: SpikeTrains, layers: list[Layer]) -> Counts:
        differences, near = find_neighbors(inputs)
        others, neighbors = np.flatnonzero(~near), np.flatnonzero(near)
        parts = self._each_slice(lambda part: self._simulation.run(part).counts, inputs, others)
        if len(neighbors):
            base = Base(layers, inputs[:1])
            parts += self._each_slice(base.run, differences, neighbors)
        counts = _joined(parts)
        if len(neighbors) and len(others):
            order = np.argsort(np.concatenate([others, neighbors]))
            counts = {name: one[order] for name, one in counts.items()}
        return counts

    def _each_slice(
        self, work: Callable[[Any], _Result], batch: _Batch, images: NDArray[np.intp]
    ) -> list[_Result]:
        """Return the results of `work` for slices of the given images of a batch, in order."""
        size = min(
            _SLICE_IMAGES,
            _SLICE_BYTES // self._simulation.bytes_per_image(batch.steps),
            -(-len(images) // self._threads),
        )
        slices = [batch[images[i : i + max(size, 1)]] for i in range(0, len(images), max(size, 1))]
        if self._threads == 1 or len(slices) == 1:
            return [work(part) for part in slices]
        return _in_threads(work, slices, min(self._threads, len(slices)))


def _in_threads(work: Callable[[Any], _Result], slices: list[Any], threads: int) -> list[_Result]:
    """Return the results of `work` in order; the calling thread does its part of it.

    If it only waited, its core would be idle, and two threads that wake up on one core would stay
    there for milliseconds, until the operating system moves one of them.
    """
    results: dict[int, _Result] = {}
    numbers = itertools.count()

    def take() -> None:
        while (number := next(numbers)) < len(slices):
            results[number] = work(slices[number])

    helpers = [_pool(threads - 1, os.getpid()).submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        wait(helpers)
    for helper in helpers:
        helper.result()
    return [results[number] for number in range(len(slices))]


@functools.lru_cache(maxsize=4)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Return the threads of a process, shared by all simulators.

    Starting new ones for every batch takes longer, and in a forked process, the threads of its
    parent do not run.
    """
    del process
    return ThreadPoolExecutor(threads, "native")


def _joined(parts: list[Counts]) -> Counts:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class NativeBackend:
    """Simulator of neuroattack.

    Parameters
    ----------
    threads : int, optional
        Number of threads; by default the number of cores that this process may use, as
        :func:`joblib.cpu_count` reports it: within its affinity, the limits of its container, and
        its part of the cores in a campaign.
    """

    name = "native"
    supported = frozenset(FEATURES)

    def __init__(self, threads: int | None = None) -> None:
        self._threads = check_integer(
            "native backend threads", cpu_count() if threads is None else threads, 1
        )

    def availability(self) -> Availability:
        """Return that the backend is available; it needs only dependencies of neuroattack."""
        return Availability(True, version=__version__)

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> NativeSimulator:
        """Prepare a network to run; see :meth:`neuroattack.deployment.backend.Backend.deploy`."""
        del workload
        check_supported(self.name, self.supported, network)
        return NativeSimulator(network, self._threads)
