"""Results of attacks on many images, compared with plain loops; choice of images and targets."""

import itertools
import json
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from neuroattack.datasets.dataset import Dataset, Split
from neuroattack.errors import NeuroattackError, ValidationError
from neuroattack.paper.networks import AttackedNetwork
from neuroattack.paper.population import (
    Group,
    compare_groups,
    population,
    population_groups,
    random_image_goals,
    sampling,
)
from neuroattack.paper.settings import PaperRun
from neuroattack.statistics import wilson_interval

STOPS = ("distance", "iterations", "no candidates")


def some_attacks(seed, images):
    """Return random results of attacks, in the form of the cells."""
    rng = np.random.default_rng(seed)
    attacks = []
    for index in range(images):
        iterations = int(rng.integers(1, 9))
        # Few levels, so that P(target) often stays the same.
        spike_fractions = rng.integers(0, 5, (iterations, 10)) / 40
        trials = int(rng.integers(1, 60))
        clean_trials = int(rng.integers(1, 60))
        attacks.append(
            {
                "index": index,
                "label": 5,
                "target_class": int(rng.integers(0, 5)),
                "best_iteration": int(rng.integers(0, iterations)),
                "queries": int(rng.integers(1, 5000)),
                "stopped_by": STOPS[rng.integers(3)],
                "distance": float(rng.random()),
                "predicted": rng.integers(-1, 10, iterations).tolist(),
                "spike_fractions": spike_fractions.tolist(),
                "trials": trials,
                "targeted": int(rng.integers(0, trials + 1)),
                "untargeted": int(rng.integers(0, trials + 1)),
                "mean_spike_fractions": rng.random(10).tolist(),
                "clean": {
                    "trials": clean_trials,
                    "targeted": int(rng.integers(0, clean_trials + 1)),
                    "untargeted": int(rng.integers(0, clean_trials + 1)),
                    "spikes": float(rng.random()),
                },
            }
        )
    return attacks


def group(attacks, network="sdbn"):
    attacked = AttackedNetwork("model.h5", "sdbn", "spikes", steps=350)
    return Group(network, attacked, "II", "random", [], attacks)


def student_interval(values):
    """Return Student's 95 % interval of a mean, by SciPy."""
    return list(
        stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    )


