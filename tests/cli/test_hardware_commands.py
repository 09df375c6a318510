"""Commands that hold a network as chips would, and the JSON that scripts rely on."""

import json

import pytest
from support.networks import small_network
from support.output import one_object, refused

from neuroattack.hardware.profiles.files import list_profiles, load_profile
from neuroattack.hardware.quantization.quantization import quantize
from neuroattack.ir.storage import load_network, save_network

SHOWN = ("--images", 12, "--steps", 40)


def test_evaluate_on_a_chip_says_how_it_is_held_and_what_it_costs(command, network_file):
    code, out, err = command("evaluate", network_file, *SHOWN, "--profile", "loihi1", "--json")
    assert (code, err) == (0, "")
    figures = one_object(out)
    assert figures["precision"] == "fixed"
    assert figures["provenance"]["profile"] == "loihi1"
    assert figures["provenance"]["profile_checksum"] == load_profile("loihi1").checksum
    hardware = figures["hardware"]
    assert hardware["cores_used"] == 1
    operations = hardware["terms"]["synaptic_operation"]
    assert operations["count_per_image"]["lower"] == pytest.approx(
        figures["synaptic_operations_per_image"]
    )
    assert operations["energy_pj_per_image"]["lower"] == pytest.approx(
        23.6 * figures["synaptic_operations_per_image"]
    )
    assert hardware["energy_pj_per_image"] is None
    assert set(hardware["without_coefficient"]) == {"synapse_fetch", "barrier", "host_io"}
    sums = [
        sum(
            term["energy_pj_per_image"][end]
            for term in hardware["terms"].values()
            if term["energy_pj_per_image"]
        )
        for end in ("lower", "upper")
    ]
    assert list(hardware["subtotal_pj"].values()) == pytest.approx(sums)


def test_a_profile_of_ones_own_works_by_path(command, network_file, tmp_path):
    path = tmp_path / "mychip.toml"
    path.write_text(
        """
schema = 1
id = "mychip"
update_policy = "every_step"
energy_scope = "all_in"
[source]
paper = { ref = "Doe 2026", access = "primary" }
[limits]
default = { src = "paper", at = "Table 1", basis = "design", cond = "not stated" }
neurons_per_core = { v = 16 }
[energy_pJ]
synaptic_operation = { v = 2, src = "paper", at = "p. 3", basis = "measured", cond = "0.6 V" }
"""
    )
    figures = one_object(command("evaluate", network_file, *SHOWN, "--profile", path, "--json")[1])
    hardware = figures["hardware"]
    assert hardware["profile"] == "mychip"
    assert hardware["cores_used"] == 3
    assert hardware["energy_pj_per_image"]["lower"] == pytest.approx(
        2 * figures["synaptic_operations_per_image"]
    )
    assert (hardware["basis"], hardware["without_coefficient"]) == ("measured", [])


def test_attack_on_a_chip_prices_queries_and_the_adversarial_image(command, network_file, tmp_path):
    arguments = (
        *("--index", 2, "--queries", 40, "--steps", 30, "--trials", 5, "--profile", "loihi1"),
    )
    code, out, _ = command("attack", network_file, *arguments, "--out", tmp_path, "--json")
    assert code == 0
    figures = one_object(out)
    assert figures["hardware"]["profile"] == "loihi1"
    (image,) = figures["images"]
    cost = image["cost"]
    assert cost["energy_pj_per_query"]["lower"] < cost["energy_pj_per_query"]["upper"]
    assert cost["queries"] == image["search_queries"]
    assert json.loads((tmp_path / "result.json").read_text()) == figures
    page = (tmp_path / "report.html").read_text()
    assert all(term in page for term in cost["without_coefficient"])


