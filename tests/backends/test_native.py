"""Native backend compared with the reference dynamics, spike for spike."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuroattack.conformance.networks import fixed_networks, inputs, networks, rasters
from neuroattack.conformance.scenarios import check_batch
from neuroattack.deployment.backend import load_backend, synaptic_operations
from neuroattack.deployment.features import FEATURES
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.ir.dynamics import readout_potentials, simulate
from neuroattack.ir.network import (
    INPUT,
    Convolution,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
)

native = type(load_backend("native"))
EVERY = frozenset(FEATURES)
_SAME = ((1, 1), (1, 1))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([1, 2]))
def test_every_spike_equals_the_plain_dynamics(data, threads):
    network = data.draw(st.one_of(networks(), fixed_networks()))
    check_batch(native(threads).deploy(network), network, data.draw(rasters(network.input.size)))


def check(network, given, threads=1):
    """Check spikes, counts and potentials of a raster or constant input, alone and recorded."""
    dense = given.to_dense() if isinstance(given, ConstantInput) else given
    batch = given if isinstance(given, ConstantInput) else SpikeTrains.from_dense(given)
    simulator = native(threads).deploy(network)
    recorded, counted = simulator.run(batch, record_spikes=True), simulator.run(batch)
    assert counted.spikes is None
    assert list(recorded.counts) == list(counted.counts) == list(network.sizes)
    if isinstance(given, ConstantInput):
        np.testing.assert_array_equal(recorded.counts[INPUT], given.counts())
        assert INPUT not in recorded.spikes
    for image, one in enumerate(dense):
        for name, spikes in simulate(network, one).items():
            trains = recorded.spikes[name][image : image + 1]
            np.testing.assert_array_equal(trains.to_dense()[0], spikes, err_msg=name)
            for k in range(trains.steps):
                step = trains.neurons[slice(*trains.offsets[0, k : k + 2])]
                assert (np.diff(step) > 0).all()
            for recording in (recorded, counted):
                np.testing.assert_array_equal(recording.counts[name][image], spikes.sum(axis=0))
        for recording in (recorded, counted):
            if network.readout_quantity == "spike_count":
                assert recording.potentials is None
                continue
            potentials = readout_potentials(network, one)
            expected = potentials[-1]
            if network.readout_quantity == "max_potential":
                expected = potentials.max(axis=0)
            assert recording.potentials.dtype == np.float64
            np.testing.assert_array_equal(recording.potentials[image], expected)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from([1, 2]))
def test_all_features_equal_the_plain_dynamics(data, threads):
    network = data.draw(networks(features=EVERY))
    check(network, data.draw(inputs(network)), threads)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_fixed_point_currents_and_recurrence_equal_the_plain_dynamics(data):
    network = data.draw(fixed_networks(features=EVERY))
    check(network, data.draw(inputs(network)))


def one_population(*projections, shape, encoder, size, **parameters):
    parameters = {"tau_m_s": 0.01, "threshold_v": 1.0} | parameters
    return Network(
        dt_s=1e-3,
        input=Input(shape, encoder),
        populations=(Population("layer", size, **parameters),),
        projections=projections,
        readout="layer",
    )


def convolution(shape, kernel, seed=0, source=INPUT, target="layer", **geometry):
    weights = np.random.default_rng(seed).normal(0.1, 0.5, kernel)
    return Convolution.from_weights(source, target, weights, shape, **geometry)


def raster(size, density=0.3, images=2, steps=15):
    return np.random.default_rng(1).random((images, steps, size)) < density


@pytest.mark.parametrize("encoder", [PoissonEncoder(100.0), DirectEncoder(8)])
@pytest.mark.parametrize(
    ("kernel", "geometry"),
    [
        ((3, 4, 1, 1), {}),
        ((3, 4, 6, 7), {}),
        ((3, 4, 6, 6), {"stride": (2, 2)}),
        ((3, 4, 3, 2), {"stride": (1, 3)}),
        ((3, 4, 2, 2), {"stride": (5, 4)}),
        ((3, 4, 2, 3), {"dilation": (3, 2)}),
        ((3, 4, 2, 3), {"dilation": (2, 3), "stride": (3, 2)}),
        ((3, 4, 3, 3), {"dilation": (2, 3), "stride": (4, 6)}),
        ((3, 4, 5, 5), {"padding": ((4, 3), (2, 6))}),
        ((3, 4, 2, 2), {"padding": ((-2, 1), (0, -3))}),
        ((4, 1, 2, 2), {"groups": 4, "stride": (2, 2)}),
        ((4, 2, 3, 3), {"groups": 2, "padding": ((1, 1), (1, 1))}),
        ((6, 2, 2, 3), {"groups": 2, "dilation": (1, 2), "stride": (2, 1)}),
    ],
)
def test_geometries_of_convolutions(kernel, geometry, encoder):
    shape = (4, 6, 7)
    projection = convolution(shape, kernel, **geometry)
    network = one_population(projection, shape=shape, encoder=encoder, size=projection.shape[1])
    given = raster(4 * 6 * 7)
    if isinstance(encoder, DirectEncoder):
        values = np.random.default_rng(2).integers(0, 257, (2, 4 * 6 * 7), dtype=np.int32)
        given = ConstantInput(values, -8, 15)
    check(network, given)


@pytest.mark.parametrize(("dilation", "columns"), [(1, 3), (2, 2)])
def test_convolutions_of_different_shapes_into_one_population(dilation, columns):
    shape, size = (2, 5, 8), 12 * columns
    projections = (
        convolution(shape, (6, 2, 2, 3), stride=(2, 2), dilation=(1, dilation)),
        convolution(shape, (6, 2, 5, 9 - 2 * columns), seed=1),
        Projection.from_weights(INPUT, "layer", np.random.default_rng(2).normal(0, 1, (80, size))),
    )
    assert projections[0].target_shape == (6, 2, columns)
    assert projections[1].target_shape == (6, 1, 2 * columns)
    encoder = PoissonEncoder(100.0)
    check(one_population(*projections, shape=shape, encoder=encoder, size=size), raster(80))


def test_sums_of_weights_that_exceed_32_bits():
    shape = (3, 8, 8)
    kernel = np.full((2, 3, 8, 8), 2**23 - 1)
    kernel[1] *= -1
    projections = (
        Convolution(INPUT, "layer", kernel, -20, shape, padding=((7, 7), (7, 7))),
        convolution(shape, (2, 3, 8, 8), padding=((7, 7), (7, 7)), delay_steps=3),
    )
    network = one_population(
        *projections,
        shape=shape,
        encoder=PoissonEncoder(100.0),
        size=450,
        threshold_v=1e3,
        reset="subtract",
    )
    check(network, raster(192, 0.5))


def tiled_network(size, refractory_steps, largest, *, fixed, decay=0.9, sources=1):
    """Return a chain of two populations whose spikes of a step are in one or more tiles."""
    rng = np.random.default_rng(size)
    bias = rng.integers(0, 3, size)
    common = {"refractory_steps": refractory_steps}
    if fixed:
        parameters = {"leak": 400, "threshold": 40, "bias": bias, **common}
        populations = (
            FixedPopulation("first", size, **parameters),
            FixedPopulation("second", size, **parameters),
        )
        exponent = 0
    else:
        tau_m_s = -1e-3 / np.log(decay) if decay else 1e-7
        parameters = {"tau_m_s": tau_m_s, "threshold_v": 40.0, "bias_v": bias / 4, **common}
        populations = (
            Population("first", size, **parameters),
            Population("second", size, **parameters),
        )
        exponent = -2
    weights = [
        rng.integers(-largest // 2, largest, shape)
        for shape in [(30, size), *[(size, size)] * sources]
    ]
    ends = [(INPUT, "first"), ("first", "second"), ("second", "second")]
    projections = tuple(
        Projection(source, target, one, exponent, delay_steps=delay)
        for delay, ((source, target), one) in enumerate(zip(ends, weights, strict=False))
    )
    if sources == 2:
        shape = (30, size)
        skip = Projection(INPUT, "second", rng.integers(-8, 16, shape), exponent, delay_steps=3)
        projections = (*projections[:2], skip)
    return Network(1e-3, Input((30,), PoissonEncoder(100.0)), populations, projections, "second")


@pytest.mark.parametrize("sources", [1, 2])
@pytest.mark.parametrize("refractory_steps", [0, 1, 4])
@pytest.mark.parametrize("size", [1, 63, 64, 65, 200])
def test_tiles_of_neurons(size, refractory_steps, sources):
    for fixed in (False, True):
        network = tiled_network(size, refractory_steps, 16, fixed=fixed, sources=sources)
        for density in (0.0, 0.02, 0.3, 1.0):
            check(network, raster(30, density, images=3, steps=20))


@pytest.mark.parametrize("refractory_steps", [0, 2])
def test_tiles_of_neurons_without_memory_and_with_sums_beyond_32_bits(refractory_steps):
    check(tiled_network(70, refractory_steps, 16, fixed=False, decay=0.0), raster(30))
    network = tiled_network(700, refractory_steps, 2**23 - 1, fixed=False)
    assert network.projections[1].largest_sum() > 2**31
    check(network, raster(30))


@pytest.mark.parametrize("exponent", [0, 10, 23, 24, 32])
def test_fixed_point_convolutions_whose_currents_wrap(exponent):
    shape = (2, 6, 6)
    bits = min(23, 46 - exponent)
    kernel = np.random.default_rng(3).integers(-(2 ** (bits - 1)), 2**bits, (4, 2, 3, 3))
    network = Network(
        dt_s=1e-3,
        input=Input(shape, PoissonEncoder(100.0)),
        populations=(
            FixedPopulation("layer", 64, 100, 2**20, refractory_steps=1, current_leak=2000),
            FixedPopulation("readout", 64, 0, 0),
        ),
        projections=(
            Convolution(INPUT, "layer", kernel, exponent, shape),
            Convolution("layer", "readout", kernel[:, :1], 3, (4, 4, 4), groups=4, padding=_SAME),
            Projection("readout", "layer", np.ones((64, 64), int), max(12, exponent)),
        ),
        readout="readout",
    )
    check(network, raster(72))


def test_potentials_that_become_subnormal():
    projection = Projection("layer", "readout", np.full((1, 2), 1), -40)
    network = Network(
        dt_s=1e-3,
        input=Input((1,), PoissonEncoder(100.0)),
        populations=(
            Population("layer", 1, tau_m_s=1.0, threshold_v=0.5),
            Population("readout", 2, tau_m_s=[1e-3, 1.4e-3], threshold_v=np.inf),
        ),
        projections=(Projection.from_weights(INPUT, "layer", [[1.0]]), projection),
        readout="readout",
        readout_quantity="final_potential",
    )
    for steps in (700, 720, 760, 1100):
        given = np.zeros((1, steps, 1), bool)
        given[0, 0] = True
        check(network, given)


def test_the_wrong_kind_of_input_is_refused():
    projection = Projection.from_weights(INPUT, "layer", np.ones((2, 3)))
    values = ConstantInput(np.ones((1, 2), np.int32), -8, 10)
    spikes = SpikeTrains.from_dense(raster(2))
    for encoder, batch in (
        (PoissonEncoder(100.0), values),
        (DirectEncoder(8), spikes),
        (DirectEncoder(7), values),
    ):
        network = one_population(projection, shape=(2,), encoder=encoder, size=3)
        with pytest.raises(ValidationError, match="input: got"):
            native(1).deploy(network).run(batch)


def recurrent_convolution():
    shape = (2, 6, 6)
    loop = Projection.from_weights(
        "layer", "layer", np.random.default_rng(4).normal(0, 0.3, (48, 48)), delay_steps=2
    )
    return one_population(
        convolution(shape, (3, 2, 3, 3)),
        loop,
        shape=shape,
        encoder=PoissonEncoder(100.0),
        size=48,
        tau_syn_s=2e-3,
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_images_of_large_batches_have_the_spikes_of_single_images(threads):
    network = recurrent_convolution()
    simulator = native(threads).deploy(network)
    trains = SpikeTrains.from_dense(raster(72, 0.2, images=300))
    recorded, counted = simulator.run(trains, record_spikes=True), simulator.run(trains)
    assert counted.counts["layer"].any()
    np.testing.assert_array_equal(recorded.counts["layer"], counted.counts["layer"])
    for image in (0, 127, 128, 149, 150, 299):
        alone = simulator.run(trains[image : image + 1], record_spikes=True)
        np.testing.assert_array_equal(alone.counts["layer"][0], counted.counts["layer"][image])
        np.testing.assert_array_equal(
            alone.spikes["layer"].to_dense()[0],
            recorded.spikes["layer"][image : image + 1].to_dense()[0],
        )


def test_memory_of_a_convolution_is_that_of_its_kernel_and_neurons():
    shape = (64, 32, 32)
    projections = (
        convolution((3, 32, 32), (64, 3, 3, 3), padding=_SAME),
        convolution(shape, (128, 64, 4, 4), source="layer", target="readout", stride=(2, 2)),
    )
    network = Network(
        dt_s=1e-3,
        input=Input((3, 32, 32), PoissonEncoder(100.0)),
        populations=tuple(
            Population(name, projection.shape[1], tau_m_s=0.01, threshold_v=1.0)
            for name, projection in zip(("layer", "readout"), projections, strict=True)
        ),
        projections=projections,
        readout="readout",
    )
    spikes = SpikeTrains.from_dense(raster(3072, 0.1, images=2, steps=5))
    simulator = native(1).deploy(network)
    tracemalloc.start()
    try:
        again = native(1).deploy(network)
        again.run(spikes)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert simulator.run(spikes).counts["readout"].any()
    # Unrolled, the second one would have 29 million connections.
    assert peak < 80 * 2**20


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


def test_a_fork_has_threads_of_its_own():
    """Threads that simulated a batch before a fork do not run in the new process."""
    code = """
import os, sys
import numpy as np
from support.networks import small_network
from neuroattack.deployment.deployment import Deployment, deploy
from neuroattack.deployment.backend import load_backend

network = small_network()
simulator = type(load_backend("native"))(threads=2).deploy(network)
inputs = network.input.encoder.encode(
    np.full((8, 784), 0.5), indices=np.arange(8), steps=20, dt_s=network.dt_s, seed=0
)
before = simulator.run(inputs).counts["output"]
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(simulator.run(inputs).counts["output"], before) else 1)
print(os.waitpid(child, 0)[1])
"""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert found.stdout == "0\n"
