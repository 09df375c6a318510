"""SANA-FE: spikes, events and energies compared with plain counts, and workers that end."""

import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from support.networks import small_network
from support.output import one_object
from support.worker_processes import WorkerProcesses

from neuroattack.backends.sanafe.backend import SanafeBackend
from neuroattack.backends.sanafe.cross_check import SanafeCrossCheck
from neuroattack.backends.sanafe.plan import SanafePlan
from neuroattack.conformance.scenarios import check_batch
from neuroattack.deployment.backend import Workload, list_emulators, load_backend
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import DoesNotFitError, SimulationError, UnsupportedFeatureError
from neuroattack.experiments.chips.differences import compare_estimates
from neuroattack.hardware.fitting import fit
from neuroattack.hardware.placement.placement import place
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.dynamics import simulate, update_fixed
from neuroattack.ir.network import (
    INPUT,
    Convolution,
    FixedPopulation,
    Input,
    Network,
    Projection,
)

installed = pytest.mark.skipif(find_spec("sanafe") is None, reason="needs `pip install sanafe`")

LIMITS = load_profile("loihi1").core_limits()


def layers(*sizes, delay=1, weights=(-60, 90), **parameters):
    """Return a network of fixed-point layers with random weights."""
    rng = np.random.default_rng(5)
    names = [INPUT, *(f"layer{i}" for i in range(1, len(sizes)))]
    defaults = {"leak": 100, "threshold": 6400} | parameters
    populations = tuple(
        FixedPopulation(name, size, **defaults)
        for name, size in zip(names[1:], sizes[1:], strict=True)
    )
    projections = tuple(
        Projection(a, b, rng.integers(*weights, (m, n)) * (rng.random((m, n)) < 0.8), 6, delay)
        for a, b, m, n in zip(names, names[1:], sizes, sizes[1:], strict=False)
    )
    return Network(1e-3, Input((sizes[0],), PoissonEncoder(100.0)), populations, projections,
                   names[-1])  # fmt: skip


def looped(network):
    """Return a network whose last population excites itself, and never falls silent."""
    last = network.populations[-1]
    ring = Projection(last.name, last.name, np.full((last.size, last.size), 120), 6)
    return replace(network, projections=(*network.projections, ring))


def raster(network, images=3, steps=60, rate=0.15):
    return np.random.default_rng(2).random((images, steps, network.input.size)) < rate


def convolution():
    """Return a network with a kernel in two channels, and a dense readout."""
    rng = np.random.default_rng(6)
    kernel = Convolution(INPUT, "maps", rng.integers(-20, 90, (2, 1, 3, 3)), 6, (1, 6, 6))
    maps, readout = FixedPopulation("maps", 32, 10, 9000), FixedPopulation("out", 3, 10, 9000)
    dense = Projection("maps", "out", rng.integers(-60, 90, (32, 3)), 6)
    return Network(1e-3, Input((1, 6, 6), PoissonEncoder(100.0)), (maps, readout), (kernel, dense),
                   "out")  # fmt: skip


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


def counted(network, placement, inputs):
    """Count the events of an image in plain loops: means per image are not taken."""
    spikes = simulate(network, inputs)
    spikes[INPUT] = inputs
    cores = placement.cores
    counts = dict.fromkeys(
        ("synaptic_operation", "neuron_update", "active_update", "spike_generation", "message",
         "input_message"), 0
    )  # fmt: skip
    for projection in network.projections:
        weights = projection.dense().mantissas
        fan_out = np.count_nonzero(weights, axis=1)
        counts["synaptic_operation"] += int(spikes[projection.source].sum(axis=0) @ fan_out)
    for name in network.sizes:
        for neuron in range(network.sizes[name]):
            reached = {
                int(cores[p.target][j])
                for p in network.outgoing(name)
                for j in np.flatnonzero(p.dense().mantissas[neuron])
            }
            term = "input_message" if name == INPUT else "message"
            counts[term] += len(reached) * int(spikes[name][:, neuron].sum())
    for population in network.populations:
        counts["neuron_update"] += population.size * len(inputs)
        counts["spike_generation"] += int(spikes[population.name].sum())
        potential, wait = np.zeros(population.size), np.zeros(population.size, int)
        for step in range(len(inputs)):
            drive, arrived = np.zeros(population.size), np.zeros(population.size, bool)
            for p in network.incoming(population.name):
                if step:
                    weights = p.dense().mantissas.astype(float) * 2.0**p.exponent
                    drive += spikes[p.source][step - 1] @ weights
                    arrived |= spikes[p.source][step - 1] @ (weights != 0)
            updated = (potential != 0) | arrived | (population.bias != 0)
            potential = np.where(wait, potential, update_fixed(potential, drive, population))
            fired = spikes[population.name][step]
            potential[fired] = 0
            wait = np.where(fired, population.refractory_steps, np.maximum(wait - 1, 0))
            counts["active_update"] += int((updated | fired).sum())
    return counts