def test_compare_holds_backends_to_the_network_on_the_chip(command, network_file, tmp_path):
    code, out, _ = command(
        *("compare", network_file, "--backends", "native", "--images", 3, "--steps", 20),
        *("--profile", "spinnaker1", "--json", "--out", tmp_path),
    )
    assert code == 0
    figures = one_object(out)
    assert set(figures["backends"]) == {"native", "native-spinnaker1"}
    assert figures["hardware"]["profile"] == "spinnaker1"
    assert figures["fixed_point"]["projections"][0]["rms_error_v"] > 0
    # The same energy and run time as those of the same images on one backend.
    code, out, _ = command(
        *("evaluate", network_file, "--images", 3, "--steps", 20),
        *("--profile", "spinnaker1", "--json"),
    )
    assert one_object(out)["hardware"] == figures["hardware"]
    assert (tmp_path / "rasters.png").stat().st_size > 5_000


def test_energy_compares_all_chips(command, network_file, tmp_path):
    code, out, err = command("energy", network_file, *SHOWN, "--json", "--out", tmp_path)
    assert code == 0
    figures = one_object(out)
    assert list(figures["profiles"]) == list_profiles()
    for chip in figures["profiles"].values():
        assert {
            "fits", "cores_used", "accuracy", "spikes_per_image", "synaptic_operations_per_image",
            "energy_pj_per_image", "subtotal_pj", "without_coefficient", "basis", "latency_ms",
        } <= set(chip)  # fmt: skip
        assert chip["fits"] == (chip["accuracy"] is not None) == (not chip["refused"])
    assert figures["profiles"]["loihi1"]["fits"]
    assert not figures["profiles"]["truenorth"]["fits"]
    spinnaker = figures["profiles"]["spinnaker1"]
    # 0.35 W of a chip and 0.034 W of a core over 40 steps of 1 ms, and 1 nJ a packet.
    packets = spinnaker["terms"]["spike_packet"]["count_per_image"]["lower"]
    assert spinnaker["subtotal_pj"]["lower"] == pytest.approx(
        (350 + 34) * 0.040 * 1e9 + 1000 * packets
    )
    assert spinnaker["latency_ms"] == {"lower": 40.0, "upper": 40.0}
    assert figures["reference"]["precision"] == "floating"
    assert figures["conventional"]["multiply_accumulates"] == 784 * 30 + 30 * 10
    assert len(figures["conventional"]["caveats"]) > 3
    assert json.loads((tmp_path / "energy.json").read_text()) == figures
    assert (tmp_path / "energy.png").stat().st_size > 10_000
    assert (tmp_path / "placement-loihi1.png").exists()
    assert "energy.png" in err


def test_energy_of_a_chip_alone_is_that_of_evaluate(command, network_file):
    alone = one_object(
        command("evaluate", network_file, *SHOWN, "--profile", "loihi1", "--json")[1]
    )
    among = one_object(
        command("energy", network_file, *SHOWN, "--profiles", "spinnaker1,loihi1", "--json")[1]
    )["profiles"]["loihi1"]
    assert among["accuracy"] == alone["accuracy"]
    assert among["terms"] == alone["hardware"]["terms"]
    assert among["latency_ms"] == alone["hardware"]["latency_ms"]


def test_energy_prints_every_chip_and_what_is_refused_or_dropped(command, network_file):
    code, out, err = command("energy", network_file, *SHOWN, "--allow-lossy")
    assert code == 0
    assert all(name in out for name in list_profiles())
    assert "truenorth: " in err
    assert "leak of hidden" in err


