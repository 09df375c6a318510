"""Accuracy under noise, compared with plain loops over rate-based and spiking networks."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.cell_work import keep_result, results_of
from support.digit_models import template_model
from support.networks import small_network
from support.output import one_object, refused

from neuroattack import __version__
from neuroattack.datasets import load_dataset
from neuroattack.datasets.noise import Area, Noise
from neuroattack.deployment.deployment import deploy
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.encoding.readout import decide
from neuroattack.errors import ValidationError
from neuroattack.experiments.engine.store import STORE
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.model_cells import training_cell
from neuroattack.experiments.noise import (
    NOISY,
    NoiseCell,
    Spiking,
    measure_noise,
    noise_cell,
    study_noise,
    widened,
)
from neuroattack.ir.network import Input
from neuroattack.training.conversion import convert
from neuroattack.training.storage import load_model, save_model

STEPS, IMAGES, SEED = 40, 120, 3


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    (folder / "models").mkdir()
    save_model(folder / "models/templates.h5", template_model())
    return folder


def measured(folder, digits, noise, *, images=IMAGES, seed=SEED, steps=STEPS, gain=1.0):
    cell = noise_cell(
        "models/templates.h5",
        "sdbn",
        noise,
        digits,
        images=images,
        seed=seed,
        spiking=None if steps is None else Spiking(steps, "native", gain),
    )
    return measure_noise(**json.loads(json.dumps(cell.arguments)), folder=folder)


def noisy_images(digits, noise, images=IMAGES, seed=SEED):
    """Return test images with noise from the random stream that results depend on."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
    return noise.add(digits.test.images[:images], rng)


def correct_in_rates(model, pixels, labels):
    """Classify in other batches than the study."""
    parts = np.array_split(pixels.reshape(-1, 784), 7)
    decided = [int(np.argmax(rates)) for part in parts for rates in model.outputs(part)]
    return sum(one == label for one, label in zip(decided, labels, strict=True))


@pytest.mark.parametrize("gain", [1.0, 5.0])
def test_accuracy_without_noise(folder, digits, gain):
    found = measured(folder, digits, None, gain=gain)
    model, test = template_model(), digits.test.first(IMAGES)
    rates = [model.rates(image[None])[0] for image in test.images]
    correct = sum(int(np.argmax(r) == t) for r, t in zip(rates, test.labels, strict=True))
    with deploy(convert(model, readout_gain=gain).network, steps=STEPS, seed=SEED) as plain:
        spiking = evaluate(plain, test.images.astype(np.float64), test.labels)
    assert found == {
        "images": IMAGES,
        "correct": correct,
        "correct_spiking": round(spiking.accuracy * IMAGES),
    }
    # Neither accuracy is extreme, so that a wrong image or label would be detected.
    assert IMAGES / 2 < found["correct_spiking"] != correct < IMAGES


@pytest.mark.parametrize(
    "noise",
    [
        Noise("normal", 0.15),
        Noise("uniform", 0.3, "zero"),
        Noise("normal", 0.3, "none"),
        Noise("uniform", 0.4, "range", Area(9, 9, 8, 8)),
    ],
    ids=lambda noise: noise.description,
)
def test_noisy_images_are_classified_as_a_plain_loop_does(folder, digits, noise):
    found = measured(folder, digits, noise)
    model, labels = template_model(), digits.test.labels[:IMAGES]
    pixels = noisy_images(digits, noise)
    assert found["correct"] == correct_in_rates(model, pixels, labels)
    # The maximum of one spike per step is ten times the 100 Hz of the network.
    network = convert(model).network
    fast = replace(network, input=Input((28, 28), PoissonEncoder(1000.0)))
    with deploy(fast, steps=STEPS, seed=SEED) as deployment:
        recording = deployment.record(
            np.clip(pixels.astype(np.float64), 0, 10) / 10, indices=range(IMAGES)
        )
    decided = decide(recording.counts["output"])
    assert found["correct_spiking"] == int((decided == labels).sum())


