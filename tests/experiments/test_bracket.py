"""The robustness bracket: values of plain loops, order, verdicts, and images in common."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from neuroattack.experiments.campaign.bracket import bracket_of
from neuroattack.experiments.campaign.export import result_rows
from neuroattack.experiments.engine.store import Done
from neuroattack.statistics import mean_interval, ratio_interval, wilson_interval


def rows_of(attack, success, budget=100, threat_model="no data", clean=None, **changed):
    """Return one row per success rate, of the images 0, 1, ..."""
    return [
        {
            "attack": attack,
            "settings": "{}",
            "threat_model": threat_model,
            "deployment": "native",
            "bound": "l2=2",
            "budget": budget,
            "index": index,
            "target_class": None,
            "success": rate,
            "clean_success": clean[index] if clean else 0.0,
            **changed,
        }
        for index, rate in enumerate(success)
    ]


def white(success, **changed):
    return rows_of("white-box", success, 0, "white-box", **changed)


rates = st.lists(st.integers(0, 20).map(lambda successes: successes / 20), min_size=8, max_size=8)


@settings(max_examples=25, deadline=None)
@given(clean=rates, weak=rates, strong=rates, later=rates, openly=rates)
def test_values_agree_with_plain_loops(clean, weak, strong, later, openly):
    rows = [
        *rows_of("a", weak, 100, clean=clean),
        *rows_of("b", strong, 100, clean=clean),
        *rows_of("a", later, 500, clean=clean),
        *white(openly, clean=clean),
    ]
    first, second = bracket_of(rows).levels
    assert (first.budget, second.budget) == (100, 500)
    for level, found in ((first, max(weak, strong, key=sum)), (second, later)):
        assert level.images == 8
        for estimate, each in (
            (level.clean_error, clean),
            (level.black_box, found),
            (level.white_box, openly),
        ):
            total = 0.0
            for rate in each:
                total += rate
            assert estimate.value == pytest.approx(total / 8)
            assert estimate.ci95 == pytest.approx(wilson_interval(total, 8))
        differences = [found[i] - openly[i] for i in range(8)]
        assert level.excess.value == pytest.approx(np.mean(differences))
        assert level.excess.ci95 == pytest.approx(mean_interval(differences))
        if sum(openly) == 0:
            assert level.efficiency is None
        else:
            assert level.efficiency.value == pytest.approx(sum(found) / sum(openly))
            assert level.efficiency.ci95 == pytest.approx(ratio_interval(found, openly))
        # One-sided t test of the paired differences at half of 5 %.
        spread = np.std(differences, ddof=1)
        if spread > 0:
            p = stats.ttest_rel(found, openly, alternative="greater").pvalue
            if abs(p - 0.025) > 1e-6:
                assert (level.verdict == "weak-reference") == (p < 0.025)
        else:
            assert (level.verdict == "weak-reference") == (differences[0] > 0)


def test_a_nested_order_is_consistent_and_efficiency_increases_with_the_budget():
    rng = np.random.default_rng(0)
    clean, *success = np.sort(rng.random((5, 30)), axis=0).tolist()
    rows = white(success[3], clean=clean)
    for budget, each in zip((10, 100, 1000), success, strict=False):
        rows += rows_of("a", each, budget, clean=clean)
    bracket = bracket_of(rows)
    assert bracket.verdict == "consistent"
    values = [level.black_box.value for level in bracket.levels]
    assert values == sorted(values)
    for level in bracket.levels:
        assert level.clean_error.value <= level.black_box.value <= level.white_box.value
        assert 0 < level.efficiency.value <= 1
        assert level.efficiency.ci95[0] <= level.efficiency.value <= level.efficiency.ci95[1]


@pytest.mark.parametrize(
    ("black_box", "openly", "verdict"),
    [
        ([0.9] * 6, [0.8] * 6, "weak-reference"),
        ([0.8] * 6, [0.9] * 6, "consistent"),
        ([0.8] * 6, [0.8] * 6, "consistent"),
        # All of five images exceed the reference with a probability of 1/32 by chance.
        ([0.9] * 5, [0.8] * 5, "consistent"),
        ([1.0], [0.0], "consistent"),
        # Mean 0.1 and standard error 0.1: t = 1.
        ([0.6] + [0.5] * 9, [0.5] * 9 + [0.6], "consistent"),
        ([1.0] + [0.5] * 9, [0.0] + [0.5] * 9, "consistent"),
        ([0.7] * 9 + [0.5], [0.5] * 10, "weak-reference"),
    ],
)
def test_the_reference_is_too_weak_only_beyond_chance(black_box, openly, verdict):
    bracket = bracket_of([*rows_of("a", black_box), *white(openly)])
    assert [level.verdict for level in bracket.levels] == [verdict]
    assert bracket.verdict == verdict


def test_chance_rarely_makes_a_reference_too_weak():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        true = rng.beta(2, 1, 20)
        ours, theirs = (rng.binomial(50, true) / 50 for _ in range(2))
        alarms += bracket_of([*rows_of("a", ours), *white(theirs)]).verdict == "weak-reference"
    # One-sided level 2.5 %: more than 13 of 200 has a probability below 0.1 %.
    assert alarms <= 13


def test_pairs_reveal_a_weak_reference_that_separate_intervals_do_not():
    openly = [0.0] * 10 + [0.9] * 10
    bracket = bracket_of([*rows_of("a", [rate + 0.1 for rate in openly]), *white(openly)])
    (level,) = bracket.levels
    assert level.verdict == "weak-reference"
    assert level.black_box.ci95[0] < level.white_box.value


def test_without_a_reference_the_reason_is_kept():
    bracket = bracket_of(rows_of("a", [0.5] * 8), {"white-box": "needs the extra"})
    (level,) = bracket.levels
    assert (level.white_box, level.efficiency, level.reference) == (None, None, None)
    assert bracket.verdict == level.verdict == "no-reference"
    assert bracket.as_json()["missing"] == {"white-box": "needs the extra"}
    assert bracket_of([]).verdict == "no-reference"


def test_only_images_that_all_attacks_share_are_compared():
    rows = [*rows_of("a", [1.0, 0.5, 0.0]), *rows_of("b", [0.0, 0.0, 0.9])[1:], *white([0.0, 1, 1])]
    (level,) = bracket_of(rows).levels
    assert (level.attack, level.images) == ("b", 2)
    assert level.black_box.value == pytest.approx(0.45)
    assert level.white_box.value == 1.0
    assert bracket_of([*rows_of("a", [0.5]), *white([0.5, 0.5])[1:]]).levels == ()


def test_deployments_bounds_goals_and_settings_are_kept_apart():
    rows = [
        *rows_of("a", [0.1] * 3),
        *rows_of("a", [0.2] * 3, settings='{"rounds": 2}'),
        *rows_of("a", [0.3] * 3, bound="linf=0.1"),
        *rows_of("a", [0.4] * 3, target_class=7),
        *rows_of("a", [0.5] * 3, deployment="native,profile=loihi1", threat_model="data"),
        *rows_of("greedy-window", [1.0] * 3, None, bound=""),
        *white([0.6] * 3, bound="linf=0.1"),
    ]
    found = bracket_of(rows).levels
    assert [level.black_box.value for level in found] == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert found[0].settings == {"rounds": 2}
    assert [level.verdict for level in found] == ["no-reference", "consistent"] + [
        "no-reference"
    ] * 2
    assert found[3].threat_model == "data"
    json.dumps(bracket_of(rows).as_json(), allow_nan=False)


def done(attack, threat_model, budget, index, successes):
    result = {
        "success": {"successes": successes, "trials": 10},
        "clean_success": {"successes": 1, "trials": 10},
        "queries": budget,
        "verification_queries": 20,
        "stopped_by": "budget",
        "distance": {"l2": 1.0},
        "max_distance": None,
        "seconds": 0.1,
    }
    if threat_model:
        result["threat_model"] = threat_model
    arguments = {
        "attack": attack,
        "settings": {},
        "deployment": "native",
        "bound": "l2=1",
        "budget": budget,
        "index": index,
        "label": 3,
        "target_class": None,
    }
    return Done(f"{attack}-{budget}-{index}", arguments, result)


def test_a_bracket_of_the_rows_of_a_campaign():
    # Campaigns run all attacks at all budgets; results of an earlier version have no threat model.
    results = [
        *(
            done("sparse-rs", None, budget, i, 2 + (budget == 500))
            for budget in (100, 500)
            for i in range(4)
        ),
        *(done("white-box", "white-box", budget, i, 5) for budget in (100, 500) for i in range(4)),
    ]
    rows = result_rows(results)
    assert {row["threat_model"] for row in rows} == {"no data", "white-box"}
    first, second = bracket_of(rows).levels
    assert (first.black_box.value, second.black_box.value) == pytest.approx((0.2, 0.3))
    assert second.efficiency.value == pytest.approx(0.6)
    assert first.clean_error.value == pytest.approx(0.1)
