"""What the commands do, and the JSON that scripts rely on."""

import importlib.metadata
import json

import numpy as np
import pytest
from PIL import Image
from support.networks import small_network
from support.output import one_object

from neuroattack.attacks.registry import attack_names
from neuroattack.attacks.substitutes.ensemble import Ensemble, Perceptron
from neuroattack.attacks.substitutes.storage import save_substitutes
from neuroattack.encoding.events import EventEncoder
from neuroattack.hardware.quantization.quantization import fixed_format, quantize
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection
from neuroattack.ir.storage import load_network, save_network


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


GREEDY = ("--attack", "greedy-window", "--norm", "none")


def test_attack_reports_what_scripts_rely_on_and_saves_it(command, network_file, tmp_path):
    folder = tmp_path / "attack"
    arguments = ("--index", "2,4", "--target-class", 3, "--steps", 40)
    arguments += ("--trials", 20, "--queries", 60)
    code, out, err = command("attack", network_file, *arguments, "--out", folder, "--json")
    assert code == 0
    assert "report.html" in err
    figures = one_object(out)
    assert (figures["attack"], figures["norm"], figures["bound"]) == ("count-regression", "l2", 2.0)
    assert figures["queries"] == 60
    assert figures["provenance"]["backend_version"]
    low, high = figures["success_ci95"]
    assert low <= figures["success_rate"] <= high
    assert [each["index"] for each in figures["images"]] == [2, 4]
    for each in figures["images"]:
        assert each["target_class"] == 3
        assert each["predicted_clean"] in (None, *range(10))
        assert 0 <= each["clean_error_rate"] <= 1
        assert each["success_ci95"][0] <= each["success_rate"] <= each["success_ci95"][1]
        assert 0 <= each["distance"] <= 2.0 * (1 + 1e-9)
        assert each["search_queries"] <= 60
        assert "trace" not in each
    assert json.loads((folder / "result.json").read_text()) == figures
    images = np.load(folder / "images.npz", allow_pickle=False)
    assert images["adversarial"].shape == images["original"].shape == (2, 28, 28)
    assert "</html>" in (folder / "report.html").read_text()


def test_every_attack_can_be_named(command, network_file, tmp_path):
    layer = np.random.default_rng(0).normal(size=(784, 10)).astype(np.float32)
    models = Ensemble([Perceptron((28, 28), (layer,), (np.zeros(10, np.float32),))])
    save_substitutes(tmp_path / "models.h5", models)
    arguments = ("--steps", 20, "--trials", 2, "--queries", 20, "--json")
    for name in attack_names():
        given = ("--substitutes", tmp_path / "models.h5") if name == "transfer" else ()
        code, out, err = command("attack", network_file, "--attack", name, *arguments, *given)
        if name == "dvs-pattern":
            assert (code, out) == (2, "")
            assert "inserts events: got a bound on l2" in err
            continue
        assert code == 0, err
        assert one_object(out)["attack"] == name
    help_text = command("attack", "--help")[1]
    assert all(name in " ".join(help_text.split()) for name in attack_names())


@pytest.fixture
def event_network_file(tmp_path):
    """Return the path of a network for the samples of event-digits."""
    weights = np.random.default_rng(0).normal(0.05, 0.3, (512, 10))
    network = Network(
        dt_s=1e-3,
        input=Input((2, 16, 16), EventEncoder()),
        populations=(Population("output", 10, 0.02, 1.0),),
        projections=(Projection.from_weights(INPUT, "output", weights),),
        readout="output",
    )
    save_network(tmp_path / "events.h5", network)
    return tmp_path / "events.h5"


@pytest.mark.parametrize("attack", ["dvs-pattern", "random-noise"])
def test_event_samples_are_attacked_through_a_filter(command, event_network_file, attack):
    found = set()
    for defense in (None, "background-filter:3", "mask-filter:4", "rate-limit:5"):
        code, out, err = command(
            *("attack", event_network_file, "--dataset", "event-digits"),
            *("--attack", attack, "--norm", "events", "--bound", 0.05, "--queries", 20),
            *("--index", 3, "--trials", 5, "--json", "--sensor-noise", "drop:0.1"),
            *(("--defense", defense) if defense else ()),
        )
        assert code == 0, err
        (image,) = one_object(out)["images"]
        assert 0 < image["distance"] <= 0.05
        found.add(json.dumps(image["cost"]))
    assert len(found) == 4


def test_attack_takes_an_image_of_ones_own(command, network_file, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (28, 28), dtype=np.uint8)
    np.save(tmp_path / "bytes.npy", pixels)
    np.save(tmp_path / "floats.npy", pixels / 255)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    traces = []
    for name in ("bytes.npy", "floats.npy", "picture.png"):
        code, out, err = command(
            *("attack", network_file, "--image", tmp_path / name, "--label", 4, *GREEDY),
            *("--set", "window=3", "--set", "moved_pixels=2", "--set", "max_distance=2"),
            *("--steps", 30, "--trials", 5, "--json"),
        )
        assert (code, err) == (0, "")
        traces.append(one_object(out)["images"][0]["trace"])
    assert traces[0] == traces[1] == traces[2]


def test_every_parameter_of_algorithm_1_reaches_it_and_its_figures(command, network_file):
    settings = {
        "moved_pixels": 4, "delta": 0.25, "max_distance": 9.5, "score": "rate", "sd_of": "current",
        "clipping": "skip", "overshoot": "keep", "max_iterations": 3, "steps": 30,
        "window": {"top": 9, "left": 11, "size": 5},
    }  # fmt: skip
    given = {**settings, "window": "{top = 9, left = 11, size = 5}"}
    arguments = (
        *GREEDY,
        *(part for key, value in given.items() for part in ("--set", f"{key}={value}")),
        *(
            "--queries",
            500,
            "--trials",
            7,
            "--search-randomness",
            "shared",
            "--steps",
            30,
            "--json",
        ),
    )
    figures = one_object(command("attack", network_file, *arguments)[1])
    assert figures["settings"] == settings
    assert (figures["norm"], figures["bound"]) == (None, None)
    assert figures["deployment"] == "native,steps=30,search_randomness=shared"
    trace = figures["images"][0]["trace"]
    assert {abs(move[2]) for step in trace for move in step["moved"]} <= {0.25}
    assert len(trace) <= 4
    other = one_object(command("attack", network_file, *arguments, "--seed", 1)[1])
    assert other["images"][0]["trace"] != trace


def test_convert_makes_a_network_that_runs(command, model_file):
    code, out, _ = command("convert", model_file, "--readout-gain", 2, "--dt", 5e-4, "--json")
    assert code == 0
    figures = one_object(out)
    network = load_network(figures["network"])
    assert network.dt_s == 5e-4
    assert network.population("output").threshold_v[0] == pytest.approx(5e-3 / 2)
    assert [p.refractory_steps[0] for p in network.populations] == [3, 3]
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
