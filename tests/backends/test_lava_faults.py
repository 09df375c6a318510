"""Failures of Lava processes: one error, and no processes or files left."""

import os
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
from support.networks import small_network
from support.worker_processes import WorkerProcesses

from neuroattack.backends.lava.backend import LavaBackend
from neuroattack.deployment.backend import Workload, load_backend
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError

pytestmark = pytest.mark.skipif(
    find_spec("lava") is None, reason="needs lava-nc, which installs on Python 3.10 only"
)

LEAST = 6
"""Feed, layers, sink, service, manager and their parent."""

# Longer than any test waits: one message per step, over half a minute.
LONG = SpikeTrains.from_events([], [], [], (1, 40_000, 784))
SHORT = SpikeTrains.from_dense(np.random.default_rng(0).random((3, 20, 784)) < 0.1)


@pytest.fixture
def simulator():
    with closing(LavaBackend(block_steps=1).deploy(small_network(), Workload(images=4))) as found:
        yield found


def assert_answers(simulator):
    expected = load_backend("native").deploy(small_network()).run(SHORT)
    found = simulator.run(SHORT)
    for name, counts in expected.counts.items():
        np.testing.assert_array_equal(found.counts[name], counts)


@pytest.mark.parametrize(
    ("part", "field", "bad", "message"),
    [
        ("populations", "threshold_v", np.zeros(7), "layer output: ValueError"),
        ("projections", "mantissas", "no weights", "build the network: AttributeError"),
    ],
)
def test_a_model_that_raises_or_cannot_be_built(simulator, part, field, bad, message):
    broken = getattr(simulator._network, part)[1]
    good = getattr(broken, field)
    object.__setattr__(broken, field, bad)
    simulator._worker.end()
    with pytest.raises(SimulationError, match=message):
        simulator.run(SHORT)
    object.__setattr__(broken, field, good)
    assert_answers(simulator)


