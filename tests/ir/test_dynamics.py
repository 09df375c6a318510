"""Reference dynamics compared with a scalar loop written from the equations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.conformance.networks import fixed_networks, inputs, networks
from neuroattack.deployment.features import FEATURES, features_of
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import ValidationError
from neuroattack.ir.dynamics import (
    readout_potentials,
    simulate,
    update_current_fixed,
    update_fixed,
)
from neuroattack.ir.network import (
    INPUT,
    Convolution,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
)


class FloatingNeuron:
    """One neuron in Python floats, written from the equations of the module's documentation."""

    def __init__(self, p, j, dt_s):
        self.decay = math.exp(-dt_s / float(p.tau_m_s[j]))
        tau_syn = float(p.tau_syn_s[j])
        self.current_decay = math.exp(-dt_s / tau_syn) if tau_syn else 0.0
        self.bias, self.current_bias = float(p.bias_v[j]), float(p.current_bias_v[j])
        self.threshold, self.amount = float(p.threshold_v[j]), float(p.reset_v[j])
        self.refractory, self.late = int(p.refractory_steps[j]), p.input_after_update
        self.reset, self.inclusive = p.reset, p.comparison == "inclusive"
        self.v = self.u = 0.0
        self.blocked, self.spiked = 0, False

    def step(self, total):
        old = self.u
        self.u = old * self.current_decay + (total + self.current_bias)
        drive = old if self.late else self.u
        spiked_before, self.spiked = self.spiked, False
        if self.blocked:
            self.blocked -= 1
            return False
        self.v = self.v * self.decay + (drive + self.bias)
        if spiked_before and self.reset == "subtract_next":
            self.v -= self.amount
        self.spiked = self.v >= self.threshold if self.inclusive else self.v > self.threshold
        if self.spiked:
            self.blocked = self.refractory
            if self.reset == "value":
                self.v = self.amount
            elif self.reset == "subtract":
                self.v -= self.amount
        return self.spiked


class FixedNeuron:
    """Loihi's neuron in Python integers, as described in lava's LIF model."""

    def __init__(self, p, j, dt_s):
        self.p, self.j = p, j
        self.v = self.u = self.blocked = 0

    @staticmethod
    def kept(value, leak):
        kept = abs(value) * (4096 - leak) >> 12
        return kept if value > 0 else -kept

    def step(self, total):
        p = self.p
        u = self.kept(self.u, p.current_leak) + int(total)
        while u > 2**23:
            u -= 2**24
        while u <= -(2**23):
            u += 2**24
        self.u = u
        if self.blocked:
            self.blocked -= 1
            return False
        v = self.kept(self.v, p.leak) + u + int(p.bias[self.j])
        self.v = max(p.lowest, min(p.highest, v))
        spiked = self.v > p.threshold[self.j]
        if spiked:
            self.v, self.blocked = 0, p.refractory_steps
        return spiked


