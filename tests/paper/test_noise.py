"""Summaries of Table I, from hand-written cells and from networks that need no training."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from support.cell_work import keep_result
from support.digit_models import template_model

from neuroattack.datasets import load_dataset
from neuroattack.datasets.noise import Noise
from neuroattack.deployment.deployment import deploy
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.model_cells import training_cell
from neuroattack.experiments.noise import NoiseCell
from neuroattack.paper import noise as study
from neuroattack.paper.published import DELTAS
from neuroattack.paper.settings import PaperRun, PaperSettings
from neuroattack.training.conversion import convert
from neuroattack.training.dnn.network import MLP
from neuroattack.training.dnn.storage import save_mlp
from neuroattack.training.storage import save_model

NORMAL_TEST = [94.73, 94.42, 82.73, 77.07, 48.23, 33.34, 21.52, 17.05]
UNIFORM_TEST = [96.02, 95.64, 94.64, 93.36, 82.76, 60.79, 34.9, 23.16]


def row(noise, delta, mode, accuracy, paper):
    return {
        "noise": noise,
        "delta": delta,
        "mode": mode,
        "accuracy": accuracy,
        "paper_accuracy": paper,
    }


def cell(kind, delta, rule, correct, spiking, *, seed=0, mode="test"):
    noise = None if kind is None else Noise(kind, delta, rule)
    return NoiseCell("sdbn", None if noise is None else mode, noise, seed, 1000, correct, spiking)


def test_agreement_under_test_noise_is_within_six_points_for_each_column():
    # Differences by delta: two far above, +7, just within -6, just beyond -6, two equal, and +1.
    off = [0.5, 0.5, 0.07, -0.0599, -0.0601, 0.0, 0.0, 0.01]
    cells = [
        row("normal", delta, "test", paper / 100 + by, paper / 100)
        for delta, paper, by in zip(DELTAS, NORMAL_TEST, off, strict=True)
    ]
    cells += [
        row("uniform", delta, "test", paper / 100 - 0.02, paper / 100)
        for delta, paper in zip(DELTAS, UNIFORM_TEST, strict=True)
    ]
    # Cells of another mode, to be ignored.
    cells += [row("normal", delta, "train", 0.0, 1.0) for delta in DELTAS]
    number = 0
    rules = []
    for kind in ("normal", "uniform"):
        for rule in ("range", "zero", "none"):
            for delta in DELTAS:
                number += 1
                rules.append(cell(kind, delta, rule, number, 500 + number))
    reseeded = []
    for seed in (7, 3):
        reseeded.append(cell(None, None, None, 999, None, seed=seed))
        for kind, base in (("normal", 100), ("uniform", 200)):
            for place, delta in enumerate(DELTAS):
                reseeded.append(
                    cell(kind, delta, "range", base + 10 * seed + place, None, seed=seed)
                )
    normal, uniform = study.test_noise(cells, rules, reseeded)
    assert (normal["noise"], uniform["noise"]) == ("normal", "uniform")
    assert normal["within_6_points"] == [0.1, 0.2, 0.3, 0.4]
    assert normal["beyond_6_points"] == [0.08, 0.15]
    assert normal["farthest_delta"] == 0.08
    assert normal["farthest"] == pytest.approx(0.07)
    assert uniform["beyond_6_points"] == []
    assert uniform["farthest"] == pytest.approx(-0.02)
    assert normal["paper"] == pytest.approx([value / 100 for value in NORMAL_TEST])
    assert [rule["clipping"] for rule in uniform["rules"]] == ["range", "zero", "none"]
    # They follow 24 cells of normal noise and 8 cells of clipping to the range.
    zero = uniform["rules"][1]
    assert zero["rates"] == [(24 + 8 + place) / 1000 for place in range(1, 9)]
    assert zero["spiking"] == [(500 + 24 + 8 + place) / 1000 for place in range(1, 9)]
    assert [seed["seed"] for seed in normal["seeds"]] == [3, 7]
    assert normal["seeds"][0]["rates"] == [(130 + place) / 1000 for place in range(8)]
    assert uniform["seeds"][1]["rates"] == [(270 + place) / 1000 for place in range(8)]


def test_small_noise_is_compared_per_seed():
    cells = []
    clean = {0: (960, 950), 1: (970, 940), 2: (950, 930)}
    for seed, (rates, spiking) in clean.items():
        cells.append(cell(None, None, None, rates, spiking, seed=seed))
    # In a different order, to detect a comparison with the clean training of another seed.
    for seed, gain in ((2, 6), (0, -3), (1, 9)):
        rates, spiking = clean[seed]
        cells.append(cell("normal", 0.02, "range", rates + gain, spiking + 5, seed=seed))
        cells.append(cell("uniform", 0.02, "zero", rates - 10, spiking, seed=seed))
    normal, uniform = study.small_noise(cells)
    assert normal["seeds"] == [2, 0, 1]
    assert normal["clean"] == [0.95, 0.96, 0.97]
    assert normal["noisy"] == pytest.approx([0.956, 0.957, 0.979])
    assert normal["difference"] == pytest.approx(0.004)
    # Student's t for two degrees of freedom, 4.302653; the differences' SD is sqrt(39e-6).
    half = 4.302653 * math.sqrt(39e-6) / math.sqrt(3)
    assert normal["difference_ci95"] == pytest.approx([0.004 - half, 0.004 + half])
    assert normal["spiking_difference"] == pytest.approx(0.005)
    assert normal["spiking_difference_ci95"] == pytest.approx([0.005, 0.005])
    assert normal["paper_difference"] == pytest.approx(0.0045)
    assert uniform["difference_ci95"] == pytest.approx([-0.01, -0.01])
    assert uniform["paper_difference"] == pytest.approx(0.006)


def test_a_collapse_has_the_first_delta_below_the_threshold_and_the_lowest_accuracy():
    histories = {
        ("normal", "train"): [0.97, 0.96, 0.9, 0.8, 0.74, 0.52, 0.405, 0.41],
        ("normal", "train+test"): [0.97, 0.9, 0.7, 0.4, 0.6, 0.3, 0.12, 0.13],
        ("uniform", "train"): [0.97] * 8,
        ("uniform", "train+test"): [0.9, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.098],
    }
    cells = [
        row(noise, delta, mode, accuracy, 0.0)
        for (noise, mode), history in histories.items()
        for delta, accuracy in zip(DELTAS, history, strict=True)
    ]
    cells += [row("normal", delta, "test", 0.0, 0.0) for delta in DELTAS]
    retrained = {
        0.95: [cell(None, None, None, 971, None), cell("normal", 0.15, "range", 844, None)],
        0.5: [
            cell(None, None, None, 972, None),
            cell("normal", 0.15, "range", 743, None, mode="train"),
            cell("normal", 0.15, "none", 800, None, mode="train"),
        ],
    }
    found = study.collapse(cells, retrained)
    assert found["below"] == 0.5
    columns = {(one["noise"], one["mode"]): one for one in found["columns"]}
    assert {
        place: (one["delta"], one["lowest_delta"], one["lowest"]) for place, one in columns.items()
    } == {
        ("normal", "train"): (0.3, 0.3, 0.405),
        ("normal", "train+test"): (0.1, 0.3, 0.12),
        ("uniform", "train"): (None, 0.02, 0.97),
        # An accuracy of 0.5 is not a collapse.
        ("uniform", "train+test"): (0.08, 0.4, 0.098),
    }
    # Values of the paper's table.
    assert {place: one["paper_delta"] for place, one in columns.items()} == {
        ("normal", "train"): 0.15,
        ("normal", "train+test"): 0.1,
        ("uniform", "train"): 0.15,
        ("uniform", "train+test"): 0.15,
    }
    lowest = [one["paper_lowest"] for one in found["columns"]]
    assert lowest == pytest.approx([0.1026, 0.0988, 0.0959, 0.1003])
    assert [
        (one["fast_decay"], one["clipping"], one["accuracy"], one["clean_accuracy"])
        for one in found["retrained"]
    ] == [(0.5, "range", 0.743, 0.972), (0.5, "none", 0.8, 0.972), (0.95, "range", 0.844, 0.971)]
    assert [one["paper_accuracy"] for one in found["retrained"]] == pytest.approx([0.2461] * 3)


IMAGES = 50


def planted(folder, cell, model, save):
    """Store a model as the result of a training cell."""
    file = f"models/{cell.key}.h5"
    (folder / "models").mkdir(parents=True, exist_ok=True)
    save(folder / file, model)
    keep_result(folder, cell, {"model": file, "accuracy": 0.5})
    return model


@pytest.fixture(scope="module")
def planted_run(tmp_path_factory):
    """Return a run with different stored networks for all trainings, and these networks."""
    folder = tmp_path_factory.mktemp("cells")
    digits = load_dataset("digits")
    template = template_model()
    normal, uniform = (
        [Noise(kind, delta, rule) for delta in DELTAS]
        for kind, rule in (("normal", "range"), ("uniform", "zero"))
    )
    trainings = [(0, noise, None) for noise in (None, *normal, *uniform)]
    trainings += [(1, noise, None) for noise in (None, normal[0], uniform[0])]
    trainings += [(0, Noise("normal", 0.15, rule), None) for rule in ("zero", "none")]
    trainings += [(0, noise, decay) for decay in (0.05, 0.95) for noise in (None, normal[4])]
    models = {}
    for number, (seed, noise, decay) in enumerate(trainings):
        cell = training_cell(
            "sdbn", digits, seed=seed, recipe="paper", noise=noise, fast_decay=decay
        )
        apart = np.random.default_rng(number).normal(0, 5e-4, (784, 10)).astype(np.float32)
        model = replace(template, weights=(template.weights[0] + apart,), recipe="paper")
        models[seed, noise, decay] = planted(folder, cell, model, save_model)
    dnn = MLP(
        weights=(1e3 * template.weights[0],),
        biases=(np.zeros(10, np.float32),),
        image_shape=(28, 28),
        dataset="digits",
        dataset_checksum=digits.checksum,
        seed=0,
    )
    planted(folder, training_cell("dnn", digits, seed=0), dnn, save_mlp)
    settings = PaperSettings(training_seeds=2, images=IMAGES, steps=20)
    return PaperRun(digits, folder, settings, workers=2), models, dnn


def accuracy_of(model, digits, noise=None, seed=0):
    """Return accuracy on noisy images, computed image by image."""
    images = digits.test.images[:IMAGES]
    if noise is not None:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        images = noise.add(images, rng)
    decided = [int(np.argmax(model.outputs(image.reshape(1, 784))[0])) for image in images]
    return np.mean(np.array(decided) == digits.test.labels[:IMAGES])


@pytest.mark.slow
def test_every_cell_of_table_one_uses_the_network_and_noise_of_its_labels(planted_run):
    run, models, dnn = planted_run
    table = json.loads(json.dumps(study.table_one(run)[0]))
    clean = models[0, None, None]
    assert len(table["cells"]) == 48
    for cell in table["cells"]:
        rule = {"normal": "range", "uniform": "zero"}[cell["noise"]]
        noise = Noise(cell["noise"], cell["delta"], rule)
        model = clean if cell["mode"] == "test" else models[0, noise, None]
        shown = None if cell["mode"] == "train" else noise
        assert cell["accuracy"] == accuracy_of(model, run.dataset, shown)
        assert (cell["seed"], cell["images"]) == (0, IMAGES)
        if cell["mode"] == "test":
            assert cell["dnn_accuracy"] == accuracy_of(dnn, run.dataset, shown)
            column = NORMAL_TEST if cell["noise"] == "normal" else UNIFORM_TEST
            assert cell["paper_accuracy"] == column[DELTAS.index(cell["delta"])] / 100
        else:
            assert cell["dnn_accuracy"] is None
    assert table["clean_accuracy"] == accuracy_of(clean, run.dataset)
    assert table["clean_dnn"]["accuracy"] == accuracy_of(dnn, run.dataset)
    assert len({cell["accuracy"] for cell in table["cells"]}) > 10


@pytest.mark.slow
def test_further_results_of_table_one_use_the_trainings_of_their_labels(planted_run):
    run, models, _ = planted_run
    table, _ = study.table_one(run)
    found = table["collapse"]
    assert found["fast_decay"] == 0.5
    retrained = {(one["fast_decay"], one["clipping"]): one for one in found["retrained"]}
    assert set(retrained) == {
        *((0.5, rule) for rule in ("range", "zero", "none")),
        *((decay, "range") for decay in (0.05, 0.95)),
    }
    for (decay, rule), one in retrained.items():
        noise, other = Noise("normal", 0.15, rule), None if decay == 0.5 else decay
        assert one["accuracy"] == accuracy_of(models[0, noise, other], run.dataset)
        assert one["clean_accuracy"] == accuracy_of(models[0, None, other], run.dataset)
    for one, rule in zip(table["small_noise"], ("range", "zero"), strict=True):
        noise = Noise(one["noise"], 0.02, rule)
        for name, trained_on in (("clean", None), ("noisy", noise)):
            assert one[name] == [
                accuracy_of(models[seed, trained_on, None], run.dataset) for seed in (0, 1)
            ]
    for one, rule in zip(table["test_noise"], ("range", "zero"), strict=True):
        for rule_result in one["rules"]:
            assert rule_result["rates"] == [
                accuracy_of(
                    models[0, None, None],
                    run.dataset,
                    Noise(one["noise"], delta, rule_result["clipping"]),
                )
                for delta in DELTAS
            ]
        for seed in one["seeds"]:
            assert seed["rates"] == [
                accuracy_of(
                    models[seed["seed"], None, None],
                    run.dataset,
                    Noise(one["noise"], delta, rule),
                    seed["seed"],
                )
                for delta in DELTAS
            ]
    test = run.dataset.test.first(IMAGES)
    for gain, accuracy in (
        (1.0, table["readout"]["spiking_accuracy_as_trained"]),
        (table["readout"]["gain"], table["clean"]["spiking_accuracy"]),
    ):
        network = convert(models[0, None, None], readout_gain=gain).network
        with deploy(network, steps=20, seed=0) as plain:
            spiking = evaluate(plain, test.images.astype(np.float64), test.labels)
        assert accuracy == spiking.accuracy
    assert table["readout"]["spiking_accuracy_as_trained"] != table["clean"]["spiking_accuracy"]