def test_the_default_gain_is_that_of_the_models_recipe(folder, digits):
    given = {gain: measured(folder, digits, None, gain=gain, steps=9) for gain in (1.0, 5.0)}
    assert given[1.0] != given[5.0]
    for recipe, gain in (
        ("fine-tuned", 1.0),
        ("paper", 5.0),
        (f"paper, {Noise('normal', 0.1).description}", 5.0),
    ):
        model = replace(template_model(), recipe=recipe)
        (folder / recipe / "models").mkdir(parents=True)
        save_model(folder / recipe / "models/templates.h5", model)
        assert measured(folder / recipe, digits, None, gain=None, steps=9) == given[gain]


def test_another_seed_gives_other_noise_and_another_image_count_the_first_images(folder, digits):
    noise = Noise("normal", 0.3)
    model = template_model()
    seen = set()
    for seed in range(4):
        found = measured(folder, digits, noise, seed=seed, images=100, steps=None)
        pixels = noisy_images(digits, noise, 100, seed)
        assert found["correct"] == correct_in_rates(model, pixels, digits.test.labels[:100])
        assert found["correct_spiking"] is None
        seen.add(found["correct"])
    assert len(seen) > 1


def test_changed_data_is_refused(folder, digits):
    changed = replace(digits, checksum="0" * 64)
    with pytest.raises(ValidationError, match=r"data set 'digits': got \w{12}, expected 0{12}$"):
        measured(folder, changed, None)


@pytest.mark.parametrize(
    ("rate_hz", "dt_s"),
    [
        (100.0, 1e-3),
        (100.0, 0.7e-3),
        (333.0, 3e-3),
        (49.0, 1 / 49),
        (7.3, 5e-4),
        (7.3, 1 / 49),
    ],
)
def test_a_wider_input_gives_the_same_spikes_in_the_common_range(rate_hz, dt_s):
    network = replace(small_network(), dt_s=dt_s, input=Input((28, 28), PoissonEncoder(rate_hz)))
    wide, scale = widened(network)
    assert wide.input.encoder.max_rate_hz == pytest.approx(1 / dt_s)
    assert scale == pytest.approx(1 / (dt_s * rate_hz))
    images = np.random.default_rng(0).integers(0, 256, (20, 784)) / 255
    draws = {"indices": np.arange(20), "steps": 50, "dt_s": dt_s, "seed": 5}
    narrow_spikes = network.input.encoder.encode(images, **draws)
    wide_spikes = wide.input.encoder.encode(images / scale, **draws)
    np.testing.assert_array_equal(narrow_spikes.neurons, wide_spikes.neurons)
    np.testing.assert_array_equal(narrow_spikes.offsets, wide_spikes.offsets)
    assert replace(wide, input=network.input).projections is network.projections


def test_intensities_above_one_have_proportional_rates():
    network = small_network()
    wide, scale = widened(network)
    intensities = np.array([0.0, 0.5, 1.0, 1.5, 3.0, 7.5, 10.0])
    images = np.tile(np.repeat(intensities, 112) / scale, (50, 1))
    spikes = wide.input.encoder.encode(
        images, indices=np.arange(50), steps=100, dt_s=network.dt_s, seed=1
    )
    counts = np.bincount(spikes.neurons, minlength=784).reshape(7, 112).sum(axis=1)
    draws = 50 * 112 * 100
    p = np.minimum(intensities * 100.0 * network.dt_s, 1.0)
    # Binomial: deviations of 5 standard deviations in 7 counts have probability 4e-6.
    assert (np.abs(counts - draws * p) <= 5 * np.sqrt(draws * p * (1 - p))).all()


def kept_training(folder, digits, model, noise, recipe="paper"):
    """Store a model as the result of its training cell."""
    cell = training_cell("sdbn", digits, seed=SEED, recipe=recipe, noise=noise)
    file = f"models/{cell.key}.h5"
    save_model(folder / file, model)
    keep_result(folder, cell, {"model": file, "accuracy": 0.5})


