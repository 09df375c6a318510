"""Simulator of a network on SANA-FE, in the main process."""

from __future__ import annotations

import numpy as np

from neuroattack.deployment.backend import UNKNOWN_WORKLOAD, Recording, Workload
from neuroattack.encoding.constant import InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import Network

from ..workers.simulator import WorkerSimulator, nothing_in_no_steps, recording_of
from .plan import ENERGIES, EVENTS, Figures, Query, Response, SanafePlan

__all__ = ["SanafeSimulator"]

_NAME, _KERNEL = "sanafe", "neuroattack.backends.sanafe.kernel:Kernel"

# Most neurons times steps of a query.
_QUERY_UPDATES = 2**24

# Deadlines of builds and queries: a minimum, plus about fifty times the expected time on an idle
# core, because the machine may be busy.
_LEAST_S = 60.0
_PER_SYNAPSE_S = 2e-4
_PER_DELIVERY_S = 2e-6
_PER_UPDATE_S = 5e-5


class SanafeSimulator(WorkerSimulator):
    """Network in fixed point on SANA-FE's Loihi.

    `deadline_s` is the maximum time of a build or a query; None for a limit according to its work.
    """

    def __init__(
        self,
        network: Network,
        plan: SanafePlan,
        deadline_s: float | None = None,
        workload: Workload = UNKNOWN_WORKLOAD,
    ) -> None:
        self._plan = plan
        self._synapses = sum(projection.connections for projection in network.projections)
        super().__init__(
            _NAME,
            _KERNEL,
            network,
            plan,
            deadline_s=deadline_s,
            build_s=_LEAST_S + _PER_SYNAPSE_S * self._synapses,
            most_states=_QUERY_UPDATES,
            workload=workload,
        )

    @property
    def tiles(self) -> int:
        """Number of tiles in use, including those of the input."""
        return self._plan.tiles

    @property
    def synapse_units(self) -> list[str]:
        """Names of the synapse units in use."""
        return sorted({population.synapse_unit for population in self._plan.populations})

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        recording, _ = self.measure(inputs, record_spikes=record_spikes, measure=False)
        return recording

    def measure(
        self, inputs: InputSignal, *, record_spikes: bool = True, measure: bool = True
    ) -> tuple[Recording, Figures | None]:
        """Simulate a batch, and return events, energy and time of each image as well."""
        parts = self._by_parts(inputs, lambda part: self._response(part, record_spikes, measure))
        recording = Recording.concatenate(
            [
                recording_of(part, found.counts, found.spikes if record_spikes else None)
                for part, found in parts
            ]
        )
        figures = [found.figures for _, found in parts if found.figures is not None]
        return recording, _joined(figures) if measure else None

    def _response(self, inputs: SpikeTrains, record: bool, measure: bool) -> Response:
        images = inputs.images
        if not inputs.steps:
            return Response(
                *nothing_in_no_steps(self._sizes, images),
                Figures(
                    {name: np.zeros(images, np.int64) for name in EVENTS},
                    {name: np.zeros(images) for name in ENERGIES},
                    np.zeros(images),
                ),
            )
        found: Response = self._ask(Query(record, measure, inputs), inputs)
        return found

    def _query_s(self, inputs: SpikeTrains) -> float:
        steps = inputs.images * (inputs.steps + self._plan.gap_steps)
        each = _PER_DELIVERY_S * self._synapses + _PER_UPDATE_S * self._neurons
        return _LEAST_S + steps * each


def _joined(parts: list[Figures]) -> Figures:
    return Figures(
        {name: np.concatenate([p.events[name] for p in parts]) for name in parts[0].events},
        {name: np.concatenate([p.energy_j[name] for p in parts]) for name in ENERGIES},
        np.concatenate([p.time_s for p in parts]),
    )
