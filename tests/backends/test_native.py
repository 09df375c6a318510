"""The native backend against the plain dynamics, spike for spike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import small_network

from neuroattack.conformance.networks import fixed_networks, networks, rasters
from neuroattack.deployment.backend import load_backend, synaptic_operations
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import INPUT

native = type(load_backend("native"))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([1, 2]))
def test_every_spike_equals_the_plain_dynamics(data, threads):
    network = data.draw(st.one_of(networks(), fixed_networks()))
    dense = data.draw(rasters(network.input.size))
    simulator = native(threads).deploy(network)
    recording = simulator.run(SpikeTrains.from_dense(dense), record_spikes=True)
    for image, raster in enumerate(dense):
        for name, expected in simulate(network, raster).items():
            found = recording.spikes[name][image : image + 1].to_dense()[0]
            np.testing.assert_array_equal(found, expected, err_msg=name)
            np.testing.assert_array_equal(recording.counts[name][image], expected.sum(axis=0))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_synaptic_operations_equal_a_recount(data):
    network = data.draw(networks(max_size=10))
    dense = data.draw(rasters(network.input.size))
    recording = native(1).deploy(network).run(SpikeTrains.from_dense(dense))
    for image, raster in enumerate(dense):
        spikes = simulate(network, raster)
        recount = sum(
            int(spikes[p.source][:, i].sum())
            for p in network.projections
            for i, j in zip(*np.nonzero(p.mantissas), strict=True)
        )
        assert synaptic_operations(network, recording)[image] == recount


@pytest.mark.parametrize(("images", "size"), [(1, 785), (0, 784)])
def test_inputs_of_another_size_or_none_are_refused(images, size):
    simulator = native(1).deploy(small_network())
    inputs = SpikeTrains(size, np.zeros((images, 6), np.int64), np.empty(0, np.int32))
    with pytest.raises(ValidationError, match="input spikes: got"):
        simulator.run(inputs)


@settings(max_examples=5, deadline=None)
@given(networks(max_size=12))
def test_batches_larger_than_a_slice_keep_their_order(network):
    rng = np.random.default_rng(1)
    dense = rng.random((150, 20, network.input.size)) < 0.3
    whole = native(2).deploy(network).run(SpikeTrains.from_dense(dense), record_spikes=True)
    for image in (0, 31, 32, 149):
        alone = native(1).deploy(network).run(SpikeTrains.from_dense(dense[image : image + 1]))
        for name, counts in alone.counts.items():
            np.testing.assert_array_equal(whole.counts[name][image], counts[0])
    np.testing.assert_array_equal(whole.spikes[INPUT].to_dense(), dense)


def test_no_threads_are_refused():
    with pytest.raises(ValidationError, match="threads: got 0"):
        native(0)
