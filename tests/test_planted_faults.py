"""The conformance suite detects faulty backends, each by the scenario made for the fault."""

import dataclasses
from unittest import mock

import numpy as np
import pytest

from neuroattack.conformance.scenarios import SCENARIOS
from neuroattack.deployment.backend import Recording
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.dynamics import readout_potentials, simulate
from neuroattack.ir.network import INPUT, Convolution, FixedPopulation


class Sound:
    """Simulator with the reference dynamics; subclasses add faults."""

    def __init__(self, network):
        self.network = self.altered(network)

    def altered(self, network):
        return network

    def images(self, dense):
        return [simulate(self.network, image) for image in dense]

    def counted(self, counts):
        return counts

    def run(self, inputs, *, record_spikes=False):
        dense = inputs.to_dense()
        each = self.images(dense)
        spikes = {
            name: SpikeTrains.from_dense(np.stack([image[name] for image in each]))
            for name in each[0]
        }
        counts = {INPUT: inputs.counts()} | {name: s.counts() for name, s in spikes.items()}
        potentials = None
        if self.network.readout_quantity != "spike_count":
            course = np.array([readout_potentials(self.network, image) for image in dense])
            potentials = self.read(course)
        return Recording(self.counted(counts), spikes if record_spikes else None, potentials)

    def read(self, course):
        if self.network.readout_quantity == "final_potential":
            return course[:, -1]
        return course.max(axis=1)

    def close(self):
        pass


def with_populations(network, **changes):
    changed = tuple(
        dataclasses.replace(p, **{name: change(p) for name, change in changes.items()})
        for p in network.populations
    )
    return dataclasses.replace(network, populations=changed)


class DelayTooLong(Sound):
    def altered(self, network):
        return dataclasses.replace(
            network,
            projections=tuple(
                dataclasses.replace(p, delay_steps=p.delay_steps + 1) for p in network.projections
            ),
        )


class RefractoryTooShort(Sound):
    def altered(self, network):
        return with_populations(
            network, refractory_steps=lambda p: np.maximum(p.refractory_steps - 1, 0)
        )


class StateLeaks(Sound):
    def images(self, dense):
        steps = dense.shape[1]
        whole = simulate(self.network, dense.reshape(-1, dense.shape[2]))
        return [
            {name: spikes[start : start + steps] for name, spikes in whole.items()}
            for start in range(0, len(dense) * steps, steps)
        ]


class StateLeaksBetweenQueries(Sound):
    before = None

    def images(self, dense):
        first = dense[:1] if self.before is None else self.before
        self.before = dense[-1:]
        steps = dense.shape[1]
        if first.shape[1:] != dense.shape[1:]:
            first = dense[:1] & False
        led = np.concatenate([first, dense[:1]], axis=1)[0]
        lead = {name: spikes[steps:] for name, spikes in simulate(self.network, led).items()}
        return [lead, *(simulate(self.network, image) for image in dense[1:])]


class ClassesSwapped(Sound):
    def counted(self, counts):
        readout = counts[self.network.readout]
        if readout.shape[1] > 1:
            readout[:, [0, 1]] = readout[:, [1, 0]]
        return counts


class ImagesReversed(Sound):
    def images(self, dense):
        return super().images(dense)[::-1]


class ThresholdNotStrict(Sound):
    def altered(self, network):
        def lower(p):
            if isinstance(p, FixedPopulation):
                return np.maximum(p.threshold - 1, 0)
            return np.nextafter(p.threshold_v, -np.inf)

        field = "threshold" if network.precision == "fixed" else "threshold_v"
        return with_populations(network, **{field: lower})


def with_rule(rule):
    """Return a backend whose fixed-point neurons follow another update rule."""

    class Ruled(Sound):
        def images(self, dense):
            with (
                # The rules below wrap the current themselves, and their currents have no memory.
                mock.patch("neuroattack.ir.dynamics.update_current_fixed", lambda u, i, p: i),
                mock.patch("neuroattack.ir.dynamics.update_fixed", rule),
            ):
                return super().images(dense)

    return Ruled


