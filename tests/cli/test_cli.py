"""What the commands do, and the JSON that scripts rely on."""

import importlib.metadata
import json

import numpy as np
import pytest
from PIL import Image
from support.networks import small_network
from support.output import one_object

from neuroattack.hardware.quantization.quantization import fixed_format, quantize
from neuroattack.ir.storage import load_network


def test_evaluate_reports_what_scripts_rely_on(command, network_file):
    code, out, err = command(
        "evaluate", network_file, "--images", 20, "--steps", 50, "--seed", 3, "--json"
    )
    assert (code, err) == (0, "")
    figures = one_object(out)
    assert figures["images"] == 20
    assert figures["images_per_s"] > 0
    assert figures["provenance"]["seed"] == 3
    assert figures["backend"] == "native"
    assert figures["steps"] == 50
    low, high = figures["accuracy_ci95"]
    assert low <= figures["accuracy"] <= high
    assert set(figures["spikes_per_image"]) == {"input", "hidden", "output"}
    assert figures["synaptic_operations_per_image"] > figures["spikes_per_image"]["input"]
    assert 0 <= figures["silent_fraction"] <= figures["undecided_fraction"] <= 1
    assert figures["provenance"]["dataset_checksum"].startswith("b747db89")


def test_evaluate_rounds_to_fixed_point_on_request(command, network_file):
    code, out, _ = command(
        "evaluate", network_file, "--images", 9, "--steps", 30, "--precision", "fixed", "--json"
    )
    assert code == 0
    figures = one_object(out)
    assert figures["precision"] == figures["provenance"]["precision"] == "fixed"
    assert (
        figures["provenance"]["network_checksum"]
        == quantize(small_network(), fixed_format()).network.checksum()
    )


def test_evaluate_saves_figures(command, network_file, tmp_path):
    out_file = tmp_path / "deep" / "figures.json"
    arguments = ("--images", 5, "--steps", 20, "--out", out_file)
    assert command("evaluate", network_file, *arguments)[0] == 0
    assert json.loads(out_file.read_text())["images"] == 5


def test_attack_reports_what_scripts_rely_on_and_saves_it(command, network_file, tmp_path):
    folder = tmp_path / "attack"
    arguments = ("--index", 2, "--target", 3, "--window", 5, "--steps", 40, "--draws", 20)
    code, out, err = command("attack", network_file, *arguments, "--out", folder, "--json")
    assert code == 0
    assert "report.html" in err
    figures = one_object(out)
    assert (figures["index"], figures["target_class"]) == (2, 3)
    assert figures["label"] == 9
    assert figures["provenance"]["backend_version"]
    assert {"iteration", "predicted", "shares", "distance", "queries"} <= set(figures["trace"][0])
    assert figures["search_queries"] == figures["trace"][-1]["queries"]
    assert figures["verification_queries"] == 40
    low, high = figures["success_ci95"]
    assert low <= figures["success_rate"] <= high
    assert json.loads((folder / "result.json").read_text()) == figures
    images = np.load(folder / "images.npz", allow_pickle=False)
    assert images["adversarial"].shape == (28, 28)
    assert "</html>" in (folder / "report.html").read_text()


def test_attack_takes_an_image_of_ones_own(command, network_file, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (28, 28), dtype=np.uint8)
    np.save(tmp_path / "bytes.npy", pixels)
    np.save(tmp_path / "floats.npy", pixels / 255)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    traces = []
    for name in ("bytes.npy", "floats.npy", "picture.png"):
        code, out, err = command(
            *("attack", network_file, "--image", tmp_path / name, "--label", 4),
            *("--window", 3, "--m", 2, "--d-max", 2, "--steps", 30, "--draws", 5, "--json"),
        )
        assert (code, err) == (0, "")
        traces.append(one_object(out)["trace"])
    assert traces[0] == traces[1] == traces[2]


def test_every_option_of_an_attack_reaches_it_and_its_figures(command, network_file):
    settings = {
        "moved_pixels": 4, "delta": 0.25, "max_distance": 9.5, "score": "rate", "sd_of": "current",
        "clipping": "skip", "overshoot": "keep", "max_iterations": 3, "budget": 500, "draws": 7,
        "search_draws": "common", "steps": 30, "window": {"top": 9, "left": 11, "size": 5},
    }  # fmt: skip
    arguments = (
        *("--m", 4, "--delta", 0.25, "--d-max", 9.5, "--score", "rate", "--sd-of", "current"),
        *("--clipping", "skip", "--overshoot", "keep", "--max-iterations", 3, "--budget", 500),
        *("--draws", 7, "--search-draws", "common"),
        *("--steps", 30, "--window", 5, "--top", 9, "--left", 11, "--json"),
    )
    figures = one_object(command("attack", network_file, *arguments)[1])
    assert figures["settings"] == settings | {"algorithm": "GreedyWindow"}
    assert {abs(move[2]) for step in figures["trace"] for move in step["moved"]} <= {0.25}
    assert len(figures["trace"]) <= 4
    other = one_object(command("attack", network_file, *arguments, "--seed", 1)[1])
    assert other["trace"] != figures["trace"]


def test_convert_makes_a_network_that_runs(command, model_file):
    code, out, _ = command("convert", model_file, "--readout-gain", 2, "--dt", 5e-4, "--json")
    assert code == 0
    figures = one_object(out)
    network = load_network(figures["network"])
    assert network.dt_s == 5e-4
    assert network.population("output").threshold_v[0] == pytest.approx(5e-3 / 2)
    assert [p.refractory_steps for p in network.populations] == [3, 3]
    assert 0 < figures["largest_relative_rounding"] < 2**-22
    assert command("evaluate", figures["network"], "--images", 2, "--json")[0] == 0


def test_backends_lists_the_native_one(command):
    code, out, _ = command("backends", "--json")
    assert code == 0
    native = next(b for b in one_object(out)["backends"] if b["name"] == "native")
    assert native["available"] is True
    assert native["reason"] == ""
    assert native["version"]


def test_the_version_is_the_packages(command):
    code, out, _ = command("--version")
    assert code == 0
    assert out == f"neuroattack {importlib.metadata.version('neuroattack')}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [("neuroattack camp", "campaign"), ("neuroattack train --rec", "--recipe")],
)
def test_a_shell_completes_commands_and_options(command, monkeypatch, words, expected):
    monkeypatch.setenv("_NEUROATTACK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    code, out, _ = command()
    assert out.split() == [expected]
    assert code == 0
