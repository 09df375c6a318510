"""The first differing spike in causal order, against a plain search."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.faulty_engine import Engine, random_network, simulate_batch

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.experiments.divergence.difference import differing_events, find_differences
from neuroattack.ir.network import INPUT


def affected(network, differs, name, image, step, neuron):
    """Whether an earlier differing spike may have affected this neuron, by a plain search."""
    if differs[name][image, :step, neuron].any():
        return True
    for p in network.projections:
        if p.target != name:
            continue
        for source in np.flatnonzero(p.mantissas[:, neuron]):
            if differs[p.source][image, : max(step - p.delay_steps + 1, 0), source].any():
                return True
    return False


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_origins_are_those_of_a_plain_search(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    shape = 2, 12
    one = {n: rng.random((*shape, s)) < 0.2 for n, s in network.sizes.items()}
    other = {n: r ^ (rng.random(r.shape) < 0.003) for n, r in one.items()}
    found = find_differences(network, one, other)
    differs = {name: one[name] != other[name] for name in one}
    origins = {
        name: [
            (image, step, neuron)
            for image, step, neuron in np.argwhere(raster).tolist()
            if not affected(network, differs, name, image, step, neuron)
        ]
        for name, raster in differs.items()
    }
    assert found.origins == {name: len(each) for name, each in origins.items()}
    if not any(raster.any() for raster in differs.values()):
        assert found.first is None
    else:
        name, image, step, neuron = found.first
        assert (image, step, neuron) in origins[name]
        assert step == min(s for each in differs.values() for _, s, _ in np.argwhere(each).tolist())


def test_equal_simulations_do_not_differ():
    rng = np.random.default_rng(1)
    network = random_network(rng)
    spikes = simulate_batch(network, Engine(), rng.random((2, 30, network.input.size)) < 0.2)
    found = find_differences(network, spikes, spikes)
    assert found.first is None
    assert set(found.origins.values()) == {0}
    assert INPUT in found.origins


def test_a_spike_that_occurs_twice_differs_from_one_that_occurs_once():
    once = SpikeTrains.from_events([0], [1], [2], (1, 3, 4))
    twice = SpikeTrains.from_events([0, 0], [1, 1], [2, 2], (1, 3, 4))
    assert differing_events(once, once).tolist() == []
    assert differing_events(twice, once).tolist() == [[0, 1, 2]]