def coefficient_pj(key, unit):
    """Return the first number of a key after the name of a unit, in SANA-FE's own file."""
    folder = Path(find_spec("sanafe").submodule_search_locations[0])
    text = (folder / "examples" / "loihi.yaml").read_text()
    return float(re.search(rf"name: {unit}.*?{key}: ([-\d.e]+)", text, re.DOTALL)[1]) * 1e12


KEYS = {
    "synaptic_operation": ("energy_process_spike", "loihi_dense_synapse"),
    "neuron_update": ("energy_access_neuron", "loihi_lif"),
    "active_update": ("energy_update_neuron", "loihi_lif"),
    "spike_generation": ("energy_spike_out", "loihi_lif"),
    "message": ("energy_message_out", "loihi_out"),
    "input_message": ("energy_message_out", "loihi_out"),
    "hop_ew": ("energy_east_hop", "loihi_tile"),
    "hop_ns": ("energy_north_hop", "loihi_tile"),
    "input_hop_ew": ("energy_west_hop", "loihi_tile"),
    "input_hop_ns": ("energy_south_hop", "loihi_tile"),
}


def spread(network):
    """Return a fitted network that needs many cores, in several nodes of the mesh."""
    fitted = fit(small_network(), load_profile("loihi1"))
    placement = place(network, replace(LIMITS, neurons_per_core=3))
    from neuroattack.hardware.energy.traffic import traffic

    return replace(
        fitted,
        quantized=replace(fitted.quantized, network=network),
        placement=placement,
        traffic=traffic(network, placement),
    )


@installed
@pytest.mark.parametrize(
    "network", [layers(20, 25, 15, refractory_steps=2), looped(layers(20, 25, 15, bias=50))]
)
def test_events_and_energies_are_counts_times_coefficients(network):
    fitted = spread(network)
    inputs = raster(network, images=2, steps=30)
    with closing(SanafeCrossCheck().deploy(fitted)) as estimator:
        found = estimator.run(SpikeTrains.from_dense(inputs))
    assert fitted.placement.cores_used > 12
    events = {term: each.count.tolist() for term, each in found.terms.items()}
    expected = [counted(network, fitted.placement, image) for image in inputs]
    for term in expected[0]:
        assert events[term] == [each[term] for each in expected], term
    each = [simulate(network, image) for image in inputs]
    counts = {name: np.array([one[name].sum(axis=0) for one in each]) for name in each[0]}
    counts[INPUT] = inputs.sum(axis=1)
    activity = fitted.activity(counts, 30)
    assert events["synaptic_operation"] == activity.synaptic_operations.tolist()
    assert events["spike_generation"] == activity.spikes.tolist()
    assert events["neuron_update"] == [activity.updates] * 2
    assert events["hop_ew"] == activity.hops_ew.tolist()
    assert events["hop_ns"] == activity.hops_ns.tolist()
    assert sum(events["hop_ns"]) > 0
    assert sum(events["input_hop_ew"]) > 0
    routes = np.add(events["message"], events["input_message"])
    assert routes.tolist() == activity.routes.tolist()
    energies = [np.array(events[term]) * coefficient_pj(*KEYS[term]) for term in KEYS]
    np.testing.assert_allclose(np.sum(energies, axis=0), found.total_pj, rtol=1e-9)


@installed
def test_the_terms_sum_to_both_totals():
    fitted = spread(layers(20, 25, 15, refractory_steps=2))
    inputs = SpikeTrains.from_dense(raster(fitted.network, images=3, steps=30))
    recording = load_backend("native").deploy(fitted.network).run(inputs, record_spikes=True)
    estimate = fitted.estimate(fitted.activity(recording.counts, 30))
    with closing(SanafeCrossCheck().deploy(fitted)) as estimator:
        other = estimator.run(inputs)
    figures = compare_estimates(fitted, estimate, recording.spikes, other)
    assert {each["differing"] for each in figures["spikes"].values()} == {0}
    total = figures["total"]
    assert list(total["ours"].values()) == pytest.approx(estimate.subtotal_pj)
    assert total["other"] == pytest.approx(other.total_pj.mean())
    for end in ("lower", "upper"):
        assert total["difference_pj"][end] == pytest.approx(total["other"] - total["ours"][end])
        parts = ("from_counts_pj", "from_coefficients_pj", "one_side_only_pj")
        for values in (*figures["terms"].values(), total):
            assert sum(values[part][end] for part in parts) == pytest.approx(
                values["difference_pj"][end]
            )
    assert figures["time_ms"]["other"] > 0


