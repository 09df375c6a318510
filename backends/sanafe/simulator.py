"""Simulator of a network on SANA-FE, in the main process."""

from __future__ import annotations

import threading

import numpy as np

from neuroattack.deployment.backend import UNKNOWN_WORKLOAD, Recording, Workload, check_inputs
from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError
from neuroattack.ir.network import INPUT, Network

from ..workers.handle import Worker
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


class SanafeSimulator:
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
        self._network = network
        self._deadline_s = deadline_s
        self._plan = plan
        self._sizes = {population.name: population.size for population in network.populations}
        self._neurons = network.input.size + sum(self._sizes.values())
        self._synapses = sum(projection.connections for projection in network.projections)
        self._closed = False
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        if workload.images:
            # Build now, so that later timings measure only simulation.
            self._usable_worker()

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
        check_inputs(self._network, inputs)
        if isinstance(inputs, ConstantInput):
            raise SimulationError("sanafe: constant input is not supported")
        with self._lock:
            if self._closed:
                raise SimulationError("sanafe: the simulator is closed; deploy the network again")
            images = max(1, _QUERY_UPDATES // max(self._neurons * inputs.steps, 1))
            parts = [
                self._run_slice(inputs[start : start + images], record_spikes, measure)
                for start in range(0, inputs.images, images)
            ]
        recording = Recording.concatenate([recording for recording, _ in parts])
        figures = [figures for _, figures in parts if figures is not None]
        return recording, _joined(figures) if measure else None

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._closed = True
            if self._worker is not None:
                self._worker.end()

    def _usable_worker(self) -> Worker:
        if self._worker is None or not self._worker.usable:
            deadline_s = self._deadline_s or _LEAST_S + _PER_SYNAPSE_S * self._synapses
            self._worker = Worker(_NAME, _KERNEL, self._plan, deadline_s)
        return self._worker

    def _run_slice(
        self, inputs: SpikeTrains, record: bool, measure: bool
    ) -> tuple[Recording, Figures | None]:
        found = self._nothing(inputs.images)
        if inputs.steps:
            query = Query(record, measure, SpikeTrains.concatenate([inputs]))
            found = self._usable_worker().query(query, self._query_deadline_s(inputs))
        counts = {INPUT: inputs.counts(), **found.counts}
        if not record or found.spikes is None:
            return Recording(counts), found.figures
        spikes = {INPUT: SpikeTrains.concatenate([inputs]), **found.spikes}
        return Recording(counts, spikes), found.figures

    def _nothing(self, images: int) -> Response:
        """Return the response to images of 0 steps."""
        return Response(
            {name: np.zeros((images, size), np.int32) for name, size in self._sizes.items()},
            {
                name: SpikeTrains.from_events([], [], [], (images, 0, size))
                for name, size in self._sizes.items()
            },
            Figures(
                {name: np.zeros(images, np.int64) for name in EVENTS},
                {name: np.zeros(images) for name in ENERGIES},
                np.zeros(images),
            ),
        )

    def _query_deadline_s(self, inputs: SpikeTrains) -> float:
        if self._deadline_s is not None:
            return self._deadline_s
        steps = inputs.images * (inputs.steps + self._plan.gap_steps)
        each = _PER_DELIVERY_S * self._synapses + _PER_UPDATE_S * self._neurons
        return _LEAST_S + steps * each


def _joined(parts: list[Figures]) -> Figures:
    return Figures(
        {name: np.concatenate([p.events[name] for p in parts]) for name in parts[0].events},
        {name: np.concatenate([p.energy_j[name] for p in parts]) for name in ENERGIES},
        np.concatenate([p.time_s for p in parts]),
    )
