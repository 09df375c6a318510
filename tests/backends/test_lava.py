"""Lava backend compared with the reference dynamics and with Lava's stock processes."""

import dataclasses
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lava_exactness import assert_exact
from support.networks import small_network

from neuroattack.backends.lava.backend import LavaBackend
from neuroattack.conformance.networks import fixed_networks, inputs, networks
from neuroattack.datasets import load_dataset
from neuroattack.deployment.backend import Workload, load_backend
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import BackendUnavailableError, SimulationError, ValidationError
from neuroattack.hardware.quantization.quantization import Rounding, fixed_format, quantize
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import (
    INPUT,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
)
from neuroattack.ir.storage import save_network
from neuroattack.training.conversion import convert
from neuroattack.training.recipes import train

needs_lava = pytest.mark.skipif(
    find_spec("lava") is None, reason="needs lava-nc, which installs on Python 3.10 only"
)


def random_raster(rng, images, steps, size, density=0.3):
    return rng.random((images, steps, size)) < density


def network_of(populations, projections, pixels=6):
    return Network(
        dt_s=1e-3,
        input=Input((pixels,), PoissonEncoder(200.0)),
        populations=populations,
        projections=projections,
        readout=populations[-1].name,
    )


def both_precisions():
    """Return two networks: skip connections, long delays, and a population without input."""
    rng = np.random.default_rng(1)
    sizes = {INPUT: 6, "a": 9, "lonely": 5, "b": 17}
    joined = (
        (INPUT, "a", 1),
        ("a", "b", 3),
        (INPUT, "b", 25),
        ("lonely", "b", 10_000),
        ("a", "b", 1),
    )
    floating = network_of(
        (
            Population("a", 9, 0.02, rng.integers(1, 6, 9) / 8, refractory_steps=2),
            Population("lonely", 5, 0.01, 0.5, bias_v=rng.normal(0.05, 0.05, 5), reset_v=-0.25),
            Population("b", 17, 5.0, 0.75, refractory_steps=11),
        ),
        tuple(
            Projection.from_weights(s, t, rng.normal(0.1, 0.4, (sizes[s], sizes[t])), delay)
            for s, t, delay in joined
        ),
    )
    fixed = network_of(
        (
            FixedPopulation("a", 9, 100, rng.integers(1, 500, 9) * 64, refractory_steps=2),
            FixedPopulation("lonely", 5, 4095, 1000, bias=rng.integers(-500, 4000, 5)),
            FixedPopulation("b", 17, 1, 2**20, refractory_steps=11),
        ),
        tuple(
            Projection(s, t, rng.integers(-100, 128, (sizes[s], sizes[t])), exponent, delay)
            for (s, t, delay), exponent in zip(joined, (6, 14, 17, 0, 17), strict=True)
        ),
    )
    return {"floating": floating, "fixed": fixed}


@needs_lava
@pytest.mark.parametrize("precision", ["floating", "fixed"])
@pytest.mark.parametrize("block_steps", [1, 10])
def test_one_deployment_answers_queries_of_any_shape(precision, block_steps):
    network = both_precisions()[precision]
    rng = np.random.default_rng(2)
    with closing(LavaBackend(block_steps).deploy(network)) as simulator:
        shapes = [(3, 33), (1, 1), (2, 40), (4, 7)]
        for images, steps in shapes:
            assert_exact(simulator, network, random_raster(rng, images, steps, 6))
        # A saturated image does not affect an empty one, nor another position in the batch.
        for density in (1.0, 0.0):
            assert_exact(simulator, network, random_raster(rng, 3, 31, 6, density))


@needs_lava
def test_a_block_longer_than_the_query_and_a_batch_larger_than_the_graph():
    network = both_precisions()["floating"]
    rng = np.random.default_rng(3)
    with closing(LavaBackend(64).deploy(network, Workload(images=131))) as simulator:
        assert_exact(simulator, network, random_raster(rng, 131, 20, 6))


@needs_lava
def test_a_query_of_no_steps_has_no_spikes():
    network = small_network()
    with closing(LavaBackend().deploy(network)) as simulator:
        recording = simulator.run(
            SpikeTrains.from_events([], [], [], (2, 0, 784)), record_spikes=True
        )
    assert not any(counts.any() for counts in recording.counts.values())
    assert recording.spikes["output"].steps == 0


@needs_lava
def test_a_closed_simulator_runs_no_more():
    with closing(LavaBackend().deploy(small_network())) as simulator:
        simulator.close()
        with pytest.raises(SimulationError, match="closed"):
            simulator.run(SpikeTrains.from_dense(np.zeros((1, 5, 784), bool)))


@needs_lava
@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_spike_of_many_networks_equals_the_plain_dynamics(data):
    block_steps = data.draw(st.sampled_from([1, 3, 10, 64]))
    features = LavaBackend.supported
    network = data.draw(
        st.one_of(networks(30, features=features), fixed_networks(30, features=features))
    )
    with closing(LavaBackend(block_steps).deploy(network)) as simulator:
        for _ in range(2):
            assert_exact(simulator, network, data.draw(inputs(network)))


