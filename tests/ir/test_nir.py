"""NIR: export and import of networks, discretization of the equations, and unsupported files."""

import math
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.nir_files import ASKED, chain, lif, write

from neuroattack.conformance.networks import fixed_networks, inputs, networks
from neuroattack.deployment.features import FEATURES
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.errors import FileError, UnsupportedFeatureError, ValidationError
from neuroattack.ir.dynamics import readout_potentials, simulate
from neuroattack.ir.network import (
    INPUT,
    Input,
    Network,
    Population,
    Projection,
)
from neuroattack.ir.nir.exporting import export_nir
from neuroattack.ir.nir.importing import import_nir

nir = pytest.importorskip("nir")


def one_layer(shape=(1, 2), weights=None, **changes):
    """Return a network of one population, `out`, with an input of that shape."""
    weights = np.ones((math.prod(shape), 1)) if weights is None else weights
    fields = {"tau_m_s": 0.1, "threshold_v": 1.0} | changes
    return Network(
        dt_s=fields.pop("dt_s", 1e-3),
        input=Input(shape, PoissonEncoder(1.0)),
        populations=(Population("out", weights.shape[1], **fields),),
        projections=(Projection.from_weights(INPUT, "out", weights),),
        readout="out",
        origin={"dataset": "mnist"},
    )


FLOATING = frozenset(FEATURES) - {"fixed_point"}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(networks(max_size=20), st.data())
def test_a_network_is_the_same_spike_for_spike_after_export_and_import(tmp_path, network, data):
    path = tmp_path / "network.nir"
    export_nir(path, network, allow_lossy=True)
    check_import(path, network, data)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(networks(max_size=20, features=FLOATING), st.data())
def test_all_features_come_back_or_are_refused_by_name(tmp_path, network, data):
    path = tmp_path / "network.nir"
    problem = refusal(path, network)
    if problem is None:
        check_import(path, network, data)
    else:
        assert any(repr(population.name) in problem for population in network.populations)
        assert not path.exists()


def refusal(path, network):
    """Return the error message of an export, or None if the file was written."""
    path.unlink(missing_ok=True)
    try:
        export_nir(path, network, allow_lossy=True)
    except UnsupportedFeatureError as error:
        return str(error)
    return None


def check_import(path, network, data):
    imported = import_nir(path)
    assert imported.losses == ()
    assert imported.largest_relative_rounding == 0
    assert imported.network.input == network.input
    assert imported.network.readout_quantity == network.readout_quantity
    signal = data.draw(inputs(network))
    images = signal if isinstance(signal, np.ndarray) else signal.to_dense()
    for image in images[:2]:
        expected = simulate(network, image)
        found = simulate(imported.network, image)
        assert found.keys() == expected.keys()
        for name, spikes in expected.items():
            np.testing.assert_array_equal(found[name], spikes, name)
        np.testing.assert_array_equal(
            readout_potentials(imported.network, image), readout_potentials(network, image)
        )


@pytest.mark.slow
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.floats(1e-5, 1e3),
    st.floats(1e-5, 1e-2),
    st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=3, max_size=3),
)
@example(160.0, 0.004211145714222155, [0.0, 0.0, 0.9999999999999999])
def test_biases_and_decays_come_back_to_the_last_bit(tmp_path, tau_m_s, dt_s, bias_v):
    network = one_layer((2,), np.ones((2, 3)), tau_m_s=tau_m_s, bias_v=bias_v, dt_s=dt_s)
    export_nir(tmp_path / "n.nir", network)
    (before,), (after,) = network.populations, import_nir(tmp_path / "n.nir").network.populations
    np.testing.assert_array_equal(after.decay(dt_s), before.decay(dt_s))
    np.testing.assert_array_equal(after.bias_v, before.bias_v)


def test_where_a_network_comes_from_survives_too(tmp_path):
    export_nir(tmp_path / "n.nir", one_layer())
    found = import_nir(tmp_path / "n.nir").network
    assert found.origin["dataset"] == "mnist"
    assert found.input.shape == (1, 2)


def test_files_exported_by_version_0_1_have_no_other_neurons(tmp_path):
    path = tmp_path / "n.nir"
    network = one_layer(refractory_steps=2)
    export_nir(path, network, allow_lossy=True)
    with h5py.File(path, "r+") as file:
        for field in ("reset", "comparison", "input_order"):
            del file[f"node/nodes/out/metadata/neuroattack/{field}"]
        del file["node/metadata/neuroattack/readout"]
        _replace(file, "node/nodes/out/metadata/neuroattack/refractory_steps", 2)
    imported = import_nir(path)
    assert imported.network.populations == network.populations
    assert {setting.source for setting in imported.settings} == {"file"}


