"""Settings of NIR imports: options, presets of frameworks, and their contradictions.

``tests/peers`` compares the presets with the frameworks.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from support.nir_files import ASKED, chain, lif

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.errors import FileError, ValidationError
from neuroattack.ir.network import Input
from neuroattack.ir.nir.importing import import_nir
from neuroattack.ir.nir.settings.presets import PRESETS

nir = pytest.importorskip("nir")

DIRECT = {"encoder": "direct"}


def one_layer(path, node, size=1):
    return chain(path, nir.Affine(np.ones((size, 2)), np.full(size, 0.25)), node, classes=size)


def population(path, **settings):
    (found,) = import_nir(path, **{**DIRECT, **settings}).network.populations
    return found


def snntorch(beta, alpha=None, dtype=np.float32):
    """Return neurons as snnTorch's exporter writes them, without what rounding hides."""
    beta = np.atleast_1d(np.float32(beta)).astype(dtype)
    tau = dtype(1e-4) / (1 - beta)
    values = {"r": tau / dtype(1e-4), "v_leak": 0 * beta, "v_threshold": 0 * beta + 1}
    if alpha is None:
        return nir.LIF(tau=tau, **values)
    alpha = np.atleast_1d(np.float32(alpha)).astype(dtype)
    tau_syn = dtype(1e-4) / (1 - alpha)
    return nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau, w_in=tau_syn / dtype(1e-4), **values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.987654])
def test_decays_are_those_of_the_layer(tmp_path, beta, dtype):
    path = one_layer(tmp_path / "n.nir", snntorch(beta, 0.75, dtype))
    neurons = population(path, exporter="snntorch")
    assert neurons.decay(1e-3)[0] == pytest.approx(np.float32(beta), rel=1e-15, abs=1e-300)
    assert neurons.current_decay(1e-3)[0] == pytest.approx(0.75, rel=1e-15)


def test_weights_and_biases_of_snntorch_are_those_of_the_layer(tmp_path):
    path = one_layer(tmp_path / "n.nir", snntorch(0.9))
    network = import_nir(path, exporter="snntorch", **DIRECT).network
    np.testing.assert_array_equal(network.projections[0].weights_v, 1.0)
    assert network.populations[0].bias_v == 0.25
    assert network.populations[0].reset == "subtract_next"


@pytest.mark.parametrize("beta", [1.0, 1.25])
def test_learned_decays_of_one_and_more_act_as_one(tmp_path, beta):
    with np.errstate(divide="ignore"):
        node = snntorch([0.9, beta])
    neurons = population(one_layer(tmp_path / "n.nir", node, 2), exporter="snntorch")
    assert neurons.decay(1e-3)[1] == 1
    assert math.isinf(neurons.tau_m_s[1])
    with pytest.raises(FileError, match=r"got (-|infinite)"):
        import_nir(tmp_path / "n.nir", **ASKED)


def test_a_reset_to_zero_discards_input_in_some_layers_of_snntorch(tmp_path):
    for node, period in ((snntorch(0.9), 0), (snntorch(0.9, 0.8), 1)):
        path = one_layer(tmp_path / "n.nir", node)
        neurons = population(path, exporter="snntorch", reset="value")
        assert neurons.refractory_steps == period
        assert population(path, exporter="snntorch").refractory_steps == 0
        settings = {"exporter": "snntorch", "reset": "value", "refractory_steps": 3}
        assert population(path, **settings).refractory_steps == 3


def norse(tau_inv, kind=nir.LIF, **changes):
    tau = np.float32(1e-3) / np.atleast_1d(np.float32(tau_inv))
    values = {"v_leak": 0 * tau, "v_threshold": 0 * tau + 1, "r": 0 * tau + 1, **changes}
    if kind is nir.CubaLIF:
        return kind(
            tau_mem=tau, tau_syn=np.float32(1e-3) / np.full(tau.shape, np.float32(200)), **values
        )
    return kind(tau=tau, **values)


def test_norse_decays_by_its_rates(tmp_path):
    path = one_layer(tmp_path / "n.nir", norse(100.0, nir.CubaLIF))
    network = import_nir(path, exporter="norse", **DIRECT).network
    (neurons,) = network.populations
    assert neurons.decay(1e-3)[0] == pytest.approx(0.9, rel=1e-15)
    assert neurons.current_decay(1e-3)[0] == pytest.approx(0.8, rel=1e-15)
    # A spike changes the current by its weight, and the potential by a tenth of the current.
    np.testing.assert_allclose(network.projections[0].weights_v, 0.1, rtol=1e-6)
    assert neurons.current_bias_v[0] == pytest.approx(0.025, rel=1e-15)


