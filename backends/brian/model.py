"""A network as Brian2 objects, such as a user of Brian2 would write it down.

The order of a step is that of :mod:`neuroattack.ir.dynamics`, on Brian2's default schedule:
weights that arrive are added to ``I`` in the slot of the synapses, and the neurons take ``I`` in
as the next step begins; so a projection's delay is one step shorter in Brian2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import INPUT, FixedPopulation, Network, Population, Projection

__all__ = ["CLOCK", "BrianModel", "Timing", "build_model", "check_supported", "make_clock"]

CLOCK = "clock_of_network"
"""Name of the one clock of a model."""

_EQUATIONS = """
dv/dt = -v / tau_m : 1 (unless refractory)  # volts from rest
I : 1                                       # weights that have arrived since the last step
bias : 1 (constant)
threshold : 1 (constant)
"""

_START_OF_IMAGE = """
not_refractory = True
lastspike = t - refractory_period
v = 0
I = 0
"""

# Tried out; far outside, the whole numbers that Brian2 writes into C++ overflow.
_SHORTEST_STEP_S = 1e-15
_LONGEST_STEP_S = 1e12

_SCHEDULE = ["start", "groups", "thresholds", "synapses", "resets", "end"]


@dataclass(frozen=True)
class Timing:
    """How images follow one another in a run: each is shown for `steps`, then there is silence.

    The `gap` of silent steps lasts until nothing of the image is under way any more.
    """

    steps: int
    gap: int

    @classmethod
    def of(cls, network: Network, steps: int) -> Timing:
        """Return the shortest timing of a network that keeps images apart."""
        delays = [p.delay_steps for p in network.projections if p.delay_steps < steps]
        # What arrives one step after the last is cleared as the next image starts.
        return cls(steps, max(delays, default=1) - 1)

    @property
    def period(self) -> int:
        """Steps from the start of one image to the start of the next."""
        return self.steps + self.gap

    def arrives(self, projection: Projection) -> bool:
        """Whether a spike can cross the projection before its image is over."""
        return projection.delay_steps < self.steps and bool(projection.mantissas.any())

    def run_steps(self, inputs: SpikeTrains) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the step of the run, and the neuron, of every input spike, in order."""
        image, step, neuron = inputs.events()
        return image * self.period + step, neuron

    def split(
        self, run_steps: NDArray[np.int64], neurons: NDArray[np.int32], images: int, size: int
    ) -> SpikeTrains:
        """Return spikes that were recorded in a run as those of its images."""
        image, step = np.divmod(run_steps, self.period)
        return SpikeTrains.from_events(image, step, neurons, (images, self.steps, size))


@dataclass(frozen=True, eq=False)
class BrianModel:
    """A brian2.Network of our objects only, and a SpikeMonitor of each population but the input."""

    network: Any
    spikes: dict[str, Any]


def check_supported(network: Network) -> None:
    """Raise UnsupportedFeatureError if Brian2 could not hold the network exactly."""
    if network.precision == "fixed":
        raise UnsupportedFeatureError(
            "Brian2 cannot hold a network in fixed point: its neurons are in floating point"
        )
    if not _SHORTEST_STEP_S <= network.dt_s <= _LONGEST_STEP_S:
        raise UnsupportedFeatureError(
            f"Brian2 cannot hold time steps of {network.dt_s:g} s exactly, only from "
            f"{_SHORTEST_STEP_S:g} to {_LONGEST_STEP_S:g} s"
        )


def make_clock(brian2: Any, network: Network) -> Any:
    """Return the one clock of a model; a user may have changed Brian2's default clock."""
    return brian2.Clock(dt=network.dt_s * brian2.second, name=CLOCK)


def build_model(
    brian2: Any, network: Network, timing: Timing, clock: Any, source: Any
) -> BrianModel:
    """Build a network in Brian2, on a clock, behind a group that spikes as the input does."""
    groups = {INPUT: source}
    populations: tuple[Population | FixedPopulation, ...] = network.populations
    for number, population in enumerate(populations, 1):
        # Numbered, since Brian2 names parts of a group after it: no name is then a part's.
        name = f"population_{number}_{population.name}"
        groups[population.name] = _neurons(brian2, name, population, network.dt_s, timing, clock)
    synapses = [
        _synapses(brian2, f"synapses_{number}", projection, groups, clock)
        for number, projection in enumerate(network.projections)
        if timing.arrives(projection)
    ]
    spikes = {
        name: brian2.SpikeMonitor(group, name=f"spikes_{name}")
        for name, group in groups.items()
        if name != INPUT
    }
    together = brian2.Network(*groups.values(), *synapses, *spikes.values(), name="network")
    together.schedule = _SCHEDULE
    return BrianModel(together, spikes)


def _neurons(
    brian2: Any,
    name: str,
    population: Population | FixedPopulation,
    dt_s: float,
    timing: Timing,
    clock: Any,
) -> Any:
    if isinstance(population, FixedPopulation):  # pragma: no cover
        raise TypeError("check_supported comes first")
    refractory_s = (population.refractory_steps + 1) * dt_s
    group = brian2.NeuronGroup(
        population.size,
        _EQUATIONS,
        method=_one_step(population.decay(dt_s)),
        # Biased neurons would go on spiking after the image, and into the next.
        threshold="v > threshold and t_in_timesteps % period < steps",
        reset="v = v_reset",
        # Brian2 counts the step of the spike as refractory too.
        refractory=refractory_s * brian2.second,
        events={"start_of_image": "t_in_timesteps % period == 0"},
        namespace={
            "tau_m": population.tau_m_s * brian2.second,
            "v_reset": population.reset_v,
            "refractory_period": refractory_s * brian2.second,
            "period": timing.period,
            "steps": timing.steps,
        },
        clock=clock,
        name=name,
    )
    group.bias = population.bias_v
    group.threshold = population.threshold_v
    group.set_event_schedule("start_of_image", when="before_start")
    group.run_on_event("start_of_image", _START_OF_IMAGE, when="start")
    return group


def _one_step(decay: float) -> Callable[..., str]:
    """Return a state updater for Brian2: the exact solution of the leak, then the input."""

    # Given as a number, since exp() of NumPy and of C++ may differ in the last bit; in two
    # statements, since each is rounded.
    def step(equations: Any, variables: Any = None, method_options: Any = None) -> str:
        del equations, variables, method_options
        return f"v = v * {decay!r}\nv = v + (I + bias)\nI = 0\n"

    return step


def _synapses(
    brian2: Any, name: str, projection: Projection, groups: dict[str, Any], clock: Any
) -> Any:
    synapses = brian2.Synapses(
        groups[projection.source],
        groups[projection.target],
        "w : 1 (constant)",
        on_pre="I_post += w",
        delay=(projection.delay_steps - 1) * clock.dt,
        namespace={},
        clock=clock,
        name=name,
    )
    pre, post = np.nonzero(projection.mantissas)
    synapses.connect(i=pre, j=post)
    synapses.w = projection.weights_v[pre, post]
    return synapses
