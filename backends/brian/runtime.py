"""Brian2's own loop in this process, with NumPy: needs no compiler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroattack.deployment.backend import Recording, check_inputs
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT, Network

from .importing import import_brian2, own_settings
from .model import (
    BrianModel,
    build_model,
    check_supported,
    make_clock,
)
from .recording import empty_recording, images_per_run, make_recording
from .timing import Timing

__all__ = ["RuntimeSimulator"]


@dataclass(frozen=True, eq=False)
class _Built:
    """A network in Brian2 for images of so many steps, in the state before any."""

    timing: Timing
    source: Any
    model: BrianModel


class RuntimeSimulator:
    """A network in Brian2, in this process.

    Parameters
    ----------
    network : Network
        What to run.

    Raises
    ------
    UnsupportedFeatureError
        If Brian2 cannot hold the network exactly.
    BackendUnavailableError
        If Brian2 cannot be imported.
    """

    def __init__(self, network: Network) -> None:
        check_supported(network)
        self._network = network
        self._brian2 = import_brian2()
        self._built: _Built | None = None

    def run(self, inputs: SpikeTrains, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.deployment.backend.Simulator.run`."""
        check_inputs(self._network, inputs)
        if inputs.steps == 0:
            return empty_recording(self._network, inputs, record_spikes)
        size = images_per_run(self._network, inputs.steps)
        with own_settings(self._brian2):
            return Recording.concatenate(
                [
                    self._run_part(inputs[start : start + size], record_spikes)
                    for start in range(0, inputs.images, size)
                ]
            )

    def close(self) -> None:
        """Let go of the Brian2 objects."""
        self._built = None

    def _run_part(self, inputs: SpikeTrains, record_spikes: bool) -> Recording:
        if self._built is None or self._built.timing.steps != inputs.steps:
            self._built = None
            self._built = self._build(inputs.steps)
        built, second = self._built, self._brian2.second
        run_steps, neurons = built.timing.run_steps(inputs)
        model = built.model
        model.network.restore(restore_random_state=False)
        built.source.set_spikes(neurons, run_steps * self._network.dt_s * second, sorted=True)
        model.network.run(
            inputs.images * built.timing.period * self._network.dt_s * second, namespace={}
        )
        spikes = {INPUT: inputs}
        for name, monitor in model.spikes.items():
            spikes[name] = built.timing.split(
                np.rint(np.asarray(monitor.t_[:]) / self._network.dt_s).astype(np.int64),
                np.asarray(monitor.i[:]),
                inputs.images,
                self._network.population(name).size,
            )
        return make_recording(spikes, record_spikes)

    def _build(self, steps: int) -> _Built:
        brian2 = self._brian2
        timing = Timing.of(self._network, steps)
        clock = make_clock(brian2, self._network)
        source = brian2.SpikeGeneratorGroup(
            self._network.input.size, [], [] * brian2.second, clock=clock, name="population_input"
        )
        model = build_model(brian2, self._network, timing, clock, source)
        model.network.store()
        return _Built(timing, source, model)
