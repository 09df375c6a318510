"""Edge cases of the arithmetic of the Lava processes, which does not need Lava."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lava_chain import Chain
from support.lava_exactness import expected

from neuroattack.backends.lava.backend import LavaBackend
from neuroattack.backends.lava.neurons import FixedNeurons, FloatingNeurons
from neuroattack.backends.lava.plan import Block, GraphPlan, Layout
from neuroattack.backends.lava.synapses import synapses_of
from neuroattack.conformance.networks import fixed_networks, inputs, networks
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.ir.dynamics import update_current_fixed, update_fixed
from neuroattack.ir.fixed_point import POTENTIAL_LIMIT
from neuroattack.ir.network import (
    INPUT,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
)


def assert_exact(network, given, block_steps):
    results, spikes = Chain(network, block_steps).run(given)
    counts, expected_spikes, potentials = expected(network, given)
    for name, raster in expected_spikes.items():
        np.testing.assert_array_equal(spikes[name], raster, err_msg=name)
    every = np.concatenate(list(counts.values()), axis=1)
    np.testing.assert_array_equal(results[:, : every.shape[1]], every)
    if potentials is not None:
        found = np.ascontiguousarray(results[:, every.shape[1] :]).view(np.float64)
        np.testing.assert_array_equal(found, potentials)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_networks_with_all_features_are_exact(data):
    features = LavaBackend.supported
    network = data.draw(
        st.one_of(networks(20, features=features), fixed_networks(20, features=features))
    )
    assert_exact(network, data.draw(inputs(network)), data.draw(st.sampled_from([1, 3, 10, 64])))


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("bits", [8, 20, 23])
def test_sums_are_exact(density, bits):
    rng = np.random.default_rng(bits)
    mantissas = rng.integers(1 - 2**bits, 2**bits, (300, 7))
    mantissas[:, 0] = 2**bits - 1
    spikes = rng.random((11, 300)) < density
    synapses = synapses_of(Projection("a", "b", mantissas, 0))
    exact = [[sum(int(m) for m in column[row]) for column in mantissas.T] for row in spikes]
    assert synapses.sums(spikes.view(np.uint8)).astype(object).tolist() == exact


@pytest.mark.parametrize("delay", [1, 3, 8, 9, 100])
def test_spikes_arrive_after_their_delay(delay):
    rng = np.random.default_rng(delay)
    spikes = rng.random((20, 2, 13)) < 0.4
    packed = np.packbits(spikes, axis=-1, bitorder="little")
    synapses = synapses_of(Projection("a", "b", np.ones((13, 1), int), 0, delay))
    for first, steps in ((0, 8), (8, 8), (16, 4)):
        found = synapses.arriving(packed, first, steps).reshape(steps, 2, 13)
        for k in range(steps):
            step = first + k - delay
            np.testing.assert_array_equal(found[k], spikes[step] if step >= 0 else 0)


LEAKS = [0, 1, 100, 4095, 4096]


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("current_leak", LEAKS)
def test_fixed_point_at_its_limits(leak, current_leak):
    population = FixedPopulation("p", 1, leak, POTENTIAL_LIMIT, bias=-3, current_leak=current_leak)
    edges = [0, 1, 2, 4095, 4096, 2**22, 2**23 - 1, 2**23, 2**23 + 1, 2**24, 2**25 + 5, 2**40]
    values = np.array(sorted({s * e for s in (-1, 1) for e in edges}))
    states = values[np.abs(values) <= POTENTIAL_LIMIT]
    v, u, arriving = (grid.ravel() for grid in np.meshgrid(states, states, values))
    neurons = FixedNeurons(population, [0])
    neurons.rest(len(v))
    neurons.v[:, 0], neurons._current[:, 0] = v, u
    neurons.step([arriving[:, np.newaxis].astype(float)])
    current = update_current_fixed(u.astype(float), arriving.astype(float), population)
    np.testing.assert_array_equal(neurons._current[:, 0], current)
    np.testing.assert_array_equal(
        neurons.v[:, 0], update_fixed(v.astype(float), current, population)
    )


def test_refractory_neurons_hold_their_reset_potential():
    population = Population("p", 2, 1.0, 0.5, reset_v=-0.25, refractory_steps=2)
    neurons = FloatingNeurons(population, 1e-3, [-1])
    neurons.rest(1)
    fired = [bool(neurons.step([np.array([[2, 0]])])[0, 0]) for _ in range(7)]
    assert fired == [True, False, False, True, False, False, True]
    assert neurons.counts.tolist() == [[3, 0]]
    assert neurons.v[0, 0] == -0.25


def test_messages_carry_what_later_layers_need():
    names = (INPUT, "a", "b", "c")
    network = Network(
        1e-3,
        Input((9,), PoissonEncoder(100.0)),
        tuple(Population(name, 9, 1.0, 1.0) for name in names[1:]),
        tuple(
            Projection(source, target, np.ones((9, 9), int), 0)
            for source, target in ((INPUT, "a"), (INPUT, "b"), ("a", "c"), ("b", "c"))
        ),
        "c",
    )
    sent = [list(layer.sent.sizes) for layer in GraphPlan.of(network, 10, 4).layers]
    assert sent == [[INPUT, "a"], ["a", "b"], ["a", "b", "c"]]


def test_a_message_holds_a_part_of_a_query():
    layout = Layout({"a": 9, "b": 1}, block_steps=5, capacity=3)
    block = Block(first_step=10, steps=2, total_steps=12, images=2, record=1)
    message = layout.empty()
    assert message.nbytes == 40 + 5 * 3 * (2 + 1)
    layout.write_block(message, block)
    for name, room in layout.spikes(message, block).items():
        assert room.shape == (2, 2, 2 if name == "a" else 1)
        room[:] = ord(name)
    assert layout.read_block(message) == block
    assert block.is_last
    assert not block.is_first
    assert (message == ord("a")).sum() == 8
    assert (message == ord("b")).sum() == 4
