"""Recurrent groups and time shifts of networks."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neuroattack.conformance.networks import inputs, networks
from neuroattack.conformance.scenario_networks import loops, same_step
from neuroattack.deployment.features import FEATURES
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.ir.structure import is_recurrent, lags, recurrent_groups

SPIKING = frozenset(FEATURES) - {"direct_input", "potential_readout"}


def chain(*edges, names="abc"):
    """Return a network of single neurons with edges (source, target, delay)."""
    return Network(
        dt_s=1e-3,
        input=Input((1,), PoissonEncoder(100.0)),
        populations=tuple(Population(name, 1, 0.02, 1.0) for name in names),
        projections=tuple(Projection(s, t, np.ones((1, 1), int), 0, d) for s, t, d in edges),
        readout=names[-1],
    )


def test_groups_are_the_loops_of_a_network():
    network = chain((INPUT, "a", 1), ("a", "b", 1), ("b", "a", 1), ("b", "c", 1), ("c", "c", 1))
    assert recurrent_groups(network) == (("a", "b"), ("c",))
    assert is_recurrent(network, ("a", "b"))
    assert is_recurrent(network, ("c",))
    assert recurrent_groups(loops()) == (("first", "second"), ("output",))
    plain = chain((INPUT, "a", 1), ("a", "b", 1), (INPUT, "c", 1))
    assert recurrent_groups(plain) == (("a",), ("b",), ("c",))
    assert not any(is_recurrent(plain, group) for group in recurrent_groups(plain))


def test_groups_may_need_another_order_than_the_network():
    # The feedback of c is not part of a loop, so c comes before a.
    network = chain((INPUT, "c", 1), ("c", "a", 1), ("a", "b", 1))
    assert recurrent_groups(network) == (("c",), ("a",), ("b",))


def test_shifts_make_room_for_arrival_in_the_same_step():
    assert lags(same_step()) == {INPUT: 0, "first": 1, "second": 2, "output": 3}
    assert set(lags(loops()).values()) == {0}


def test_a_loop_that_is_too_fast_has_no_shifts():
    network = chain((INPUT, "a", 1), ("a", "b", 0), ("b", "a", 1))
    with pytest.raises(UnsupportedFeatureError, match=r"projection .->. is part of a loop"):
        lags(network)
    slower = chain((INPUT, "a", 1), ("a", "b", 0), ("b", "a", 2))
    assert lags(slower) == {INPUT: 0, "a": 0, "b": 1, "c": 0}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_shifted_populations_spike_as_before(data):
    """A network with the delays of its shifts has the same spikes, later, if nothing else acts."""
    network = data.draw(networks(max_size=8, features=SPIKING))
    # Neurons with a threshold below rest spike without input.
    assume(all((p.threshold_v > 0).all() for p in network.populations))
    silent_until_input = dataclasses.replace(
        network,
        populations=tuple(
            dataclasses.replace(p, bias_v=0.0, current_bias_v=0.0) for p in network.populations
        ),
    )
    shifts = lags(silent_until_input)
    assert min(shifts.values()) == 0
    shifted = dataclasses.replace(
        silent_until_input,
        projections=tuple(
            dataclasses.replace(p, delay_steps=p.delay_steps + shifts[p.target] - shifts[p.source])
            for p in network.projections
        ),
    )
    assert all(p.delay_steps >= 1 for p in shifted.projections)
    raster = data.draw(inputs(network))[0]
    longest = max(shifts.values())
    later = np.concatenate([raster, np.zeros((longest, raster.shape[1]), bool)])
    expected, found = simulate(silent_until_input, raster), simulate(shifted, later)
    for name, spikes in expected.items():
        start = shifts[name]
        np.testing.assert_array_equal(found[name][start : start + len(raster)], spikes)
