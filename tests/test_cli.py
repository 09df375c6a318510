"""The commands end to end, and every kind of bad input: one sentence, exit code 2, nothing lost."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import edit_hdf5, small_network
from PIL import Image

from neuroattack.ir.storage import load_network, save_network
from neuroattack.training.sdbn import SDBN
from neuroattack.training.siegert import SiegertParameters
from neuroattack.training.storage import save_model


@pytest.fixture
def model_file(tmp_path):
    """Return the path of an untrained 784-30-10 model."""
    rng = np.random.default_rng(0)
    model = SDBN(
        weights=tuple(
            rng.normal(2e-4, 1e-3, shape).astype(np.float32) for shape in ((784, 30), (30, 10))
        ),
        siegert=SiegertParameters(),
        noise_factor=1.0,
        image_shape=(28, 28),
        recipe="fine-tuned",
        dataset="digits",
        dataset_checksum="",
        seed=0,
        rate_accuracy=0.1,
    )
    path = tmp_path / "model.h5"
    save_model(path, model)
    return path


def one_object(out):
    assert out.count("\n") == 1
    return json.loads(out)


# What the commands do


def test_evaluate_reports_what_scripts_rely_on(command, network_file):
    code, out, err = command(
        "evaluate", network_file, "--images", 20, "--steps", 50, "--seed", 3, "--json"
    )
    assert (code, err) == (0, "")
    figures = one_object(out)
    assert figures["images"] == 20
    assert figures["backend"] == "native"
    assert figures["steps"] == 50
    low, high = figures["accuracy_ci95"]
    assert low <= figures["accuracy"] <= high
    assert set(figures["spikes_per_image"]) == {"input", "hidden", "output"}
    assert figures["synaptic_operations_per_image"] > figures["spikes_per_image"]["input"]
    assert 0 <= figures["silent_fraction"] <= figures["undecided_fraction"] <= 1
    assert figures["provenance"]["dataset_checksum"].startswith("b747db89")


def test_the_same_seed_gives_the_same_figures(command, network_file):
    def run(seed):
        _, out, _ = command(
            "evaluate", network_file, "--images", 30, "--steps", 60, "--seed", seed, "--json"
        )
        figures = one_object(out)
        return {name: figures[name] for name in ("accuracy", "spikes_per_image")}

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_evaluate_prints_a_table_and_saves_figures(command, network_file, tmp_path):
    out_file = tmp_path / "deep" / "figures.json"
    code, out, _ = command(
        "evaluate", network_file, "--images", 5, "--steps", 20, "--out", out_file
    )
    assert code == 0
    assert "spiking accuracy" in out
    assert json.loads(out_file.read_text())["images"] == 5


def test_attack_reports_what_scripts_rely_on_and_saves_it(command, network_file, tmp_path):
    folder = tmp_path / "attack"
    arguments = ("--index", 2, "--target", 3, "--window", 5, "--steps", 40, "--draws", 20)
    code, out, err = command("attack", network_file, *arguments, "--out", folder, "--json")
    assert code == 0
    assert "report.html" in err
    figures = one_object(out)
    assert (figures["index"], figures["target_class"]) == (2, 3)
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


@pytest.mark.parametrize("name", ["", "demo", "train", "convert", "evaluate", "attack", "backends"])
def test_help_reads_like_documentation(command, name):
    code, out, _ = command(*filter(None, [name]), "--help")
    assert code == 0
    assert "Usage" in out


# What they refuse


def refused(result, *words):
    code, out, err = result
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    assert err.count("\n") == 1, err
    for word in words:
        assert str(word) in err


def test_missing_files(command, tmp_path):
    missing = tmp_path / "missing.h5"
    for name in ("evaluate", "attack", "convert"):
        refused(command(name, missing), missing, "no such file")


def test_a_folder_and_an_empty_file(command, tmp_path):
    refused(command("evaluate", tmp_path), tmp_path, "not a regular file")
    empty = tmp_path / "empty.h5"
    empty.touch()
    refused(command("evaluate", empty), empty, "is empty")


def test_truncated_and_wrong_format_files(command, network_file, tmp_path):
    truncated = tmp_path / "truncated.h5"
    truncated.write_bytes(network_file.read_bytes()[:5000])
    refused(command("evaluate", truncated), truncated, "truncated")
    text = tmp_path / "text.h5"
    text.write_text("weights: 1 2 3")
    refused(command("evaluate", text), text, "is not a file of neuroattack's")


def test_oversized_files_are_refused_unread(command, tmp_path):
    huge = tmp_path / "huge.h5"
    with huge.open("wb") as file:
        file.truncate(3 * 2**30)
    refused(command("evaluate", huge), huge, "3072 MiB", "at most 1024 MiB")


def test_a_model_where_a_network_is_expected_and_the_reverse(command, network_file, model_file):
    refused(command("evaluate", model_file), "holds a sdbn-model, expected a network")
    refused(command("convert", network_file), "holds a network, expected a sdbn-model")


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((28, 28), np.nan), "NaN"),
        (np.full((28, 28), np.inf), "infinite"),
        (np.full((28, 28), 1.01), "from 1.01 to 1.01"),
        (np.full((28, 28), -0.5), "from -0.5"),
        (np.zeros((27, 28)), "shape (27, 28)"),
        (np.zeros((0,)), "shape (0,)"),
        (np.zeros((28, 28), "U1"), "expected floating point or uint8"),
        (np.zeros((28, 28), np.int64), "holds int64"),
    ],
)
def test_impossible_images(command, network_file, tmp_path, pixels, words):
    image = tmp_path / "image.npy"
    np.save(image, pixels)
    refused(command("attack", network_file, "--image", image, "--label", 1), image, words)


def test_images_that_would_run_code_or_are_damaged(command, network_file, tmp_path):
    image = tmp_path / "image.npy"
    np.save(image, np.array([[object()]], dtype=object), allow_pickle=True)
    refused(command("attack", network_file, "--image", image, "--label", 1), "not a readable .npy")
    np.save(image, np.zeros((28, 28)))
    image.write_bytes(image.read_bytes()[:200])
    refused(command("attack", network_file, "--image", image, "--label", 1), "not a readable .npy")
    picture = tmp_path / "image.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    refused(command("attack", network_file, "--image", picture, "--label", 1), picture)
    Image.new("L", (30, 28)).save(picture)
    refused(command("attack", network_file, "--image", picture, "--label", 1), "shape (28, 30)")
    refused(command("attack", network_file, "--image", picture), "--label")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("evaluate", "--dataset", "minst"), "unknown data set 'minst' (did you mean 'mnist'?)"),
        (("evaluate", "--backend", "nativ"), "unknown backend 'nativ' (did you mean 'native'?)"),
        (("evaluate", "--images", 0), "images: got 0, expected 1 to 355"),
        (("evaluate", "--images", 356), "images: got 356"),
        (("evaluate", "--steps", 0), "steps: got 0"),
        (("evaluate", "--seed", -1), "seed: got -1"),
        (("attack", "--index", 355), "image index: got 355, expected 0 to 354"),
        (("attack", "--index", -1), "image index: got -1"),
        (("attack", "--target", 10), "target class: got 10, expected a class from 0 to 9"),
        (("attack", "--target", 5), "target class: got 5, expected another"),
        (("attack", "--window", 29), "window: got rows 0 to 28"),
        (("attack", "--window", 0), "window size: got 0"),
        (("attack", "--top", 25), "window: got rows 25 to 31"),
        (("attack", "--left", -3), "window: got row 10, column -3"),
        (("attack", "--window", 3, "--m", 10), "moved pixels M: got 10, expected 1 to 9"),
        (("attack", "--m", 0), "moved pixels M: got 0"),
        (("attack", "--delta", 0), "delta: got 0.0"),
        (("attack", "--delta", -0.1), "delta: got -0.1"),
        (("attack", "--delta", "nan"), "delta: got nan"),
        (("attack", "--d-max", 0), "D_max: got 0.0"),
        (("attack", "--d-max", "inf"), "D_max: got inf"),
        (("attack", "--budget", 0), "query budget: got 0"),
        (("attack", "--budget", 5), "the budget has 5 left"),
        (("attack", "--draws", 0), "verification draws: got 0"),
        (("attack", "--max-iterations", 0), "maximum iterations: got 0"),
    ],
)
def test_impossible_values(command, network_file, arguments, words):
    name, *rest = arguments
    refused(command(name, network_file, "--steps", 10, *rest), words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--input-rate", 1500), "1500 Hz with steps of 0.001 s"),
        (("--dt", 0.02), "expected at most one spike a step, 50 Hz"),
        (("--dt", 0), "dt_s: got 0.0"),
        (("--dt", "nan"), "dt_s: got nan"),
        (("--input-rate", -5), "max_rate_hz: got -5.0"),
        (("--input-rate", "nan"), "max_rate_hz: got nan"),
        (("--readout-gain", 0), "readout gain: got 0.0"),
    ],
)
def test_impossible_conversions(command, model_file, arguments, words):
    refused(command("convert", model_file, *arguments), words)
    assert not model_file.with_name("model-network.h5").exists()


def test_weights_that_are_not_finite(command, model_file):
    def spoil(file):
        file["weights/0"][3, 4] = np.nan

    edit_hdf5(model_file, spoil)
    refused(command("convert", model_file), model_file, "weights/0", "NaN")


def test_a_population_of_size_0(command, network_file):
    def empty(file):
        file["populations/0"].attrs["size"] = 0

    edit_hdf5(network_file, empty)
    refused(command("evaluate", network_file), "population 'hidden' size: got 0")


def test_unknown_recipe_and_nothing_to_resume(command, tmp_path):
    out = tmp_path / "model.h5"
    refused(command("train", "--recipe", "papre", "--out", out), "did you mean 'paper'?")
    refused(command("train", "--resume", "--out", out), "model.checkpoint.h5", "no such checkpoint")


@pytest.mark.parametrize("name", ["evaluate", "attack", "demo", "train"])
def test_an_output_that_cannot_be_written_is_found_before_the_work(
    command, network_file, monkeypatch, name
):
    def work(*_, **__):
        raise AssertionError("the work began")

    monkeypatch.setattr("neuroattack.deployment.deploy", work)
    monkeypatch.setattr("neuroattack.studies.training.train", work)
    inside_a_file = network_file / "out"
    network = [] if name in {"demo", "train"} else [network_file]
    refused(command(name, *network, "--out", inside_a_file), network_file, "cannot be written")


def test_a_full_disk_leaves_the_old_file_whole(model_file, tmp_path):
    out = tmp_path / "network.h5"
    save_network(out, small_network(seed=5))
    before = out.read_bytes()
    # The kernel refuses to let any file grow beyond 8 KiB, as a disk without space would.
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192));"
        "from neuroattack.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, "convert", str(model_file), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    refused((done.returncode, done.stdout, done.stderr), out, "cannot be written")
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.h5", "network.h5"]


def test_mnist_that_is_not_there(command, network_file, monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROATTACK_DATA", str(tmp_path / "nowhere"))
    refused(command("evaluate", network_file, "--dataset", "mnist"), "NEUROATTACK_DATA")


def test_help_of_unknown_options_is_exit_code_2(command, network_file):
    code, out, err = command("evaluate", network_file, "--speed", 3)
    assert (code, out) == (2, "")
    assert "--speed" in err
    assert Path(network_file).exists()
