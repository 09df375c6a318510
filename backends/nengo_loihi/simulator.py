"""Simulator of a network on nengo-loihi's emulator, in the main process."""

from __future__ import annotations

import threading

import numpy as np

from neuroattack.deployment.backend import Recording, Workload, check_inputs
from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError
from neuroattack.ir.network import INPUT, Network

from ..workers.handle import Worker
from .plan import NengoLoihiPlan, Query, Response, States

__all__ = ["NengoLoihiSimulator"]

_NAME, _CHIP = "nengo-loihi", "neuroattack.backends.nengo_loihi.chip:Chip"

# Most states of a query: images times steps times neurons.
_QUERY_STATES = 2**26

# Deadlines of builds and queries: a minimum, plus about fifty times the expected time on an idle
# core, because the machine may be busy.
_LEAST_S = 60.0
_PER_NEURON_S = 5e-3
_PER_STEP_S = 2e-2
_PER_SPIKE_S = 1e-3
_PER_STATE_S = 5e-6


class NengoLoihiSimulator:
    """Network on nengo-loihi's emulator.

    `deadline_s` is the maximum time of a build or a query; None for a limit according to its work.
    """

    def __init__(
        self, network: Network, plan: NengoLoihiPlan, deadline_s: float | None, workload: Workload
    ) -> None:
        self._network = network
        self._plan = plan
        self._deadline_s = deadline_s
        self._neurons = network.input.size + sum(each.size for each in plan.compartments)
        self._closed = False
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        if workload.images:
            # Build now, so that later timings measure only simulation.
            self._usable_worker()

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`.

        The spikes are those of nengo-loihi, which may differ from the reference dynamics.
        """
        given = self._checked(inputs)
        parts = []
        for part, found in self._responses(given, Query(record_spikes, False, given)):
            counts = {INPUT: part.counts(), **found.counts}
            spikes = None if found.spikes is None else {INPUT: part, **found.spikes}
            parts.append(Recording(counts, spikes))
        return Recording.concatenate(parts)

    def states(self, inputs: InputSignal) -> dict[str, States]:
        """Return currents, potentials and spikes of all populations after each step."""
        given = self._checked(inputs)
        found = [each.states or {} for _, each in self._responses(given, Query(False, True, given))]
        return {
            each.name: States(
                np.concatenate([part[each.name].currents for part in found]),
                np.concatenate([part[each.name].potentials for part in found]),
                np.concatenate([part[each.name].spikes for part in found]),
            )
            for each in self._plan.compartments
        }

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._closed = True
            if self._worker is not None:
                self._worker.end()

    def _checked(self, inputs: InputSignal) -> SpikeTrains:
        check_inputs(self._network, inputs)
        if isinstance(inputs, ConstantInput):
            raise SimulationError("nengo-loihi: constant input is not supported")
        return SpikeTrains.concatenate([inputs])

    def _responses(self, inputs: SpikeTrains, query: Query) -> list[tuple[SpikeTrains, Response]]:
        """Return the parts of a batch that are simulated at once, and their responses."""
        with self._lock:
            if self._closed:
                raise SimulationError(
                    "nengo-loihi: the simulator is closed; deploy the network again"
                )
            images = max(1, _QUERY_STATES // max(self._neurons * inputs.steps, 1))
            parts = [inputs[first : first + images] for first in range(0, inputs.images, images)]
            return [(part, self._response(part, query)) for part in parts]

    def _response(self, inputs: SpikeTrains, query: Query) -> Response:
        if not inputs.steps:
            return self._without_steps(inputs.images)
        asked = Query(query.spikes, query.states, inputs)
        found: Response = self._usable_worker().query(asked, self._query_deadline_s(inputs))
        return found

    def _without_steps(self, images: int) -> Response:
        shapes = {each.name: (images, 0, each.size) for each in self._plan.compartments}
        empty = {name: np.zeros(shape, np.int32) for name, shape in shapes.items()}
        return Response(
            {name: values.sum(axis=1, dtype=np.int32) for name, values in empty.items()},
            {name: SpikeTrains.from_events([], [], [], shapes[name]) for name in shapes},
            {name: States(values, values, values.astype(bool)) for name, values in empty.items()},
        )

    def _usable_worker(self) -> Worker:
        if self._worker is None or not self._worker.usable:
            deadline_s = self._deadline_s or _LEAST_S + _PER_NEURON_S * self._neurons
            self._worker = Worker(_NAME, _CHIP, self._plan, deadline_s)
        return self._worker

    def _query_deadline_s(self, inputs: SpikeTrains) -> float:
        if self._deadline_s is not None:
            return self._deadline_s
        steps = inputs.images * inputs.steps
        most_spikes = float(inputs.counts().sum(dtype=np.int64)) + steps * self._neurons / 10
        return (
            _LEAST_S
            + steps * (_PER_STEP_S + _PER_STATE_S * self._neurons)
            + most_spikes * _PER_SPIKE_S
        )
