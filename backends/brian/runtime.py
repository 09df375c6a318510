"""Brian2 in this process with NumPy, which needs no compiler."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroattack.deployment.backend import Recording
from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.ir.network import INPUT, Network

from .direct import direct_inputs, is_direct
from .importing import import_brian2, own_settings
from .model import BrianModel, build_model, make_clock
from .simulator import BatchSimulator, Recorded, images_per_run
from .timing import Timing

__all__ = ["RuntimeSimulator"]


class RuntimeSimulator(BatchSimulator):
    """Network simulated by Brian2 in this process.

    Raises BackendUnavailableError if Brian2 cannot be imported.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self._brian2 = import_brian2()
        # Timing, input and model for the last number of steps, in their initial state.
        self._built: tuple[Timing, Any, BrianModel] | None = None

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        with own_settings(self._brian2):
            return super().run(inputs, record_spikes=record_spikes)

    def close(self) -> None:
        """Release the Brian2 objects."""
        self._built = None

    def _run_part(self, inputs: InputSignal) -> Recorded:
        if self._built is None or self._built[0].steps != inputs.steps:
            self._built = None
            self._built = self._build(inputs.steps)
        timing, source, model = self._built
        dt_s, second = self._network.dt_s, self._brian2.second
        model.network.restore(restore_random_state=False)
        if isinstance(inputs, ConstantInput):
            for each in direct_inputs(self._network, timing):
                model.direct[each.name].values[: inputs.images] = each.values(inputs)
        else:
            run_steps, neurons = timing.run_steps(inputs)
            source.set_spikes(neurons, run_steps * dt_s * second, sorted=True)
        model.network.run(inputs.images * timing.period * dt_s * second, namespace={})
        spikes = {
            name: timing.split(
                name,
                np.rint(np.asarray(monitor.t_[:]) / dt_s).astype(np.int64),
                np.asarray(monitor.i[:]),
                inputs.images,
                self._network.population(name).size,
            )
            for name, monitor in model.spikes.items()
        }
        if model.potentials is None:
            return Recorded(spikes, None)
        potentials = np.asarray(model.potentials.v_[:]).T
        return Recorded(spikes, timing.window(self._network.readout, potentials, inputs.images))

    def _build(self, steps: int) -> tuple[Timing, Any, BrianModel]:
        brian2 = self._brian2
        timing = Timing.of(self._network, steps)
        clock = make_clock(brian2, self._network)
        source = None
        if not is_direct(self._network):
            source = brian2.SpikeGeneratorGroup(
                self._network.input.size,
                [],
                [] * brian2.second,
                clock=clock,
                name=f"population_{INPUT}",
            )
        images = images_per_run(self._network, steps)
        model = build_model(brian2, self._network, timing, clock, source, images)
        model.network.store()
        return timing, source, model
