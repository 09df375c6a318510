"""Repeated queries: sums of trials, and the counting of queries and budgets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.perception import Window
from neuroattack.errors import BudgetExceededError, ValidationError
from neuroattack.targets.black_box import BlackBox
from neuroattack.targets.repetition import Repeated

SHAPE, CLASSES = (3, 3), 4
WEIGHTS = np.random.default_rng(0).random((9, CLASSES))


def noisy_target(seed=0, budget=None):
    """Return a target with an independent Poisson trial per query."""
    rng = np.random.default_rng(seed)
    return BlackBox(
        lambda rows: rng.poisson(9 * rows @ WEIGHTS).astype(np.int32), SHAPE, CLASSES, budget
    )


def some_images(n, seed=1):
    return np.random.default_rng(seed).random((n, *SHAPE))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 99))
def test_counts_are_sums_of_trials(repeats, images, seed):
    target = Repeated(noisy_target(seed), repeats)
    one_by_one = noisy_target(seed)
    for batch in (some_images(images), some_images(2, seed=3)):
        found = target.query(batch)
        expected = [
            sum(one_by_one.query(image[None])[0] for _ in range(repeats)) for image in batch
        ]
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.int32
        assert target.queries * repeats == one_by_one.queries


def test_one_repeat_equals_the_target():
    np.testing.assert_array_equal(
        Repeated(noisy_target(), 1).query(some_images(7)), noisy_target().query(some_images(7))
    )


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_repeats_respect_the_budget(budget, repeats, images):
    inner = noisy_target(budget=budget)
    target = Repeated(inner, repeats)
    affordable = 0
    while (affordable + 1) * repeats <= budget:
        affordable += 1
    assert target.remaining == affordable
    if images <= affordable:
        target.query(some_images(images))
        assert target.queries * repeats == inner.queries == images * repeats
        assert target.remaining == affordable - images
    else:
        with pytest.raises(BudgetExceededError):
            target.query(some_images(images))
        assert target.queries == inner.queries == 0
        assert target.remaining == affordable


def test_properties_of_the_wrapped_target():
    target = Repeated(noisy_target(), 3)
    assert (target.image_shape, target.n_classes) == (SHAPE, CLASSES)
    assert (target.queries, target.remaining) == (0, None)


def test_refused_images_are_neither_queried_nor_counted():
    target = Repeated(noisy_target(), 3)
    for wrong in (np.full((1, *SHAPE), np.nan), np.full((1, 9), 2.0), np.zeros((1, 2, 2)), []):
        with pytest.raises(ValidationError):
            target.query(wrong)
    assert target.queries == 0


def test_sums_beyond_32_bits_are_means():
    top = np.iinfo(np.int32).max
    huge = BlackBox(
        lambda rows: np.tile(np.array([[top, top // 4, 7, 0]], np.int32), (len(rows), 1)),
        SHAPE,
        CLASSES,
    )
    assert Repeated(huge, 3).query(some_images(1)).tolist() == [[top, top // 4, 7, 0]]


def test_an_attack_uses_its_budget_in_complete_repeats():
    inner = noisy_target(budget=1000)
    attack = GreedyWindow(
        queries=None, window=Window(0, 0, 3), moved_pixels=2, max_distance=1e6, max_iterations=99
    )
    search = attack.run(Repeated(inner, 10), some_images(1)[0], Goal(0, 1))
    assert search.stopped_by == "budget"
    assert 10 * search.queries == inner.queries <= 1000
    # Another iteration would exceed the budget.
    assert inner.queries + 10 * attack.max_queries_per_iteration > 1000


@pytest.mark.parametrize("repeats", [0, -1, 1.5, True, 10_001])
def test_repeats_are_an_integer(repeats):
    with pytest.raises(ValidationError, match=f"repeats: got {repeats}"):
        Repeated(noisy_target(), repeats)