def quantile(values, fraction):
    """Return a quantile by linear interpolation."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_results_of_a_group_equal_a_plain_loop(seed, images):
    attacks = some_attacks(seed, images)
    found = group(attacks).as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {name: found[name] for name in ("network", "case", "pairs", "steps", "repeats")} == {
        "network": "sdbn",
        "case": "II",
        "pairs": "random",
        "steps": 350,
        "repeats": 1,
    }
    assert found["images"] == images
    for criterion in ("targeted", "untargeted"):
        rates = [attack[criterion] / attack["trials"] for attack in attacks]
        clean = [attack["clean"][criterion] / attack["clean"]["trials"] for attack in attacks]
        assert found[f"{criterion}_success"] == pytest.approx(sum(rates) / images)
        assert found[f"clean_{criterion}"] == pytest.approx(sum(clean) / images)
        assert found[f"{criterion}_majority"] == sum(
            2 * a[criterion] > a["trials"] for a in attacks
        )
        low, high = found[f"{criterion}_ci95"]
        fraction, z = sum(rates) / images, 1.959963984540054
        for end in (low, high):
            expected = z * z * end * (1 - end) / images
            assert (fraction - end) ** 2 == pytest.approx(expected, abs=1e-9)
        assert low - 1e-12 <= fraction <= high + 1e-12
        gains = [rate - before for rate, before in zip(rates, clean, strict=True)]
        assert found[f"{criterion}_gain"] == pytest.approx(sum(gains) / images)
        if max(gains) - min(gains) > 1e-9:
            expected = student_interval(gains)
        else:
            expected = [end - sum(clean) / images for end in found[f"{criterion}_ci95"]]
        assert found[f"{criterion}_gain_ci95"] == pytest.approx(expected)
    stopped = [attack["stopped_by"] for attack in attacks]
    assert found["stopped_by"] == {stop: stopped.count(stop) for stop in STOPS}
    assert found["iteration_limit_fraction"] == stopped.count("iterations") / images
    spikes = [attack["clean"]["spikes"] for attack in attacks]
    assert found["clean_spikes"] == pytest.approx(sum(spikes) / images)
    falls = total = successes = 0
    best = []
    for attack in attacks:
        image_goal = attack["target_class"]
        history = [spike_fractions[image_goal] for spike_fractions in attack["spike_fractions"]]
        for before, after in itertools.pairwise(history):
            falls += after < before
            total += 1
        successes += attack["predicted"][attack["best_iteration"]] == image_goal
        best.append(max(history))
    assert found["falling_fraction"] == pytest.approx(falls / total if total else 0)
    assert found["search_success"] == pytest.approx(successes / images)
    means = [attack["mean_spike_fractions"][attack["target_class"]] for attack in attacks]
    for name, values in (("best_p_target", best), ("mean_p_target", means)):
        assert found[name] == pytest.approx(
            {
                label: quantile(values, fraction)
                for label, fraction in (
                    ("q05", 0.05),
                    ("q25", 0.25),
                    ("q50", 0.5),
                    ("q75", 0.75),
                    ("q95", 0.95),
                )
            }
        )
    for name, values in (
        ("median_queries", [attack["queries"] for attack in attacks]),
        ("median_iterations", [len(attack["spike_fractions"]) - 1 for attack in attacks]),
        ("median_distance", [attack["distance"] for attack in attacks]),
    ):
        assert found[name] == pytest.approx(quantile(values, 0.5))
        assert found[name] == pytest.approx(statistics.median(values))


def test_the_falling_fraction_counts_iterations_with_a_lower_value():
    (attack,) = some_attacks(0, 1)
    attack["target_class"] = 3
    for history, expected in (
        ([0.1, 0.2, 0.2, 0.4], 0.0),
        ([0.4, 0.3, 0.1], 1.0),
        ([0.1, 0.3, 0.2, 0.2, 0.5], 0.25),
        ([0.1], 0.0),
    ):
        attack["spike_fractions"] = [[0, 0, 0, fraction, 0.5] for fraction in history]
        assert group([attack]).falling_fraction == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_comparisons_equal_a_plain_computation(seed, images):
    first, second = some_attacks(seed, images), some_attacks(seed + 1, images)
    for one, other in zip(first, second, strict=True):
        other["target_class"] = one["target_class"]
    found = compare_groups("test", group(first), group(second, "dnn"))
    assert (found["comparison"], found["first"], found["second"]) == ("test", "sdbn", "dnn")
    assert (found["case"], found["pairs"], found["images"]) == ("II", "random", images)
    for criterion in ("targeted", "untargeted"):
        spike_fractions, limits = [], []
        for attacks in (first, second):
            successes = sum(attack[criterion] / attack["trials"] for attack in attacks)
            spike_fractions.append(successes / len(attacks))
            limits.append(wilson_interval(successes, len(attacks)))
        (p1, p2), ((low1, high1), (low2, high2)) = spike_fractions, limits
        newcombe = [
            p1 - p2 - math.sqrt((p1 - low1) ** 2 + (high2 - p2) ** 2),
            p1 - p2 + math.sqrt((high1 - p1) ** 2 + (p2 - low2) ** 2),
        ]
        assert found[f"{criterion}_difference"] == pytest.approx(p1 - p2)
        assert found[f"{criterion}_ci95"] == pytest.approx(newcombe)
        gains = [0.0] * images
        for attacks, sign in ((first, 1), (second, -1)):
            for number, attack in enumerate(attacks):
                clean = attack["clean"]
                gains[number] += sign * attack[criterion] / attack["trials"]
                gains[number] -= sign * clean[criterion] / clean["trials"]
        mean = sum(gains) / images
        assert found[f"{criterion}_gain_difference"] == pytest.approx(mean)
        if max(gains) - min(gains) > 1e-9:
            expected = student_interval(gains)
        else:
            expected = [end - (p1 - p2) + mean for end in newcombe]
        assert found[f"{criterion}_gain_ci95"] == pytest.approx(expected)
    turned = compare_groups("test", group(second, "dnn"), group(first))
    for name in ("targeted_ci95", "untargeted_gain_ci95"):
        low, high = found[name]
        assert turned[name] == pytest.approx([-high, -low])


def test_equal_gains_have_newcombes_interval():
    attacks = some_attacks(3, 40)
    found = compare_groups("test", group(attacks), group(attacks, "dnn"))
    for criterion in ("targeted", "untargeted"):
        assert found[f"{criterion}_gain_difference"] == 0
        assert found[f"{criterion}_gain_ci95"] == found[f"{criterion}_ci95"]
        assert found[f"{criterion}_gain_ci95"][0] < -0.1


def test_groups_with_different_images_or_targets_are_rejected():
    attacks = some_attacks(3, 5)
    changed = [*attacks[:4], attacks[4] | {"target_class": 9}]
    for others in (attacks[:4], attacks[::-1], changed):
        with pytest.raises(ValidationError, match="group of 'dnn'"):
            compare_groups("test", group(attacks), group(others, "dnn"))


def test_exact_outputs_have_no_spikes():
    attacks = some_attacks(0, 3)
    for attack in attacks:
        attack["clean"]["spikes"] = None
    assert group(attacks).as_json()["clean_spikes"] is None


@pytest.mark.parametrize("study", [population, population_groups, sampling])
def test_a_study_fails_if_no_five_is_classified_correctly(study):
    dataset = some_dataset([5, 5, 1], 10)
    run = PaperRun(dataset, None)
    run.correct = np.array([False, False, True])
    with pytest.raises(NeuroattackError, match="no test image of class 5 is classified correctly"):
        study(run)


def some_dataset(labels, classes):
    labels = np.array(labels, np.uint8)
    split = Split(np.zeros((len(labels), 2, 2), np.float32), labels)
    return Dataset.of("made up", Split(split.images[:1].copy(), labels[:1].copy()), split, classes)


@st.composite
def classified(draw):
    classes = draw(st.integers(2, 10))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=40))
    correct = draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels)))
    return some_dataset(labels, classes), np.array(correct)


@settings(deadline=None)
@given(classified(), st.integers(1, 50), st.integers(0, 2**32))
def test_random_goals_are_eligible_images_once_each_with_a_wrong_class(known, images, seed):
    dataset, correct = known
    labels, classes = dataset.test.labels, dataset.classes
    image_goals, again, fewer = (
        random_image_goals(labels, correct, classes, size, np.random.default_rng(seed))
        for size in (images, images, 1)
    )
    assert image_goals == again
    assert {index for index, _ in fewer} <= {index for index, _ in image_goals}
    indices = [index for index, _ in image_goals]
    assert indices == sorted(set(indices))
    assert len(image_goals) == min(images, int(correct.sum()))
    for index, target in image_goals:
        assert correct[index]
        assert 0 <= target < dataset.classes
        assert target != dataset.test.labels[index]
    assert json.loads(json.dumps(image_goals)) == [list(image_goal) for image_goal in image_goals]


def test_random_goals_are_uniform_over_images_and_wrong_classes():
    dataset = some_dataset([0, 1, 2, 3] * 5, 4)
    correct = np.ones(20, bool)
    chosen, targets = np.zeros(20), np.zeros((4, 4))
    for seed in range(1000):
        for index, target in random_image_goals(
            dataset.test.labels, correct, 4, 5, np.random.default_rng(seed)
        ):
            chosen[index] += 1
            targets[index % 4, target] += 1
    # 5 standard deviations: the probability that one of 32 counts is beyond is 2e-5.
    assert (np.abs(chosen - 250) < 5 * math.sqrt(1000 * 0.25 * 0.75)).all()
    wrong = targets[~np.eye(4, dtype=bool)]
    assert (np.abs(wrong - 5000 / 12) < 5 * math.sqrt(5000 / 12)).all()
    assert (np.diag(targets) == 0).all()
