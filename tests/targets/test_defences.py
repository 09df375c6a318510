import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.toy_targets import gray, linear_scores, linear_target

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.regression.count_regression import CountRegression
from neuroattack.attacks.sparse_rs import SparseRS
from neuroattack.errors import (
    BudgetExceededError,
    QueryRefusedError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.targets.black_box import BlackBox
from neuroattack.targets.defenses import (
    CappedCounts,
    HardLabel,
    IndependentTrials,
    NearDuplicateDetector,
    QueryLimited,
    RoundedCounts,
)
from neuroattack.targets.repetition import Repeated


def answering(*counts: list[int]) -> BlackBox:
    return BlackBox(lambda rows: np.array(counts[: len(rows)], np.int32), (2,), 3)


def test_hard_label_is_one_hot_or_zero_for_a_tie_or_silence() -> None:
    target = HardLabel(answering([1, 5, 2], [4, 4, 1], [0, 0, 0]))
    assert target.query(np.zeros((3, 2))).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert target.response == "labels"
    assert target.queries == 3


def test_counts_are_rounded_half_up_and_capped() -> None:
    assert RoundedCounts(answering([4, 5, 12]), 10).query(np.zeros((1, 2))).tolist() == [
        [0, 10, 10]
    ]
    assert CappedCounts(answering([4, 5, 12]), 5).query(np.zeros((1, 2))).tolist() == [[4, 5, 5]]


def test_a_limited_target_refuses_the_batch_and_counts_nothing() -> None:
    target = QueryLimited(answering([1, 2, 3], [1, 2, 3], [1, 2, 3]), 2)
    with pytest.raises(BudgetExceededError):
        target.query(np.zeros((3, 2)))
    assert target.queries == 0
    target.query(np.zeros((2, 2)))
    assert target.remaining == 0


def test_the_limit_does_not_exceed_the_budget_of_the_wrapped_target() -> None:
    behind = BlackBox(lambda rows: np.ones((len(rows), 2), np.int32), (1,), 2, budget=1)
    assert QueryLimited(behind, 5).remaining == 1


def test_independent_trials_remove_shared_randomness() -> None:
    common = linear_target(linear_scores(), noise_seed=1, randomness="shared")
    same = common.query(np.array([gray()] * 6))
    assert (same == same[0]).all()
    fresh = IndependentTrials(common)
    different = fresh.query(np.array([gray()] * 6))
    assert not (different == different[0]).all()
    assert fresh.randomness == "independent"
    assert fresh.queries == 12


@pytest.mark.parametrize(
    "attack", [GreedyWindow(Bound("l2", 1), window=4), SparseRS(Bound("l0", 3))]
)
def test_score_based_attacks_refuse_labels(attack: SparseRS) -> None:
    target = HardLabel(linear_target(linear_scores()))
    with pytest.raises(UnsupportedFeatureError, match=f"attack '{attack.name}'"):
        attack.run(target, gray(), Goal(0))
    assert target.queries == 0


def test_detector_counts_near_queries_and_then_refuses() -> None:
    target = NearDuplicateDetector(
        linear_target(linear_scores()), 0.5, neighbors=3, detections_allowed=1
    )
    near = np.array([gray() + 0.001 * k for k in range(4)])
    target.query(near)
    assert target.detections == 1
    with pytest.raises(QueryRefusedError, match="2 detections"):
        target.query(near)
    assert target.queries == 4


def test_a_batch_beyond_the_budget_does_not_reach_the_detector() -> None:
    near = np.array([gray() + 0.001 * k for k in range(4)])
    target = NearDuplicateDetector(
        linear_target(linear_scores(), budget=2), 0.5, neighbors=3, detections_allowed=0
    )
    for _ in range(3):
        with pytest.raises(BudgetExceededError):
            target.query(near)
    assert (target.detections, target.queries) == (0, 0)


@pytest.mark.parametrize(
    "attack",
    [
        CountRegression(Bound("l2", 0.8), 400),
        RandomNoise(Bound("l2", 0.8), 400),
        SparseRS(Bound("l2", 0.8), 400),
        GreedyWindow(Bound("l2", 0.8), 400, window=3, moved_pixels=3),
    ],
)
@pytest.mark.parametrize("neighbors", [10, 70])
def test_refused_queries_end_the_search_with_the_best_image(
    attack: SparseRS, neighbors: int
) -> None:
    image = np.random.default_rng(0).random((6, 6))
    target = NearDuplicateDetector(
        linear_target(linear_scores(), lead=90, noise_seed=1),
        100.0,
        neighbors=neighbors,
        detections_allowed=0,
    )
    found = attack.run(target, image, Goal(0))
    assert found.stopped_by == "refused"
    assert found.queries == target.queries <= neighbors
    assert attack.bound.holds(image, found.adversarial)


@settings(deadline=None)
@given(
    budget=st.integers(1, 60),
    repeats=st.integers(1, 7),
    most=st.integers(1, 20),
    batches=st.lists(st.integers(1, 6), max_size=12),
    repeated_first=st.booleans(),
)
def test_queries_and_remaining_are_consistent_through_all_wrappers(
    budget: int, repeats: int, most: int, batches: list[int], repeated_first: bool
) -> None:
    inner = linear_target(linear_scores(), budget=budget)
    if repeated_first:
        target = QueryLimited(Repeated(inner, repeats), most)
        affordable = min(most, budget // repeats)
    else:
        target = Repeated(QueryLimited(inner, most), repeats)
        affordable = min(most, budget) // repeats
    asked = 0
    assert target.remaining == affordable
    for batch in batches:
        images = np.array([gray()] * batch)
        if asked + batch > affordable:
            with pytest.raises(BudgetExceededError):
                target.query(images)
        else:
            target.query(images)
            asked += batch
        assert (target.queries, target.remaining) == (asked, affordable - asked)
        assert inner.queries == asked * repeats


def test_detector_accepts_different_images() -> None:
    target = NearDuplicateDetector(linear_target(linear_scores()), 0.5, neighbors=3)
    target.query(np.random.default_rng(0).random((50, 6, 6)))
    assert target.detections == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda t: QueryLimited(t, 0),
        lambda t: RoundedCounts(t, 0),
        lambda t: CappedCounts(t, 0),
        lambda t: NearDuplicateDetector(t, -1.0),
        lambda t: NearDuplicateDetector(t, 1.0, neighbors=10, memory=5),
    ],
)
def test_settings_out_of_range_are_refused(make) -> None:
    with pytest.raises(ValidationError):
        make(answering([1, 2, 3]))