def test_nir_itself_reads_what_is_written_here(tmp_path):
    export_nir(tmp_path / "n.nir", one_layer((2, 2), np.eye(4, 3), bias_v=0.25))
    graph = nir.read(tmp_path / "n.nir")
    neurons = graph.nodes["out"]
    assert isinstance(neurons, nir.LIF)
    np.testing.assert_array_equal(neurons.tau, np.full(3, 0.1))
    np.testing.assert_array_equal(neurons.v_threshold, np.ones(3))
    (affine,) = (node for node in graph.nodes.values() if isinstance(node, nir.Affine))
    # A constant current of weight 1 during a step changes the potential by 1.
    held = neurons.r[0] * (1 - math.exp(-1e-3 / 0.1))
    np.testing.assert_allclose(affine.weight * held, np.eye(4, 3).T, rtol=1e-15)
    np.testing.assert_allclose(affine.bias * held, 0.25, rtol=1e-15)


def test_a_refractory_period_is_written_only_where_losses_are_allowed(tmp_path):
    network = one_layer(refractory_steps=2)
    with pytest.raises(UnsupportedFeatureError, match="'out' has a refractory period of 2 steps"):
        export_nir(tmp_path / "n.nir", network)
    assert not (tmp_path / "n.nir").exists()
    (loss,) = export_nir(tmp_path / "n.nir", network, allow_lossy=True)
    assert "refractory" in loss
    assert import_nir(tmp_path / "n.nir").network.populations[0].refractory_steps == 2


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fixed_networks(max_size=5))
def test_fixed_point_is_refused_by_name(tmp_path, network):
    with pytest.raises(UnsupportedFeatureError, match="fixed point"):
        export_nir(tmp_path / "n.nir", network, allow_lossy=True)


def potentials(node, weight, spikes, integration, dt, arrival_steps):
    """Integrate NIR's equation of one neuron in plain Python; return its spikes."""
    tau, r, leak = (float(getattr(node, name)[0]) for name in ("tau", "r", "v_leak"))
    v, fired = leak, []
    for k in range(len(spikes)):
        s = spikes[k - arrival_steps] if k >= arrival_steps else np.zeros(spikes.shape[1])
        current = float(weight @ s)
        if integration == "euler":
            v = v + dt / tau * ((leak - v) + r * current)
        elif integration == "hold":
            alpha = math.exp(-dt / tau)
            v = leak + (v - leak) * alpha + (1 - alpha) * r * current
        else:
            v = leak + (v - leak) * math.exp(-dt / tau) + r / tau * current
        fired.append(v > node.v_threshold[0])
        if fired[-1]:
            v = float(node.v_reset[0])
    return np.array(fired)


@pytest.mark.parametrize("arrival", ["same-step", "next-step"])
@pytest.mark.parametrize("integration", ["euler", "hold", "impulse"])
@pytest.mark.parametrize(("leak", "reset"), [(0.0, 0.0), (-0.4, -0.6)])
def test_each_reading_is_the_equation_solved_that_way(tmp_path, integration, arrival, leak, reset):
    rng = np.random.default_rng(3)
    weight = rng.normal(0.6, 0.4, (1, 5)) * (1e-3 if integration == "impulse" else 1)
    node = lif(v_leak=leak, v_reset=reset, tau=0.02, r=7.0, v_threshold=0.5)
    path = chain(tmp_path / "n.nir", nir.Linear(weight), node, pixels=(5,))
    imported = import_nir(path, **{**ASKED, "integration": integration, "arrival": arrival})
    spikes = rng.random((200, 5)) < 0.3
    found = simulate(imported.network, spikes)["n1"][:, 0]
    arrival_steps = int(arrival == "next-step")
    expected = potentials(node, weight[0], spikes, integration, 1e-3, arrival_steps)
    assert imported.lag_steps == arrival_steps
    assert 5 < expected.sum() < 150
    np.testing.assert_array_equal(found, expected)


def test_same_step_aligns_paths_of_different_length(tmp_path):
    # The output spikes only if direct and indirect spikes arrive in the same step.
    nodes = {
        "in": nir.Input({"input": np.array([1])}),
        "relay": lif(v_threshold=0.5),
        "half": nir.Linear(np.array([[0.6]])),
        "too": nir.Linear(np.array([[0.6]])),
        "sum": lif(tau=2e-3, r=2.0),
        "out": nir.Output({"output": np.array([1])}),
    }
    edges = [("in", "relay"), ("relay", "half"), ("in", "too")]
    edges += [("half", "sum"), ("too", "sum"), ("sum", "out")]
    path = write(tmp_path / "n.nir", nodes, edges)
    spikes = np.zeros((10, 1), bool)
    spikes[3] = True
    together = import_nir(path, **{**ASKED, "arrival": "same-step"})
    np.testing.assert_array_equal(np.flatnonzero(simulate(together.network, spikes)["sum"]), [3])
    apart = import_nir(path, **ASKED)
    assert not simulate(apart.network, spikes)["sum"].any()
    assert (together.lag_steps, apart.lag_steps) == (0, 1)