@pytest.mark.slow
def test_modes_select_training_and_test_noise(tmp_path, digits):
    noises = [Noise("normal", 0.1), Noise("uniform", 0.3)]
    clean = template_model()
    models = {None: clean}
    for number, noise in enumerate(noises):
        shuffled = np.random.default_rng(number).normal(0, 1e-4, (784, 10))
        models[noise] = replace(clean, weights=((clean.weights[0] + shuffled),))
    (tmp_path / "models").mkdir()
    for noise, model in models.items():
        kept_training(tmp_path, digits, model, noise)
    seen = []
    cells = study_noise(
        digits,
        noises,
        tmp_path,
        spiking=Spiking(STEPS),
        images=60,
        seeds=(SEED,),
        workers=1,
        on_progress=lambda *state: seen.append(state),
    )
    labels = digits.test.labels[:60]
    expected = [(None, None)] + [(mode, noise) for mode in NOISY for noise in noises]
    assert [(cell.mode, cell.noise) for cell in cells] == expected
    for cell in cells:
        trained_with = cell.noise if cell.mode in ("train", "train+test") else None
        shown_with = cell.noise if cell.mode in ("test", "train+test") else None
        pixels = digits.test.images[:60]
        if shown_with is not None:
            pixels = noisy_images(digits, shown_with, 60)
        assert (cell.network, cell.seed, cell.images) == ("sdbn", SEED, 60)
        assert cell.correct == correct_in_rates(models[trained_with], pixels, labels)
        with deploy(convert(models[trained_with]).network, steps=STEPS, seed=SEED) as plain:
            figures = evaluate(plain, pixels.astype(np.float64), labels)
        assert cell.correct_spiking == round(figures.accuracy * 60)
    # Seven cells, including the clean one, each computed once.
    assert seen[0] == ("Training", 1.0, "3 of 3")
    assert seen[-1] == ("Classifying", 1.0, "7 of 7")
    assert len(results_of(tmp_path, "test-")) == 7
    assert len({cell.correct for cell in cells}) > 3


@pytest.mark.slow
def test_training_with_noise_of_magnitude_0_equals_training_without(tmp_path, digits):
    clean, *noisy = study_noise(
        digits,
        [Noise("normal", 0.0), Noise("normal", 0.1)],
        tmp_path,
        modes=("train",),
        recipe="fine-tuned",
        images=200,
    )
    assert noisy[0].correct == clean.correct > 180
    trained = results_of(tmp_path, "sdbn-fine-tuned-0-")
    assert len(trained) == 3
    names = ("normal-0-", "normal-0.1-")
    found = {next((n for n in names if n in key), ""): each for key, each in trained.items()}
    plain, silent, loud = (
        load_model(tmp_path / found[name]["model"]).weights for name in ("", *names)
    )
    for one, same, other in zip(plain, silent, loud, strict=True):
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()


def test_json_has_accuracies_with_their_intervals():
    found = NoiseCell("sdbn", "test", Noise("uniform", 0.3, "zero"), 4, 200, 150, 100).as_json()
    # Wilson intervals of 150 and 100 of 200, computed from the formula.
    assert found["accuracy_ci95"] == pytest.approx([0.6857, 0.8050], abs=1e-4)
    assert found["spiking_ci95"] == pytest.approx([0.4313, 0.5687], abs=1e-4)
    assert (found["accuracy"], found["spiking_accuracy"], found["images"]) == (0.75, 0.5, 200)
    assert (found["noise"], found["delta"], found["clipping"]) == ("uniform", 0.3, "zero")
    clean = NoiseCell("dnn", None, None, 4, 200, 0, None).as_json()
    assert (clean["noise"], clean["delta"], clean["mode"]) == (None, 0.0, None)
    assert (clean["accuracy"], clean["spiking_accuracy"], clean["spiking_ci95"]) == (0, None, None)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.h5"
    save_model(path, template_model())
    return path