@pytest.mark.parametrize(("r", "gain"), [(1.0, 0.5), (2.0, 1.0)])
@pytest.mark.parametrize("dt", [1e-4, 1e-3])
def test_spikingjelly_decays_input_or_not(tmp_path, r, gain, dt):
    rest = np.full(1, -0.5)
    node = nir.LIF(np.full(1, 2.0 * dt), np.full(1, r), rest, np.full(1, 1.0), rest)
    path = one_layer(tmp_path / "n.nir", node)
    settings = {"exporter": "spikingjelly", **DIRECT}
    if dt != 1e-4 and r == 1:
        # The file does not tell the exporter's time step.
        settings["time_unit_s"] = 1e-3 / dt
    network = import_nir(path, **settings).network
    (neurons,) = network.populations
    assert neurons.decay(1e-3)[0] == 0.5
    np.testing.assert_allclose(network.projections[0].weights_v, gain)
    assert (neurons.reset, neurons.comparison) == ("value", "inclusive")
    # Potentials are relative to the reset potential.
    assert (neurons.threshold_v[0], neurons.reset_v[0]) == (1.5, 0)


def test_spikingjelly_tells_its_time_step_in_if_neurons(tmp_path):
    node = nir.IF(np.full(1, 1e3), np.full(1, 1.0), np.full(1, 0.0))
    path = one_layer(tmp_path / "n.nir", node)
    imported = import_nir(path, exporter="spikingjelly", **DIRECT)
    np.testing.assert_array_equal(imported.network.projections[0].weights_v, 1.0)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (nir.IF(np.zeros(1), np.ones(1)), "r [*] dt: got 0"),
        (nir.LIF(np.zeros(1), np.ones(1), np.zeros(1), np.ones(1)), "tau: got 0"),
        (nir.LIF(np.full(1, np.inf), np.ones(1), np.zeros(1), np.ones(1)), "tau: got inf"),
    ],
)
def test_numbers_that_spikingjelly_cannot_have_are_named(tmp_path, node, message):
    with pytest.raises(FileError, match=message):
        population(one_layer(tmp_path / "n.nir", node), exporter="spikingjelly")


def test_sinabs_normalizes_input_unless_told_otherwise(tmp_path):
    node = nir.LIF(*(np.full(1, value) for value in (20.0, 1.0, 0.0, 1.0)))
    path = one_layer(tmp_path / "n.nir", node)
    decay = math.exp(-1 / 20)
    for changes, gain in (({}, 1 - decay), ({"integration": "unit-gain"}, 1.0)):
        network = import_nir(path, exporter="sinabs", **DIRECT, **changes).network
        (neurons,) = network.populations
        assert neurons.decay(1e-3)[0] == pytest.approx(decay, rel=1e-15)
        np.testing.assert_allclose(network.projections[0].weights_v, gain, rtol=1e-6)
        assert (neurons.reset, neurons.comparison) == ("subtract", "inclusive")


def test_rockpool_tells_its_time_step(tmp_path):
    tau, dt = 0.02, 5e-4
    r = tau * math.exp(-dt / tau) / dt
    node = nir.CubaLIF(
        *(np.full(1, value) for value in (0.01, tau, r, 0.0, 1.0)), w_in=np.full(1, 1.0)
    )
    path = one_layer(tmp_path / "n.nir", node)
    network = import_nir(path, exporter="rockpool", **DIRECT).network
    assert network.dt_s == dt
    (neurons,) = network.populations
    assert neurons.decay(dt)[0] == pytest.approx(math.exp(-dt / tau), rel=1e-15)
    gain = math.exp(-dt / 0.01)
    np.testing.assert_allclose(network.projections[0].weights_v, gain, rtol=1e-6)
    with pytest.raises(FileError, match="exporter of rockpool"):
        import_nir(path, exporter="rockpool", dt_s=1e-3, **DIRECT)


