"""The count-regression attack on targets whose counts are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.substitutes import LinearSubstitute
from support.toy_targets import CLASSES, SHAPE, gray, linear_scores, linear_target

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.regression.count_regression import CountRegression
from neuroattack.attacks.result import verify
from neuroattack.errors import BudgetExceededError, NeuroattackError, ValidationError
from neuroattack.targets.black_box import BlackBox
from neuroattack.targets.defenses import HardLabel, RoundedCounts

L2 = Bound("l2", 0.7)
LIMITS = [L2, Bound("l0", 6), Bound("linf", 0.12), Bound("local_sd", 25.0)]


def rate(image: np.ndarray, goal: Goal, seed: int, trials: int = 400) -> float:
    """Return the success rate of an image on fresh Poisson trials of the toy target."""
    return verify(linear_target(linear_scores(seed), noise_seed=99), image, goal, trials).rate


@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("target_class", [None, 2])
def test_it_succeeds_where_noise_of_the_same_size_fails(limit, target_class):
    goal = Goal(0, target_class)
    found, noise = [], []
    for seed in range(5):
        for made, rates in ((CountRegression, found), (RandomNoise, noise)):
            target = linear_target(linear_scores(seed), noise_seed=seed)
            result = made(bound=limit, queries=400, seed=seed).run(target, gray(), goal)
            assert limit.holds(gray(), result.adversarial)
            assert result.queries == target.queries <= 400
            rates.append(rate(result.adversarial, goal, seed))
    assert np.mean(found) > np.mean(noise) + 0.15


@settings(max_examples=25, deadline=None)
@given(
    queries=st.integers(5, 120),
    budget=st.one_of(st.none(), st.integers(5, 60)),
    rounds=st.integers(1, 6),
    plans=st.integers(1, 4),
    randomness=st.sampled_from(["independent", "shared"]),
    limit=st.sampled_from(LIMITS),
    targeted=st.booleans(),
    seed=st.integers(0, 100),
)
def test_searches_respect_budget_and_bound(
    queries, budget, rounds, plans, randomness, limit, targeted, seed
):
    target = linear_target(
        linear_scores(seed), noise_seed=seed, budget=budget, randomness=randomness
    )
    attack = CountRegression(limit, queries, seed, rounds=rounds, plans=plans)
    found = attack.run(target, gray(), Goal(0, 1 if targeted else None))
    assert found.queries == target.queries <= min(queries, budget or queries)
    assert limit.holds(gray(), found.adversarial)
    assert found.adversarial.min() >= 0
    assert found.adversarial.max() <= 1
    spent = [seen.queries for seen in found.history]
    assert spent == sorted(spent)
    assert spent[-1] <= found.queries
    np.testing.assert_array_equal(found.history[0].image, gray())
    np.testing.assert_array_equal(found.history[-1].image, found.adversarial)


def test_the_seed_determines_the_image():
    images = []
    for seed in (1, 1, 2):
        target = linear_target(linear_scores(), noise_seed=5)
        images.append(CountRegression(L2, 200, seed).run(target, gray(), Goal(0)).adversarial)
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_images_are_selected_by_fresh_trials():
    """Every change lowers the gap by more than noise usually raises it."""
    rng = np.random.default_rng(0)

    def answer(rows):
        moved = np.abs(rows - 0.5).sum(axis=1) > 1e-9
        lead = np.where(moved, 30, 5) + rng.normal(0, 8, len(rows))
        return np.stack([60 + lead, np.full(len(rows), 60.0)], axis=1).clip(0).astype(np.int32)

    taken = 0
    for seed in range(20):
        target = BlackBox(answer, SHAPE, 2)
        found = CountRegression(L2, 300, seed).run(target, gray(), Goal(0))
        taken += not np.array_equal(found.adversarial, gray())
    assert taken == 0


def test_shared_randomness_is_used():
    """If all noise is shared within a batch, effects are measured without noise."""
    slopes = linear_scores()
    quality = {"independent": 0.0, "shared": 0.0}
    for randomness in quality:
        for seed in range(10):
            rng = np.random.default_rng(seed)

            def answer(rows, rng=rng, randomness=randomness):
                shared = rng.normal(0, 30, (1 if randomness == "shared" else len(rows), CLASSES))
                means = 90.0 + np.array([20.0, 0, 0]) + (rows - 0.5) @ slopes + shared
                return np.rint(means.clip(0)).astype(np.int32)

            target = BlackBox(answer, SHAPE, CLASSES, None, randomness)
            found = CountRegression(L2, 100, seed).run(target, gray(), Goal(0))
            scores = (found.adversarial - 0.5).ravel() @ slopes
            quality[randomness] += float(scores[1:].max() - scores[0]) / 10
    assert quality["shared"] > quality["independent"] + 2


def test_a_deterministic_target_needs_one_trial_and_ends_the_search_when_reached():
    asked = []
    inner = linear_target(linear_scores(), lead=2.0)

    def answer(rows):
        asked.extend(map(bytes, rows))
        return inner.query(rows.reshape(-1, *SHAPE))

    target = BlackBox(answer, SHAPE, CLASSES)
    found = CountRegression(L2, 400).run(target, gray(), Goal(0))
    assert found.stopped_by == "reached"
    assert found.queries < 200
    assert verify(linear_target(linear_scores(), lead=2.0), found.adversarial, Goal(0), 1).rate == 1
    # The clean image gets the opening trials and one comparison; a plan gets at most two trials.
    assert max(asked.count(image) for image in set(asked)) <= 5


def test_randomness_hidden_by_rounding_is_detected():
    for seed in range(8):
        noisy = linear_target(linear_scores(seed), lead=40.0, noise_seed=seed)
        found = CountRegression(L2, 400, seed).run(RoundedCounts(noisy, 60), gray(), Goal(0))
        judge = RoundedCounts(linear_target(linear_scores(seed), lead=40.0, noise_seed=99), 60)
        assert verify(judge, found.adversarial, Goal(0), 200).rate < 0.5
        assert found.stopped_by == "budget"


def test_labels_suffice():
    rates = []
    for seed in range(5):
        target = HardLabel(linear_target(linear_scores(seed), lead=5.0, noise_seed=seed))
        found = CountRegression(L2, 600, seed).run(target, gray(), Goal(0))
        judge = linear_target(linear_scores(seed), lead=5.0, noise_seed=99)
        rates.append(verify(judge, found.adversarial, Goal(0), 200).rate)
    judge = linear_target(linear_scores(), lead=5.0, noise_seed=99)
    assert np.mean(rates) > 0.9 > verify(judge, gray(), Goal(0), 200).rate + 0.3


def test_equal_labels_do_not_imply_a_deterministic_target():
    shown = []
    inner = linear_target(linear_scores(), lead=40.0, noise_seed=0)

    def answer(rows):
        shown.extend(rows)
        return inner.query(rows.reshape(-1, *SHAPE))

    target = HardLabel(BlackBox(answer, SHAPE, CLASSES))
    found = CountRegression(Bound("l2", 2.5), 3000).run(target, gray(), Goal(0))
    assert found.stopped_by == "reached"
    final = found.adversarial.ravel()
    assert sum(np.array_equal(row, final) for row in shown) >= 30


def test_a_very_small_budget_returns_the_clean_image():
    target = linear_target(linear_scores(), noise_seed=0, budget=1)
    found = CountRegression(L2).run(target, gray(), Goal(0))
    np.testing.assert_array_equal(found.adversarial, gray())
    assert found.queries == 1
    with pytest.raises(BudgetExceededError):
        target.query(gray()[None])


@pytest.mark.parametrize(
    "wrong",
    [
        {"queries": 0},
        {"queries": 1.5},
        {"seed": -1},
        {"rounds": 0},
        {"probe": 0.0},
        {"probe": 1.1},
        {"moved_fraction": 0.0},
        {"selection_fraction": 2.0},
        {"plans": 0},
        {"breadth": float("nan")},
        {"correlations_px": ()},
        {"correlations_px": (-1.0,)},
        {"scales": ()},
        {"scales": ("fractions",)},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(NeuroattackError):
        CountRegression(L2, **wrong)


def test_lists_from_files_make_equal_attacks():
    one = CountRegression(L2, scales=["log"], correlations_px=[0, 1.0])
    assert one == CountRegression(L2, scales=("log",), correlations_px=(0, 1.0))


def test_without_queries_the_clean_image_is_returned():
    target = linear_target(linear_scores(), budget=4)
    target.query(np.stack([gray()] * 4))
    found = CountRegression(Bound("l2", 1.0)).run(target, gray(), Goal(0))
    assert (found.queries, found.stopped_by) == (0, "budget")
    np.testing.assert_array_equal(found.adversarial, gray())


def test_norms_that_are_not_defined_for_vectors_are_refused_before_any_query():
    target = BlackBox(lambda rows: np.zeros((len(rows), 2), np.int32), (36,), 2)
    with pytest.raises(ValidationError, match=r"bound on local_sd: got images of shape \(36,\)"):
        CountRegression(Bound("local_sd", 1.0)).run(target, np.zeros(36), Goal(0))
    assert target.queries == 0


@pytest.mark.slow
@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("target_class", [None, 2])
def test_good_substitutes_help_and_useless_ones_do_little_harm(limit, target_class):
    goal = Goal(0, target_class)
    found = {"good": [], "none": [], "useless": []}
    for seed in range(4):
        slopes = linear_scores(seed)
        noise = np.random.default_rng(seed).normal(0, 4, slopes.shape)
        models = {
            "good": LinearSubstitute(slopes / 10 + noise / 10),
            "none": None,
            "useless": LinearSubstitute(linear_scores(seed + 50) / 10),
        }
        for name, model in models.items():
            queries = 120 if name == "good" else 400
            target = linear_target(slopes, noise_seed=seed)
            attack = CountRegression(limit, queries, seed, substitutes=model)
            result = attack.run(target, gray(), goal)
            assert limit.holds(gray(), result.adversarial)
            assert result.queries == target.queries <= queries
            found[name].append(rate(result.adversarial, goal, seed))
    # With less than a third of the queries.
    assert np.mean(found["good"]) > np.mean(found["none"]) - 0.05
    assert np.mean(found["useless"]) > np.mean(found["none"]) - 0.15


@settings(max_examples=25, deadline=None)
@given(
    queries=st.integers(1, 150),
    budget=st.one_of(st.none(), st.integers(1, 60)),
    randomness=st.sampled_from(["independent", "shared"]),
    limit=st.sampled_from(LIMITS),
    targeted=st.booleans(),
    noisy=st.booleans(),
)
def test_searches_with_substitutes_respect_budget_and_bound(
    queries, budget, randomness, limit, targeted, noisy
):
    target = linear_target(
        linear_scores(), noise_seed=1 if noisy else None, budget=budget, randomness=randomness
    )
    attack = CountRegression(limit, queries, substitutes=LinearSubstitute(linear_scores(7)))
    found = attack.run(target, gray(), Goal(0, 1 if targeted else None))
    assert found.queries == target.queries <= min(queries, budget or queries)
    assert limit.holds(gray(), found.adversarial)
    assert 0 <= found.adversarial.min() <= found.adversarial.max() <= 1
    np.testing.assert_array_equal(found.history[0].image, gray())
    np.testing.assert_array_equal(found.history[-1].image, found.adversarial)
