"""Exported PyNN scripts, run as separate programs."""

import ast
import dataclasses
import re
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.brian_networks import feed_forward, fixed_neuron
from support.networks import at_the_threshold, small_network
from support.scripts import run_script

from neuroattack.backends.nest.backend import NestBackend
from neuroattack.backends.pynn.script import SUPPORTED, pynn_script
from neuroattack.conformance import scenario_networks
from neuroattack.conformance.networks import networks
from neuroattack.deployment.backend import load_backend
from neuroattack.deployment.features import FEATURES
from neuroattack.deployment.spike_files import load_spikes
from neuroattack.encoding.encoders import PoissonEncoder, RegularEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection

SIMULATORS = {
    name: pytest.param(
        name,
        marks=pytest.mark.skipif(
            not (find_spec("pyNN") and find_spec(module)), reason=f"needs PyNN and {module}"
        ),
    )
    for name, module in (("nest", "nest"), ("brian2", "brian2"))
}
on_nest = SIMULATORS["nest"].marks[0]


def with_encoder(network, encoder):
    return dataclasses.replace(network, input=dataclasses.replace(network.input, encoder=encoder))


def populations(**second):
    """Return a network with a recurrent population and parameters for the second one."""
    rng = np.random.default_rng(6)

    def weights(*shape):
        return rng.normal(0.15, 0.4, shape)

    return Network(
        1e-3,
        Input((5, 4), PoissonEncoder(300.0)),
        (
            Population("first", 12, 0.02, rng.uniform(0.5, 1, 12), reset_v=-0.3),
            Population("second", 10, **{"tau_m_s": 0.01, "threshold_v": 0.8, **second}),
        ),
        (
            Projection.from_weights(INPUT, "first", weights(20, 12)),
            Projection.from_weights("first", "first", weights(12, 12), 2),
            Projection.from_weights("first", "second", weights(12, 10), 1),
            Projection.from_weights(INPUT, "second", weights(20, 10), 5),
        ),
        "second",
    )


# Networks, and whether Brian2 simulates them too.
NETWORKS = {
    "small": (small_network, True),
    "regular input": (lambda: with_encoder(small_network(), RegularEncoder(80.0)), False),
    "no refractory period": (lambda: populations(refractory_steps=0), True),
    "refractory period": (lambda: populations(refractory_steps=2, reset_v=0.25), True),
    "biases": (lambda: populations(bias_v=np.linspace(-0.1, 0.3, 10)), True),
    "per neuron": (
        lambda: populations(tau_m_s=np.linspace(2e-3, 0.1, 10), refractory_steps=np.arange(10)),
        False,
    ),
    "no leak": (lambda: populations(tau_m_s=np.inf, comparison="inclusive"), True),
    "same step": (scenario_networks.same_step, True),
    "loops": (scenario_networks.loops, True),
    "convolutions": (scenario_networks.convolutional, True),
    "all features": (scenario_networks.all_features, True),
    "ties": (scenario_networks.ties, True),
    "one neuron": (scenario_networks.one_neuron, True),
    "long delays": (scenario_networks.long_delays, True),
    "trained": (scenario_networks.trained, False),
}


def check_script(network, folder, simulator, image=None, steps=60, seed=7):
    """Compare the spikes of the script with the native backend; return its output."""
    if image is None:
        image = np.random.default_rng(0).random(network.input.shape)
    np.save(folder / "image.npy", image)
    ended = run_script(
        pynn_script(network),
        folder,
        *("image.npy", "--simulator", simulator, "--spikes", "spikes.npz"),
        *("--steps", steps, "--seed", seed),
    )
    assert ended.returncode == 0, ended.stderr
    inputs = network.input.encoder.encode(
        image.reshape(1, -1), indices=np.array([0]), steps=steps, dt_s=network.dt_s, seed=seed
    )
    expected = load_backend("native").deploy(network).run(inputs, record_spikes=True)
    found = load_spikes(folder / "spikes.npz", network)
    assert (found.images, found.steps) == (1, steps)
    assert set(found.spikes) == set(expected.spikes)
    for name, trains in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name].to_dense(), trains.to_dense(), name)
        assert len(found.spikes[name].events()[0]) == expected.counts[name].sum()
    *totals, last = ended.stdout.splitlines()
    counts = expected.counts
    assert totals == [f"{p.name}: {counts[p.name].sum()} spikes" for p in network.populations]
    assert list(map(int, last.partition(":")[2].split())) == counts[network.readout][0].tolist()
    return ended, counts


@pytest.mark.parametrize("simulator", SIMULATORS.values())
@pytest.mark.parametrize("case", NETWORKS)
def test_the_script_gives_the_spikes_of_the_native_backend(tmp_path, case, simulator):
    network, on_brian2 = NETWORKS[case]
    if simulator == "brian2" and not on_brian2:
        pytest.skip("compared on NEST only")
    ended, counts = check_script(network(), tmp_path, simulator)
    assert counts[network().readout].sum()
    if simulator == "nest":
        assert ended.stderr == ""


@on_nest
@pytest.mark.parametrize("source", [INPUT, "first"])
def test_nest_adds_a_bias_last(tmp_path, source):
    network = with_encoder(at_the_threshold(source), PoissonEncoder(1000.0))
    ended, counts = check_script(network, tmp_path, "nest", np.ones(3), steps=5)
    assert ended.stderr == ""
    # Some neurons spike because of the order, and others do not.
    assert 0 < np.count_nonzero(counts["second"]) < 60


@on_nest
@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(features=SUPPORTED), st.integers(0, 2**32))
def test_random_networks_have_the_spikes_of_the_native_backend(tmp_path, network, seed):
    try:
        pynn_script(network)
    except UnsupportedFeatureError:
        assume(False)
    check_script(network, tmp_path, "nest", steps=25, seed=seed)