# Each test starts one or two workers, which takes seconds; rarer combinations are marked slow.
SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("whom", "busy"),
    [
        ("worker", True),
        ("a child", True),
        ("supervisor", False),
        *(pytest.param(whom, False, marks=SLOW) for whom in ("worker", "a child")),
        *(pytest.param(whom, True, marks=SLOW) for whom in ("supervisor", "everyone")),
    ],
)
def test_killed(simulator, whom, busy):
    worker = WorkerProcesses.of(simulator, LEAST)
    if busy:
        threading.Timer(0.3, worker.signal, (whom, signal.SIGKILL)).start()
    else:
        worker.signal(whom, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(SimulationError, match=r"was ended by signal 9 \(SIGKILL\)"):
        simulator.run(LONG)
    assert time.monotonic() - start < 10
    worker.assert_gone()
    assert_answers(simulator)


@pytest.mark.parametrize(
    "whom", ["a child", *(pytest.param(whom, marks=SLOW) for whom in ("worker", "everyone"))]
)
def test_stopped(simulator, whom):
    worker = WorkerProcesses.of(simulator, LEAST)
    simulator._deadline_s = 1.0
    threading.Timer(0.3, worker.signal, (whom, signal.SIGSTOP)).start()
    start = time.monotonic()
    with pytest.raises(SimulationError, match="within 1 s"):
        simulator.run(LONG)
    assert time.monotonic() - start < 10
    worker.assert_gone()
    simulator._deadline_s = None
    assert_answers(simulator)


@SLOW
def test_a_stopped_supervisor_holds_nobody_up(simulator):
    worker = WorkerProcesses.of(simulator, LEAST)
    worker.signal("supervisor", signal.SIGSTOP)
    assert_answers(simulator)
    simulator.close()
    worker.assert_gone()


def test_a_worker_that_cannot_start(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(SimulationError, match=r"could not be started: .*nonexistent"):
        LavaBackend().deploy(small_network(), Workload(images=1))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SimulationError, match="could not be started: its program ended"):
        LavaBackend().deploy(small_network(), Workload(images=1))


# Minimal imports, because every test that runs the program waits for them.
PROGRAM = """
import os, signal, sys
import numpy as np
from neuroattack.backends.lava.backend import LavaBackend
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.deployment.backend import Workload
from neuroattack.encoding.spikes import SpikeTrains

network = Network(
    1e-3,
    Input((28, 28), PoissonEncoder(100.0)),
    (Population("hidden", 30, 5.0, 0.5), Population("output", 10, 5.0, 0.5)),
    (
        Projection(INPUT, "hidden", np.ones((784, 30), int), 0),
        Projection("hidden", "output", np.ones((30, 10), int), 0),
    ),
    "output",
)
LONG = SpikeTrains.from_events([], [], [], (1, 40_000, 784))
SHORT = SpikeTrains.from_events([], [], [], (1, 20, 784))
simulator = LavaBackend(block_steps=1).deploy(network, Workload(images=1))
held = simulator._worker._processes
print(held._group, held._supervisor.pid, held._prefix, flush=True)
"""


def program(then):
    """Start a program that deploys and then runs `then`; return it and its worker."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    group, supervisor, prefix = started.stdout.readline().split()
    return started, WorkerProcesses(int(group), int(supervisor), prefix, LEAST)


@pytest.mark.parametrize(
    ("other", "number"),
    [
        (None, None),
        ("everyone", signal.SIGSTOP),
        pytest.param("worker", signal.SIGSTOP, marks=SLOW),
        pytest.param("a child", signal.SIGSTOP, marks=SLOW),
        pytest.param("supervisor", signal.SIGKILL, marks=SLOW),
    ],
)
def test_our_own_process_killed(other, number):
    started, worker = program("simulator.run(LONG)")
    time.sleep(0.3)
    if other:
        worker.signal(other, number)
    started.kill()
    started.communicate()
    worker.assert_gone()


@pytest.mark.parametrize("stopped", [pytest.param(None, marks=SLOW), "worker"])
def test_ctrl_c(stopped):
    started, worker = program("""
try:
    simulator.run(LONG)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    input()
print(simulator.run(SHORT).counts["output"].sum())
""")
    time.sleep(0.3)
    if stopped:
        worker.signal(stopped, signal.SIGSTOP)
    started.send_signal(signal.SIGINT)
    assert started.stdout.readline() == "interrupted\n"
    worker.assert_gone()
    out, _ = started.communicate("go on\n", timeout=60)
    assert out == "0\n"


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("", id="returns"),
        pytest.param("sys.exit(3)", id="exits", marks=SLOW),
        pytest.param("raise RuntimeError", id="raises", marks=SLOW),
        pytest.param("os.kill(os.getpid(), signal.SIGTERM)", id="terminated", marks=SLOW),
    ],
)
def test_a_program_that_ends_without_closing(end):
    started, worker = program(f"simulator.run(SHORT)\n{end}")
    out, _ = started.communicate(timeout=60)
    assert out == "", "Lava's words are not ours"
    worker.assert_gone()


def test_a_fork_of_ours_leaves_the_worker_alone():
    started, worker = program("""
child = os.fork()
if child == 0:
    # A query in the fork starts a separate worker and does not end the other.
    print(simulator.run(SHORT).counts["output"].sum(), flush=True)
    sys.exit()
os.waitpid(child, 0)
print(simulator.run(SHORT).counts["output"].sum(), held is simulator._worker._processes)
""")
    out, _ = started.communicate(timeout=60)
    assert out == "0\n0 True\n"
    worker.assert_gone()


def resident_mib():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024


def deploy_ask_close(times):
    for _ in range(times):
        with closing(LavaBackend().deploy(small_network())) as simulator:
            simulator.run(SHORT, record_spikes=True)
            worker = WorkerProcesses.of(simulator, LEAST)
        worker.assert_gone()


def assert_nothing_grows(times, mib):
    deploy_ask_close(1)
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    before_mib = resident_mib()
    deploy_ask_close(times)
    assert len(os.listdir("/proc/self/fd")) == files
    assert threading.active_count() == threads
    assert resident_mib() - before_mib < mib


def test_two_deployments_leave_nothing():
    assert_nothing_grows(2, 10)


@SLOW
def test_fifty_deployments_leave_nothing():
    assert_nothing_grows(50, 20)
