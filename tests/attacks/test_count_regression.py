"""The attack made for spike counts, on targets whose answers are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.toy_targets import CLASSES, SHAPE, grey, linear_scores, linear_target

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.count_regression import CountRegression
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.result import Goal, verify
from neuroattack.errors import BudgetExceededError, NeuroattackError, ValidationError
from neuroattack.targets.black_box import BlackBox
from neuroattack.targets.defenses import HardLabel, RoundedCounts

L2 = Bound("l2", 0.7)
LIMITS = [L2, Bound("l0", 6), Bound("local_sd", 25.0)]


def rate(image: np.ndarray, goal: Goal, seed: int, trials: int = 400) -> float:
    """Return how often an image reaches a goal on fresh Poisson randomness of the toy."""
    return verify(linear_target(linear_scores(seed), noise_seed=99), image, goal, trials).rate


@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("target_class", [None, 2])
def test_it_finds_what_noise_of_the_same_size_does_not(limit, target_class):
    goal = Goal(0, target_class)
    found, noise = [], []
    for seed in range(5):
        for made, rates in ((CountRegression, found), (RandomNoise, noise)):
            target = linear_target(linear_scores(seed), noise_seed=seed)
            result = made(bound=limit, queries=400, seed=seed).run(target, grey(), goal)
            assert limit.holds(grey(), result.adversarial)
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
def test_no_search_spends_or_moves_more_than_allowed(
    queries, budget, rounds, plans, randomness, limit, targeted, seed
):
    target = linear_target(
        linear_scores(seed), noise_seed=seed, budget=budget, randomness=randomness
    )
    attack = CountRegression(limit, queries, seed, rounds=rounds, plans=plans)
    found = attack.run(target, grey(), Goal(0, 1 if targeted else None))
    assert found.queries == target.queries <= min(queries, budget or queries)
    assert limit.holds(grey(), found.adversarial)
    assert found.adversarial.min() >= 0
    assert found.adversarial.max() <= 1
    spent = [seen.queries for seen in found.history]
    assert spent == sorted(spent)
    assert spent[-1] <= found.queries
    np.testing.assert_array_equal(found.history[0].image, grey())
    np.testing.assert_array_equal(found.history[-1].image, found.adversarial)


def test_the_same_seed_finds_the_same_image_and_another_one_another():
    images = []
    for seed in (1, 1, 2):
        target = linear_target(linear_scores(), noise_seed=5)
        images.append(CountRegression(L2, 200, seed).run(target, grey(), Goal(0)).adversarial)
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_an_image_that_is_worse_on_fresh_draws_is_not_taken_for_its_lucky_ones():
    """Every move lowers the gap by more than noise can raise it, save now and then by luck."""
    rng = np.random.default_rng(0)

    def answer(rows):
        moved = np.abs(rows - 0.5).sum(axis=1) > 1e-9
        lead = np.where(moved, 30, 5) + rng.normal(0, 8, len(rows))
        return np.stack([60 + lead, np.full(len(rows), 60.0)], axis=1).clip(0).astype(np.int32)

    taken = 0
    for seed in range(20):
        target = BlackBox(answer, SHAPE, 2)
        found = CountRegression(L2, 300, seed).run(target, grey(), Goal(0))
        taken += not np.array_equal(found.adversarial, grey())
    assert taken == 0


def test_draws_common_to_a_batch_are_made_use_of():
    """With all noise in the draw, a batch under one draw shows effects without any."""
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
            found = CountRegression(L2, 100, seed).run(target, grey(), Goal(0))
            scores = (found.adversarial - 0.5).ravel() @ slopes
            quality[randomness] += float(scores[1:].max() - scores[0]) / 10
    assert quality["shared"] > quality["independent"] + 2


def test_a_target_without_chance_is_judged_by_one_draw_and_left_when_reached():
    asked = []
    inner = linear_target(linear_scores(), lead=2.0)

    def answer(rows):
        asked.extend(map(bytes, rows))
        return inner.query(rows.reshape(-1, *SHAPE))

    target = BlackBox(answer, SHAPE, CLASSES)
    found = CountRegression(L2, 400).run(target, grey(), Goal(0))
    assert found.stopped_by == "reached"
    assert found.queries < 200
    assert verify(linear_target(linear_scores(), lead=2.0), found.adversarial, Goal(0), 1).rate == 1
    # The original opens the search and meets one plan; no plan is shown more than in two contests.
    assert max(asked.count(image) for image in set(asked)) <= 5


def test_chance_that_rounding_hides_at_first_is_no_certainty():
    for seed in range(8):
        noisy = linear_target(linear_scores(seed), lead=40.0, noise_seed=seed)
        found = CountRegression(L2, 400, seed).run(RoundedCounts(noisy, 60), grey(), Goal(0))
        judge = RoundedCounts(linear_target(linear_scores(seed), lead=40.0, noise_seed=99), 60)
        assert verify(judge, found.adversarial, Goal(0), 200).rate < 0.5
        assert found.stopped_by == "budget"


def test_the_class_alone_will_do():
    rates = []
    for seed in range(5):
        target = HardLabel(linear_target(linear_scores(seed), lead=5.0, noise_seed=seed))
        found = CountRegression(L2, 600, seed).run(target, grey(), Goal(0))
        judge = linear_target(linear_scores(seed), lead=5.0, noise_seed=99)
        rates.append(verify(judge, found.adversarial, Goal(0), 200).rate)
    judge = linear_target(linear_scores(), lead=5.0, noise_seed=99)
    assert np.mean(rates) > 0.9 > verify(judge, grey(), Goal(0), 200).rate + 0.3


def test_labels_that_are_alike_are_not_taken_for_a_target_without_chance():
    shown = []
    inner = linear_target(linear_scores(), lead=40.0, noise_seed=0)

    def answer(rows):
        shown.extend(rows)
        return inner.query(rows.reshape(-1, *SHAPE))

    target = HardLabel(BlackBox(answer, SHAPE, CLASSES))
    found = CountRegression(Bound("l2", 2.5), 3000).run(target, grey(), Goal(0))
    assert found.stopped_by == "reached"
    final = found.adversarial.ravel()
    assert sum(np.array_equal(row, final) for row in shown) >= 30


def test_a_budget_too_small_for_anything_leaves_the_original():
    target = linear_target(linear_scores(), noise_seed=0, budget=1)
    found = CountRegression(L2).run(target, grey(), Goal(0))
    np.testing.assert_array_equal(found.adversarial, grey())
    assert found.queries == 1
    with pytest.raises(BudgetExceededError):
        target.query(grey()[None])


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


def test_without_a_query_left_the_original_is_all_that_is_found():
    target = linear_target(linear_scores(), budget=4)
    target.query(np.stack([grey()] * 4))
    found = CountRegression(Bound("l2", 1.0)).run(target, grey(), Goal(0))
    assert (found.queries, found.stopped_by) == (0, "budget")
    np.testing.assert_array_equal(found.adversarial, grey())


def test_images_without_two_sides_are_refused_before_anything_is_asked():
    target = BlackBox(lambda rows: np.zeros((len(rows), 2), np.int32), (36,), 2)
    with pytest.raises(
        ValidationError, match=r"image shape: got \(36,\), expected \(height, width\)"
    ):
        CountRegression(Bound("l2", 1.0)).run(target, np.zeros(36), Goal(0))
    assert target.queries == 0
