"""Every kind of bad input, through the commands: one sentence, exit code 2, nothing lost."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from support.networks import edit_hdf5, small_network
from support.output import refused

from neuroattack.ir.storage import save_network


def test_files_that_are_no_network(command, network_file, tmp_path):
    for name in ("evaluate", "attack", "convert"):
        refused(command(name, tmp_path / "missing.h5"), tmp_path / "missing.h5", "no such file")
    refused(command("evaluate", tmp_path), tmp_path, "not a regular file")
    path = tmp_path / "file.h5"
    for content, words in (
        (b"", "is empty"),
        (network_file.read_bytes()[:5000], "truncated"),
        (b"weights: 1 2 3", "HDF5"),
    ):
        path.write_bytes(content)
        refused(command("evaluate", path), path, words)
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    refused(command("evaluate", path), path, "3072 MiB", "1024 MiB")


def test_a_model_where_a_network_is_expected_and_the_reverse(command, network_file, model_file):
    refused(command("evaluate", model_file), "contains a sdbn-model, expected a network")
    refused(command("convert", network_file), "contains a network, expected a sdbn-model")


@pytest.fixture
def attack_on(command, network_file):
    return lambda image: command("attack", network_file, "--image", image, "--label", 1)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((28, 28), np.nan), "NaN"),
        (np.full((28, 28), np.inf), "infinite"),
        (np.full((28, 28), 1.01), "from 1.01 to 1.01"),
        (np.full((28, 28), -0.5), "from -0.5"),
        (np.zeros((27, 28)), "shape (27, 28)"),
        (np.zeros((0,)), "shape (0,)"),
        (np.zeros((28, 28), "U1"), "uint8"),
        (np.zeros((28, 28), np.int64), "contains int64"),
    ],
)
def test_impossible_images(attack_on, tmp_path, pixels, words):
    image = tmp_path / "image.npy"
    np.save(image, pixels)
    refused(attack_on(image), image, words)


@pytest.mark.parametrize("mode", ["I;16", "RGBA", "LA"])
def test_pictures_that_grey_levels_cannot_hold(attack_on, tmp_path, mode):
    picture = tmp_path / "image.png"
    Image.new(mode, (28, 28)).save(picture)
    refused(attack_on(picture), "of mode")


def test_truncated_models_and_oversized_images(command, attack_on, model_file, tmp_path):
    model_file.write_bytes(model_file.read_bytes()[:4000])
    refused(command("convert", model_file), model_file, "truncated")
    for huge in (tmp_path / "huge.npy", tmp_path / "huge.png"):
        with huge.open("wb") as file:
            file.truncate(65 * 2**20)
        refused(attack_on(huge), huge, "65 MiB")


def test_damaged_mnist(command, network_file, tmp_path, monkeypatch):
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte.gz").write_bytes(b"not gzip")
    monkeypatch.setenv("NEUROATTACK_DATA", str(tmp_path))
    result = command("evaluate", network_file, "--dataset", "mnist")
    refused(result, "train-images-idx3-ubyte.gz", "is damaged")


@pytest.mark.parametrize("arguments", [("--backend", "nativ"), ("--steps", 0), ("--seed", -1)])
def test_the_demo_refuses_before_it_trains(command, tmp_path, monkeypatch, arguments):
    def work(*_, **__):
        raise AssertionError("the training began")

    monkeypatch.setattr("neuroattack.experiments.demo.train_to_file", work)
    refused(command("demo", "--out", tmp_path, *arguments), arguments[0].removeprefix("--"))


def test_outputs_that_are_no_files_are_left_alone(command, network_file, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused(command("evaluate", network_file, "--out", pipe), pipe, "not a regular file")
    assert pipe.is_fifo()


def test_images_that_would_run_code_or_are_damaged(command, attack_on, network_file, tmp_path):
    image = tmp_path / "image.npy"
    np.save(image, np.array([[object()]], dtype=object), allow_pickle=True)
    refused(attack_on(image), "not a readable .npy")
    np.save(image, np.zeros((28, 28)))
    image.write_bytes(image.read_bytes()[:200])
    refused(attack_on(image), "not a readable .npy")
    with image.open("wb") as file:
        np.savez(file, x=np.zeros((28, 28)))
    refused(attack_on(image), "archive")
    for header in (b"(-28, 28)", b"((((((("):
        text = b"{'descr': '<f8', 'fortran_order': False, 'shape': " + header + b", }\n"
        image.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
        refused(attack_on(image), "not a readable .npy")
    picture = tmp_path / "image.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    refused(attack_on(picture), picture)
    Image.new("L", (30, 28)).save(picture)
    refused(attack_on(picture), "shape (28, 30)")
    refused(command("attack", network_file, "--image", picture), "--label")


GREEDY = ("attack", "--attack", "greedy-window", "--norm", "none", "--set")


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
        (("attack", "--index", "-1"), "--index: got '-1'"),
        (("attack", "--index", "4:4"), "--index: got '4:4'"),
        (("attack", "--index", "0:2", "--image", "x.png", "--label", 1), "--index: got 0:2"),
        (("attack", "--target-class", 10), "target class: got 10"),
        (("attack", "--target-class", 5), "target class: got 5"),
        (("attack", "--target-class", "any"), "--target-class: got 'any'"),
        (("attack", "--label", 7), "--label: got 7"),
        (("attack", "--image", "x.png", "--dataset", "digits"), "--dataset: got digits"),
        (("attack", "--bound", 0), "bound on l2: got 0.0"),
        (("attack", "--bound", "nan"), "bound on l2: got nan"),
        (("attack", "--norm", "l0", "--bound", 2.5), "bound on l0: got 2.5"),
        (("attack", "--norm", "linf"), "bound on linf: got 2.0"),
        (("attack", "--norm", "none"), "bound of attack 'count-regression': got none"),
        (("attack", "--queries", 0), "queries of an attack: got 0"),
        (("attack", "--trials", 0), "verification trials: got 0"),
        (("attack", "--attack", "count-regresion"), "did you mean 'count-regression'?"),
        (("attack", "--set", "rounds"), "--set: got 'rounds'"),
        (("attack", "--set", "round=3"), "did you mean 'rounds'?"),
        (("attack", "--set", "rounds=many"), "rounds: got 'many'"),
        (("attack", "--token-file", "x"), "token_file of deployment 'native': got 'x'"),
        ((*GREEDY, "window=29"), "window: got rows 0 to 28"),
        ((*GREEDY, "window=0"), "window size: got 0"),
        ((*GREEDY, "window={top=25, left=0, size=7}"), "window: got rows 25 to 31"),
        ((*GREEDY, "window={top=5}"), "window: got {'top': 5}"),
        ((*GREEDY, "moved_pixels=0"), "moved pixels M of a 7 x 7 window: got 0"),
        ((*GREEDY, "delta=0.0"), "delta: got 0.0"),
        ((*GREEDY, "delta=nan"), "delta: got nan"),
        ((*GREEDY, "max_distance=inf"), "D_max: got inf"),
        ((*GREEDY, "max_iterations=0"), "maximum iterations: got 0"),
    ],
)
def test_impossible_values(command, network_file, arguments, words):
    name, *rest = arguments
    refused(command(name, network_file, "--steps", 10, *rest), words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--input-rate", 1500), "1500 Hz with steps of 0.001 s"),
        (("--dt", 0.002, "--input-rate", 600), "500 Hz"),
        (("--dt", 0.0007), "0.002 s"),
        (("--dt", 0), "dt_s: got 0.0"),
        (("--dt", 1e-300), "dt_s: got 1e-300, expected at least 2e-09 s"),
        (("--input-rate", 1e-300), "projection input->hidden1 weights: got up to"),
        (("--dt", "nan"), "dt_s: got nan"),
        (("--input-rate", -5), "max_rate_hz: got -5.0"),
        (("--input-rate", "nan"), "max_rate_hz: got nan"),
        (("--encoder", "direct", "--input-rate", 100), "input rate: got 100 Hz"),
        (("--readout-gain", 0), "readout gain: got 0.0"),
    ],
)
def test_impossible_conversions(command, model_file, arguments, words):
    refused(command("convert", model_file, *arguments), words)
    assert not model_file.with_name("model-network.h5").exists()


@pytest.mark.parametrize(("name", "kind"), [("convert", "model"), ("evaluate", "network")])
def test_nothing_is_written_over_its_source(command, network_file, model_file, name, kind):
    source = {"model": model_file, "network": network_file}[kind]
    before = source.read_bytes()
    refused(command(name, source, "--out", source), "--out", source)
    assert source.read_bytes() == before


def test_impossible_fields_of_files(command, network_file, model_file):
    edit_hdf5(model_file, lambda file: file["weights/0"].__setitem__((3, 4), np.nan))
    refused(command("convert", model_file), model_file, "weights/0", "NaN")
    edit_hdf5(network_file, lambda file: file["populations/0"].attrs.__setitem__("size", 0))
    refused(command("evaluate", network_file), "population 'hidden' size: got 0")


def test_unknown_recipe_and_nothing_to_resume(command, tmp_path):
    out = tmp_path / "model.h5"
    refused(command("train", "--recipe", "papre", "--out", out), "did you mean 'paper'?")
    refused(command("train", "--resume", "--out", out), "model.checkpoint.h5")


@pytest.mark.parametrize("name", ["evaluate", "attack", "demo", "train"])
def test_an_output_that_cannot_be_written_is_found_before_the_work(
    command, network_file, monkeypatch, name
):
    def work(*_, **__):
        raise AssertionError("the work began")

    monkeypatch.setattr("neuroattack.deployment.spec.deploy", work)
    monkeypatch.setattr("neuroattack.experiments.training.train", work)
    inside_a_file = network_file / "out"
    network = [] if name in {"demo", "train"} else [network_file]
    refused(command(name, *network, "--out", inside_a_file), network_file, "cannot be written")
    # Where it can be written, the work does begin.
    with pytest.raises(AssertionError, match="the work began"):
        command(name, *network, "--out", network_file.with_name("out"))


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


def test_unknown_options_are_exit_code_2(command, network_file):
    code, out, err = command("evaluate", network_file, "--speed", 3)
    assert (code, out) == (2, "")
    assert "--speed" in err


def test_a_network_of_other_data_is_not_judged_on_todays_by_accident(command, network_file):
    other = {"dataset_checksum": "0123456789abcdef"}
    edit_hdf5(network_file, lambda file: file["origin"].attrs.update(other))
    refused(command("evaluate", network_file, "--images", 2), "checksum 0123456789ab")
    assert command("evaluate", network_file, "--images", 2, "--dataset", "digits")[0] == 0
    edit_hdf5(network_file, lambda file: file["origin"].attrs.clear())
    refused(command("evaluate", network_file), "data set: got none")


def test_training_does_not_begin_over_a_checkpoint_unasked(command, tmp_path):
    checkpoint = tmp_path / "model.checkpoint.h5"
    checkpoint.write_bytes(b"hours of work")
    refused(command("train", "--out", tmp_path / "model.h5"), checkpoint, "--resume")
    assert checkpoint.read_bytes() == b"hours of work"


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_paths_without_a_name(command, name):
    refused(command("convert", name), "not a regular file")
    refused(command("train", "--out", name), "cannot be written")


def test_an_index_that_no_stream_could_have(command, network_file, tmp_path):
    np.save(tmp_path / "i.npy", np.eye(28))
    arguments = ("--image", tmp_path / "i.npy", "--label", 1, "--index", -1)
    refused(command("attack", network_file, *arguments), "--index: got '-1'")


def test_figures_are_printed_even_if_saving_them_fails(command, network_file, tmp_path):
    out = tmp_path / f"{'x' * 255}"
    code, printed, err = command("evaluate", network_file, "--images", 2, "--json", "--out", out)
    assert code == 2
    assert json.loads(printed)["images"] == 2
    assert "cannot be written" in err


def test_recipes_with_settings_that_they_lack(command, tmp_path):
    out = tmp_path / "model.h5"
    for recipe, words in (
        ("fine-tuned,adversarial=1", "did you mean 'adversarial_l2'?"),
        ("paper,adversarial_l2=1", "expected a recipe with fine-tuning"),
        ("dnn,adversarial_l2=1", "expected an SDBN with fine-tuning"),
    ):
        refused(command("train", "--recipe", recipe, "--out", out), words)


def test_defenses_that_an_evaluation_cannot_show(command, network_file):
    refused(command("evaluate", network_file, "--defense", "rounded-counts:5"), "--defense")
    refused(command("evaluate", network_file, "--defense", "hide:1"), "unknown defense 'hide'")
