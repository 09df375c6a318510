"""Emulated chip in the worker, with one network: built once, then used for all queries.

The blocks of nengo-loihi are filled with integers instead of being discretized by nengo-loihi, so
that its emulator computes with the weights, thresholds and decays of the network. Every population
is one block, of any size: the emulator has no cores. Each image has an emulator of its own, which
starts at rest.

The emulator counts steps from 1. A spike of a block arrives in the next step. A spike of the input
at time t arrives in step t + 1, so with ``t = k + delay`` it arrives in step ``k + delay`` of
:mod:`neuroattack.ir.dynamics`, which counts from 0.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT

from .plan import CompartmentPlan, NengoLoihiPlan, Query, Response, States, SynapsePlan

__all__ = ["Chip"]


class Chip:
    """Network in nengo-loihi's emulator, built from a plan."""

    def __init__(self, plan: NengoLoihiPlan) -> None:
        from nengo_loihi.builder import Model

        self._plan = plan
        self._model: Any = Model()
        self._blocks: dict[str, Any] = {}
        self._inputs: dict[int, Any] = {}
        for compartment in plan.compartments:
            self._add_block(compartment)
        for synapses in plan.synapses:
            self._connect(synapses)
        self._probes: dict[tuple[str, str], Any] = {}

    def query(self, query: Query, abandon: Any) -> Response:
        """Simulate a batch; the emulator cannot be interrupted, so `abandon` is not used."""
        del abandon
        keys = ["spiked", *(["current", "voltage"] if query.states else [])]
        self._probe(keys)
        image, step, neuron = query.inputs.events()
        ends = np.searchsorted(image, np.arange(query.inputs.images + 1))
        found = [
            self._simulate(query.inputs.steps, step[first:last], neuron[first:last])
            for first, last in itertools.pairwise(ends)
        ]
        traces = {each: np.stack([one[each] for one in found]) for each in self._probes}
        names = list(self._blocks)
        spikes = {name: traces[name, "spiked"].astype(bool) for name in names}
        counts = {name: spikes[name].sum(axis=1, dtype=np.int32) for name in names}
        trains = states = None
        if query.spikes:
            trains = {name: SpikeTrains.from_dense(spikes[name]) for name in names}
        if query.states:
            states = {
                name: States(traces[name, "current"], traces[name, "voltage"], spikes[name])
                for name in names
            }
        return Response(counts, trains, states)

    def _add_block(self, plan: CompartmentPlan) -> None:
        from nengo_loihi.block import LoihiBlock

        block = LoihiBlock(plan.size, label=plan.name)
        neurons = block.compartment
        for name, value in (
            ("decay_u", plan.decay_u),
            ("decay_v", plan.decay_v),
            ("refract_delay", plan.refract_delay),
            ("vth", plan.threshold),
            ("bias", plan.bias),
        ):
            setattr(neurons, name, np.broadcast_to(value, plan.size).astype(np.int32))
        neurons.scale_u = neurons.scale_v = False
        neurons.vmin, neurons.vmax = plan.lowest, plan.highest
        self._model.add_block(block)
        self._blocks[plan.name] = block

    def _connect(self, plan: SynapsePlan) -> None:
        from nengo_loihi.block import Axon, Synapse

        sources = plan.weights.shape[0]
        synapse = Synapse(sources, label=f"{plan.source}->{plan.target}")
        # Stored as float32, which holds these integers exactly, until they are discretized.
        synapse.set_weights(plan.weights)
        synapse.weights = [each.astype(np.int32) for each in synapse.weights]
        synapse.format(weight_exp=plan.weight_exp, fanout_type=plan.fanout_type)
        self._blocks[plan.target].add_synapse(synapse)
        axon = Axon(sources)
        axon.target = synapse
        origin = self._input(plan.delay_steps) if plan.source == INPUT else None
        (self._blocks[plan.source] if origin is None else origin).add_axon(axon)

    def _input(self, delay_steps: int) -> Any:
        """Return the input whose spikes have that delay."""
        from nengo_loihi.inputs import SpikeInput

        if delay_steps not in self._inputs:
            self._inputs[delay_steps] = SpikeInput(self._plan.input_size)
            self._model.add_input(self._inputs[delay_steps])
        return self._inputs[delay_steps]

    def _probe(self, keys: list[str]) -> None:
        from nengo_loihi.probe import LoihiProbe

        self._model.probes.clear()
        self._probes = {
            (name, key): LoihiProbe(target=block, key=key)
            for name, block in self._blocks.items()
            for key in keys
        }
        for probe in self._probes.values():
            self._model.add_probe(probe)

    def _simulate(
        self, steps: int, step: NDArray[np.intp], neuron: NDArray[np.int32]
    ) -> dict[tuple[str, str], NDArray[Any]]:
        """Simulate an image, given the steps and neurons of its input spikes in order."""
        from nengo_loihi.emulator import EmulatorInterface

        spiking, first = np.unique(step, return_index=True)
        together = np.split(neuron, first[1:]) if len(step) else []
        for delay, source in self._inputs.items():
            source.spikes.clear()
            for time, neurons in zip((spiking + delay).tolist(), together, strict=True):
                source.add_spikes(time, neurons)
        with EmulatorInterface(self._model, seed=0) as emulator:
            emulator.run_steps(steps)
            return {
                each: emulator.collect_probe_output(probe) for each, probe in self._probes.items()
            }
