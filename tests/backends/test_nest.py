"""The NEST backend: exact time constants and biases, and workers that end without a trace."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.networks import at_the_threshold, small_network
from support.worker_processes import WorkerProcesses

from neuroattack.backends.nest.backend import NestBackend
from neuroattack.backends.nest.kernel import time_constant
from neuroattack.backends.nest.plan import NestPlan
from neuroattack.conformance.scenarios import check_batch
from neuroattack.deployment.backend import Workload, load_backend
from neuroattack.deployment.features import features_of
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError, UnsupportedFeatureError
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection

installed = pytest.mark.skipif(find_spec("nest") is None, reason="needs the extra `nest`")

SHORT = SpikeTrains.from_dense(np.random.default_rng(0).random((3, 20, 784)) < 0.1)
# Longer than any test waits.
LONG = SpikeTrains.from_events([], [], [], (1, 4_000_000, 784))


def chain(biases, delays=(1, 1), recurrent=False, **parameters):
    """Return a network input -> first -> second with biases, and perhaps recurrent synapses."""
    rng = np.random.default_rng(1)
    populations = tuple(
        Population(name, 4, 0.01, 0.5, bias_v=bias, **parameters)
        for name, bias in zip(("first", "second"), biases, strict=True)
    )
    sizes = {INPUT: 6, "first": 4, "second": 4}
    ends = [(INPUT, "first"), ("first", "second")]
    if recurrent:
        ends, delays = [*ends, ("second", "second")], (*delays, 1)
    projections = tuple(
        Projection(a, b, rng.integers(-9, 20, (sizes[a], sizes[b])), -6, delay)
        for (a, b), delay in zip(ends, delays, strict=True)
    )
    return Network(1e-3, Input((6,), PoissonEncoder(100.0)), populations, projections, "second")


@given(st.floats(0.5, 1) | st.sampled_from([0.0, 0.5, 1.0, math.nextafter(1, 0)]))
def test_time_constants_have_exactly_the_decay_factor(decay):
    assert math.exp(-1 / time_constant(decay)) == decay


def test_spikes_of_neurons_arrive_two_steps_late_where_a_bias_is_added_to_rounded_sums():
    lags = {each.name: each.lag for each in NestPlan.of(chain((0.1, 0.1))).populations}
    assert lags == {"first": 0, "second": 1}
    on_grid = NestPlan.of(chain((0.125, 0.125)))
    assert [each.lag for each in on_grid.populations] == [0, 0]
    same_step = NestPlan.of(chain((0.0, 0.1), delays=(0, 0)))
    assert [each.lag for each in same_step.populations] == [1, 3]


@pytest.mark.parametrize(
    ("bias", "recurrent", "refused"),
    [(0.1, True, True), (0.125, True, False), (0.1, False, False), (0.0, True, False)],
)
def test_only_rounded_biases_of_recurrent_populations_are_refused(bias, recurrent, refused):
    network = chain((0.0, bias), recurrent=recurrent)
    assert ("recurrent_bias" in features_of(network)) == refused
    if refused:
        with pytest.raises(UnsupportedFeatureError, match=r"nest.*second"):
            NestBackend().deploy(network)


@installed
@pytest.mark.parametrize("delays", [(1, 1), (0, 0), (3, 1), (2, 5)])
@pytest.mark.parametrize("biases", [(0.1, 0.1), (0.0, 1 / 3), (0.125, -0.05)])
def test_biases_with_delays_and_lags_give_the_reference_spikes(biases, delays):
    network = chain(biases, delays, refractory_steps=1)
    spikes = np.random.default_rng(2).random((5, 60, 6)) < 0.2
    with closing(NestBackend().deploy(network)) as simulator:
        check_batch(simulator, network, spikes)


@installed
@pytest.mark.parametrize("source", [INPUT, "first"])
def test_a_bias_is_added_last(source):
    network = at_the_threshold(source)
    spikes = np.zeros((2, 8, 3), bool)
    spikes[:, 2::3] = True
    with closing(NestBackend().deploy(network)) as simulator:
        check_batch(simulator, network, spikes)
        counts = simulator.run(SpikeTrains.from_dense(spikes)).counts["second"]
    # Some neurons spike because of the order, and others do not.
    assert 0 < np.count_nonzero(counts[0]) < 60


@installed
def test_a_network_that_never_falls_silent_starts_every_image_at_rest():
    ring = Projection("second", "second", np.full((4, 4), 40), -6, 2)
    network = chain((0.0, 0.0))
    network = Network(
        network.dt_s, network.input, network.populations, (*network.projections, ring), "second"
    )
    spikes = np.random.default_rng(3).random((4, 30, 6)) < 0.4
    with closing(NestBackend().deploy(network)) as simulator:
        check_batch(simulator, network, spikes)


@pytest.fixture
def simulator():
    with closing(NestBackend().deploy(small_network(), Workload(images=4))) as found:
        yield found


def assert_answers(simulator):
    expected = load_backend("native").deploy(small_network()).run(SHORT)
    found = simulator.run(SHORT)
    for name, counts in expected.counts.items():
        np.testing.assert_array_equal(found.counts[name], counts)


@installed
@pytest.mark.parametrize("whom", ["worker", "supervisor", "everyone"])
def test_a_killed_worker_is_replaced(simulator, whom):
    worker = WorkerProcesses.of(simulator)
    threading.Timer(0.3, worker.signal, (whom, signal.SIGKILL)).start()
    with pytest.raises(SimulationError, match=r"nest: .*was ended by signal 9 \(SIGKILL\)"):
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
from support.networks import at_the_threshold, small_network
from neuroattack.backends.nest.backend import NestBackend
from neuroattack.deployment.backend import Workload
from neuroattack.encoding.spikes import SpikeTrains
simulator = NestBackend().deploy(small_network(), Workload(images=1))
held = simulator._worker._processes
print(held._group, held._supervisor.pid, held._prefix, flush=True)
try:
    simulator.run(SpikeTrains.from_events([], [], [], (1, 4_000_000, 784)))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def program():
    """Start a program that simulates for a long time; return it and its worker."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, os.path.dirname(os.path.dirname(__file__))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    group, supervisor, prefix = started.stdout.readline().split()
    return started, WorkerProcesses(int(group), int(supervisor), prefix, 1)


@installed
@pytest.mark.parametrize("times", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_program_leaves_no_process_or_file(times):
    for _ in range(times):
        started, worker = program()
        time.sleep(0.2)
        started.kill()
        started.communicate()
        worker.assert_gone()


@installed
def test_ctrl_c_ends_the_worker():
    started, worker = program()
    time.sleep(0.2)
    started.send_signal(signal.SIGINT)
    assert started.stdout.readline() == "interrupted\n"
    started.communicate(timeout=60)
    worker.assert_gone()
