"""Batches of nearly equal images on the native backend: the same counts as image by image."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neuroattack.backends.native import NativeBackend
from neuroattack.backends.native.incoming import neuron_orders
from neuroattack.backends.native.layer import Layer
from neuroattack.backends.native.neighbors import can_have_neighbors, find_neighbors
from neuroattack.backends.native.trace import Trace
from neuroattack.conformance.networks import fixed_networks, networks
from neuroattack.deployment.features import FEATURES
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import Input, Network, Population, Projection


def neighbours_of(base, rng, images, most):
    """Return the image and variants with up to `most` of its events added or removed."""
    dense = np.repeat(base[None], images, axis=0)
    for image in dense[1:]:
        flips = rng.integers(0, most + 1)
        steps, size = image.shape
        image[rng.integers(0, steps, flips), rng.integers(0, size, flips)] ^= True
    return dense


def expected_counts(network, dense):
    each = [simulate(network, image) for image in dense]
    return {name: np.stack([one[name].sum(axis=0) for one in each]) for name in each[0]}


# Those that plain layers support.
PLAIN = frozenset({"inclusive_threshold", "same_step_arrival"})


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from([1, 2]))
def test_neighbors_have_the_counts_of_the_reference_dynamics(data, threads):
    network = data.draw(networks(max_size=40, features=PLAIN))
    assume(all(len(network.incoming(p.name)) == 1 for p in network.populations))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    steps = data.draw(st.integers(1, 40))
    density = data.draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))
    base = rng.random((steps, network.input.size)) < density
    dense = neighbours_of(base, rng, data.draw(st.integers(8, 12)), data.draw(st.integers(0, 6)))
    # One image that is not near the others.
    dense[3] = rng.random(base.shape) < 0.5
    inputs = SpikeTrains.from_dense(dense)
    counts = NativeBackend(threads).deploy(network).run(inputs).counts
    for name, expected in expected_counts(network, dense).items():
        np.testing.assert_array_equal(counts[name], expected, err_msg=name)


def chain(sizes, rng, gain):
    """Return a network with a slow leak, in which differences persist."""
    names = ["input", *(f"layer{i}" for i in range(1, len(sizes)))]
    return Network(
        dt_s=1e-3,
        input=Input((sizes[0],), PoissonEncoder(100.0)),
        populations=tuple(
            Population(name, size, tau_m_s=5.0, threshold_v=5e-3, refractory_steps=1)
            for name, size in zip(names[1:], sizes[1:], strict=True)
        ),
        projections=tuple(
            Projection.from_weights(
                names[i],
                names[i + 1],
                # Some neurons are driven, others stay far below their thresholds.
                rng.normal(rng.normal(gain, 3 * gain, sizes[i + 1]), 4 * gain, sizes[i : i + 2]),
            )
            for i in range(len(sizes) - 1)
        ),
        readout=names[-1],
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_of_single_pixel_changes_has_the_counts_of_single_images(threads):
    rng = np.random.default_rng(5)
    network = chain((150, 120, 100, 10), rng, 1e-4)
    draws = rng.random((300, 150))
    images = np.repeat(rng.random((1, 150)), 60, axis=0)
    images[np.arange(60), np.arange(60)] += rng.choice([-0.1, 0.1], 60)
    # Common random numbers: an event occurs if the random number is below the intensity.
    dense = draws < images[:, None, :] * 0.1
    simulator = NativeBackend(threads).deploy(network)
    together = simulator.run(SpikeTrains.from_dense(dense)).counts
    assert together["layer3"].sum() > 1000
    assert len(np.unique(together["layer3"], axis=0)) > 10
    # Images are not simulated in full: the changes affect a part of the first layer only.
    differences, near = find_neighbors(SpikeTrains.from_dense(dense))
    assert near.all()
    trace = Trace(
        Layer.of(network, network.populations[0], neuron_orders(network)),
        {"input": SpikeTrains.from_dense(dense[:1])},
    )
    assert 0 < np.count_nonzero(trace._touched(differences.delayed(1))) < 120
    for image in range(60):
        alone = simulator.run(SpikeTrains.from_dense(dense[image : image + 1])).counts
        for name, counts in alone.items():
            np.testing.assert_array_equal(together[name][image], counts[0], err_msg=name)


@pytest.mark.parametrize("tau_m_s", [1e-9, 1e-3, float("inf")])
def test_neighbors_of_neurons_without_memory_and_without_leak(tau_m_s):
    rng = np.random.default_rng(8)
    populations = [
        Population(name, 30, tau_m_s=tau_m_s, threshold_v=1.0, refractory_steps=2)
        for name in ("layer1", "layer2")
    ]
    network = Network(
        dt_s=1e-3,
        input=Input((40,), PoissonEncoder(100.0)),
        populations=tuple(populations),
        projections=(
            Projection.from_weights("input", "layer1", rng.normal(0.2, 0.5, (40, 30))),
            Projection.from_weights("layer1", "layer2", rng.normal(0.2, 0.5, (30, 30))),
        ),
        readout="layer2",
    )
    dense = neighbours_of(rng.random((50, 40)) < 0.1, rng, 20, 3)
    counts = NativeBackend(1).deploy(network).run(SpikeTrains.from_dense(dense)).counts
    for name, expected in expected_counts(network, dense).items():
        np.testing.assert_array_equal(counts[name], expected, err_msg=name)


def test_differences_are_events_present_in_only_one_of_two():
    rng = np.random.default_rng(2)
    base = rng.random((20, 30)) < 0.2
    dense = neighbours_of(base, rng, 12, 8)
    differences, near = find_neighbors(SpikeTrains.from_dense(dense))
    assert near.all()
    for image, raster in enumerate(dense):
        for k in range(20):
            rows = differences.rows[slice(*differences.offsets[image, k : k + 2])]
            assert set(rows[rows >= 0]) == set(np.flatnonzero(raster[k] & ~base[k]))
            assert set(~rows[rows < 0]) == set(np.flatnonzero(~raster[k] & base[k]))


def test_images_are_near_up_to_64_different_events():
    base = np.zeros((10, 100), bool)
    dense = np.repeat(base[None], 9, axis=0)
    dense[1].flat[:64] = True
    dense[2].flat[:65] = True
    differences, near = find_neighbors(SpikeTrains.from_dense(dense))
    np.testing.assert_array_equal(near, np.arange(9) != 2)
    assert differences.offsets[2, 0] == differences.offsets[2, -1]
    assert not find_neighbors(SpikeTrains.from_dense(dense[:8]))[1].any()


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_neighbors_with_any_features_have_the_counts_of_single_images(data):
    network = data.draw(networks(max_size=40, features=frozenset(FEATURES) - {"direct_input"}))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    base = rng.random((20, network.input.size)) < data.draw(st.sampled_from([0.05, 0.3]))
    inputs = SpikeTrains.from_dense(neighbours_of(base, rng, 10, 3))
    simulator = NativeBackend(1).deploy(network)
    together = simulator.run(inputs)
    for image in range(10):
        alone = simulator.run(inputs[image : image + 1])
        for name, counts in alone.counts.items():
            np.testing.assert_array_equal(together.counts[name][image], counts[0], err_msg=name)
        if alone.potentials is not None:
            np.testing.assert_array_equal(together.potentials[image], alone.potentials[0])


@settings(max_examples=30, deadline=None)
@given(st.one_of(networks(max_size=5), fixed_networks(max_size=5)))
def test_only_floating_point_chains_of_bounded_memory_are_supported(network):
    layers = [
        Layer.of(network, population, neuron_orders(network)) for population in network.populations
    ]
    one_source = all(len(network.incoming(p.name)) == 1 for p in network.populations)
    expected = one_source and network.precision == "floating"
    assert can_have_neighbors(layers, 20, 100) == expected
    assert not can_have_neighbors(layers, 20, 10**9)
    assert not can_have_neighbors(layers, 7, 100)
