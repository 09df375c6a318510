"""Figures of many attacks against plain loops over them, and the choice of what is attacked."""

import itertools
import json
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.datasets.dataset import Dataset, Split
from neuroattack.statistics import wilson_interval
from neuroattack.studies.population import Group, compare_groups, pair_aims, random_aims


def some_attacks(seed, images):
    """Return attacks as cells give them, of whatever course and outcome."""
    rng = np.random.default_rng(seed)
    attacks = []
    for index in range(images):
        iterations = int(rng.integers(1, 9))
        # Few levels, so that P(target) stays, rises and falls.
        shares = rng.integers(0, 5, (iterations, 10)) / 40
        draws = int(rng.integers(1, 60))
        clean_draws = int(rng.integers(1, 60))
        attacks.append(
            {
                "index": index,
                "label": 5,
                "target_class": int(rng.integers(0, 5)),
                "best_iteration": int(rng.integers(0, iterations)),
                "queries": int(rng.integers(1, 5000)),
                "distance": float(rng.random()),
                "predicted": rng.integers(-1, 10, iterations).tolist(),
                "shares": shares.tolist(),
                "draws": draws,
                "targeted": int(rng.integers(0, draws + 1)),
                "untargeted": int(rng.integers(0, draws + 1)),
                "mean_shares": rng.random(10).tolist(),
                "clean": {
                    "draws": clean_draws,
                    "targeted": int(rng.integers(0, clean_draws + 1)),
                    "untargeted": int(rng.integers(0, clean_draws + 1)),
                },
            }
        )
    return attacks


def group(attacks, network="sdbn"):
    return Group(network, "II", "random", 350, 1, attacks)


def quantile(values, share):
    """Interpolate between the sorted values, as most programs do."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_a_groups_figures_are_those_of_a_plain_loop(seed, images):
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
    for what in ("targeted", "untargeted"):
        rates = [attack[what] / attack["draws"] for attack in attacks]
        clean = [attack["clean"][what] / attack["clean"]["draws"] for attack in attacks]
        assert found[f"{what}_success"] == pytest.approx(sum(rates) / images)
        assert found[f"clean_{what}"] == pytest.approx(sum(clean) / images)
        assert found[f"{what}_mostly"] == sum(2 * a[what] > a["draws"] for a in attacks)
        low, high = found[f"{what}_ci95"]
        share, z = sum(rates) / images, 1.959963984540054
        for end in (low, high):
            expected = z * z * end * (1 - end) / images
            assert (share - end) ** 2 == pytest.approx(expected, abs=1e-9)
        assert low - 1e-12 <= share <= high + 1e-12
    fallen = total = lucky = 0
    best = []
    for attack in attacks:
        aim = attack["target_class"]
        course = [shares[aim] for shares in attack["shares"]]
        for before, after in itertools.pairwise(course):
            fallen += after < before
            total += 1
        lucky += attack["predicted"][attack["best_iteration"]] == aim
        best.append(max(course))
    assert found["non_monotonic_share"] == pytest.approx(fallen / total if total else 0)
    assert found["lucky_success"] == pytest.approx(lucky / images)
    means = [attack["mean_shares"][attack["target_class"]] for attack in attacks]
    for name, values in (("best_p_target", best), ("mean_p_target", means)):
        assert found[name] == pytest.approx(
            {
                label: quantile(values, share)
                for label, share in (
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
        ("median_iterations", [len(attack["shares"]) - 1 for attack in attacks]),
        ("median_distance", [attack["distance"] for attack in attacks]),
    ):
        assert found[name] == pytest.approx(quantile(values, 0.5))
        assert found[name] == pytest.approx(statistics.median(values))


def test_a_course_that_only_rises_is_monotonic_and_one_that_only_falls_is_not():
    (attack,) = some_attacks(0, 1)
    attack["target_class"] = 3
    for course, expected in (
        ([0.1, 0.2, 0.2, 0.4], 0.0),
        ([0.4, 0.3, 0.1], 1.0),
        ([0.1, 0.3, 0.2, 0.2, 0.5], 0.25),
        ([0.1], 0.0),
    ):
        attack["shares"] = [[0, 0, 0, share, 0.5] for share in course]
        assert group([attack]).fallen_share == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 30))
def test_groups_are_compared_by_their_means_and_newcombes_interval(seed, many, few):
    first, second = some_attacks(seed, many), some_attacks(seed + 1, few)
    found = compare_groups("Is it?", group(first), group(second, "dnn"))
    assert (found["question"], found["first"], found["second"]) == ("Is it?", "sdbn", "dnn")
    assert (found["case"], found["pairs"], found["images"]) == ("II", "random", min(many, few))
    for what in ("targeted", "untargeted"):
        shares, limits = [], []
        for attacks in (first, second):
            successes = sum(attack[what] / attack["draws"] for attack in attacks)
            shares.append(successes / len(attacks))
            limits.append(wilson_interval(successes, len(attacks)))
        (p1, p2), ((low1, high1), (low2, high2)) = shares, limits
        assert found[f"{what}_difference"] == pytest.approx(p1 - p2)
        assert found[f"{what}_ci95"] == pytest.approx(
            [
                p1 - p2 - math.sqrt((p1 - low1) ** 2 + (high2 - p2) ** 2),
                p1 - p2 + math.sqrt((high1 - p1) ** 2 + (p2 - low2) ** 2),
            ]
        )
    turned = compare_groups("Is it?", group(second, "dnn"), group(first))
    low, high = found["targeted_ci95"]
    assert turned["targeted_ci95"] == pytest.approx([-high, -low])


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
@given(classified(), st.integers(0, 9), st.integers(0, 9), st.integers(1, 50))
def test_pairs_are_the_first_correct_images_of_the_class(known, source, target, images):
    dataset, correct = known
    expected = [
        (index, target)
        for index, label in enumerate(dataset.test.labels.tolist())
        if label == source and correct[index]
    ]
    found = pair_aims(dataset, correct, source, target, images)
    assert found == expected[:images]
    assert all(type(index) is int for index, _ in found)


@settings(deadline=None)
@given(classified(), st.integers(1, 50), st.integers(0, 2**32))
def test_random_aims_are_correct_images_once_each_with_a_wrong_class(known, images, seed):
    dataset, correct = known
    aims = random_aims(dataset, correct, images, np.random.default_rng(seed))
    assert aims == random_aims(dataset, correct, images, np.random.default_rng(seed))
    indices = [index for index, _ in aims]
    assert indices == sorted(set(indices))
    assert len(aims) == min(images, int(correct.sum()))
    for index, target in aims:
        assert correct[index]
        assert 0 <= target < dataset.classes
        assert target != dataset.test.labels[index]
    assert json.loads(json.dumps(aims)) == [list(aim) for aim in aims]


def test_random_aims_favour_no_image_and_no_wrong_class():
    dataset = some_dataset([0, 1, 2, 3] * 5, 4)
    correct = np.ones(20, bool)
    chosen, targets = np.zeros(20), np.zeros((4, 4))
    for seed in range(1000):
        for index, target in random_aims(dataset, correct, 5, np.random.default_rng(seed)):
            chosen[index] += 1
            targets[index % 4, target] += 1
    # 5 standard deviations each: a chance of 2e-5 that one of 32 is beyond.
    assert (np.abs(chosen - 250) < 5 * math.sqrt(1000 * 0.25 * 0.75)).all()
    wrong = targets[~np.eye(4, dtype=bool)]
    assert (np.abs(wrong - 5000 / 12) < 5 * math.sqrt(5000 / 12)).all()
    assert (np.diag(targets) == 0).all()