def test_precision_measures_both_curves_on_the_same_draws(command, network_file, tmp_path):
    code, out, _ = command(
        *("precision", network_file, "--bits", "3,8", "--steps", "10,40", "--images", 12),
        *("--json", "--out", tmp_path),
    )
    assert code == 0
    figures = one_object(out)
    for steps, point in zip((10, 40), figures["floating"], strict=True):
        whole = one_object(
            command("evaluate", network_file, "--images", 12, "--steps", steps, "--json")[1]
        )
        assert (point["steps"], point["accuracy"]) == (steps, whole["accuracy"])
    on_chip = one_object(
        command("evaluate", network_file, *SHOWN, "--profile", "loihi1", "--json")[1]
    )
    assert figures["quantized"][1]["accuracy"] == on_chip["accuracy"]
    # At the profile's own bits the curve passes through the chip as it is.
    eight = {
        (point["signs"], point["clipping"]): point
        for point in figures["bits"]
        if point["bits"] == 8
    }
    assert eight["mixed", "none"]["accuracy"] == on_chip["accuracy"]
    assert {point["bits"] for point in figures["bits"]} == {3, 8}
    assert {signs for signs, _ in eight} == {"mixed", "split", "per_source"}
    assert (tmp_path / "precision.png").stat().st_size > 10_000
    assert json.loads((tmp_path / "precision.json").read_text()) == figures


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("evaluate", "--profile", "loihi"), "unknown hardware profile 'loihi'"),
        (("evaluate", "--profile", "./no.toml"), "no.toml: no such file"),
        (("evaluate", "--profile", "odin"), "ODIN"),
        (
            ("evaluate", "--profile", "loihi1", "--precision", "fixed"),
            "got fixed",
        ),
        (("evaluate", "--allow-lossy"), "allow_lossy of deployment"),
        (("attack", "--weight-scale", "per_projection"), "weight_scale of deployment"),
        (("compare", "--profile", "loihi1", "--precision", "floating"), "expected 'fixed' or"),
        (("energy", "--profiles", "loihi1,loihi1"), "profiles: got loihi1, loihi1"),
        (("energy", "--profiles", ","), "--profiles: got ','"),
        (("precision", "--steps", "1-5000"), "--steps: got '1-5000'"),
        (("precision", "--steps", "1000000"), "steps: got 1000000"),
        (("precision", "--bits", "1-8"), "bits: got 1, expected"),
        (("precision", "--bits", "8-2"), "--bits: got '8-2'"),
        (("precision", "--bits", "8-2,4"), "--bits: got '8-2,4'"),
        (("precision", "--bits", "two"), "--bits: got 'two'"),
        (("precision", "--steps", "0,10"), "steps: got 0, expected"),
        (("precision", "--steps", "99999999999"), "--steps: got '99999999999'"),
    ],
)
def test_bad_options_get_one_sentence(command, network_file, arguments, sentence):
    name, *options = arguments
    refused(command(name, network_file, *options), sentence)


def test_a_network_that_is_in_fixed_point_already_cannot_be_held_by_a_chip(command, tmp_path):
    held = quantize(small_network(), load_profile("loihi1").number_format()).network
    path = tmp_path / "fixed.h5"
    save_network(path, held)
    assert load_network(path) == held
    for name in ("evaluate", "attack", "compare", "precision"):
        refused(command(name, path, "--profile", "loihi1"), "fixed point")
    refused(command("energy", path), "fixed point")


def test_latency_writes_a_curve_and_evaluate_takes_the_same_rule(command, network_file, tmp_path):
    shown, out = ("--images", 12, "--steps", 40), tmp_path / "latency"
    given = ("latency", network_file, *shown, "--margins", "1-2", "--out", out, "--json")
    code, text, _ = command(*given)
    assert code == 0
    figures = one_object(text)
    assert json.loads((out / "latency.json").read_text()) == figures
    assert (out / "latency.png").stat().st_size > 10_000
    code, text, err = command("evaluate", network_file, *shown, "--exit", "margin:2", "--json")
    assert (code, err) == (0, "")
    alone = one_object(text)
    assert alone["provenance"]["exit"] == alone["exit"] == "margin:2"
    assert alone["decision_steps"] == figures["margins"][1]["decision_steps"]
    assert alone["accuracy"] == figures["margins"][1]["accuracy"]
    # Finished cells are not repeated; the figures are the same.
    code, text, _ = command(*given)
    assert (code, one_object(text)["margins"]) == (0, figures["margins"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "--exit", "margin:0"), "margin of an early exit: got 0"),
        (("evaluate", "--exit", "soon"), "unknown early exit 'soon'"),
        (("evaluate", "--exit", "first-spike:3"), "expected the name without a number"),
        (("latency", "--margins", "0"), "margin of an early exit: got 0"),
        (("latency", "--margins", "few"), "--margins: got 'few'"),
    ],
)
def test_bad_rules_of_early_exit_are_refused(command, network_file, arguments, message):
    name, *options = arguments
    refused(command(name, network_file, *options, "--images", 4), message)