def stock_networks():
    """Return networks supported by Lava's stock processes, by name."""
    rng = np.random.default_rng(5)
    weights = [rng.normal(0.1, 0.5, shape) for shape in ((12, 20), (20, 8), (12, 8))]
    ends = ((INPUT, "a"), ("a", "b"), (INPUT, "b"))
    found = {}
    for name, refractory, bias in (
        ("plain", 0, 0.0),
        ("refractory", 3, 0.0),
        ("biased", 1, rng.normal(0, 0.1, 20)),
    ):
        found[name] = network_of(
            (
                Population("a", 20, 0.02, 0.5, bias_v=bias, refractory_steps=refractory),
                Population("b", 8, float("inf"), 0.75, refractory_steps=refractory),
            ),
            tuple(
                Projection.from_weights(*end, weight)
                for end, weight in zip(ends, weights, strict=True)
            ),
            pixels=12,
        )
    # In Loihi's format with one sign per projection, with odd weights and one more bit each.
    found["split"] = quantize(
        dataclasses.replace(
            found["plain"],
            populations=tuple(
                dataclasses.replace(population, bias_v=0.01)
                for population in found["plain"].populations
            ),
        ),
        fixed_format(),
        Rounding(signs="split"),
    ).network
    assert any((each.mantissas % 2).any() for each in found["split"].projections)
    # Stock LIF wraps currents once only, so the larger weights stay below three times 2**23.
    for name, largest, exponents in (("fixed", 127, (6, 6, 7)), ("wrapping", 4, (19, 18, 18))):
        found[name] = network_of(
            (
                FixedPopulation("a", 20, 300, 64 * 70, bias=rng.integers(-4096, 4096, 20)),
                FixedPopulation("b", 8, 1, 64 * 300),
            ),
            tuple(
                Projection(*end, 2 * rng.integers(-largest, largest + 1, weight.shape), exponent)
                for end, weight, exponent in zip(ends, weights, exponents, strict=True)
            ),
            pixels=12,
        )
    return found


@needs_lava
def test_stock_processes_spike_alike(tmp_path):
    rng = np.random.default_rng(6)
    cases = {
        name: (network, rng.random((40, 12)) < 0.2) for name, network in stock_networks().items()
    }
    for name, (network, raster) in cases.items():
        save_network(tmp_path / f"{name}.h5", network)
        np.save(tmp_path / f"{name}.npy", raster)
    network, raster = cases["wrapping"]
    arriving = raster @ network.projections[0].weights_v
    assert 2**23 < np.abs(arriving).max() < 3 * 2**23
    stock = Path(__file__).parents[1] / "support" / "lava_stock.py"
    subprocess.run([sys.executable, stock, tmp_path], check=True, timeout=120)
    for name, (network, raster) in cases.items():
        expected = simulate(network, raster)
        found = np.load(tmp_path / f"{name}.npz")
        for population in network.populations:
            spikes = found[population.name]
            assert 20 < spikes.sum() < spikes.size - 20, "too dull to compare"
            np.testing.assert_array_equal(spikes, expected[population.name], err_msg=name)
        if name in {"biased", "wrapping"}:
            with closing(LavaBackend().deploy(network)) as simulator:
                assert_exact(simulator, network, raster[np.newaxis])


@pytest.fixture(scope="module")
def trained():
    """Return a network trained on a part of MNIST, which is enough for realistic rates."""
    mnist = load_dataset("mnist")
    return convert(train(mnist.train.images[:5000], mnist.train.labels[:5000])).network


@needs_lava
@pytest.mark.slow
@pytest.mark.parametrize("block_steps", [1, 10])
def test_a_trained_network_on_mnist(needs_mnist, trained, block_steps):
    images = load_dataset("mnist").test.first(100).images.reshape(100, -1).astype(np.float64)
    inputs = trained.input.encoder.encode(
        images, indices=np.arange(100), steps=100, dt_s=trained.dt_s, seed=0
    )
    with closing(LavaBackend(block_steps).deploy(trained)) as simulator:
        found = simulator.run(inputs, record_spikes=True)
    with closing(load_backend("native").deploy(trained)) as simulator:
        expected = simulator.run(inputs, record_spikes=True)
    for name, trains in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name].offsets, trains.offsets)
        np.testing.assert_array_equal(found.spikes[name].neurons, trains.neurons)
        np.testing.assert_array_equal(found.counts[name], expected.counts[name])


def test_availability_says_what_to_do():
    state = LavaBackend().availability()
    if find_spec("lava") is not None:
        assert state.available
        assert state.version == "0.10.0"
        return
    assert not state.available
    assert "pip install 'neuroattack[lava]'" in state.reason
    if sys.version_info[:2] != (3, 10):
        assert "Python 3.10" in state.reason
    with pytest.raises(BackendUnavailableError, match="lava-nc"):
        LavaBackend().deploy(small_network())


@pytest.mark.parametrize("arguments", [{"block_steps": 0}, {"deadline_s": 0}])
def test_options_are_checked(arguments):
    with pytest.raises(ValidationError, match="lava backend"):
        LavaBackend(**arguments)


def test_importing_the_backend_imports_no_lava_and_changes_nothing():
    code = """
import importlib, logging, multiprocessing, pkgutil, sys
handlers = list(logging.getLogger().handlers)
import neuroattack, neuroattack.deployment.backend, neuroattack.backends.lava as package
for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
neuroattack.deployment.backend.list_backends()
assert not [name for name in sys.modules if name.split(".")[0] == "lava"]
assert multiprocessing.get_start_method(allow_none=True) is None
assert logging.getLogger().handlers == handlers
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
