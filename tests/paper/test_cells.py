"""Cells that attack images and classify clean images, compared with direct computations."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from support.digit_models import template_model

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.imperceptibility import measure_imperceptibility
from neuroattack.attacks.perception import Window
from neuroattack.attacks.result import verify
from neuroattack.datasets import load_dataset
from neuroattack.deployment.deployment import deploy, search_stream, verification_stream
from neuroattack.experiments.engine.cells import read_kept
from neuroattack.paper.cells import attack_images, classify_clean
from neuroattack.paper.networks import AttackedNetwork
from neuroattack.paper.settings import PaperRun, PaperSettings
from neuroattack.targets.rates import GradedDeployment
from neuroattack.targets.repetition import Repeated
from neuroattack.training.conversion import convert
from neuroattack.training.storage import save_model

MODEL = "models/templates.h5"
SEED, TRIALS = 2, 20
ATTACK = GreedyWindow(
    queries=None,
    window=Window(9, 10, 7),
    moved_pixels=12,
    delta=0.3,
    max_distance=30,
    max_iterations=5,
)
NETWORKS = {
    "spikes": AttackedNetwork(MODEL, "sdbn", "spikes", steps=60),
    "repeated": AttackedNetwork(MODEL, "sdbn", "spikes", steps=30, repeats=3),
    "exact": AttackedNetwork(MODEL, "sdbn", "exact"),
    "sampled": AttackedNetwork(MODEL, "sdbn", "sampled", spikes=60.0),
}


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    (folder / "models").mkdir()
    save_model(folder / MODEL, template_model())
    return folder


def opened_directly(attacked, stream):
    """Return a black box equivalent to the description, opened directly."""
    model = template_model()
    if attacked.output == "spikes":
        return deploy(convert(model).network, steps=attacked.steps, seed=SEED).black_box(stream)
    graded = GradedDeployment(model.outputs, (28, 28), 10, SEED, attacked.spikes)
    return graded.black_box(stream)


def run_of(digits, **sizes):
    return PaperRun(digits, None, PaperSettings(**{"seed": SEED, "trials": TRIALS, **sizes}))


def attacked_images(folder, digits, attacked, image_goals, **named):
    cell = run_of(digits).attack_cell("attack", attacked, ATTACK, image_goals, **named)
    return attack_images(**json.loads(json.dumps(cell.arguments)), folder=folder)


@pytest.mark.parametrize("output", NETWORKS)
def test_an_attack_equals_a_direct_search_and_verification(folder, digits, output):
    attacked = NETWORKS[output]
    image_goals = [(7, 3), (30, 0), (7, 4)]
    found = attacked_images(folder, digits, attacked, image_goals)
    assert json.loads(json.dumps(found)) == found
    with np.load(folder / found["images"]) as arrays:
        assert set(arrays) == {"adversarial"}
        adversarial = arrays["adversarial"]
    assert adversarial.shape == (3, 28, 28)
    for (index, target_class), attack, image in zip(
        image_goals, found["attacks"], adversarial, strict=True
    ):
        goal = Goal(int(digits.test.labels[index]), target_class)
        once = box = opened_directly(attacked, search_stream(index, target_class))
        if attacked.repeats > 1:
            box = Repeated(once, attacked.repeats)
        search = ATTACK.run(box, digits.test.images[index].astype(float), goal)
        np.testing.assert_array_equal(image, search.adversarial)
        assert (attack["index"], attack["label"]) == (index, goal.label)
        assert attack["target_class"] == target_class
        assert attack["best_iteration"] == search.best_iteration
        assert attack["stopped_by"] == search.stopped_by
        assert attack["queries"] == search.queries * attacked.repeats == once.queries
        assert (attack["distance"], attack["gap"]) == (search.best.distance, search.best.gap)
        assert attack["spike_fractions"] == [list(step.spike_fractions) for step in search.trace]
        assert attack["distances"] == [step.distance for step in search.trace]
        assert attack["predicted"] == [step.predicted for step in search.trace]
        seen = measure_imperceptibility(search.original, search.adversarial, ATTACK.window)
        assert attack["imperceptibility"] == seen.as_json()
        # Fresh trials of the adversarial and the clean image, with the repeats of the search.
        trials = 1 if output == "exact" else TRIALS
        verifier = opened_directly(attacked, verification_stream(index, target_class))
        if attacked.repeats > 1:
            verifier = Repeated(verifier, attacked.repeats)
        same_verifier = opened_directly(attacked, verification_stream(index, target_class))
        for result, shown in ((attack, search.adversarial), (attack["clean"], search.original)):
            assert result["trials"] == trials
            assert result["targeted"] == verify(verifier, shown, goal, trials).successes
            counts = same_verifier.query(np.repeat(shown[None], trials * attacked.repeats, axis=0))
            rows = counts.reshape(trials, attacked.repeats, 10).sum(axis=1).astype(float)
            expected = None if output == "exact" else pytest.approx(rows.sum() / trials)
            assert result["spikes"] == expected
            untargeted, mean = 0, np.zeros(10)
            for row in rows:
                highest = [i for i in range(10) if row[i] == row.max()]
                untargeted += len(highest) == 1 and highest[0] != goal.label
                mean += row / max(row.sum(), 1) / trials
            assert result["untargeted"] == untargeted
            np.testing.assert_allclose(result["mean_spike_fractions"], mean, atol=1e-12)
            others = max(mean[i] for i in range(10) if i != target_class)
            assert result["mean_gap"] == pytest.approx(mean[target_class] - others)


def test_stored_images_of_all_iterations_match_the_distances_of_the_trace(folder, digits):
    found = attacked_images(folder, digits, NETWORKS["exact"], [(7, 3), (30, 0)], keep_history=True)
    with np.load(folder / found["images"]) as arrays:
        kept = dict(arrays)
    assert set(kept) == {"adversarial", "history0", "history1"}
    rows = range(9, 16)
    columns = range(10, 17)
    cells = [(row, column) for row in rows for column in columns]
    for number, attack in enumerate(found["attacks"]):
        history, original = kept[f"history{number}"], digits.test.images[attack["index"]]
        assert len(history) == len(attack["distances"]) > 2
        np.testing.assert_array_equal(history[0], original)
        best = history[attack["best_iteration"]]
        np.testing.assert_allclose(best, kept["adversarial"][number], atol=1e-15)
        # Eq. 1 and 2 of the paper, pixel by pixel.
        mu = sum(float(original[c]) for c in cells) / len(cells)
        squares = {c: (float(original[c]) - mu) ** 2 for c in cells}
        total = sum(squares.values())
        for image, distance in zip(history, attack["distances"], strict=True):
            moved = sum(
                abs(image[c] - float(original[c])) / math.sqrt((total - squares[c]) / len(cells))
                for c in cells
            )
            assert distance == pytest.approx(moved)
            outside = np.ones((28, 28), bool)
            outside[9:16, 10:17] = False
            np.testing.assert_array_equal(image[outside], original[outside])


def test_the_attack_on_an_image_does_not_depend_on_other_images_of_its_cell(folder, digits):
    together = attacked_images(folder, digits, NETWORKS["spikes"], [(7, 3), (30, 0)])
    alone = attacked_images(folder, digits, NETWORKS["spikes"], [(30, 0)])
    assert together["attacks"][1] == alone["attacks"][0]
    assert together["images"] != alone["images"]


def test_cell_keys_differ_with_the_arguments_and_costs_scale_with_the_queries(digits):
    def cell(
        attacked=NETWORKS["spikes"], attack=ATTACK, image_goals=((7, 3),), sizes=None, **named
    ):
        return run_of(digits, **(sizes or {})).attack_cell(
            "a", attacked, attack, image_goals, **named
        )

    others = [
        cell(NETWORKS["exact"]),
        cell(attack=replace(ATTACK, delta=0.2)),
        cell(attack=replace(ATTACK, window=Window(9, 10, 6))),
        cell(image_goals=((7, 4),)),
        cell(image_goals=((7, 3), (30, 0))),
        cell(sizes={"seed": 3}),
        cell(sizes={"trials": 21}),
        cell(keep_history=True),
    ]
    assert len({other.key for other in [cell(), *others]}) == 9
    assert cell(image_goals=((7, 3),) * 4).cost == pytest.approx(4 * cell().cost)
    assert cell(replace(NETWORKS["spikes"], repeats=2)).cost == pytest.approx(2 * cell().cost)
    assert cell(replace(NETWORKS["spikes"], steps=120)).cost == pytest.approx(2 * cell().cost)


@pytest.mark.parametrize(
    ("output", "trials"),
    [("spikes", 1), ("spikes", 3), ("exact", 1), ("sampled", 1), ("sampled", 3)],
)
def test_clean_outputs_equal_those_of_the_evaluation_stream(folder, digits, output, trials):
    attacked = NETWORKS[output]
    indices = [300, 5, 5, *range(100, 200)]
    run = run_of(digits)
    run.attacked = lambda _: attacked
    cell = run.clean_cell("clean", "all", indices, trials)
    result = classify_clean(**json.loads(json.dumps(cell.arguments)), folder=folder)
    decided, spike_fractions = read_kept(folder / result["outputs"], "decided", "spike_fractions")
    images = np.repeat(digits.test.images[indices].astype(float), trials, axis=0)
    # In one batch, because the last digits of float32 rates depend on the batch.
    counts = opened_directly(attacked, 0).query(images).reshape(103, trials, 10).astype(float)
    spikes = 0
    for number, rows in enumerate(counts):
        total = sum(rows)
        highest = [i for i in range(10) if total[i] == total.max()]
        assert decided[number] == (highest[0] if len(highest) == 1 else -1)
        mean = sum(row / max(row.sum(), 1) for row in rows) / trials
        np.testing.assert_allclose(spike_fractions[number], mean, atol=1e-12)
        spikes += total.sum()
    assert decided.shape == (103,)
    assert result["spikes"] == pytest.approx(spikes / (103 * trials))


def test_a_query_sums_the_counts_of_its_repeats(folder, digits):
    image = digits.test.images[:1].astype(float)
    once = replace(NETWORKS["repeated"], repeats=1)
    with (
        NETWORKS["repeated"].open(SEED, folder) as repeated,
        once.open(SEED, folder) as single,
    ):
        summed, each = repeated(5), single(5)
        np.testing.assert_array_equal(
            summed.query(image)[0], each.query(np.repeat(image, 3, axis=0)).sum(axis=0)
        )
        assert (summed.queries, each.queries) == (1, 3)
