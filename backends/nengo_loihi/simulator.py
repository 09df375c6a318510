"""Simulator of a network on nengo-loihi's emulator, in the main process."""

from __future__ import annotations

import numpy as np

from neuroattack.deployment.backend import Recording, Workload
from neuroattack.encoding.constant import InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import Network

from ..workers.simulator import WorkerSimulator, nothing_in_no_steps, recording_of
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


class NengoLoihiSimulator(WorkerSimulator):
    """Network on nengo-loihi's emulator.

    `deadline_s` is the maximum time of a build or a query; None for a limit according to its work.
    """

    def __init__(
        self, network: Network, plan: NengoLoihiPlan, deadline_s: float | None, workload: Workload
    ) -> None:
        super().__init__(
            _NAME,
            _CHIP,
            network,
            plan,
            deadline_s=deadline_s,
            build_s=_LEAST_S + _PER_NEURON_S * sum(network.sizes.values()),
            most_states=_QUERY_STATES,
            workload=workload,
        )

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`.

        The spikes are those of nengo-loihi, which may differ from the reference dynamics.
        """
        parts = self._by_parts(inputs, lambda part: self._response(part, record_spikes, False))
        return Recording.concatenate(
            [
                recording_of(part, found.counts, found.spikes if record_spikes else None)
                for part, found in parts
            ]
        )

    def states(self, inputs: InputSignal) -> dict[str, States]:
        """Return currents, potentials and spikes of all populations after each step."""
        parts = self._by_parts(inputs, lambda part: self._response(part, False, True))
        found = [response.states or {} for _, response in parts]
        return {
            name: States(
                np.concatenate([part[name].currents for part in found]),
                np.concatenate([part[name].potentials for part in found]),
                np.concatenate([part[name].spikes for part in found]),
            )
            for name in self._sizes
        }

    def _response(self, inputs: SpikeTrains, spikes: bool, states: bool) -> Response:
        if not inputs.steps:
            counts, none = nothing_in_no_steps(self._sizes, inputs.images)
            empty = {
                name: np.zeros((inputs.images, 0, size), np.int32)
                for name, size in self._sizes.items()
            }
            return Response(
                counts, none, {name: States(e, e, e.astype(bool)) for name, e in empty.items()}
            )
        found: Response = self._ask(Query(spikes, states, inputs), inputs)
        return found

    def _query_s(self, inputs: SpikeTrains) -> float:
        steps = inputs.images * inputs.steps
        most_spikes = float(inputs.counts().sum(dtype=np.int64)) + steps * self._neurons / 10
        return (
            _LEAST_S
            + steps * (_PER_STEP_S + _PER_STATE_S * self._neurons)
            + most_spikes * _PER_SPIKE_S
        )
