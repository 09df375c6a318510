"""Native backend compared with the reference dynamics, spike for spike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.conformance.networks import fixed_networks, networks, rasters
from neuroattack.conformance.scenarios import check_batch
from neuroattack.deployment.backend import load_backend, synaptic_operations
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.ir.dynamics import simulate

native = type(load_backend("native"))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([1, 2]))
def test_every_spike_equals_the_plain_dynamics(data, threads):
    network = data.draw(st.one_of(networks(), fixed_networks()))
    check_batch(native(threads).deploy(network), network, data.draw(rasters(network.input.size)))


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


def test_no_threads_are_refused():
    with pytest.raises(ValidationError, match="threads: got 0"):
        native(0)
