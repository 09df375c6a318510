import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.search.best_seen import BestSeen, NearestSeen

ORIGINAL = np.full((2, 2), 0.5)


@given(seed=st.integers(0, 2**32 - 1), limited=st.booleans())
def test_the_best_image_is_that_of_a_plain_loop(seed: int, limited: bool) -> None:
    rng = np.random.default_rng(seed)
    images = rng.random((12, 2, 2))
    counts = rng.integers(0, 5, (12, 3)).astype(np.int32)
    limit = Bound("l2", 0.5) if limited else None
    goal = Goal(0, 2)
    best = BestSeen(ORIGINAL, goal, limit)
    best.remember(images[:5], counts[:5], 5)
    best.remember(images[5:], counts[5:], 12)

    wanted, gap, at = ORIGINAL, -np.inf, 0
    for i, (image, count) in enumerate(zip(images, counts, strict=True)):
        if limited and np.sqrt(((image - ORIGINAL) ** 2).sum()) > 0.5:
            continue
        found = float(count[2] - max(count[0], count[1]))
        if found > gap:
            wanted, gap, at = image, found, i + 1
    np.testing.assert_array_equal(best.image, wanted)
    assert best.gap == gap
    assert best.history[-1].queries == at


def test_nearest_seen_keeps_the_nearest_success() -> None:
    near, far, nearer_but_tied = (np.full((2, 2), 0.5 + x) for x in (0.1, 0.2, 0.05))
    counts = np.array([[1, 4], [4, 9], [4, 4]], np.int32)
    best = NearestSeen(ORIGINAL, Goal(0), None)
    best.remember(np.array([far, near, nearer_but_tied]), counts, 3)
    np.testing.assert_array_equal(best.image, near)
    assert best.gap == pytest.approx(-0.2)


def test_without_a_success_the_nearest_is_the_clean_image() -> None:
    best = NearestSeen(ORIGINAL, Goal(0), None)
    best.remember(np.ones((1, 2, 2)), np.array([[3, 1]], np.int32), 1)
    np.testing.assert_array_equal(best.image, ORIGINAL)
