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
from neuroattack.deployment.features import FEATURES, features_of
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import (
    BackendUnavailableError,
    SimulationError,
    ValidationError,
)
from neuroattack.hardware.quantization.quantization import Rounding, fixed_format, quantize
from neuroattack.ir.dynamics import simulate, update_current_fixed
from neuroattack.ir.fixed_point import LEAK_ONE
from neuroattack.ir.network import (
    INPUT,
    Convolution,
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


def featured_networks():
    """Return networks with all features between them, and 3 x 4 x 4 pixels."""
    rng = np.random.default_rng(4)
    shape = (3, 4, 4)

    def weights(source, target, shape, delay_steps=1):
        drawn = np.round(rng.normal(0.1, 0.4, shape) * 8) / 8
        return Projection.from_weights(source, target, drawn, delay_steps)

    kernel = np.round(rng.normal(0.1, 0.4, (5, 3, 3, 2)) * 8) / 8
    convolution = Convolution.from_weights(
        INPUT, "map", kernel, shape, padding=((1, 1), (0, 1)), delay_steps=0
    )
    pooling = Convolution.from_weights(
        "map", "pool", np.full((5, 1, 2, 2), 0.5), (5, 4, 4), stride=(2, 2), groups=5, delay_steps=0
    )
    populations = (
        Population("map", 80, rng.choice([0.02, 5.0], 80), 0.5, refractory_steps=1),
        Population("pool", 20, 1e-3, 1.0, reset="subtract", comparison="inclusive"),
        Population("loop", 9, 0.02, 0.5, bias_v=0.01, tau_syn_s=4e-3, input_after_update=True),
        Population("back", 7, 0.02, 0.75, reset="subtract_next", tau_syn_s=2e-3),
        Population("output", 4, 0.05, np.inf, bias_v=0.01, current_bias_v=0.01),
    )
    projections = (
        convolution,
        pooling,
        weights("pool", "loop", (20, 9), 0),
        weights("loop", "loop", (9, 9), 2),
        weights("loop", "back", (9, 7), 0),
        weights("back", "loop", (7, 9), 3),
        weights(INPUT, "output", (48, 4), 2),
        weights("back", "output", (7, 4)),
    )
    spiking = Network(
        1e-3,
        Input(shape, PoissonEncoder(200.0)),
        populations,
        projections,
        "output",
        readout_quantity="max_potential",
    )
    direct = dataclasses.replace(
        spiking, input=Input(shape, DirectEncoder(12)), readout_quantity="final_potential"
    )
    fixed = network_of(
        (
            FixedPopulation("a", 9, 100, rng.integers(100, 500, 9) * 64, current_leak=700),
            FixedPopulation("b", 5, 1, 2**17, refractory_steps=2, current_leak=1),
        ),
        tuple(
            Projection(s, t, rng.integers(-100, 128, size), 6, delay)
            for s, t, size, delay in (
                (INPUT, "a", (6, 9), 0),
                ("a", "a", (9, 9), 1),
                ("a", "b", (9, 5), 0),
                ("b", "a", (5, 9), 2),
            )
        ),
    )
    return {"spiking": spiking, "direct": direct, "fixed": fixed}


def test_all_features_are_supported_and_tested():
    networks = featured_networks().values()
    assert set().union(*map(features_of, networks)) == set(FEATURES) == LavaBackend.supported


@needs_lava
@pytest.mark.parametrize("name", ["spiking", "direct", "fixed"])
def test_features_in_lava_processes(name):
    network = featured_networks()[name]
    rng = np.random.default_rng(2)
    with closing(LavaBackend(10).deploy(network)) as simulator:
        for images, steps in ((3, 33), (1, 1), (2, 40)):
            if name == "direct":
                values = rng.integers(0, 2**12 + 1, (images, 48)).astype(np.int32)
                given = ConstantInput(values, -12, steps)
            else:
                given = random_raster(rng, images, steps, network.input.size)
            assert_exact(simulator, network, given)


@needs_lava
def test_input_of_another_kind_is_refused():
    networks = featured_networks()
    spikes = SpikeTrains.from_dense(np.zeros((1, 5, 48), bool))
    values = np.zeros((1, 48), np.int32)
    for name, other in (
        ("direct", spikes),
        ("direct", ConstantInput(values, -11, 5)),
        ("spiking", ConstantInput(values, -12, 5)),
    ):
        with (
            closing(LavaBackend().deploy(networks[name])) as simulator,
            pytest.raises(ValidationError, match="input: got"),
        ):
            simulator.run(other)


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
    for name, refractory, bias, tau_syn_s in (
        ("plain", 0, 0.0, 0.0),
        ("refractory", 3, 0.0, 0.0),
        ("biased", 1, rng.normal(0, 0.1, 20), 0.0),
        ("current", 0, 0.0, 3e-3),
        ("current and refractory", 2, rng.normal(0, 0.1, 20), 0.02),
    ):
        common = {"refractory_steps": refractory, "tau_syn_s": tau_syn_s}
        found[name] = network_of(
            (
                Population("a", 20, 0.02, 0.5, bias_v=bias, **common),
                Population("b", 8, float("inf"), 0.75, **common),
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
    for name, largest, exponents, current_leak in (
        ("fixed", 127, (6, 6, 7), 4096),
        ("wrapping", 4, (19, 18, 18), 4096),
        ("fixed current", 127, (6, 6, 7), 1000),
        ("wrapping current", 2, (19, 18, 18), 2001),
        ("fixed current of long memory", 20, (6, 6, 7), 1),
    ):
        common = {"current_leak": current_leak}
        found[name] = network_of(
            (
                FixedPopulation(
                    "a", 20, 300, 64 * 70, bias=rng.integers(-4096, 4096, 20), **common
                ),
                FixedPopulation("b", 8, 1, 64 * 300, **common),
            ),
            tuple(
                Projection(*end, 2 * rng.integers(-largest, largest + 1, weight.shape), exponent)
                for end, weight, exponent in zip(ends, weights, exponents, strict=True)
            ),
            pixels=12,
        )
    return found


def largest_unwrapped_current(network, raster):
    """Return the largest magnitude of a current of the first population before it wraps around."""
    population, u, largest = network.populations[0], np.zeros(20), 0.0
    for arriving in raster @ network.projections[0].weights_v:
        kept = np.trunc(u * (LEAK_ONE - population.current_leak) / LEAK_ONE)
        largest = max(largest, np.abs(kept + arriving).max())
        u = update_current_fixed(u, arriving, population)
    return largest


@needs_lava
def test_stock_processes_spike_alike(tmp_path):
    rng = np.random.default_rng(6)
    cases = {
        name: (network, rng.random((40, 12)) < 0.2) for name, network in stock_networks().items()
    }
    for name, (network, raster) in cases.items():
        save_network(tmp_path / f"{name}.h5", network)
        np.save(tmp_path / f"{name}.npy", raster)
    for name in ("wrapping", "wrapping current"):
        assert 2**23 < largest_unwrapped_current(*cases[name]) < 3 * 2**23
    stock = Path(__file__).parents[1] / "support" / "lava_stock.py"
    subprocess.run([sys.executable, stock, tmp_path], check=True, timeout=240)
    for name, (network, raster) in cases.items():
        expected = simulate(network, raster)
        found = np.load(tmp_path / f"{name}.npz")
        for population in network.populations:
            spikes = found[population.name]
            assert 20 < spikes.sum() < spikes.size - 20, "too dull to compare"
            np.testing.assert_array_equal(spikes, expected[population.name], err_msg=name)
        if name in {"current and refractory", "wrapping current"}:
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