@pytest.mark.slow
def test_the_command_prints_one_json_object_and_keeps_it(command, tmp_path, model, digits):
    out = tmp_path / "noise"
    options = ["--dataset", "digits", "--model", model, "--images", "20", "--deltas", "0.1"]
    options += ["--steps", STEPS, "--workers", "1", "--out", out, "--json"]
    code, stdout, err = command("noise", *options)
    assert (code, err) == (0, "")
    figures = one_object(stdout)
    assert figures == json.loads((out / "noise.json").read_text())
    assert set(figures) == {
        *("cells", "dataset", "dataset_checksum", "recipe", "seed", "steps"),
        *("backend", "version", "window", "command"),
    }
    assert (figures["dataset"], figures["dataset_checksum"]) == ("digits", digits.checksum)
    assert (figures["version"], figures["backend"]) == (__version__, "native")
    assert (figures["steps"], figures["seed"]) == (STEPS, 0)
    # No recipe, because nothing was trained.
    assert figures["recipe"] is None
    # The given model is stored, and nothing was trained.
    assert not results_of(out / "cells", "sdbn-")
    (kept_model,) = (out / "cells/models").iterdir()
    assert kept_model.name.startswith("given-sdbn-")
    assert kept_model.read_bytes() == model.read_bytes()
    cells = figures["cells"]
    assert [(cell["noise"], cell["delta"], cell["mode"]) for cell in cells] == [
        (None, 0.0, None),
        ("normal", 0.1, "test"),
        ("uniform", 0.1, "test"),
    ]
    for cell, noise in zip(cells[1:], (Noise("normal", 0.1), Noise("uniform", 0.1)), strict=True):
        pixels = noisy_images(digits, noise, 20, seed=0)
        expected = correct_in_rates(template_model(), pixels, digits.test.labels[:20]) / 20
        assert cell["accuracy"] == expected
        # The gain is that of the model's recipe, not that of the recipe to train.
        with deploy(convert(template_model()).network, steps=STEPS) as plain:
            figures_in_spikes = evaluate(plain, pixels.astype(np.float64), digits.test.labels[:20])
        assert cell["spiking_accuracy"] == figures_in_spikes.accuracy
    # Repeating the command computes nothing and prints the same results as a table.
    store = out / "cells" / STORE
    kept, written = results_of(out / "cells", ""), store.stat().st_mtime_ns
    assert kept
    code, stdout, err = command("noise", *options[:-1])
    assert (code, err) == (0, "")
    assert "uniform" in stdout
    # The same results, not written again.
    assert results_of(out / "cells", "") == kept
    assert store.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--noise", "pink"], "--noise 'pink': expected one of normal, uniform"),
        (["--noise", ""], "--noise '': expected one of normal, uniform"),
        (["--deltas", "0.1,x"], "--deltas: got '0.1,x'"),
        (["--deltas", ""], "--deltas: got "),
        (["--deltas", "-0.1"], "noise magnitude delta: got -0.1"),
        (["--deltas", "nan"], "noise magnitude delta: got nan"),
        (["--on", "never"], "--on 'never': expected one of test, train, train+test"),
        (["--window", "0,0,5"], "--window: got '0,0,5', expected TOP,LEFT,HEIGHT,WIDTH"),
        (["--window", "0,0,a,b"], "--window: got '0,0,a,b'"),
        (["--window", "25,0,4,4"], "window: got rows 25 to 28, columns 0 to 3"),
        (["--window", "0,0,0,4"], "window height: got 0"),
        (["--networks", "cnn"], "--networks 'cnn' (did you mean 'dnn'?)"),
        (["--recipe", "papre"], "unknown recipe 'papre' (did you mean 'paper'?)"),
        (["--model", "missing.h5"], "missing.h5: no such file"),
        (["--dnn", "{model}"], "model.h5: "),
        (["--images", "0"], "images: got 0, expected 1 to 355"),
        (["--images", "356"], "images: got 356, expected 1 to 355"),
        (["--steps", "0"], "steps: got 0"),
        (["--seed", "-1"], "seed: got -1"),
        (["--backend", "brain"], "unknown backend 'brain'"),
        (["--readout-gain", "0"], "readout gain: got 0"),
        (["--workers", "0"], "workers: got 0"),
        (["--dataset", "mnits"], "unknown data set 'mnits' (did you mean 'mnist'?)"),
        (["--out", "/dev/null/x"], "cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_refused(command, tmp_path, model, options, message):
    options = [option.format(model=model) for option in options]
    if "--model" not in options:
        options += ["--model", model]
    if "--out" not in options:
        options += ["--out", tmp_path / "noise"]
    refused(command("noise", *options, "--json"), message)
