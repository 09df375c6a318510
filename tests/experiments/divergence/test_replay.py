"""Replays predict every spike of the reference dynamics, from the spikes before it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.conformance.networks import fixed_networks, networks, rasters
from neuroattack.deployment.features import FEATURES
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.experiments.divergence.replay import Replay
from neuroattack.experiments.divergence.variation import (
    REFERENCE,
    Variation,
    WeightGrid,
    WeightLimit,
)
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import INPUT, Convolution, Input, Network, Population, Projection

SPIKING = frozenset(FEATURES) - {"direct_input"}


def replayed(network, batch):
    """Return the spikes of the reference dynamics and the replays, for a batch of inputs."""
    each = [simulate(network, image) for image in batch]
    recorded = {name: np.stack([one[name] for one in each]) for name in each[0]}
    recorded.setdefault(INPUT, batch)
    return recorded, {p.name: Replay(network, p.name, recorded) for p in network.populations}


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_all_spikes_of_floating_point_networks_are_predicted(data):
    network = data.draw(networks(12, 3, SPIKING))
    recorded, replays = replayed(network, data.draw(rasters(network.input.size)))
    for name, replay in replays.items():
        result = replay.run()
        assert np.array_equal(result.spikes, recorded[name])


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_all_spikes_of_fixed_point_networks_are_predicted(data):
    network = data.draw(fixed_networks(12, 3, SPIKING))
    recorded, replays = replayed(network, data.draw(rasters(network.input.size)))
    for name, replay in replays.items():
        assert np.array_equal(replay.run().spikes, recorded[name])


@pytest.mark.parametrize(
    "variation",
    [
        REFERENCE,
        Variation(weights=WeightGrid(3)),
        Variation(weights=WeightGrid(3, "floor", "range", is_shared=True)),
        Variation(weights=WeightLimit(0.2)),
    ],
)
def test_large_weight_matrices_are_sparse(monkeypatch, variation):
    """Convolutions of large feature maps do not fit into memory as arrays."""
    rng = np.random.default_rng(0)
    kernel = Convolution(INPUT, "maps", rng.integers(-20, 90, (2, 1, 3, 3)), -6, (1, 6, 6))
    readout = Projection.from_weights("maps", "out", rng.normal(0, 0.3, (32, 3)))
    network = Network(
        1e-3,
        Input((1, 6, 6), PoissonEncoder(100.0)),
        (Population("maps", 32, 0.02, 1.0), Population("out", 3, 0.02, 0.5)),
        (kernel, readout),
        "out",
    )
    recorded, arrays = replayed(network, rng.random((2, 20, 36)) < 0.2)
    monkeypatch.setattr("neuroattack.experiments.divergence.replay._LARGEST_ARRAY", 0)
    for name, each in arrays.items():
        sparse = Replay(network, name, recorded)
        one, other = sparse.run(variation), each.run(variation)
        assert np.allclose(one.potentials, other.potentials)
        assert np.array_equal(one.spikes, other.spikes)
        for found, expected in zip(sparse.incoming(1), each.incoming(1), strict=True):
            assert np.array_equal(found, expected)


def test_direct_input_is_replayed_as_values():
    projection = Projection.from_weights(INPUT, "out", np.full((2, 3), 0.4), delay_steps=2)
    network = Network(
        1e-3,
        Input((1, 1, 2), DirectEncoder(8)),
        (Population("out", 3, tau_m_s=0.02, threshold_v=1.0),),
        (projection,),
        "out",
    )
    values = np.full((20, 2), 0.75)
    recorded, replays = replayed(network, values[None])
    assert recorded["out"].any()
    assert replays["out"].mismatches(REFERENCE) == 0


def chain(**changes):
    """Return one neuron that receives the input with weight 0.6, without leak."""
    neuron = {"tau_m_s": np.inf, "threshold_v": 1.0, "refractory_steps": 2, "reset_v": -0.5}
    return Network(
        1e-3,
        Input((1, 1, 1), PoissonEncoder(100.0)),
        (Population("out", 1, **(neuron | changes)),),
        (Projection.from_weights(INPUT, "out", [[0.5]]),),
        "out",
    )


def test_potentials_of_each_variation_follow_its_rule():
    """Every step by hand: input in steps 0, 1 and 2, recorded spike in step 3."""
    network = chain(tau_m_s=1e-3 / np.log(2))  # the potential halves in each step
    inputs = np.zeros((1, 8, 1), bool)
    inputs[0, [0, 1, 2, 4, 5], 0] = True
    spikes = np.zeros((1, 8, 1), bool)
    spikes[0, 3] = True
    replay = Replay(network, "out", {INPUT: inputs, "out": spikes})

    def course(**changes):
        return replay.run(Variation(**changes)).potentials[0, :, 0].tolist()

    assert course() == [0, 0.5, 0.75, 0.875, -0.5, -0.5, 0.25, 0.125]
    assert course(refractory_steps=-1) == [0, 0.5, 0.75, 0.875, -0.5, 0.25, 0.625, 0.3125]
    assert course(refractory_steps=1) == [0, 0.5, 0.75, 0.875, -0.5, -0.5, -0.5, -0.25]
    assert course(reset="zero") == [0, 0.5, 0.75, 0.875, 0, 0, 0.5, 0.25]
    assert course(reset="subtract") == [0, 0.5, 0.75, 0.875, -0.125, -0.125, 0.4375, 0.21875]
    assert course(reset="none") == [0, 0.5, 0.75, 0.875, 0.875, 0.875, 0.9375, 0.46875]
    assert course(delay_steps=(1,)) == [0, 0, 0.5, 0.75, -0.5, -0.5, 0.25, 0.625]
    assert course(delay_steps=(-1,)) == [0.5, 0.75, 0.875, 0.4375, -0.5, -0.5, -0.25, -0.125]
    assert course(order="before_leak") == [0, 0.25, 0.375, 0.4375, -0.5, -0.5, 0, 0]
    # The input of step 3 is erased by the reset, and that of step 6 acts in step 7.
    assert course(order="after_threshold") == [0, 0, 0.25, 0.375, -0.5, -0.5, -0.25, 0.125]
    # The input of step 3 comes after the reset.
    assert course(order="after_reset") == [0, 0, 0.25, 0.375, 0, 0, 0, 0.25]
    assert course(while_refractory="leak") == [0, 0.5, 0.75, 0.875, -0.25, -0.125, 0.4375, 0.21875]
    assert course(while_refractory="integrate") == [
        0, 0.5, 0.75, 0.875, -0.25, 0.375, 0.6875, 0.34375,
    ]  # fmt: skip
    assert course(lowest=-0.1)[4:] == [-0.5, -0.5, 0.25, 0.125]
    assert course(highest=0.6) == [0, 0.5, 0.6, 0.6, -0.5, -0.5, 0.25, 0.125]
    assert course(integration="no_leak") == [0, 0.5, 1, 1.5, -0.5, -0.5, 0, 0]
    assert course(integration="unit_gain") == [0, 0.25, 0.375, 0.4375, -0.5, -0.5, 0, 0]


def test_factors_of_integration_schemes():
    tau_s = 0.004
    network = chain(tau_m_s=tau_s, threshold_v=10.0)
    inputs = np.zeros((1, 4, 1), bool)
    inputs[0, 0] = True
    replay = Replay(network, "out", {INPUT: inputs, "out": np.zeros((1, 4, 1), bool)})
    x = 1e-3 / tau_s
    for scheme, decay, gain in (
        ("exponential", np.exp(-x), 1),
        ("euler", 1 - x, 1),
        ("implicit", 1 / (1 + x), 1),
        ("implicit_input", 1 / (1 + x), 1 / (1 + x)),
        ("unit_gain", np.exp(-x), 1 - np.exp(-x)),
        ("euler_unit_gain", 1 - x, x),
        ("held_input", np.exp(-x), (1 - np.exp(-x)) / x),
    ):
        found = replay.run(Variation(integration=scheme)).potentials[0, 1:, 0]
        assert found == pytest.approx(0.5 * gain * decay ** np.arange(3), rel=1e-14)


def test_neurons_can_be_chosen_without_a_change():
    rng = np.random.default_rng(3)
    weights = rng.normal(0.3, 0.3, (6, 9))
    network = Network(
        1e-3,
        Input((1, 1, 6), PoissonEncoder(100.0)),
        (Population("out", 9, tau_m_s=0.02, threshold_v=1.0),),
        (Projection.from_weights(INPUT, "out", weights),),
        "out",
    )
    recorded = {INPUT: rng.random((2, 30, 6)) < 0.3, "out": rng.random((2, 30, 9)) < 0.1}
    chosen = np.array([1, 5, 7])
    for variation in (REFERENCE, Variation(reset="subtract", integration="euler")):
        every = Replay(network, "out", recorded).run(variation)
        some = Replay(network, "out", recorded, chosen).run(variation)
        for field in dataclasses.fields(some):
            assert np.array_equal(
                getattr(some, field.name), getattr(every, field.name)[..., chosen]
            )
