"""Simulator of a network on NEST, in the main process."""

from __future__ import annotations

import threading

import numpy as np

from neuroattack.deployment.backend import Recording, Workload, check_inputs
from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError
from neuroattack.ir.network import INPUT, Network

from ..workers.handle import Worker
from .plan import NestPlan, Query, Response

__all__ = ["NestSimulator"]

_NAME, _KERNEL = "nest", "neuroattack.backends.nest.kernel:Kernel"

# Most spikes of a query, if all neurons always spike.
_QUERY_SPIKES = 2**24

# Deadlines of builds and queries: a minimum, plus about fifty times the expected time on an idle
# core, because the machine may be busy.
_LEAST_S = 60.0
_PER_SYNAPSE_S = 2e-5
_PER_NEURON_S = 5e-3
_PER_DELIVERY_S = 2e-6
_PER_UPDATE_S = 1e-6


class NestSimulator:
    """Network on the NEST backend.

    `deadline_s` is the maximum time of a build or a query; None for a limit according to its work.
    """

    def __init__(self, network: Network, deadline_s: float | None, workload: Workload) -> None:
        self._network = network
        self._deadline_s = deadline_s
        self._plan = NestPlan.of(network)
        self._sizes = {population.name: population.size for population in network.populations}
        self._neurons = network.input.size + sum(self._sizes.values())
        self._synapses = sum(projection.connections for projection in network.projections)
        self._closed = False
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        if workload.images:
            # Build now, so that later timings measure only simulation.
            self._usable_worker()

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        check_inputs(self._network, inputs)
        if isinstance(inputs, ConstantInput):
            raise SimulationError("nest: constant input is not supported")
        with self._lock:
            if self._closed:
                raise SimulationError("nest: the simulator is closed; deploy the network again")
            images = max(1, _QUERY_SPIKES // max(self._neurons * inputs.steps, 1))
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

    def _usable_worker(self) -> Worker:
        if self._worker is None or not self._worker.usable:
            deadline_s = _LEAST_S + _PER_SYNAPSE_S * self._synapses + _PER_NEURON_S * self._neurons
            self._worker = Worker(_NAME, _KERNEL, self._plan, self._deadline_s or deadline_s)
        return self._worker

    def _run_slice(self, inputs: SpikeTrains, record_spikes: bool) -> Recording:
        images, steps = inputs.images, inputs.steps
        if steps:
            query = Query(record_spikes, SpikeTrains.concatenate([inputs]))
            found: Response = self._usable_worker().query(query, self._query_deadline_s(inputs))
        else:
            shapes = {name: (images, steps, size) for name, size in self._sizes.items()}
            found = Response(
                {name: np.zeros((images, size), np.int32) for name, size in self._sizes.items()},
                {
                    name: SpikeTrains.from_events([], [], [], shape)
                    for name, shape in shapes.items()
                },
            )
        counts = {INPUT: inputs.counts(), **found.counts}
        if not record_spikes or found.spikes is None:
            return Recording(counts)
        return Recording(counts, {INPUT: SpikeTrains.concatenate([inputs]), **found.spikes})

    def _query_deadline_s(self, inputs: SpikeTrains) -> float:
        if self._deadline_s is not None:
            return self._deadline_s
        steps = inputs.images * (inputs.steps + self._plan.gap_steps)
        each = _PER_DELIVERY_S * self._synapses + _PER_UPDATE_S * self._neurons
        return _LEAST_S + steps * each + inputs.images * _PER_NEURON_S * self._neurons