@installed
def test_synapses_of_kernels_have_their_own_coefficient():
    network = convolution()
    inputs = raster(network, images=1, steps=20)
    with closing(SanafeCrossCheck().deploy(spread(network))) as estimator:
        (term,) = [estimator.run(SpikeTrains.from_dense(inputs)).terms["synaptic_operation"]]
    spikes = simulate(network, inputs[0])
    kernel, dense = network.projections
    by_kernel = int(inputs[0].sum(axis=0) @ kernel.fan_out())
    by_dense = int(spikes["maps"].sum(axis=0) @ dense.fan_out())
    assert term.count.tolist() == [by_kernel + by_dense]
    expected = by_kernel * coefficient_pj("energy_process_spike", "loihi_conv_synapse")
    expected += by_dense * coefficient_pj("energy_process_spike", "loihi_dense_synapse")
    assert term.energy_pj[0] == pytest.approx(expected)
    assert by_kernel * by_dense


@installed
def test_the_command_prints_one_object(command, network_file):
    arguments = ("--profile", "loihi1", "--images", 3, "--steps", 20, "--cross-check", "sanafe")
    code, out, err = command("energy", network_file, *arguments, "--json")
    assert (code, err) == (0, "")
    chip = one_object(out)["profiles"]["loihi1"]
    figures = chip["cross_check"]
    assert (figures["tool"], figures["chip"], figures["images"]) == ("SANA-FE", "loihi.yaml", 3)
    assert figures["total"]["ours"] == pytest.approx(chip["subtotal_pj"])
    assert figures["spikes"]["hidden"]["ours"] == chip["spikes_per_image"]["hidden"]
    code, out, _ = command("energy", network_file, *arguments)
    assert code == 0
    assert "cross-check with SANA-FE" in out


TRUENORTH_INPUTS = """
            - name: input[0..255]
              attributes:
                model: input
                energy_access_neuron: 0.0
                latency_access_neuron: 0.0
                energy_update_neuron: 0.0
                latency_update_neuron: 0.0
                energy_spike_out: 0.0
                latency_spike_out: 0.0
          synapse:"""


@installed
def test_operations_of_a_network_with_axon_types_on_truenorth(tmp_path):
    # Four signed weights per neuron, one for each axon type; a synapse is present or absent.
    import sanafe

    rng = np.random.default_rng(8)
    of_type = rng.integers(-6, 12, (4, 30))
    present = rng.random((40, 30)) < 0.5
    weights = np.where(present, of_type[np.arange(40) % 4], 0)
    # TrueNorth compares by >=.
    network = Network(
        1e-3, Input((40,), PoissonEncoder(100.0)),
        (FixedPopulation("neurons", 30, leak=0, threshold=rng.integers(20, 40, 30) - 1),),
        (Projection(INPUT, "neurons", weights, 0),), "neurons",
    )  # fmt: skip
    inputs = raster(network, images=1, steps=50)[0]
    expected = simulate(network, inputs)["neurons"]

    folder = Path(sanafe.__file__).parent / "examples"
    text = (folder / "truenorth.yaml").read_text()
    text = text.replace("[0..4095]", "[0..1]").replace("width: 64", "width: 1")
    text = text.replace("height: 64", "height: 2")
    text = text.replace("\n          synapse:", TRUENORTH_INPUTS, 1)
    (tmp_path / "truenorth.yaml").write_text(text)
    chip = sanafe.load_arch(tmp_path / "truenorth.yaml")
    net = sanafe.Network()
    sources = net.create_neuron_group(INPUT, 40)
    targets = net.create_neuron_group(
        "neurons", 30, log_spikes=True, soma_hw_name="core_soma",
        default_dendrite_hw_name="core_dendrites", default_synapse_hw_name="core_synapses",
    )  # fmt: skip
    for i in range(40):
        sources[i].set_attributes(
            soma_hw_name=f"input[{i}]", dendrite_hw_name="core_dendrites",
            model_attributes={"spikes": inputs[:, i].astype(int).tolist()},
        )  # fmt: skip
        sources[i].map_to_core(chip.tiles[1].cores[0])
    for j in range(30):
        threshold = float(network.populations[0].threshold[j] + 1)
        targets[j].set_attributes(model_attributes={"threshold": threshold, "leak": 0.0})
        targets[j].map_to_core(chip.tiles[0].cores[0])
    i, j = np.nonzero(weights)
    sources.connect_neurons_sparse(
        targets, {"weight": weights[i, j].astype(float).tolist()},
        list(zip(i.tolist(), j.tolist(), strict=True)),
    )  # fmt: skip
    spiking = sanafe.SpikingChip(chip)
    spiking.load(net)
    run = spiking.sim(50, spike_trace=True)
    found = np.zeros_like(expected)
    for step, spikes in enumerate(run["spike_trace"]):
        found[step, [s.neuron_offset for s in spikes if s.group_name == "neurons"]] = True
    np.testing.assert_array_equal(found, expected)
    assert expected.sum() > 50

    profile = load_profile("truenorth")
    with pytest.raises(UnsupportedFeatureError, match="free weights"):
        fit(small_network(), profile)
    operations = int(inputs.sum(axis=0) @ (weights != 0).sum(axis=1))
    assert run["spikes"] == operations
    assert profile.energy_model().event_pj["synaptic_operation"].value == 26
    # All energies in SANA-FE's file are 0.
    assert set(run["energy"].values()) == {0.0}


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
