"""Reference dynamics compared with a scalar loop written from the equations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.conformance.networks import fixed_networks, networks, rasters
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import ValidationError
from neuroattack.ir.dynamics import simulate, update_fixed
from neuroattack.ir.network import INPUT, FixedPopulation, Input, Network, Population, Projection


def floating_step(population, j, v, total, dt_s):
    decay = math.exp(-dt_s / population.tau_m_s)
    v = v * decay + (total + float(population.bias_v[j]))
    return v, v > population.threshold_v[j]


def fixed_step(population, j, v, total, dt_s):
    """Update Loihi's neuron in Python integers, as described in lava's LIF model."""
    kept = abs(v) * (4096 - population.leak) >> 12
    u = int(total)
    while u > 2**23:
        u -= 2**24
    while u <= -(2**23):
        u += 2**24
    v = (kept if v > 0 else -kept) + u + int(population.bias[j])
    v = max(population.lowest, min(population.highest, v))
    return v, v > population.threshold[j]


def scalar_loop(network, raster):
    """Simulate one neuron at a time, one weight at a time."""
    steps = len(raster)
    fired = {INPUT: {(k, i) for k, i in zip(*np.nonzero(raster), strict=True)}}
    step = fixed_step if network.precision == "fixed" else floating_step
    for population in network.populations:
        reset = getattr(population, "reset_v", 0)
        spikes = set()
        for j in range(population.size):
            v, blocked_until = 0, -1
            for k in range(steps):
                if k <= blocked_until:
                    v = reset
                    continue
                total = 0.0
                for projection in network.projections:
                    if projection.target != population.name:
                        continue
                    scale = 2.0**projection.exponent
                    for i in range(projection.mantissas.shape[0]):
                        if (k - projection.delay_steps, i) in fired[projection.source]:
                            total += int(projection.mantissas[i, j]) * scale
                v, spiked = step(population, j, v, total, network.dt_s)
                if spiked:
                    spikes.add((k, j))
                    v = reset
                    blocked_until = k + population.refractory_steps
        fired[population.name] = spikes
    return fired


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equals_a_scalar_loop(data):
    network = data.draw(
        st.one_of(
            networks(max_size=8, max_layers=3),
            fixed_networks(max_size=8, max_layers=3),
        )
    )
    raster = data.draw(rasters(network.input.size))[0]
    spikes = simulate(network, raster)
    expected = scalar_loop(network, raster)
    for name, raster_of in spikes.items():
        assert {(k, j) for k, j in zip(*np.nonzero(raster_of), strict=True)} == expected[name]


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
    with pytest.raises(ValidationError, match=r"input spikes: got shape \(5, 2\)"):
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
    found = update_fixed(np.array([float(v)]), np.array([float(current)]), population)
    assert found.tolist() == [expected]
