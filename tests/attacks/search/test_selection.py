"""Successive halving on targets whose mean gaps are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.toy_targets import SHAPE, linear_scores, linear_target

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.search.selection import Candidate, Trials

GOAL = Goal(0)


def candidates(count, seed=0):
    images = np.random.default_rng(seed).uniform(0, 1, (count, *SHAPE))
    return [Candidate(image) for image in images]


def mean_gaps(found):
    rows = np.array([each.image.ravel() for each in found])
    means = np.maximum(40 + np.array([20.0, 0, 0]) + (rows - 0.5) @ linear_scores(), 0)
    return GOAL.gap(means)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 12),
    queries=st.integers(0, 60),
    budget=st.one_of(st.none(), st.integers(1, 40)),
    randomness=st.sampled_from(["independent", "shared"]),
)
def test_the_queries_are_within_both_limits(count, queries, budget, randomness):
    target = linear_target(linear_scores(), noise_seed=1, budget=budget, randomness=randomness)
    seen = []
    trials = Trials(target, GOAL, queries, lambda images, counts: seen.append(len(images)))
    found = candidates(count)
    assert trials.halve(found, trials.left) in found
    assert trials.spent == sum(seen) == target.queries <= min(queries, budget or queries)


def test_the_best_of_many_is_found_with_enough_queries():
    found = candidates(16)
    best = Trials(linear_target(linear_scores(), noise_seed=2), GOAL, None).halve(found, 1600)
    assert best is found[int(mean_gaps(found).argmax())]
    # A quarter of the queries each for 16, 8, 4 and 2 candidates.
    assert sorted(each.trials for each in found) == [25] * 8 + [75] * 4 + [175] * 2 + [375] * 2


def test_the_gap_is_the_mean_over_trials():
    found = candidates(3)
    trials = Trials(linear_target(linear_scores()), GOAL, None)
    trials.run(found, 2)
    np.testing.assert_allclose([each.gap for each in found], mean_gaps(found), atol=1.0)
    assert all(each.constant and each.trials == 2 for each in found)
    assert Candidate(found[0].image).gap == -np.inf


def test_without_queries_the_first_is_returned():
    found = candidates(4)
    assert Trials(linear_target(linear_scores()), GOAL, 0).halve(found, 100) is found[0]


@pytest.mark.parametrize("count", [1, 5])
def test_all_candidates_have_the_same_number_of_trials(count):
    found = candidates(count)
    trials = Trials(linear_target(linear_scores()), GOAL, 13)
    trials.run(found, 10)
    assert {each.trials for each in found} == {min(10, 13 // count)}
