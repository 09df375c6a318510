"""Brian2 in this process against the plain dynamics, spike for spike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import networks, rasters

from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import (
    INPUT,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
)
from neuroattack.simulation import load_backend
from neuroattack.spikes import PoissonEncoder, SpikeTrains

pytest.importorskip("brian2", reason="needs Brian2: pip install 'neuroattack[brian2]'")


def deploy(network):
    return load_backend("brian2").deploy(network)


def assert_exact(network, dense, simulator=None):
    simulator = simulator or deploy(network)
    recording = simulator.run(SpikeTrains.from_dense(dense), record_spikes=True)
    for image, raster in enumerate(dense):
        for name, expected in simulate(network, raster).items():
            found = recording.spikes[name][image : image + 1].to_dense()[0]
            np.testing.assert_array_equal(found, expected, err_msg=f"image {image}, {name}")
            np.testing.assert_array_equal(recording.counts[name][image], expected.sum(axis=0))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_spike_equals_the_plain_dynamics(data):
    network = data.draw(networks())
    assert_exact(network, data.draw(rasters(network.input.size)))


def chain(*, delays=(1, 1), dt_s=1e-3, **changes):
    """Return input, hidden and output, three neurons each, that spike at every chance."""
    fields = {"tau_m_s": 0.02, "threshold_v": 0.5} | changes
    names = (INPUT, "hidden", "output")
    return Network(
        dt_s=dt_s,
        input=Input((3,), PoissonEncoder(0.5 / dt_s)),
        populations=tuple(Population(name, 3, **fields) for name in names[1:]),
        projections=tuple(
            Projection.from_weights(names[i], names[i + 1], np.eye(3) * 0.625, delays[i])
            for i in range(2)
        ),
        readout="output",
    )


def full_and_empty(steps=12):
    dense = np.zeros((5, steps, 3), bool)
    dense[[0, 2, 3]] = True
    return dense


@pytest.mark.parametrize(
    "network",
    [
        chain(),
        chain(delays=(5, 3)),
        chain(delays=(11, 1)),
        chain(delays=(12, 1)),
        chain(delays=(10_000, 2)),
        chain(refractory_steps=30),
        chain(refractory_steps=1_000_000),
        chain(refractory_steps=1, reset_v=-3.0),
        chain(bias_v=0.2),
        chain(bias_v=[0.6, 0.0, -2.0], delays=(4, 7), refractory_steps=3),
        chain(bias_v=-1e308, tau_m_s=float("inf"), threshold_v=1.0),
        chain(tau_m_s=float("inf"), threshold_v=0.625),
        chain(tau_m_s=1e-9),
        chain(threshold_v=-0.5, reset_v=-1.0, refractory_steps=2),
    ],
)
def test_nothing_survives_from_one_image_to_the_next(network):
    assert_exact(network, full_and_empty())


@pytest.mark.parametrize("dt_s", [1e-12, 1e-7 / 3, 0.1, 1e4])
def test_steps_of_any_length(dt_s):
    assert_exact(chain(dt_s=dt_s, refractory_steps=2, delays=(3, 1)), full_and_empty())


def test_one_simulator_shows_images_of_several_lengths():
    network = chain(delays=(2, 5), bias_v=0.01, refractory_steps=2)
    simulator = deploy(network)
    rng = np.random.default_rng(0)
    for images, steps in [(3, 20), (1, 1), (2, 20), (4, 3), (3, 20)]:
        assert_exact(network, rng.random((images, steps, 3)) < 0.5, simulator)


@pytest.mark.parametrize(("images", "size"), [(1, 4), (0, 3)])
def test_inputs_of_another_size_or_none_are_refused(images, size):
    inputs = SpikeTrains(size, np.zeros((images, 6), np.int64), np.empty(0, np.int32))
    with pytest.raises(ValidationError, match="input spikes: got"):
        deploy(chain()).run(inputs)


def test_fixed_point_is_refused():
    network = Network(
        dt_s=1e-3,
        input=Input((1,), PoissonEncoder(100.0)),
        populations=(FixedPopulation("output", 1, leak=10, threshold=np.array(5)),),
        projections=(Projection(INPUT, "output", np.ones((1, 1), np.int32), 0),),
        readout="output",
    )
    with pytest.raises(UnsupportedFeatureError, match="fixed"):
        deploy(network)
