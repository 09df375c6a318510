"""SANA-FE in the worker, with one network on its Loihi: built once, then used for all queries.

The soma ``leaky_integrate_fire`` multiplies the potential by `leak_decay`, truncates it to a
multiple of 1/64, adds bias and input, and compares it with the threshold by ``>``. With the last
bit of our state as 1/64, all of this is exact in SANA-FE's floats. A spike arrives in the next
step. ``reverse_threshold`` with the mode ``saturate`` clips the potential from below.

SANA-FE resets potentials, but not refractory periods. Between images, silent steps with high
thresholds let these end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT

from ..workers.serving import ServedError
from .plan import (
    ENERGIES,
    EVENTS,
    MESSAGES,
    NEVER,
    Figures,
    PopulationPlan,
    Query,
    Response,
    SanafePlan,
)

__all__ = ["Kernel"]

_SOMA, _DENDRITE, _INPUT_UNITS = "loihi_lif", "loihi_dendrites", 1024


class Kernel:
    """Network in SANA-FE, built from a plan."""

    def __init__(self, plan: SanafePlan) -> None:
        import sanafe

        self._plan = plan
        architecture: Any = sanafe.load_loihi()
        cores = [core for tile in architecture.tiles for core in tile.cores]
        network: Any = sanafe.Network()
        # Each input neuron has a unit of its own, because a unit has one spike train.
        groups = {INPUT: network.create_neuron_group(INPUT, len(plan.input_cores), log_spikes=True)}
        for neuron, core in enumerate(plan.input_cores.tolist()):
            unit = f"loihi_inputs[{neuron % _INPUT_UNITS}]"
            groups[INPUT][neuron].set_attributes(soma_hw_name=unit, dendrite_hw_name=_DENDRITE)
            groups[INPUT][neuron].map_to_core(cores[core])
        for population in plan.populations:
            groups[population.name] = _create(network, population, cores)
        for each in plan.projections:
            groups[each.source].connect_neurons_sparse(
                groups[each.target],
                {"weight": each.weights.tolist()},
                list(zip(each.sources.tolist(), each.targets.tolist(), strict=True)),
            )
        self._chip: Any = sanafe.SpikingChip(architecture)
        self._chip.load(network)
        self._neurons = sum(len(population.cores) for population in plan.populations)
        self._driven: NDArray[np.intp] = np.empty(0, np.intp)
        self._used = False

    def query(self, query: Query, abandon: Any) -> Response:
        """Simulate a batch; SANA-FE cannot be interrupted, so `abandon` is not used."""
        del abandon
        inputs = query.inputs
        rasters = {
            population.name: np.zeros((inputs.images, inputs.steps, len(population.cores)), bool)
            for population in self._plan.populations
        }
        found = []
        for image in range(inputs.images):
            self._rest()
            self._set_input(inputs[image : image + 1].to_dense()[0])
            run = self._sim(inputs.steps, spike_trace=True, **_traces(query.measure))
            own = {name: raster[image] for name, raster in rasters.items()}
            of_input = _read_spikes(run["spike_trace"], own)
            if query.measure:
                # Not the run itself: its trace of messages takes hundreds of megabytes.
                events = self._events(run, of_input, inputs.steps)
                found.append((events, dict(run["energy"]), float(run["sim_time"])))
        return Response(
            {name: raster.sum(axis=1, dtype=np.int32) for name, raster in rasters.items()},
            {name: SpikeTrains.from_dense(raster) for name, raster in rasters.items()}
            if query.record
            else None,
            _figures(found) if query.measure else None,
        )

    def _sim(self, steps: int, **traces: bool) -> Any:
        return self._chip.sim(steps, processing_threads=1, **traces)

    def _rest(self) -> None:
        """Set all neurons to rest, without a refractory period."""
        if not self._used:
            self._used = True
            return
        self._set_input(np.zeros((1, len(self._plan.input_cores)), bool))
        if self._plan.gap_steps:
            mapped = self._chip.mapped_neuron_groups
            for population in self._plan.populations:
                for neuron in mapped[population.name]:
                    neuron.set_attributes(model_attributes={"threshold": NEVER})
            self._chip.reset()
            self._sim(self._plan.gap_steps)
            for population in self._plan.populations:
                thresholds = population.threshold.tolist()
                for neuron, threshold in zip(mapped[population.name], thresholds, strict=True):
                    neuron.set_attributes(model_attributes={"threshold": threshold})
        self._chip.reset()

    def _set_input(self, raster: NDArray[np.bool_]) -> None:
        """Set the spikes of the input neurons, of shape (steps, neurons), from the next step on."""
        neurons = self._chip.mapped_neuron_groups[INPUT]
        now = np.flatnonzero(raster.any(axis=0))
        for neuron in np.union1d(self._driven, now).tolist():
            spikes = raster[:, neuron].astype(int).tolist()
            neurons[neuron].set_attributes(model_attributes={"spikes": spikes})
        self._driven = now

    def _events(self, run: Any, of_input: int, steps: int) -> dict[str, int]:
        messages = _of_messages(run["message_trace"])
        hops = sum(number for name, number in messages.items() if "hops" in name)
        sent = messages["messages"] + messages["input_messages"]
        if (hops, sent) != (sum(run["perf_trace"]["hops"]), run["packets_sent"]):
            raise ServedError("the messages of SANA-FE's trace are not those of its totals")
        return {
            "synaptic_operations": run["spikes"],
            # Each neuron is accessed in each step. Input neurons are updated if they spike.
            "accesses": self._neurons * steps,
            "updates": run["neurons_updated"] - of_input,
            "spikes": run["neurons_fired"] - of_input,
            **messages,
        }


def _create(network: Any, population: PopulationPlan, cores: list[Any]) -> Any:
    group: Any = network.create_neuron_group(
        population.name,
        len(population.cores),
        log_spikes=True,
        soma_hw_name=_SOMA,
        default_dendrite_hw_name=_DENDRITE,
        default_synapse_hw_name=population.synapse_unit,
        model_attributes={
            "leak_decay": population.leak_decay,
            "refractory_delay": population.refractory_delay,
            "reset": 0.0,
            "reset_mode": "hard",
            "reverse_threshold": population.lowest,
            "reverse_reset_mode": "saturate",
        },
    )
    each = zip(
        population.cores.tolist(),
        population.threshold.tolist(),
        population.bias.tolist(),
        strict=True,
    )
    for neuron, (core, threshold, bias) in enumerate(each):
        group[neuron].set_attributes(model_attributes={"threshold": threshold, "bias": bias})
        group[neuron].map_to_core(cores[core])
    return group


def _traces(measure: bool) -> dict[str, bool]:
    return {"perf_trace": True, "message_trace": True} if measure else {}


def _read_spikes(trace: Any, rasters: dict[str, NDArray[np.bool_]]) -> int:
    """Set the spikes of an image in the rasters; return the number of those of the input."""
    of_input = 0
    for step, spikes in enumerate(trace):
        for spike in spikes:
            if spike.group_name == INPUT:
                of_input += 1
            else:
                rasters[spike.group_name][step, spike.neuron_offset] = True
    return of_input


def _of_messages(trace: Iterable[Any]) -> dict[str, int]:
    """Return the numbers of messages and hops, of neurons on the chip and of the input."""
    counts = dict.fromkeys(MESSAGES, 0)
    for step in trace:
        for message in step:
            if message["placeholder"]:
                continue
            kind = "input_" if message["src_neuron_group_id"] == INPUT else ""
            counts[f"{kind}messages"] += 1
            counts[f"{kind}hops_ew"] += abs(message["src_x"] - message["dest_x"])
            counts[f"{kind}hops_ns"] += abs(message["src_y"] - message["dest_y"])
    return counts


def _figures(found: list[tuple[dict[str, int], dict[str, float], float]]) -> Figures:
    events, energies, times = zip(*found, strict=True)
    return Figures(
        {name: np.array([each[name] for each in events], np.int64) for name in EVENTS},
        {name: np.array([each[name] for each in energies], np.float64) for name in ENERGIES},
        np.array(times, np.float64),
    )
