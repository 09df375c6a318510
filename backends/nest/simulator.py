"""Simulator of a network on NEST, in the main process."""

from __future__ import annotations

from neuroattack.deployment.backend import Recording, Workload
from neuroattack.encoding.constant import InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import Network

from ..workers.simulator import WorkerSimulator, nothing_in_no_steps, recording_of
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


class NestSimulator(WorkerSimulator):
    """Network on the NEST backend.

    `deadline_s` is the maximum time of a build or a query; None for a limit according to its work.
    """

    def __init__(self, network: Network, deadline_s: float | None, workload: Workload) -> None:
        self._plan = NestPlan.of(network)
        self._synapses = sum(projection.connections for projection in network.projections)
        neurons = sum(network.sizes.values())
        super().__init__(
            _NAME,
            _KERNEL,
            network,
            self._plan,
            deadline_s=deadline_s,
            build_s=_LEAST_S + _PER_SYNAPSE_S * self._synapses + _PER_NEURON_S * neurons,
            most_states=_QUERY_SPIKES,
            workload=workload,
        )

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        parts = self._by_parts(inputs, lambda part: self._response(part, record_spikes))
        return Recording.concatenate(
            [
                recording_of(part, found.counts, found.spikes if record_spikes else None)
                for part, found in parts
            ]
        )

    def _response(self, inputs: SpikeTrains, record_spikes: bool) -> Response:
        if not inputs.steps:
            return Response(*nothing_in_no_steps(self._sizes, inputs.images))
        found: Response = self._ask(Query(record_spikes, inputs), inputs)
        return found

    def _query_s(self, inputs: SpikeTrains) -> float:
        steps = inputs.images * (inputs.steps + self._plan.gap_steps)
        each = _PER_DELIVERY_S * self._synapses + _PER_UPDATE_S * self._neurons
        return _LEAST_S + steps * each + inputs.images * _PER_NEURON_S * self._neurons
