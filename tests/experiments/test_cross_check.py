"""Cross-checks of energy estimates: differences by hand, and a command with a made-up tool."""

import json
import sys
from importlib.metadata import EntryPoint, PackageNotFoundError

import numpy as np
import pytest
from support.networks import small_network
from support.output import refused

from neuroattack.deployment.backend import Availability
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import BackendUnavailableError, UnknownNameError, ValidationError
from neuroattack.experiments.chips import cross_check
from neuroattack.experiments.chips.cells import keep_images, keep_network
from neuroattack.experiments.chips.cross_check import OtherEstimate, OtherTerm, load_cross_check
from neuroattack.experiments.chips.differences import compare_estimates
from neuroattack.experiments.chips.energy import measure_on_chip
from neuroattack.hardware.fitting import fit
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import INPUT
from neuroattack.report.terminal.cross_check_tables import print_cross_check

LOIHI = load_profile("loihi1")


class MadeUp:
    """Tool whose spikes are those of the reference dynamics, and whose events cost 10 pJ."""

    name = "made-up"
    profiles = frozenset({"loihi1"})

    def availability(self):
        return Availability(True, version="1.0")

    def deploy(self, fitted):
        return MadeUpEstimator(fitted)


class MadeUpEstimator:
    def __init__(self, fitted):
        self.fitted = fitted

    def run(self, inputs):
        network = self.fitted.network
        each = [simulate(network, image) for image in inputs.to_dense()]
        spikes = {
            p.name: SpikeTrains.from_dense(np.array([one[p.name] for one in each]))
            for p in network.populations
        }
        counts = {name: trains.counts() for name, trains in spikes.items()}
        counts[INPUT] = inputs.counts()
        operations = self.fitted.activity(counts, inputs.steps).synaptic_operations
        terms = {
            "synaptic_operation": OtherTerm(operations, 10.0 * operations, 10.0),
            "spike_generation": OtherTerm(np.full(len(inputs), 3), np.full(len(inputs), 6.0), 2.0),
        }
        total = 10.0 * operations + 6.0
        return OtherEstimate("Made-up", "1.0", "chip.yaml", spikes, terms, total,
                             np.full(len(inputs), 0.5), {"synaptic_operation": 1.0,
                                                         "update_active": 2.0})  # fmt: skip

    def close(self):
        pass


class Absent(MadeUp):
    def availability(self):
        return Availability(False, "made-up is not installed; run `pip install made-up`")


@pytest.fixture
def tools(monkeypatch):
    """Register the tools of this file."""
    points = [
        EntryPoint(name, f"{__name__}:{kind}", cross_check.ENTRY_POINT_GROUP)
        for name, kind in (("made-up", "MadeUp"), ("absent", "Absent"), ("broken", "Nothing"))
    ]
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())
    monkeypatch.setattr(cross_check, "entry_points", lambda group: points)


def _this_module():
    from types import ModuleType

    module = ModuleType(__name__)
    module.MadeUp, module.Absent = MadeUp, Absent
    return module


def test_parts_of_the_difference_by_hand():
    fitted = fit(small_network(), LOIHI)
    inputs = SpikeTrains.from_dense(np.random.default_rng(1).random((2, 15, 784)) < 0.1)
    each = [simulate(fitted.network, image) for image in inputs.to_dense()]
    spikes = {n: SpikeTrains.from_dense(np.array([one[n] for one in each])) for n in each[0]}
    spikes[INPUT] = inputs
    estimate = fitted.estimate(fitted.activity({n: t.counts() for n, t in spikes.items()}, 15))
    fired = sum(int(spikes[p.name].counts().sum()) for p in fitted.network.populations) / 2
    updates = 40 * 15
    terms = {
        "neuron_update": OtherTerm(np.array([500, 502]), np.array([500.0, 502.0]), 1.0),
        "active_update": OtherTerm(np.array([100, 300]), np.array([500.0, 1500.0]), None),
        "input_hop_ew": OtherTerm(np.array([4, 6]), np.array([8.0, 12.0]), 2.0),
    }
    other = OtherEstimate("Made-up", "1.0", "chip.yaml", spikes, terms,
                          np.array([1008.0, 2014.0]), np.array([1e-3, 3e-3]), {})  # fmt: skip
    figures = compare_estimates(fitted, estimate, spikes, other)

    found = figures["terms"]["neuron_update"]
    assert found["ours"]["count"] == {"lower": updates, "upper": updates}
    assert found["other"] == {"count": 501, "coefficient_pj": 1.0, "energy_pj": 501}
    assert found["difference_pj"]["lower"] == 501 - 52 * updates
    assert found["from_counts_pj"]["lower"] == pytest.approx((501 - updates) * (52 + 1) / 2)
    assert found["from_coefficients_pj"]["lower"] == pytest.approx((1 - 52) * (501 + updates) / 2)
    found = figures["terms"]["active_update"]
    assert found["ours"]["count"] == {"lower": fired, "upper": updates}
    assert found["ours"]["coefficient_pj"] == 81 - 52
    assert found["other"]["coefficient_pj"] == 5
    assert found["from_counts_pj"]["upper"] == pytest.approx((200 - updates) * (29 + 5) / 2)
    assert figures["terms"]["input_hop_ew"]["one_side_only_pj"] == {"lower": 10, "upper": 10}
    found = figures["terms"]["static_chip"]
    assert found["other"] is None
    assert found["one_side_only_pj"] == found["difference_pj"]
    total = figures["total"]
    assert list(total["ours"].values()) == pytest.approx(estimate.subtotal_pj)
    assert total["other"] == 1511
    assert total["difference_pj"]["lower"] == pytest.approx(1511 - estimate.subtotal_pj[0])
    assert figures["time_ms"]["other"] == 2


