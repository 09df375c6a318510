"""The emulator of nengo-loihi: what it refuses, and how its states agree with the reference."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import small_network
from support.worker_processes import WorkerProcesses

from benchmarks.nengo_loihi.networks import random_network
from benchmarks.nengo_loihi.rounding import (
    rounded_biases,
    rounded_leaks,
    rounded_thresholds,
    rounded_weights,
)
from benchmarks.nengo_loihi.states import DYNAMICS, arriving, emulated, neurons, ours, states_row
from benchmarks.nengo_loihi.table import layer
from neuroattack.backends.nengo_loihi.backend import NengoLoihiEmulator
from neuroattack.backends.nengo_loihi.plan import NengoLoihiPlan
from neuroattack.conformance.networks import rasters
from neuroattack.conformance.scenarios import check_batch
from neuroattack.deployment.backend import (
    Workload,
    list_backends,
    list_emulators,
    load_backend,
)
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import (
    BackendUnavailableError,
    SimulationError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.hardware.quantization.quantization import fixed_format, quantize
from neuroattack.ir.network import INPUT, Convolution, FixedPopulation, Projection

DOCS = Path(__file__).parents[2] / "docs"
REASON = "needs the extra `nengo-loihi` and Python 3.10"
installed = pytest.mark.skipif(find_spec("nengo_loihi") is None, reason=REASON)

DIFFERENT = {
    "current of exactly 2**23",
    "sum of current and bias beyond 24 bits",
    "sum of weights beyond 22 bits",
}
SAME_ROUNDING = "weights of both signs at the same scale"


def chain(mantissas=2, exponent=6, delays=(1, 1), **changed):
    """Return a network input -> first -> second of one neuron each."""
    populations = [neurons(1, 1, **changed), neurons(2, 1)]
    ends = [(INPUT, "p1"), ("p1", "p2")]
    projections = [
        Projection(*pair, np.full((1, 1), mantissas), exponent, delay)
        for pair, delay in zip(ends, delays, strict=True)
    ]
    return layer(1, populations, projections)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"leak": 4096}, r"'p1' leak: got 4096, expected at most 4095"),
        ({"current_leak": 0}, r"current_leak: got 0, expected at least 1"),
        ({"refractory_steps": 63}, r"refractory_steps: got 63, expected at most 62"),
        ({"threshold": np.array([65])}, r"threshold: got 65, expected a mantissa of 17 bits"),
        ({"bias": np.array([-4097])}, r"bias: got -4097, expected a mantissa of 12 bits"),
        ({"bias": np.array([4096 * 128])}, r"bias: got 524288"),
        ({"lowest": -2}, r"lowest: got -2, expected 1 - 2\*\*k"),
        ({"highest": 100}, r"highest: got 100, expected 2\*\*\(9 \+ 2 \* k\) - 1"),
        ({"mantissas": 256}, r"input->p1 mantissas: got 256, expected from -255 to 255"),
        ({"exponent": 14}, r"input->p1 exponent: got 14, expected from 0 to 13"),
        ({"delays": (1, 2)}, r"p1->p2 delay_steps: got 2, expected 1"),
        ({"delays": (0, 1)}, r"does not support spikes that arrive in the step"),
    ],
)
def test_numbers_that_the_chip_does_not_have_are_refused_by_name(given, message):
    with pytest.raises(UnsupportedFeatureError, match=f"'nengo-loihi'.*{message}"):
        NengoLoihiEmulator().deploy(chain(**given))


def test_odd_weights_of_both_signs_are_refused():
    projection = Projection(INPUT, "p0", np.array([[-3], [2]]), 6)
    with pytest.raises(UnsupportedFeatureError, match=r"got -3, expected even numbers from -256"):
        NengoLoihiEmulator().deploy(layer(2, [neurons(0, 1)], [projection]))


def test_floating_point_is_refused():
    with pytest.raises(UnsupportedFeatureError, match="'hidden': got floating point"):
        NengoLoihiEmulator().deploy(small_network())


def test_limits_of_the_formats_are_accepted():
    edges = chain(
        mantissas=255,
        exponent=13,
        delays=(62, 1),
        leak=4095,
        current_leak=1,
        refractory_steps=62,
        threshold=np.array([(2**17 - 1) * 64]),
        bias=np.array([-4095 * 128]),
        lowest=0,
        highest=511,
    )
    plan = NengoLoihiPlan.of(edges)
    first = plan.compartments[0]
    assert (first.decay_u, first.decay_v, first.refract_delay) == (0, 4095, 63)
    assert (plan.synapses[0].weight_exp, plan.synapses[0].weights[0, 0]) == (7, 255 * 2**13)


def test_it_is_an_emulator_and_not_a_backend():
    assert "nengo-loihi" in {each.name for each in list_emulators()}
    assert "nengo-loihi" not in {each.name for each in list_backends()}


@pytest.mark.skipif(find_spec("nengo_loihi") is not None, reason="nengo-loihi is installed")
def test_the_reason_why_it_is_not_available_has_the_command():
    with pytest.raises(BackendUnavailableError, match=r"pip install 'neuroattack\[nengo-loihi\]'"):
        NengoLoihiEmulator().deploy(chain())


@installed
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.data())
def test_random_networks_spike_alike(seed, data):
    network, _ = random_network(np.random.default_rng(seed))
    with closing(load_backend("nengo-loihi").deploy(network)) as simulator:
        check_batch(simulator, network, data.draw(rasters(network.input.size)))


@installed
def test_convolutions_and_delays_of_the_input_spike_alike():
    rng = np.random.default_rng(0)
    kernel = Convolution(INPUT, "a", 2 * rng.integers(-50, 128, (3, 2, 3, 3)), 6, (2, 5, 5))
    size = int(np.prod(kernel.target_shape))
    populations = [
        FixedPopulation("a", size, 20, 64 * rng.integers(100, 2000, size), refractory_steps=1),
        FixedPopulation("b", 9, 20, 64 * rng.integers(100, 2000, 9), current_leak=1000),
    ]
    projections = [
        kernel,
        Projection("a", "b", 2 * rng.integers(-20, 60, (size, 9)), 5),
        Projection(INPUT, "b", rng.integers(0, 60, (50, 9)), 6, 3),
        Projection(INPUT, "b", rng.integers(-60, 1, (50, 9)), 6, 7),
    ]
    network = layer(50, populations, projections)
    with closing(load_backend("nengo-loihi").deploy(network)) as simulator:
        check_batch(simulator, network, rng.random((3, 40, 50)) < 0.2)
        check_batch(simulator, network, np.zeros((2, 0, 50), bool))


@installed
@pytest.mark.parametrize("aspect", DYNAMICS)
def test_states_differ_only_where_the_table_says_so(aspect):
    row = states_row(aspect, *DYNAMICS[aspect](np.random.default_rng(1), 30))
    assert row.unexplained == 0
    assert (row.differing > 0) == (aspect in DIFFERENT)


def stepwise(sums, **changed):
    """Return current and potential of one neuron, here and in nengo-loihi."""
    population = neurons(0, 1, **changed)
    # Each input neuron is a weight of 2**20.
    projection = Projection(INPUT, "p0", np.full((32, 1), 128), 13)
    network = layer(32, [population], [projection])
    raster = np.arange(32) < np.array(sums)[:, None]
    arrive = np.array([[0], *([2**20 * each] for each in sums[:-1])])
    both = ours(population, arrive), emulated(network, raster)["p0"]
    return [states[:, 0, :2].tolist() for states in both]


@installed
def test_a_sum_of_weights_wraps_at_22_bits_in_nengo_loihi():
    own, found = stepwise([2, 0], leak=4000)
    assert own[1] == [2**21, 2**21]
    assert found[1] == [-(2**21), -(2**21)]


@installed
def test_a_current_of_2_to_the_23_is_negative_in_nengo_loihi():
    network, raster = DYNAMICS["current of exactly 2**23"](np.random.default_rng(0), 30)
    own = ours(network.populations[0], arriving(network, raster, "p0"))
    found = emulated(network, raster)["p0"]
    for neuron in range(64):
        first = np.flatnonzero((own != found)[:, neuron].any(axis=1))[0]
        assert own[first, neuron, 0] == 2**23
        assert found[first, neuron, 0] == -(2**23)


@installed
def test_the_sum_of_current_and_bias_wraps_in_nengo_loihi():
    # After eight steps, the current is 2**23 - 2**20 plus what the decay left.
    own, found = stepwise([1] * 8 + [0, 0], current_leak=1, leak=4000, bias=np.array([4095 * 128]))
    currents = [each[0] for each in own]
    assert currents == [each[0] for each in found]
    crossed = [k for k, u in enumerate(currents) if u + 4095 * 128 >= 2**23]
    differing = [k for k in range(len(own)) if own[k] != found[k]]
    assert differing[0] == crossed[0]
    assert found[crossed[0]][1] < 0


@installed
@pytest.mark.filterwarnings("ignore::UserWarning:nengo_loihi")
def test_rounding_differs_by_the_rules_of_the_table():
    rng = np.random.default_rng(1)
    rows = [
        *rounded_weights(rng),
        *rounded_thresholds(rng),
        *rounded_leaks(),
        *rounded_biases(rng),
    ]
    for row in rows:
        assert row.unexplained == 0, row
        assert (row.differing == 0) == (row.aspect == SAME_ROUNDING), row


def test_the_page_has_the_numbers_of_the_study():
    page = (DOCS / "hardware.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \|[^|]+\|$", page, re.MULTILINE)
    table = {aspect: (int(a.replace(",", "")), int(b.replace(",", ""))) for aspect, a, b in found}
    results = json.loads((DOCS / "hardware" / "nengo-loihi.json").read_text(encoding="utf-8"))
    for row in results["rows"]:
        assert table[row["aspect"]] == (row["compared"], row["differing"]), row["aspect"]
        assert row["unexplained"] == 0


SHORT = SpikeTrains.from_dense(np.random.default_rng(0).random((3, 20, 784)) < 0.1)
# Longer than any test waits.
LONG = SpikeTrains.from_events([], [], [], (1, 4_000_000, 784))


def fixed_network():
    return quantize(small_network(), fixed_format()).network


@pytest.fixture
def simulator():
    with closing(NengoLoihiEmulator().deploy(fixed_network(), Workload(images=4))) as found:
        yield found


def assert_answers(simulator):
    expected = load_backend("native").deploy(fixed_network()).run(SHORT)
    found = simulator.run(SHORT)
    for name, counts in expected.counts.items():
        np.testing.assert_array_equal(found.counts[name], counts)


@installed
def test_invalid_input_and_closed_simulators_are_errors(simulator):
    with pytest.raises(ValidationError, match="images of 3 neurons"):
        simulator.run(SpikeTrains.from_events([], [], [], (1, 5, 3)))
    simulator.close()
    with pytest.raises(SimulationError, match="closed"):
        simulator.run(SHORT)


@installed
@pytest.mark.parametrize("whom", ["worker", "supervisor"])
def test_a_killed_worker_is_replaced(simulator, whom):
    worker = WorkerProcesses.of(simulator)
    threading.Timer(0.3, worker.signal, (whom, signal.SIGKILL)).start()
    with pytest.raises(SimulationError, match=r"nengo-loihi: .*was ended by signal 9 \(SIGKILL\)"):
        simulator.run(LONG)
    worker.assert_gone()
    assert_answers(simulator)


@installed
def test_a_query_ends_at_its_deadline(simulator):
    worker = WorkerProcesses.of(simulator)
    simulator._deadline_s = 1.0
    with pytest.raises(SimulationError, match="within 1 s"):
        simulator.run(LONG)
    worker.assert_gone()
    simulator._deadline_s = None
    assert_answers(simulator)


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from support.networks import small_network
from neuroattack.backends.nengo_loihi.backend import NengoLoihiEmulator
from neuroattack.deployment.backend import Workload
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.hardware.quantization.quantization import fixed_format, quantize
network = quantize(small_network(), fixed_format()).network
simulator = NengoLoihiEmulator().deploy(network, Workload(images=1))
held = simulator._worker._processes
print(held._group, held._supervisor.pid, held._prefix, flush=True)
simulator.run(SpikeTrains.from_events([], [], [], (1, 4_000_000, 784)))
"""


@installed
def test_a_killed_program_leaves_no_process_or_file():
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, os.fspath(Path(__file__).parents[1])],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    group, supervisor, prefix = started.stdout.readline().split()
    worker = WorkerProcesses(int(group), int(supervisor), prefix, 1)
    time.sleep(0.2)
    started.kill()
    started.communicate()
    worker.assert_gone()