def test_delays_of_elements_become_projections_of_their_own(tmp_path):
    delay = nir.Delay(np.array([0.0, 3e-3]))
    weight = nir.Linear(np.array([[2.0, 2.0]]))
    path = chain(tmp_path / "n.nir", delay, weight, lif())
    network = import_nir(path, **ASKED).network
    assert sorted(p.delay_steps for p in network.projections) == [1, 4]
    spikes = np.zeros((9, 2), bool)
    spikes[0] = True
    np.testing.assert_array_equal(np.flatnonzero(simulate(network, spikes)["n2"]), [1, 4])


@pytest.mark.parametrize("unit_s", [1.0, 1e-3])
def test_times_are_in_the_unit_that_is_asked_for(tmp_path, unit_s):
    node = lif(tau=0.01 / unit_s)
    path = chain(
        tmp_path / "n.nir", nir.Delay(np.full(2, 2e-3 / unit_s)), nir.Linear(np.ones((1, 2))), node
    )
    network = import_nir(path, **{**ASKED, "integration": "hold", "time_unit_s": unit_s}).network
    assert network.populations[0].tau_m_s == pytest.approx(0.01)
    assert network.projections[0].delay_steps == 3


def test_a_synapse_of_one_euler_step_has_no_memory(tmp_path):
    values = {"tau_syn": 1e-3, "tau_mem": 0.01, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0}
    cuba = nir.CubaLIF(**{k: np.full(1, v) for k, v in values.items()}, w_in=np.full(1, 0.5))
    path = chain(tmp_path / "n.nir", nir.Linear(np.array([[1.0, 3.0]])), cuba)
    with pytest.raises(FileError, match="got no --input-order, expected"):
        import_nir(path, **ASKED)
    network = import_nir(path, **ASKED, input_order="before").network
    np.testing.assert_allclose(network.projections[0].weights_v[:, 0], [0.5, 1.5], rtol=1e-7)
    assert network.populations[0].current_decay(1e-3) == 0


def test_neurons_without_leak_and_scalar_parameters(tmp_path):
    node = nir.IF(r=np.full(1, 1e3), v_threshold=np.full(1, 2.5))
    path = chain(tmp_path / "n.nir", nir.Linear(np.ones((3, 2))), node, classes=3)
    with h5py.File(path, "r+") as file:
        _replace(file, "node/nodes/n1/v_threshold", 2.5)
    network = import_nir(path, **ASKED).network
    assert np.isinf(network.populations[0].tau_m_s).all()
    spikes = simulate(network, np.ones((7, 2), bool))["n1"]
    # Two spikes of weight 1 per step from the second step on; above 2.5 in every second step.
    np.testing.assert_array_equal(spikes.all(axis=1), [0, 0, 1, 0, 1, 0, 1])


ONE = np.ones((1, 2))


@pytest.mark.parametrize(
    ("between", "message"),
    [
        ([nir.Linear(ONE), lif(v_threshold=np.nan)], "v_threshold: got NaN"),
        ([nir.Linear(ONE), lif(tau=-1.0)], "tau: got -1"),
        ([nir.Linear(ONE), lif(v_reset=2.0)], "v_threshold: got 1, expected above v_reset, 2"),
        (
            [nir.Linear(np.ones((1, 3))), lif()],
            r"input: got shape \(2,\) \(2 elements\), expected 3",
        ),
        ([nir.Linear(ONE), lif(3)], "expected 1 neurons"),
        ([nir.Linear(np.full((1, 2), np.inf)), lif()], "weight: got NaN or infinite"),
        ([nir.Linear(ONE), lif(tau=1e-5)], "expected at least the step, 0.001"),
        ([nir.Linear(ONE)], "expected neurons: add"),
        ([nir.Linear(ONE), nir.LI(*np.ones((3, 1)))], "got no --readout, expected final_pot"),
        ([nir.Affine(ONE, np.ones(2)), lif()], r"bias: got shape \(2,\), expected \(1,\)"),
        ([nir.Delay(np.full(2, 1.5e-3)), nir.Linear(ONE), lif()], "delay of 0.0015"),
        ([nir.Delay(np.full(2, -1e-3)), nir.Linear(ONE), lif()], "expected no negative delays"),
        (
            [nir.Affine(np.ones((2, 2)), np.ones(2)), nir.Delay(np.full(2, 1e-3)), lif(2)],
            "'n2' has a delayed bias",
        ),
    ],
)
def test_what_is_wrong_or_cannot_be_held_is_named(tmp_path, between, message):
    path = chain(tmp_path / "n.nir", *between)
    with pytest.raises(FileError, match=message) as caught:
        import_nir(path, **ASKED)
    assert str(path) in str(caught.value)