TOP, SPAN = 2**23 - 1, 2**24


def wrapped(current):
    return SPAN // 2 - (SPAN // 2 - current) % SPAN


def leaked(v, population):
    return np.trunc(v * (4096 - population.leak) / 4096)


def after(v, current, p):
    """Return the correct potentials before clipping."""
    return leaked(v, p) + (wrapped(current) + p.bias)


RULES = {
    "leak by floor": lambda v, current, p: np.clip(
        np.floor(v * (4096 - p.leak) / 4096) + (wrapped(current) + p.bias), -TOP, TOP
    ),
    "leak to nearest": lambda v, current, p: np.clip(
        np.rint(v * (4096 - p.leak) / 4096) + (wrapped(current) + p.bias), -TOP, TOP
    ),
    "clip one lower": lambda *given: np.clip(after(*given), -TOP - 1, TOP),
    "clip one higher": lambda *given: np.clip(after(*given), -TOP, TOP + 1),
    "clip too early": lambda *given: np.clip(after(*given), -TOP + 1, TOP - 1),
    "bias before wrapping": lambda v, current, p: np.clip(
        leaked(v, p) + wrapped(current + p.bias), -TOP, TOP
    ),
    "wrapping from the other side": lambda v, current, p: np.clip(
        leaked(v, p) + ((current + SPAN // 2) % SPAN - SPAN // 2 + p.bias), -TOP, TOP
    ),
    "no wrapping": lambda v, current, p: np.clip(leaked(v, p) + (current + p.bias), -TOP, TOP),
}
NARROW_RULES = {
    "clip at 24 bits": lambda v, current, p: np.clip(after(v, current, p), -TOP, TOP),
    "clip above alone": lambda v, current, p: np.minimum(after(v, current, p), p.highest),
    "clip below alone": lambda v, current, p: np.maximum(after(v, current, p), p.lowest),
    "clip alike on both sides": lambda v, current, p: np.clip(
        after(v, current, p), -p.highest, p.highest
    ),
    "clip narrower": lambda v, i, p: np.clip(after(v, i, p), p.lowest, p.highest - 1),
    "clip wider": lambda v, i, p: np.clip(after(v, i, p), p.lowest, p.highest + 1),
    "clip lower": lambda v, i, p: np.clip(after(v, i, p), p.lowest - 1, p.highest),
}


class OneBatchOnly(Sound):
    """Fault: results after an internal batch of 256 are lost."""

    def images(self, dense):
        each = super().images(dense)
        return [*each[:256], *({n: s & False for n, s in each[0].items()} for _ in each[256:])]


def with_projections(network, changed):
    return dataclasses.replace(network, projections=tuple(map(changed, network.projections)))


class ResetInstead(Sound):
    """Fault: neurons that should subtract at the spike are reset to 0."""

    def altered(self, network):
        def reset(p):
            return "value" if p.reset == "subtract" else p.reset

        def reset_v(p):
            return p.reset_v * 0 if p.reset == "subtract" else p.reset_v

        return with_populations(network, reset=reset, reset_v=reset_v)


class SubtractsAtOnce(Sound):
    def altered(self, network):
        return with_populations(
            network, reset=lambda p: "subtract" if p.reset == "subtract_next" else p.reset
        )


class AlwaysStrict(Sound):
    def altered(self, network):
        return with_populations(network, comparison=lambda p: "strict")


class FirstNeuronsParameters(Sound):
    def altered(self, network):
        fields = ("tau_m_s", "reset_v", "refractory_steps")
        first = {name: lambda p, name=name: getattr(p, name)[0] for name in fields}
        return with_populations(network, **first)


class AlwaysEarly(Sound):
    def altered(self, network):
        return with_populations(network, input_after_update=lambda p: False)


class CurrentForgotten(Sound):
    def altered(self, network):
        return with_populations(network, tau_syn_s=lambda p: 0.0)


class CurrentBiasOnPotential(Sound):
    def altered(self, network):
        return with_populations(
            network, bias_v=lambda p: p.bias_v + p.current_bias_v, current_bias_v=lambda p: 0.0
        )


class NoRecurrence(Sound):
    def altered(self, network):
        kept = [p for p in network.projections if p.source != p.target]
        return dataclasses.replace(network, projections=tuple(kept))


class NoFeedback(Sound):
    def altered(self, network):
        order = list(network.sizes)
        kept = [p for p in network.projections if order.index(p.source) <= order.index(p.target)]
        return dataclasses.replace(network, projections=tuple(kept))


class NextStep(Sound):
    def altered(self, network):
        return with_projections(
            network, lambda p: dataclasses.replace(p, delay_steps=max(p.delay_steps, 1))
        )


class FlippedKernels(Sound):
    """Fault: convolution in the mathematical sense, which flips kernels."""

    def altered(self, network):
        return with_projections(
            network,
            lambda p: (
                p.with_grid(p.grid[..., ::-1, ::-1], p.exponent)
                if isinstance(p, Convolution)
                else p
            ),
        )


class ReadAtOtherTimes(Sound):
    def read(self, course):
        if self.network.readout_quantity == "final_potential":
            return course[:, -2]
        return course[:, 1:].max(axis=1) if course.shape[1] > 1 else course[:, 0]


class FixedCurrentForgotten(Sound):
    def altered(self, network):
        return with_populations(network, current_leak=lambda p: 4096)


class LastStepNotCounted(Sound):
    def images(self, dense):
        each = super().images(dense)
        for spikes in each:
            for name, raster in spikes.items():
                if name != INPUT:
                    raster[-1] = False
        return each


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_sound_backend_passes(scenario):
    scenario.check(Sound(scenario.network()))


@pytest.mark.parametrize(
    ("fault", "scenario"),
    [
        (DelayTooLong, "longest delays and refractory periods"),
        (RefractoryTooShort, "saturated input"),
        (StateLeaks, "saturated image, then an empty one"),
        (StateLeaksBetweenQueries, "saturated image, then an empty one"),
        (ClassesSwapped, "batches of 1, 2 and odd sizes"),
        (ImagesReversed, "batches of 1, 2 and odd sizes"),
        (ThresholdNotStrict, "ties at the threshold"),
        (OneBatchOnly, "larger than an internal batch"),
        (LastStepNotCounted, "saturated input"),
        (ResetInstead, "resets"),
        (SubtractsAtOnce, "resets"),
        (AlwaysStrict, "resets"),
        (FirstNeuronsParameters, "resets"),
        (AlwaysEarly, "synaptic currents"),
        (CurrentForgotten, "synaptic currents"),
        (CurrentBiasOnPotential, "synaptic currents"),
        (NoRecurrence, "recurrence and feedback"),
        (NoFeedback, "recurrence and feedback"),
        (NextStep, "arrival in the same step"),
        (FlippedKernels, "convolutions"),
        (ReadAtOtherTimes, "direct coding and final potentials"),
        (FixedCurrentForgotten, "fixed point, synaptic currents"),
    ],
)
def test_a_planted_fault_is_caught(fault, scenario):
    (tried,) = (each for each in SCENARIOS if each.name == scenario)
    with pytest.raises(AssertionError, match="differ"):
        tried.check(fault(tried.network()))


@pytest.mark.parametrize(
    ("rule", "scenario"),
    [
        *((rule, "fixed point, the last bit of each rule") for rule in RULES),
        *((rule, "fixed point, narrow states") for rule in NARROW_RULES),
    ],
)
def test_a_wrong_rule_of_fixed_point_is_caught(rule, scenario):
    (tried,) = (each for each in SCENARIOS if each.name == scenario)
    with pytest.raises(AssertionError, match="differ"):
        tried.check(with_rule((RULES | NARROW_RULES)[rule])(tried.network()))


def test_the_networks_of_the_scenarios_are_not_silent():
    for scenario in SCENARIOS:
        network = scenario.network()
        spikes = simulate(network, np.ones((40, network.input.size), bool))
        potential = network.readout if network.readout_quantity != "spike_count" else ""
        for name, raster in spikes.items():
            silent = name in ("unreached", potential)
            assert raster.any() != silent, (scenario.name, name)