@on_nest
def test_a_silent_image_gives_no_spikes(tmp_path):
    network = small_network()
    ended, counts = check_script(network, tmp_path, "nest", np.zeros((28, 28)))
    assert ended.stdout.endswith(f"class:{' 0' * 10}\n")
    assert not any(each.any() for each in counts.values())


@on_nest
def test_without_an_image_it_shows_a_ramp(tmp_path):
    ended = run_script(pynn_script(small_network()), tmp_path)
    assert ended.returncode == 0
    _, counts = check_script(
        small_network(), tmp_path, "nest", np.linspace(0, 1, 784), steps=100, seed=0
    )
    assert ended.stdout.split()[-10:] == [str(count) for count in counts["output"][0]]


@on_nest
def test_other_decay_factors_are_reported(tmp_path):
    script = pynn_script(populations()).replace("return tau\n", "return 1.01 * tau\n")
    ended = run_script(script, tmp_path)
    assert ended.returncode == 0
    assert ended.stderr == (
        "nest: potentials decay by other factors than in neuroattack; spikes may differ\n"
    )


@pytest.mark.parametrize("simulator", [SIMULATORS["brian2"]])
def test_brian2_reports_rounding(tmp_path, simulator):
    ended, _ = check_script(populations(), tmp_path, simulator)
    assert ended.stderr.startswith("brian2: potentials are rounded after every weight")
    ended, _ = check_script(scenario_networks.one_neuron(), tmp_path, simulator)
    assert ended.stderr == ""
    ended = run_script(
        pynn_script(populations(refractory_steps=np.arange(10))), tmp_path, "--simulator", simulator
    )
    assert ended.returncode == 1
    assert ended.stderr.endswith("refractory periods per neuron on Brian2\n")


@pytest.mark.skipif(not find_spec("pyNN"), reason="needs PyNN")
def test_a_simulator_without_the_neuron_model_is_reported(tmp_path):
    ended = run_script(pynn_script(small_network()), tmp_path, "--simulator", "mock")
    assert ended.returncode == 1
    assert "'mock' does not have PyNN's neuron model IF_curr_delta" in ended.stderr
    assert "have not been compared" in ended.stderr


def test_a_missing_simulator_is_reported(tmp_path):
    (tmp_path / "pyNN.py").write_text("raise ImportError('no PyNN')")
    ended = run_script(pynn_script(small_network()), tmp_path, "--simulator", "nest")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "simulator 'nest' is not available: no PyNN\n"


@pytest.mark.parametrize(
    ("steps", "image", "reason"), [("0", None, "one step"), ("5", (3, 3), r"(28, 28)")]
)
def test_invalid_arguments_are_refused(tmp_path, steps, image, reason):
    np.save(tmp_path / "image.npy", np.zeros(image or (28, 28)))
    ended = run_script(pynn_script(small_network()), tmp_path, "image.npy", "--steps", steps)
    assert ended.returncode == 2
    assert reason in ended.stderr


@pytest.mark.parametrize(
    "network", [small_network, scenario_networks.all_features, scenario_networks.convolutional]
)
def test_the_script_is_valid_and_always_the_same(network):
    script = pynn_script(network())
    assert script == pynn_script(network())
    imported = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.ImportFrom)]
    assert imported == []
    assert not re.search(r"^\?|@[A-Z_]+@", script, re.MULTILINE)
    assert max(map(len, script.splitlines())) <= 100


REFUSED = {
    "fixed_point": fixed_neuron,
    "subtractive_reset": scenario_networks.resets,
    "delayed_subtraction": lambda: populations(reset="subtract_next"),
    "synaptic_current": lambda: populations(tau_syn_s=5e-3),
    "late_input": scenario_networks.synaptic_currents,
    "direct_input": scenario_networks.direct,
    "potential_readout": lambda: dataclasses.replace(
        populations(threshold_v=np.inf), readout_quantity="final_potential"
    ),
    "recurrent_bias": scenario_networks.short_memory,
    "fast_decay": feed_forward,
}


def test_every_feature_is_supported_or_refused():
    assert set(REFUSED) | SUPPORTED == set(FEATURES)
    # Those of the backend, which has the same neurons.
    assert NestBackend.supported == SUPPORTED


@pytest.mark.parametrize("feature", REFUSED)
def test_unsupported_features_are_refused_by_name(feature):
    refused = "|".join(FEATURES[feature] for feature in REFUSED)
    with pytest.raises(UnsupportedFeatureError, match=rf"exporter 'pynn'.*({refused})") as caught:
        pynn_script(REFUSED[feature]())
    if feature != "late_input":  # of two in the network, the first is named
        assert FEATURES[feature] in str(caught.value)


@pytest.mark.parametrize(
    ("threshold", "comparison", "refused"),
    [(0.0, "strict", False), (0.0, "inclusive", True), (-0.1, "strict", True)],
)
def test_neurons_that_spike_at_rest_are_refused(threshold, comparison, refused):
    network = populations(threshold_v=threshold, comparison=comparison, reset_v=-1.0)
    if refused:
        with pytest.raises(UnsupportedFeatureError, match=r"at rest \(population 'second'\)"):
            pynn_script(network)
    else:
        pynn_script(network)


def test_networks_with_too_many_synapses_are_refused(monkeypatch):
    monkeypatch.setattr("neuroattack.backends.pynn.script._MOST_SYNAPSES", 100)
    with pytest.raises(UnsupportedFeatureError, match=r"got 23,\d+ connections"):
        pynn_script(small_network())