def test_biases_act_from_the_first_step_in_either_arrival(tmp_path):
    path = chain(tmp_path / "n.nir", nir.Affine(ONE, np.full(1, 1.5)), lif())
    for arrival in ("same-step", "next-step"):
        imported = import_nir(path, **{**ASKED, "arrival": arrival})
        assert imported.losses == ()
        assert simulate(imported.network, np.zeros((2, 2), bool))["n1"][0, 0]


@pytest.mark.parametrize(
    "missing",
    [
        *("dt_s", "time_unit_s", "integration", "arrival", "reset", "comparison"),
        "refractory_steps",
    ],
)
def test_what_nir_leaves_open_is_never_guessed(tmp_path, missing):
    path = chain(tmp_path / "n.nir", nir.Linear(ONE), lif())
    option = missing.removesuffix("_s").replace("_", "-")
    with pytest.raises(FileError, match=f"got no --{option}, expected"):
        import_nir(path, **{**ASKED, missing: None})
    with pytest.raises(FileError, match="got no --encoder, expected"):
        import_nir(path, **{**ASKED, "encoder": None})


def test_direct_coding_has_no_rate(tmp_path):
    path = chain(tmp_path / "n.nir", nir.Linear(ONE), lif())
    direct = {**ASKED, "encoder": "direct", "max_rate_hz": None}
    network = import_nir(path, **direct).network
    assert network.input.encoder == DirectEncoder()
    with pytest.raises(FileError, match="input rate: got 100 Hz"):
        import_nir(path, **{**direct, "max_rate_hz": 100.0})
    coarse = replace(network, input=Input(network.input.shape, DirectEncoder(9)))
    export_nir(tmp_path / "coarse.nir", coarse)
    assert import_nir(tmp_path / "coarse.nir").network.input == coarse.input


def test_images_may_take_another_shape_of_as_many_pixels(tmp_path):
    path = chain(tmp_path / "n.nir", nir.Linear(np.ones((1, 12))), lif(), pixels=(1, 12))
    assert import_nir(path, **ASKED).network.input.shape == (12,)
    assert import_nir(path, **ASKED, image_shape=(3, 4)).network.input.shape == (3, 4)
    with pytest.raises(FileError, match=r"got \(5, 2\), expected 12 pixels"):
        import_nir(path, **ASKED, image_shape=(5, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.__delitem__("version"), "version: got nothing"),
        (
            lambda file: _replace(file, "version", "2.0"),
            "NIR version: got '2.0', expected 0.x or 1.x",
        ),
        (lambda file: file.__delitem__("node/edges"), "graph edges: got nothing"),
        (lambda file: file.__delitem__("node/nodes/n1/tau"), "tau: got nothing"),
        (lambda file: _replace(file, "node/nodes/n1/type", "Izhikevich"), "type 'Izhikevich'"),
        (lambda file: file.__delitem__("node/nodes/out"), "an unknown node 'out'"),
        (lambda file: _replace(file, "node/nodes/in/shape", np.array([-2])), "shape"),
        (lambda file: _replace(file, "node/nodes/n1/tau", "fast"), "tau: got type"),
    ],
)
def test_files_that_are_no_graph_are_refused_by_the_field(tmp_path, change, message):
    path = chain(tmp_path / "n.nir", nir.Linear(ONE), lif())
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(FileError, match=message):
        import_nir(path, **ASKED)


def _replace(file, name, value):
    del file[name]
    file[name] = value


def test_readings_are_checked(tmp_path):
    path = chain(tmp_path / "n.nir", nir.Linear(ONE), lif())
    for field, value, message in (
        ("dt_s", 0.0, "dt: got 0.0"),
        ("time_unit_s", math.nan, "time unit: got nan"),
        ("integration", "heun", "expected one of euler, hold, impulse, unit-gain"),
        ("arrival", "never", "expected one of same-step, next-step"),
        ("refractory_steps", -1, "refractory steps: got -1"),
        ("encoder", "morse", "unknown encoder 'morse'"),
        ("max_rate_hz", 5e3, "max_rate_hz: got 5000 Hz"),
    ):
        with pytest.raises((FileError, ValidationError), match=message):
            import_nir(path, **{**ASKED, field: value})
