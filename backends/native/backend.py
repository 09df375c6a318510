"""Simulation of batches of images with the native backend.

Images are distributed to threads in slices of limited memory.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
from joblib import cpu_count

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
from neuroattack.ir.network import INPUT, Network
from neuroattack.validation import check_integer

from .simulation import Simulation

__all__ = ["NativeBackend", "NativeSimulator"]

# Maximum memory of the spikes and states of one population in a slice of images, in bytes.
_SLICE_BYTES = 64 * 2**20
_SLICE_IMAGES = 128


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
        return self.encode_and_run(
            inputs.__getitem__, len(inputs), inputs.steps, record_spikes=record_spikes
        )

    def encode_and_run(
        self,
        encode: Callable[[slice], InputSignal],
        images: int,
        steps: int,
        *,
        record_spikes: bool = False,
    ) -> Recording:
        """Encode and simulate; see :class:`neuroattack.deployment.backend.EncodingSimulator`."""

        def record(part: slice) -> Recording:
            inputs = encode(part)
            activity = self._simulation.run(inputs)
            counts = activity.counts
            if isinstance(inputs, ConstantInput):
                counts = {INPUT: inputs.counts(), **counts}
            trains = activity.trains() if record_spikes else None
            return Recording(counts, trains, activity.potentials)

        size = 1
        if images > 1:
            most = _SLICE_BYTES // self._simulation.bytes_per_image(steps)
            size = max(1, min(_SLICE_IMAGES, most, -(-images // self._threads)))
        slices = [slice(i, min(i + size, images)) for i in range(0, images, size)]
        return Recording.concatenate(_in_threads(record, slices, min(self._threads, len(slices))))

    def close(self) -> None:
        """Do nothing: the simulator has only arrays."""


def _in_threads(
    work: Callable[[slice], Recording], slices: list[slice], threads: int
) -> list[Recording]:
    """Return the results of `work` in order; the calling thread does its part of it.

    If it only waited, its core would be idle, and two threads that wake up on one core would stay
    there for milliseconds, until the operating system moves one of them.
    """
    if threads == 1:
        return [work(part) for part in slices]
    results: dict[int, Recording] = {}
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
