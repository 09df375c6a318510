"""Networks as Brian2 objects, in the form in which users of Brian2 would write them.

The order of operations is that of :mod:`neuroattack.ir.dynamics`, with Brian2's default schedule:
arriving weights are added to ``I`` in the slot of the synapses, and ``I`` is added to the potential
at the beginning of the next step. Delays of projections are therefore one step shorter in Brian2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroattack.ir.network import INPUT, AnyProjection, FixedPopulation, Network, Population

from .direct import DirectInput, direct_inputs
from .neurons import SECONDS, neuron_model
from .timing import Timing

__all__ = ["CLOCK", "BrianModel", "build_model", "make_clock"]

CLOCK = "clock_of_network"
"""Name of the only clock of a model."""

_START_OF_IMAGE = """
not_refractory = True
lastspike = t - refractory_period
"""

_SCHEDULE = ["start", "groups", "thresholds", "synapses", "resets", "end"]


@dataclass(frozen=True, eq=False)
class BrianModel:
    """A brian2.Network and what it reads and records.

    Parameters
    ----------
    network : brian2.Network
        All objects.
    spikes : dict of str to brian2.SpikeMonitor
        Spikes of each population except the input.
    potentials : brian2.StateMonitor or None
        Potentials of the readout population, if they are the output of the network.
    direct : dict of str to brian2.TimedArray
        Constant inputs with direct coding, by name; one row per image.
    """

    network: Any
    spikes: dict[str, Any]
    potentials: Any
    direct: dict[str, Any]


def make_clock(brian2: Any, network: Network) -> Any:
    """Return the clock of a model; Brian2's default clock may have been changed by a user."""
    return brian2.Clock(dt=network.dt_s * brian2.second, name=CLOCK)


def build_model(
    brian2: Any, network: Network, timing: Timing, clock: Any, source: Any, images: int
) -> BrianModel:
    """Build a network in Brian2 for up to `images` images.

    `source` is the group that emits the input spikes, or None with direct coding.
    """
    inputs = direct_inputs(network, timing)
    direct = {
        # One row per second, indexed by the number of the image, because times are not exact.
        each.name: brian2.TimedArray(
            np.zeros((images, each.size)), dt=1 * brian2.second, name=each.name
        )
        for each in inputs
    }
    groups = {} if source is None else {INPUT: source}
    populations: tuple[Population | FixedPopulation, ...] = network.populations
    for number, population in enumerate(populations, 1):
        # Numbered, so that no group has the name of a part that Brian2 derives from another group.
        groups[population.name] = _neurons(
            brian2,
            f"population_{number}_{population.name}",
            population,
            network,
            timing,
            clock,
            [(each, direct[each.name]) for each in inputs if each.population == population.name],
        )
    synapses = [
        _synapses(brian2, f"synapses_{number}", projection, groups, timing, clock)
        for number, projection in enumerate(network.projections)
        if projection.source in groups and timing.arrives(projection)
    ]
    spikes = {
        name: brian2.SpikeMonitor(group, name=f"spikes_{name}")
        for name, group in groups.items()
        if name != INPUT
    }
    objects = [*groups.values(), *synapses, *spikes.values()]
    potentials = None
    if network.readout_quantity != "spike_count":
        potentials = brian2.StateMonitor(
            groups[network.readout],
            "v",
            record=True,
            when="after_groups",
            clock=clock,
            name="potentials",
        )
        objects.append(potentials)
    together = brian2.Network(*objects, name="network")
    together.schedule = _SCHEDULE
    return BrianModel(together, spikes, potentials, direct)


def _neurons(
    brian2: Any,
    name: str,
    population: Population | FixedPopulation,
    network: Network,
    timing: Timing,
    clock: Any,
    inputs: Sequence[tuple[DirectInput, Any]],
) -> Any:
    if isinstance(population, FixedPopulation):  # pragma: no cover
        raise TypeError("check_supported comes first")
    step = timing.step_of_image(population.name)
    image = f"(t_in_timesteps - {timing.lags[population.name]}) // period"
    constant_input = " + ".join(
        f"{each.name}({image} * second, i) * int({step} >= {each.delay_steps})"
        for each, _ in inputs
    )
    model = neuron_model(population, network.dt_s, constant_input)
    rest = _START_OF_IMAGE + model.rest
    if not timing.lags[population.name]:
        # Otherwise, I may contain input that arrives in the first step.
        rest += "I = 0\n"
    group = brian2.NeuronGroup(
        population.size,
        model.equations,
        method=_one_step(model.update),
        # Otherwise, neurons with a bias would continue to spike after the image.
        threshold=f"{model.threshold} and {step} < steps",
        reset=model.reset,
        # In Brian2, the refractory period includes the step of the spike.
        refractory="refractory_period",
        events={"start_of_image": f"{step} == 0"},
        namespace={
            **{
                constant: value * brian2.second if constant in SECONDS else value
                for constant, value in model.constants.items()
            },
            **{each.name: values for each, values in inputs},
            "period": timing.period,
            "steps": timing.steps,
        },
        clock=clock,
        name=name,
    )
    for parameter, values in model.parameters.items():
        setattr(group, f"{parameter}_", values)
    if timing.lags[population.name]:
        # Otherwise, times since the last spike overflow before the first image.
        group.lastspike_ = -model.values["refractory_period"]
    group.set_event_schedule("start_of_image", when="before_start")
    group.run_on_event("start_of_image", rest, when="start")
    return group


def _one_step(update: str) -> Callable[..., str]:
    """Return a state updater for Brian2 with given statements.

    With the method "exact", Brian2 would solve the same equations, but compute exp() with NumPy or
    C++, which may differ in the last bit.
    """

    def step(equations: Any, variables: Any = None, method_options: Any = None) -> str:
        del equations, variables, method_options
        return update

    return step


def _synapses(
    brian2: Any,
    name: str,
    projection: AnyProjection,
    groups: dict[str, Any],
    timing: Timing,
    clock: Any,
) -> Any:
    synapses = brian2.Synapses(
        groups[projection.source],
        groups[projection.target],
        "w : 1 (constant)",
        on_pre="I_post += w",
        delay=(timing.delay(projection) - 1) * clock.dt,
        namespace={},
        clock=clock,
        name=name,
    )
    mantissas = projection.sparse().tocoo()
    pre, post = mantissas.row, mantissas.col
    synapses.connect(i=pre, j=post)
    synapses.w = np.ldexp(mantissas.data.astype(np.float64), projection.exponent)
    return synapses
