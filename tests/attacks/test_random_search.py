from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.toy_targets import SHAPE, gray, linear_scores, linear_target

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.protocol import Attack
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.regression.count_regression import CountRegression
from neuroattack.attacks.result import verify
from neuroattack.attacks.sparse_rs import SparseRS
from neuroattack.attacks.substitutes.prior_guided import PriorGuided
from neuroattack.attacks.substitutes.substitute_training import SubstituteTraining
from neuroattack.errors import ValidationError
from neuroattack.targets.black_box import BlackBox

LIMITS = [Bound("l2", 0.8), Bound("l0", 5), Bound("linf", 0.2), Bound("local_sd", 25)]
ATTACKS = [
    RandomNoise(LIMITS[0]),
    SparseRS(LIMITS[0]),
    GreedyWindow(LIMITS[0], window=3, moved_pixels=3),
    CountRegression(LIMITS[0]),
    PriorGuided(LIMITS[0]),
    SubstituteTraining(LIMITS[0]),
]


def by_name(attack: Attack) -> str:
    return attack.name


@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("attack", ATTACKS, ids=by_name)
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    queries=st.integers(1, 90),
    budget=st.integers(1, 90),
    noisy=st.booleans(),
    targeted=st.booleans(),
)
def test_bound_range_and_budget_are_respected_and_results_reproducible(
    attack: Attack, limit: Bound, seed: int, queries: int, budget: int, noisy: bool, targeted: bool
) -> None:
    attack = replace(attack, bound=limit, queries=queries, seed=seed)
    image = np.random.default_rng(seed).random(SHAPE)
    goal = Goal(0, 1 if targeted else None)
    found = []
    for _ in range(2):
        target = linear_target(linear_scores(), noise_seed=seed if noisy else None, budget=budget)
        found.append(attack.run(target, image, goal))
        assert found[-1].queries == target.queries <= min(queries, budget)
    one, two = found
    assert limit.holds(image, one.adversarial)
    assert one.adversarial.min() >= 0
    assert one.adversarial.max() <= 1
    np.testing.assert_array_equal(one.adversarial, two.adversarial)
    assert [seen.queries for seen in one.history] == sorted(seen.queries for seen in one.history)


@pytest.mark.parametrize(
    "attack", [RandomNoise(LIMITS[1], 400), SparseRS(LIMITS[1], 400)], ids=by_name
)
def test_random_search_succeeds_on_easy_targets(attack: Attack) -> None:
    slopes = linear_scores()
    slopes[7, 1] += 200
    found = attack.run(linear_target(slopes), gray(), Goal(0, 1))
    assert verify(linear_target(slopes), found.adversarial, Goal(0, 1), 1).rate == 1


def test_sparse_rs_is_close_to_the_best_pixels() -> None:
    slopes = linear_scores(3)
    goal = Goal(0, 1)
    found = SparseRS(Bound("l0", 4), 3000).run(linear_target(slopes), gray(), goal)
    gains = np.abs(slopes[:, 1] - np.maximum(slopes[:, 0], slopes[:, 2])) * 0.5
    reached = goal.gap(linear_target(slopes).query(found.adversarial[None]).astype(float))[0]
    start = goal.gap(linear_target(slopes).query(gray()[None]).astype(float))[0]
    assert reached - start > 0.8 * np.sort(gains)[-4:].sum()


def test_the_exchanged_fraction_follows_the_schedule_of_the_authors() -> None:
    # Their schedule for alpha_init = 1 and 10,000 queries.
    wanted = {1: 2, 50: 2, 51: 4, 200: 4, 201: 5, 500: 5, 501: 6, 1000: 6, 1001: 8, 2000: 8}
    wanted |= {2001: 10, 4000: 10, 4001: 12, 6000: 12, 6001: 15, 8000: 15, 8001: 20, 9999: 20}
    attack = SparseRS(LIMITS[1], initial_fraction=1.0)
    for step, divisor in wanted.items():
        assert attack.fraction(step, 10_000) == 1 / divisor
    assert attack.fraction(101, 20_000) == 1 / 4


def test_a_set_of_all_pixels_still_searches_values() -> None:
    shown = set()

    def answer(rows: np.ndarray) -> np.ndarray:
        shown.update(row.tobytes() for row in rows)
        return np.rint(np.c_[rows.sum(1), 40 - rows.sum(1)]).astype(np.int32)

    target = BlackBox(answer, SHAPE, 2)
    found = SparseRS(Bound("l0", 100), 200).run(target, gray(), Goal(0))
    # The search must query more than the first set.
    assert len(shown) > 50
    assert found.adversarial.sum() < 6


def test_algorithm_1_returns_the_best_image_of_its_trace_within_the_bound() -> None:
    image = np.linspace(0, 1, 36).reshape(SHAPE)
    bound = Bound("l2", 0.35)
    free, held = (
        GreedyWindow(limit, window=5, moved_pixels=2).run(
            linear_target(linear_scores()), image, Goal(0)
        )
        for limit in (None, bound)
    )
    assert held.trace == free.trace
    within = [seen for seen in free.history if bound.holds(image, seen.image)]
    assert 1 < len(within) < len(free.history)
    assert held.best.gap == held.history[-1].gap == max(seen.gap for seen in within)
    assert bound.holds(image, held.adversarial)
    assert not bound.holds(image, free.adversarial)


@pytest.mark.parametrize(
    "make", [CountRegression, RandomNoise, SparseRS, GreedyWindow, PriorGuided, SubstituteTraining]
)
def test_no_queries_are_refused(make: type[RandomNoise]) -> None:
    with pytest.raises(ValidationError, match="queries of an attack"):
        make(Bound("l2", 1.0), queries=0)
