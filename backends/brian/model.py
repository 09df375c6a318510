"""Networks as Brian2 objects, in the form in which users of Brian2 would write them.

The order of operations is that of :mod:`neuroattack.ir.dynamics`, with Brian2's default schedule:
arriving weights are added to ``I`` in the slot of the synapses, and ``I`` is added to the potential
at the beginning of the next step. Delays of projections are therefore one step shorter in Brian2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import INPUT, AnyProjection, FixedPopulation, Network, Population

__all__ = ["CLOCK", "BrianModel", "Timing", "build_model", "check_supported", "make_clock"]

CLOCK = "clock_of_network"
"""Name of the only clock of a model."""

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

# Tested range; far outside, integers in Brian2's C++ code overflow.
_SHORTEST_STEP_S = 1e-15
_LONGEST_STEP_S = 1e12

_SCHEDULE = ["start", "groups", "thresholds", "synapses", "resets", "end"]


@dataclass(frozen=True)
class Timing:
    """Timing of images in a run: `steps` steps each, followed by a gap.

    The `gap` is the number of silent steps until all delayed spikes of an image have arrived.
    """

    steps: int
    gap: int

    @classmethod
    def of(cls, network: Network, steps: int) -> Timing:
        """Return the shortest timing for which the images of a network do not interact."""
        delays = [p.delay_steps for p in network.projections if p.delay_steps < steps]
        # Input that arrives one step after the last is cleared when the next image starts.
        return cls(steps, max(delays, default=1) - 1)

    @property
    def period(self) -> int:
        """Number of steps from the start of one image to the start of the next."""
        return self.steps + self.gap

    def arrives(self, projection: AnyProjection) -> bool:
        """Return whether spikes can arrive through the projection before the image ends."""
        return projection.delay_steps < self.steps and bool(projection.grid.any())

    def run_steps(self, inputs: SpikeTrains) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the step in the run and the neuron of every input spike, in order."""
        image, step, neuron = inputs.events()
        return image * self.period + step, neuron

    def split(
        self, run_steps: NDArray[np.int64], neurons: NDArray[np.int32], images: int, size: int
    ) -> SpikeTrains:
        """Return the recorded spikes of a run by image."""
        image, step = np.divmod(run_steps, self.period)
        return SpikeTrains.from_events(image, step, neurons, (images, self.steps, size))


@dataclass(frozen=True, eq=False)
class BrianModel:
    """A brian2.Network, and a SpikeMonitor of each population except the input."""

    network: Any
    spikes: dict[str, Any]


def check_supported(network: Network) -> None:
    """Raise UnsupportedFeatureError if Brian2 does not support the network exactly."""
    if network.precision == "fixed":
        raise UnsupportedFeatureError(
            "Brian2 does not support networks in fixed point, expected floating point"
        )
    if not _SHORTEST_STEP_S <= network.dt_s <= _LONGEST_STEP_S:
        raise UnsupportedFeatureError(
            f"Brian2 does not support time steps of {network.dt_s:g} s exactly, expected "
            f"{_SHORTEST_STEP_S:g} to {_LONGEST_STEP_S:g} s"
        )


def make_clock(brian2: Any, network: Network) -> Any:
    """Return the clock of a model; Brian2's default clock may have been changed by a user."""
    return brian2.Clock(dt=network.dt_s * brian2.second, name=CLOCK)


def build_model(
    brian2: Any, network: Network, timing: Timing, clock: Any, source: Any
) -> BrianModel:
    """Build a network in Brian2 with a given clock and a group that emits the input spikes."""
    groups = {INPUT: source}
    populations: tuple[Population | FixedPopulation, ...] = network.populations
    for number, population in enumerate(populations, 1):
        # Numbered, so that no group has the name of a part that Brian2 derives from another group.
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
    refractory_s = (int(population.refractory_steps[0]) + 1) * dt_s
    group = brian2.NeuronGroup(
        population.size,
        _EQUATIONS,
        method=_one_step(float(population.decay(dt_s)[0])),
        # Otherwise, neurons with a bias would continue to spike after the image.
        threshold="v > threshold and t_in_timesteps % period < steps",
        reset="v = v_reset",
        # In Brian2, the refractory period includes the step of the spike.
        refractory=refractory_s * brian2.second,
        events={"start_of_image": "t_in_timesteps % period == 0"},
        namespace={
            "tau_m": float(population.tau_m_s[0]) * brian2.second,
            "v_reset": float(population.reset_v[0]),
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
    """Return a state updater for Brian2: exact solution of the leak, then addition of the input."""

    # The decay is a literal number, because exp() of NumPy and C++ may differ in the last bit. Two
    # statements, because both results are rounded.
    def step(equations: Any, variables: Any = None, method_options: Any = None) -> str:
        del equations, variables, method_options
        return f"v = v * {decay!r}\nv = v + (I + bias)\nI = 0\n"

    return step


def _synapses(
    brian2: Any, name: str, projection: AnyProjection, groups: dict[str, Any], clock: Any
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
    mantissas = projection.sparse().tocoo()
    pre, post = mantissas.row, mantissas.col
    synapses.connect(i=pre, j=post)
    synapses.w = np.ldexp(mantissas.data.astype(np.float64), projection.exponent)
    return synapses
