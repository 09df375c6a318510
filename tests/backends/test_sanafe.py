"""SANA-FE as an emulator: exact spikes, refused networks, and workers that end without a trace."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.networks import small_network
from support.sanafe_networks import LIMITS, convolution, installed, layers, looped, raster
from support.worker_processes import WorkerProcesses

from neuroattack.backends.sanafe.backend import SanafeBackend
from neuroattack.backends.sanafe.plan import SanafePlan
from neuroattack.conformance.scenarios import check_batch
from neuroattack.deployment.backend import Workload, list_emulators, load_backend
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import DoesNotFitError, SimulationError, UnsupportedFeatureError
from neuroattack.hardware.fitting import fit
from neuroattack.hardware.placement.placement import place
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.network import (
    INPUT,
    FixedPopulation,
    Input,
    Network,
    Projection,
)


@installed
@pytest.mark.parametrize(
    "network",
    [
        layers(20, 12, 5),
        layers(20, 12, 5, refractory_steps=3),
        layers(20, 12, 5, bias=700, refractory_steps=5),
        layers(20, 12, 5, bias=-300, leak=4096),
        layers(20, 12, 5, lowest=-500, highest=7000),
        layers(20, 12, 5, highest=6400),
        layers(20, 12, 5, threshold=0),
        layers(20, 12, 5, weights=(-200, 1), leak=0),
        looped(layers(20, 12, 5, refractory_steps=4)),
        convolution(),
    ],
)
def test_spikes_are_those_of_the_reference_dynamics(network):
    with closing(SanafeBackend().deploy(network)) as simulator:
        check_batch(simulator, network, raster(network))
        check_batch(simulator, network, raster(network, images=1, steps=4, rate=1.0))


def random_network(seed):
    """Return a recurrent network with random parameters."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 15, rng.integers(2, 5)).tolist()
    names = [INPUT, *(f"layer{i}" for i in range(1, len(sizes)))]
    narrow = bool(rng.integers(2))
    populations = tuple(
        FixedPopulation(
            name,
            size,
            leak=int(rng.choice([0, 1, 100, 4095, 4096])),
            threshold=rng.integers(0, 4096, size),
            bias=rng.integers(-300, 300, size) * rng.integers(2),
            refractory_steps=int(rng.integers(0, 5)),
            **({"lowest": -2048, "highest": 2047} if narrow else {}),
        )
        for name, size in zip(names[1:], sizes[1:], strict=True)
    )
    pairs = [(a, b) for a in range(len(sizes)) for b in range(1, len(sizes))]
    projections = tuple(
        Projection(
            names[a], names[b], rng.integers(-127, 128, (sizes[a], sizes[b])), rng.integers(0, 6)
        )
        for a, b in pairs
        if b == a + 1 or rng.random() < 0.3
    )
    encoder = PoissonEncoder(100.0)
    return Network(1e-3, Input((sizes[0],), encoder), populations, projections, names[-1])


@installed
@pytest.mark.parametrize("seed", range(8))
def test_spikes_of_random_networks_are_those_of_the_reference_dynamics(seed):
    network = random_network(seed)
    with closing(SanafeBackend().deploy(network)) as simulator:
        check_batch(simulator, network, raster(network, images=3, steps=25, rate=0.3))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (small_network(), r"floating point \(population 'hidden'\)"),
        (layers(4, 3, delay=2), r"delays of more than one step \(projection input->layer1\)"),
        (layers(4, 3, current_leak=400), r"synaptic current with memory \(population 'layer1'\)"),
        (layers(300, 3, weights=(900, 999)), "wrap around at 24 bits"),
        (layers(1200, 1100, weights=(1, 2)), "expected at most 1,048,576"),
    ],
)
def test_networks_that_it_cannot_hold_exactly_are_refused(network, words):
    with pytest.raises(UnsupportedFeatureError, match=words):
        SanafeBackend().deploy(network)


def test_an_input_without_cores_is_refused():
    network = layers(30, 3)
    full = replace(LIMITS, mesh=replace(LIMITS.mesh, width=1, height=1, cores_per_node=1))
    with pytest.raises(DoesNotFitError, match=r"needs 2 cores, SANA-FE's Loihi has 1"):
        SanafePlan.of(network, place(network, full))


def test_it_is_an_emulator():
    assert "sanafe" in {each.name for each in list_emulators()}


@installed
def test_the_emulator_runs_by_name():
    assert load_backend("sanafe").name == "sanafe"


@pytest.fixture
def simulator():
    fitted = fit(small_network(), load_profile("loihi1"))
    with closing(SanafeBackend().deploy(fitted.network, Workload(images=4))) as found:
        yield found


# Longer than any test waits.
LONG = SpikeTrains.from_events([], [], [], (1, 2_000_000, 784))


@installed
@pytest.mark.parametrize("whom", ["worker", "supervisor"])
def test_a_killed_worker_is_replaced(simulator, whom):
    worker = WorkerProcesses.of(simulator)
    threading.Timer(0.3, worker.signal, (whom, signal.SIGKILL)).start()
    with pytest.raises(SimulationError, match=r"sanafe: .*was ended by signal 9 \(SIGKILL\)"):
        simulator.run(LONG)
    worker.assert_gone()
    check_batch(simulator, simulator._network, raster(small_network(), images=2, steps=10))


@installed
def test_a_query_ends_at_its_deadline(simulator):
    worker = WorkerProcesses.of(simulator)
    simulator._deadline_s = 1.0
    with pytest.raises(SimulationError, match="within 1 s"):
        simulator.run(LONG)
    worker.assert_gone()


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from support.networks import small_network
from neuroattack.backends.sanafe.backend import SanafeBackend
from neuroattack.deployment.backend import Workload
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.hardware.fitting import fit
from neuroattack.hardware.profiles.files import load_profile
network = fit(small_network(), load_profile("loihi1")).network
simulator = SanafeBackend().deploy(network, Workload(images=1))
held = simulator._worker._processes
print(held._group, held._supervisor.pid, held._prefix, flush=True)
simulator.run(SpikeTrains.from_events([], [], [], (1, 2_000_000, 784)))
"""


@installed
def test_a_killed_program_leaves_no_process_or_file():
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[1])],
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