@pytest.mark.parametrize("exporter", PRESETS)
def test_presets_set_everything_but_the_input(tmp_path, exporter):
    node = {
        "snntorch": snntorch(0.9),
        "norse": norse(100.0),
        "spikingjelly": lif(tau=2e-4, r=1.0),
        "sinabs": lif(tau=5.0, r=1.0),
        "rockpool": lif(tau=0.02, r=20 * math.exp(-0.05)),
    }[exporter]
    path = one_layer(tmp_path / "n.nir", node)
    with pytest.raises(FileError, match="got no --encoder"):
        import_nir(path, exporter=exporter)
    imported = import_nir(path, exporter=exporter, **DIRECT)
    sources = {setting.name: setting.source for setting in imported.settings}
    assert set(sources) == {
        *("dt_s", "time_unit_s", "integration", "arrival", "reset", "comparison"),
        *("refractory_steps", "encoder", "readout"),
    }
    # What is from the preset is not said to be in the file.
    for name in ("time_unit_s", "integration", "arrival", "reset", "comparison"):
        assert exporter in sources[name]
    assert "reset" in imported.network.origin["settings"]
    assert exporter in imported.network.origin["settings"]


def test_options_come_before_presets(tmp_path):
    path = one_layer(tmp_path / "n.nir", snntorch(0.9))
    changes = {"reset": "value", "comparison": "inclusive", "arrival": "next-step"}
    imported = import_nir(path, exporter="snntorch", **DIRECT, **changes)
    values = {setting.name: (setting.value, setting.source) for setting in imported.settings}
    for name, value in changes.items():
        assert values[name] == (value, "option")
    (neurons,) = imported.network.populations
    assert (neurons.reset, neurons.comparison) == ("value", "inclusive")
    assert imported.lag_steps == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exporter": "pytorch"}, "unknown exporter 'pytorch'"),
        ({"exporter": "lava-dl"}, "lava-dl has no NIR exporter"),
        ({"exporter": "snntorch", "max_rate_hz": 50.0}, "input rate: got 50 Hz"),
        ({"exporter": "snntorch", "input_order": "after"}, "input order: got 'after'"),
        ({"exporter": "snntorch", "readout": "max_potential"}, "readout: got 'max_potential'"),
        ({"exporter": "snntorch", "readout": "loudest"}, "readout: got 'loudest'"),
        ({"exporter": "snntorch", "reset": "none"}, "reset: got 'none'"),
        ({"exporter": "snntorch", "comparison": "about"}, "comparison: got 'about'"),
        ({"exporter": "snntorch", "refractory_steps": 2}, "refractory_steps: got 2"),
        ({"exporter": "snntorch", "time_unit_s": 1.0}, "exporter of snntorch"),
        ({"exporter": "norse"}, "r: got 10, expected 1, as written by the exporter of norse"),
        ({"exporter": "sinabs"}, "exporter of sinabs"),
        ({"exporter": "rockpool", "dt_s": 1e-3}, "exporter of rockpool"),
    ],
)
def test_contradictory_settings_are_refused(tmp_path, settings, message):
    path = one_layer(tmp_path / "n.nir", snntorch(0.9))
    with pytest.raises(FileError, match=message):
        import_nir(path, **{**DIRECT, **settings})


def test_what_is_missing_is_named_with_presets_as_a_way_out(tmp_path):
    path = one_layer(tmp_path / "n.nir", snntorch(0.9, 0.8))
    with pytest.raises(FileError) as caught:
        import_nir(path, **DIRECT)
    for option in ("--dt", "--time-unit", "--integration", "--arrival", "--reset"):
        assert option in str(caught.value)
    for option in ("--comparison", "--input-order", "--refractory-steps", "--from", *PRESETS):
        assert option in str(caught.value)


def test_several_spikes_per_step_are_a_remark(tmp_path):
    path = one_layer(tmp_path / "n.nir", lif(tau=5.0, r=1.0))
    for exporter, expected in (("sinabs", True), ("spikingjelly", False)):
        changes = {} if exporter == "sinabs" else {"time_unit_s": 1e-3}
        notes = import_nir(path, exporter=exporter, **DIRECT, **changes).notes
        assert any("SingleSpike" in note for note in notes) == expected


def test_direct_coding_has_as_many_bits_as_are_exact(tmp_path):
    path = one_layer(tmp_path / "n.nir", snntorch(0.9))
    assert import_nir(path, exporter="snntorch", **DIRECT).network.input.encoder.bits == 20
    wide = nir.Linear(np.ones((1, 40_000)))
    path = chain(tmp_path / "n.nir", wide, snntorch(0.9), pixels=(200, 200))
    network = import_nir(path, exporter="snntorch", **DIRECT).network
    bits = network.input.encoder.bits
    assert 1 < bits < 20
    with pytest.raises(ValidationError, match="53 bits"):
        replace(network, input=Input((200, 200), DirectEncoder(bits + 1)))
