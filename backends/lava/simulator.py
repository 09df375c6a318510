"""Simulator of a network on Lava, in the main process."""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.backend import Recording, Workload, check_inputs
from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError
from neuroattack.ir.network import INPUT, AnyProjection, Convolution, Network

from ..workers.handle import Worker
from .plan import GraphPlan, Query, packed_bytes

__all__ = ["LavaSimulator"]

_NAME, _GRAPH = "lava", "neuroattack.backends.lava.graph:Graph"
_MOST_IMAGES = 128

# Memory limits: numbers that a layer computes per block, and bytes of a query's spikes.
_BLOCK_NUMBERS = 2**23
_QUERY_BYTES = 2**24

# Deadlines of builds and queries: a minimum, plus about fifty times the expected time on an idle
# core, because the machine may be busy.
_LEAST_S = 60.0
_PER_PROCESS_S = 5.0
_PER_WEIGHT_S = 1e-7
_PER_LAVA_STEP_S = 0.1
_PER_SYNAPSE_S = 2.5e-9
_PER_NEURON_S = 2.5e-6


class LavaSimulator:
    """Network on the Lava backend.

    Time steps are simulated in blocks, which do not affect the spikes. `deadline_s` is the maximum
    time of a build or a query; None for a limit according to its work.
    """

    def __init__(
        self, network: Network, block_steps: int, deadline_s: float | None, workload: Workload
    ) -> None:
        self._network = network
        self._block_steps = block_steps
        self._deadline_s = deadline_s
        self._sizes = {population.name: population.size for population in network.populations}
        self._ends = np.cumsum(list(self._sizes.values())).tolist()
        potentials = 0 if network.readout_quantity == "spike_count" else network.classes
        self._columns = self._ends[-1] + 2 * potentials
        self._bytes = sum(packed_bytes(n) for n in (network.input.size, *self._sizes.values()))
        self._synapses = sum(_products(projection) for projection in network.projections)
        self._closed = False
        self._worker: Worker | None = None
        self._capacity = 0
        self._lock = threading.Lock()
        if workload.images:
            # Build now, so that later timings measure only simulation.
            self._worker_for(workload.images)

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        check_inputs(self._network, inputs)
        with self._lock:
            if self._closed:
                raise SimulationError("lava: the simulator is closed; deploy the network again")
            room = max(1, _QUERY_BYTES // max(self._bytes * inputs.steps, 1))
            images = min(self._capacity_for(inputs.images), room)
            return Recording.concatenate(
                [
                    self._run_slice(inputs[start : start + images], record_spikes)
                    for start in range(0, inputs.images, images)
                ]
            )

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._closed = True
            if self._worker is not None:
                self._worker.end()

    def _capacity_for(self, images: int) -> int:
        """Return the capacity of a graph for batches of `images` images, a power of two."""
        largest = max(self._network.input.size, *self._sizes.values())
        most = max(1, min(_MOST_IMAGES, _BLOCK_NUMBERS // (largest * self._block_steps)))
        return int(min(most, 2 ** (images - 1).bit_length()))

    def _worker_for(self, images: int) -> Worker:
        capacity = self._capacity_for(images)
        if self._worker is None or not self._worker.usable or self._capacity < capacity:
            if self._worker is not None:
                self._worker.end()
            deadline_s = (
                _LEAST_S
                + _PER_PROCESS_S * len(self._network.populations)
                + _PER_WEIGHT_S * self._synapses
            )
            plan = GraphPlan.of(self._network, self._block_steps, capacity)
            self._worker = Worker(_NAME, _GRAPH, plan, self._deadline_s or deadline_s)
            self._capacity = capacity
        return self._worker

    def _run_slice(self, inputs: InputSignal, record_spikes: bool) -> Recording:
        images, steps = inputs.images, inputs.steps
        found: NDArray[np.int32]
        packed: dict[str, NDArray[np.uint8]] | None
        if steps:
            found, packed = self._worker_for(images).query(
                _query(inputs, record_spikes),
                self._deadline_s or self._query_deadline_s(images, steps),
            )
        else:
            found, packed = np.zeros((images, self._columns), np.int32), None
        *parts, potentials = np.split(found, self._ends, axis=1)
        counts = {INPUT: inputs.counts()}
        for name, part in zip(self._sizes, parts, strict=True):
            counts[name] = np.ascontiguousarray(part)
        return Recording(
            counts,
            self._spikes(inputs, packed) if record_spikes else None,
            np.ascontiguousarray(potentials).view(np.float64) if potentials.size else None,
        )

    def _spikes(
        self, inputs: InputSignal, packed: dict[str, NDArray[np.uint8]] | None
    ) -> dict[str, SpikeTrains]:
        spikes = {}
        if isinstance(inputs, SpikeTrains):
            spikes[INPUT] = SpikeTrains.concatenate([inputs])
        for name, size in self._sizes.items():
            spikes[name] = (
                _unpack(packed[name], size)
                if packed
                else SpikeTrains.from_events([], [], [], (inputs.images, inputs.steps, size))
            )
        return spikes

    def _query_deadline_s(self, images: int, steps: int) -> float:
        each = _PER_SYNAPSE_S * self._synapses + _PER_NEURON_S * sum(self._sizes.values())
        blocks = -(-steps // self._block_steps)
        return _LEAST_S + images * steps * each + blocks * _PER_LAVA_STEP_S


def _products(projection: AnyProjection) -> int:
    """Return the number of products of a matrix or of the patches of a convolution."""
    if isinstance(projection, Convolution):
        return projection.shape[1] * math.prod(projection.kernel.shape[1:])
    return math.prod(projection.shape)


def _query(inputs: InputSignal, record: bool) -> Query:
    if isinstance(inputs, ConstantInput):
        return Query(record, inputs.images, inputs.steps, values=inputs.values)
    return Query(record, inputs.images, inputs.steps, packed=_pack(inputs))


def _pack(inputs: SpikeTrains) -> NDArray[np.uint8]:
    """Return spikes as bits, shape (steps, images, packed bytes)."""
    packed = np.empty((inputs.steps, inputs.images, packed_bytes(inputs.size)), np.uint8)
    raster = np.empty((inputs.steps, inputs.size), bool)
    steps = np.arange(inputs.steps)
    for image, row in enumerate(inputs.offsets):
        raster[:] = False
        raster[np.repeat(steps, np.diff(row)), inputs.neurons[row[0] : row[-1]]] = True
        packed[:, image] = np.packbits(raster, axis=-1, bitorder="little")
    return packed


def _unpack(packed: NDArray[np.uint8], size: int) -> SpikeTrains:
    bits = np.unpackbits(packed, axis=-1, count=size, bitorder="little").view(bool)
    return SpikeTrains.from_dense(bits.transpose(1, 0, 2))