def test_differing_spikes_are_counted():
    fitted = fit(small_network(), LOIHI)
    inputs = SpikeTrains.from_dense(np.ones((1, 6, 784), bool))
    ours = MadeUpEstimator(fitted).run(inputs)
    shifted = ours.spikes["hidden"].to_dense()
    shifted[0, 0, :3] ^= True
    spikes = {**ours.spikes, INPUT: inputs}
    estimate = fitted.estimate(fitted.activity({n: t.counts() for n, t in spikes.items()}, 6))
    other = OtherEstimate(
        "Made-up", "1.0", "chip.yaml", {**ours.spikes, "hidden": SpikeTrains.from_dense(shifted)},
        ours.terms, ours.total_pj, ours.time_s, {},
    )  # fmt: skip
    found = compare_estimates(fitted, estimate, spikes, other)["spikes"]
    assert found["hidden"]["differing"] == 3
    assert found["output"]["differing"] == 0


@pytest.mark.usefixtures("tools")
def test_a_study_has_both_estimates(tmp_path, capsys):
    images = np.random.default_rng(3).random((4, 28, 28), dtype=np.float32)
    # In this process, which has the made-up tool.
    chip = measure_on_chip(
        network=keep_network(tmp_path, small_network()),
        images=keep_images(tmp_path, images, np.zeros(4, int)),
        chip=LOIHI.as_json(),
        rounding={},
        steps=15,
        backend="native",
        seed=0,
        folder=tmp_path,
        cross_check="made-up",
    )
    figures = json.loads(json.dumps(chip))["cross_check"]
    term = figures["terms"]["synaptic_operation"]
    assert term["ours"]["count"]["lower"] == chip["synaptic_operations_per_image"]
    assert term["other"]["count"] == pytest.approx(chip["synaptic_operations_per_image"])
    assert term["from_counts_pj"] == {"lower": 0, "upper": 0}
    assert term["difference_pj"]["lower"] == pytest.approx((10 - 23.6) * term["other"]["count"])
    assert {each["differing"] for each in figures["spikes"].values()} == {0}
    assert figures["time_ms"]["other"] == 500
    print_cross_check("loihi1", figures)
    shown = capsys.readouterr().out
    for words in ("cross-check with Made-up 1.0 (chip.yaml)", "from coefficients", "500 ms"):
        assert words in shown


@pytest.mark.usefixtures("tools")
def test_errors_of_the_command(command, network_file):
    def run(profile, tool):
        return command("energy", network_file, "--images", 2, "--steps", 5, "--profile", profile,
                       "--cross-check", tool)  # fmt: skip

    refused(run("xylo", "made-up"), "cross-check 'made-up' profile: got xylo, expected loihi1")
    refused(run("loihi1", "absent"), "run `pip install made-up`")
    refused(run("loihi1", "mad-up"), "unknown cross-check 'mad-up'", "made-up")


@pytest.mark.usefixtures("tools")
def test_errors_of_the_registry():
    assert load_cross_check("made-up", ["loihi1"]).name == "made-up"
    with pytest.raises(ValidationError, match="got akida, odin, expected loihi1"):
        load_cross_check("made-up", ["akida", "loihi1", "odin"])
    with pytest.raises(UnknownNameError):
        load_cross_check("other", [])
    with pytest.raises(BackendUnavailableError, match="cannot be loaded: AttributeError"):
        load_cross_check("broken", [])


def test_sana_fe_says_how_to_install_it(monkeypatch):
    from neuroattack.backends.sanafe import backend

    def nothing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(backend, "version", nothing)
    with pytest.raises(BackendUnavailableError, match="run `pip install sanafe`"):
        load_cross_check("sanafe", ["loihi1"])
    with pytest.raises(ValidationError, match="got truenorth, expected loihi1"):
        load_cross_check("sanafe", ["truenorth"])