def weights_between(projection):
    """Return {target: [(source, weight)]}, with convolutions from their definition."""
    unit = 2.0**projection.exponent
    found = {}
    if not isinstance(projection, Convolution):
        for (i, j), mantissa in np.ndenumerate(projection.mantissas):
            found.setdefault(j, []).append((i, int(mantissa) * unit))
        return found
    q = projection
    _, height, width = q.source_shape
    _, rows, columns = q.target_shape
    per_group = q.kernel.shape[0] // q.groups
    for (out, into, a, b), mantissa in np.ndenumerate(q.kernel):
        channel = (out // per_group) * q.kernel.shape[1] + into
        for y in range(rows):
            for x in range(columns):
                r = y * q.stride[0] + a * q.dilation[0] - q.padding[0][0]
                c = x * q.stride[1] + b * q.dilation[1] - q.padding[1][0]
                if 0 <= r < height and 0 <= c < width:
                    target = (out * rows + y) * columns + x
                    source = (channel * height + r) * width + c
                    found.setdefault(target, []).append((source, int(mantissa) * unit))
    return found


def scalar_loop(network, values):
    """Simulate one neuron at a time, one weight at a time; return spikes and readout potentials."""
    kind = FixedNeuron if network.precision == "fixed" else FloatingNeuron
    neurons = {
        p.name: [kind(p, j, network.dt_s) for j in range(p.size)] for p in network.populations
    }
    wires = [(q, weights_between(q)) for q in network.projections]
    outputs = {INPUT: values.astype(float).tolist()} | {name: [] for name in neurons}
    potentials = []
    for k in range(len(values)):
        for name, group in neurons.items():
            fired = []
            for j, neuron in enumerate(group):
                total = 0.0
                for projection, weights in wires:
                    if projection.target == name and k >= projection.delay_steps:
                        arriving = outputs[projection.source][k - projection.delay_steps]
                        total += sum(arriving[i] * weight for i, weight in weights.get(j, []))
                fired.append(neuron.step(total))
            outputs[name].append(fired)
        potentials.append([neuron.v for neuron in neurons[network.readout]])
    return {name: np.array(each, bool) for name, each in outputs.items()}, np.array(potentials)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_equals_a_scalar_loop(data):
    features = data.draw(st.sampled_from([frozenset(), frozenset(FEATURES)]))
    network = data.draw(
        st.one_of(
            networks(max_size=8, max_layers=3, features=features),
            fixed_networks(max_size=8, max_layers=3, features=features),
        )
    )
    batch = data.draw(inputs(network))
    dense = batch.to_dense() if isinstance(batch, ConstantInput) else batch
    expected, potentials = scalar_loop(network, dense[0])
    for name, spikes in simulate(network, dense[0]).items():
        np.testing.assert_array_equal(spikes, expected[name], name)
    np.testing.assert_array_equal(readout_potentials(network, dense[0]), potentials)


def one_neuron(**changes):
    fields = {"tau_m_s": float("inf"), "threshold_v": 1.0, "refractory_steps": 0} | changes
    return Network(
        dt_s=1e-3,
        input=Input((1,), PoissonEncoder(1000.0)),
        populations=(Population("out", 1, **fields),),
        projections=(Projection.from_weights(INPUT, "out", [[1.0]]),),
        readout="out",
    )


def spike_steps(network, steps=12):
    return np.flatnonzero(simulate(network, np.ones((steps, 1), bool))["out"][:, 0]).tolist()


def test_threshold_is_strict():
    # One volt per step from step 1 on: 1 V at step 1 is not above 1 V, 2 V at step 2 is.
    assert spike_steps(one_neuron()) == [2, 4, 6, 8, 10]


@pytest.mark.parametrize("refractory", [0, 1, 2, 5])
def test_refractory_steps_are_whole_steps_between_integrations(refractory):
    # Two steps of input per spike, then R steps in which input is ignored.
    expected = list(range(2, 12, 2 + refractory))
    assert spike_steps(one_neuron(refractory_steps=refractory)) == expected


def test_leak_holds_the_neuron_below_threshold_for_ever():
    # The fixed point of v = v * d + 1 is 1 / (1 - d); with d = exp(-1) that is 1.58.
    assert spike_steps(one_neuron(tau_m_s=1e-3, threshold_v=1.6), 200) == []
    assert spike_steps(one_neuron(tau_m_s=1e-3, threshold_v=1.5), 200) != []


def test_last_input_steps_never_arrive():
    network = one_neuron(threshold_v=0.5)
    raster = np.zeros((10, 1), bool)
    raster[9] = True
    assert not simulate(network, raster)["out"].any()


def test_wrong_input_shape_is_refused():
    with pytest.raises(ValidationError, match=r"input: got shape \(5, 2\)"):
        simulate(one_neuron(), np.zeros((5, 2), bool))


@pytest.mark.parametrize(
    ("v", "current", "leak", "bias", "expected"),
    [
        (100, 0, 1, 0, 99),  # 99.98 toward zero
        (-100, 0, 1, 0, -99),
        (1, 0, 1, 0, 0),
        (8_000_000, 400_000, 0, 0, 2**23 - 1),  # clipped
        (-8_000_000, -400_000, 0, 0, -(2**23) + 1),
        (0, 2**23, 0, -5, 2**23 - 5),  # the largest current that does not wrap
        (0, 2**23 + 1, 0, 0, -(2**23) + 1),  # wraps
        (0, -(2**23), 0, -5, 2**23 - 5),  # wraps
        (7, 0, 4096, 3, 3),
    ],
)
def test_fixed_point_edges(v, current, leak, bias, expected):
    population = FixedPopulation("p", 1, leak, 2**20, bias)
    wrapped = update_current_fixed(np.zeros(1), np.array([float(current)]), population)
    found = update_fixed(np.array([float(v)]), wrapped, population)
    assert found.tolist() == [expected]


def test_the_features_are_all_generated():
    """The strategy of the conformance suite covers each feature of floating-point networks."""
    seen = set()

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(networks(max_size=8, max_layers=3, features=frozenset(FEATURES)))
    def look(network):
        seen.update(features_of(network))

    look()
    assert seen == set(FEATURES) - {"fixed_point"}


# Two volts per step into one neuron with a threshold of 1 V, no leak.
@pytest.mark.parametrize(
    ("changes", "potentials"),
    [
        ({"reset": "value"}, [0, 0, 0]),
        ({"reset": "subtract"}, [1, 2, 3]),
        ({"reset": "subtract", "reset_v": 1.5}, [0.5, 1, 1.5]),
        ({"reset": "subtract_next"}, [2, 3, 4]),
        ({"reset": "subtract", "reset_v": 0.0}, [2, 4, 6]),
        ({"reset": "subtract", "refractory_steps": 1}, [1, 1, 2]),
    ],
)
def test_resets(changes, potentials):
    network = one_neuron(threshold_v=1.0, bias_v=2.0, **changes)
    silent = np.zeros((3, 1), bool)
    assert readout_potentials(network, silent)[:, 0].tolist() == potentials


def test_a_spike_at_the_threshold_needs_the_inclusive_comparison():
    assert spike_steps(one_neuron(comparison="inclusive")) == list(range(1, 12))


def test_a_synaptic_current_outlasts_its_spike():
    # exp(-1) of the current is left after each step; there is no membrane leak.
    for late in (False, True):
        network = one_neuron(threshold_v=np.inf, tau_syn_s=1e-3, input_after_update=late)
        raster = np.zeros((5, 1), bool)
        raster[0] = True
        u = np.exp(-np.arange(5.0))
        expected = np.concatenate([[0] * (1 + late), np.cumsum(u)])[:5]
        found = readout_potentials(network, raster)[:, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-15)
