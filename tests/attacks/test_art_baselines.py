import random
from dataclasses import replace

import numpy as np
import pytest
from support.toy_targets import SHAPE, gray, linear_scores, linear_target

pytest.importorskip("art", reason="needs the extra `attacks`")

from neuroattack.attacks.art.baselines import (
    ZOO,
    ArtAttack,
    Boundary,
    HopSkipJump,
    OnePixel,
    SimBA,
    Square,
)
from neuroattack.attacks.art.target import ArtTarget
from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.result import verify
from neuroattack.attacks.search.best_seen import BestSeen
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.targets.black_box import BlackBox
from neuroattack.targets.defenses import HardLabel, NearDuplicateDetector

LIMITS = [Bound("l2", 1.0), Bound("l0", 4), Bound("linf", 0.1), Bound("local_sd", 20)]
KINDS = [Square, SimBA, ZOO, OnePixel, HopSkipJump, Boundary]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("queries", [1, 7, 50, 200])
@pytest.mark.parametrize("noise_seed", [None, 3])
def test_budget_bound_and_range_are_respected_and_results_reproducible(
    kind: type[ArtAttack], limit: Bound, queries: int, noise_seed: int | None
) -> None:
    attack = kind(limit, queries, seed=5)
    shape = (10, 10) if kind is Square else SHAPE
    image = np.random.default_rng(1).random(shape)
    slopes = linear_scores(shape=shape)
    for goal in (Goal(0), Goal(0, 2)):
        found = []
        for _ in range(2):
            target = linear_target(slopes, noise_seed=noise_seed, budget=queries + 10, shape=shape)
            found.append(attack.run(target, image, goal))
            assert found[-1].queries == target.queries <= queries
        one, two = found
        assert limit.holds(image, one.adversarial)
        assert one.adversarial.min() >= 0
        assert one.adversarial.max() <= 1
        np.testing.assert_array_equal(one.adversarial, two.adversarial)


@pytest.mark.parametrize("kind", KINDS)
def test_the_budget_of_the_target_is_respected(kind: type[ArtAttack]) -> None:
    target = linear_target(linear_scores(), budget=33)
    assert kind(LIMITS[1], 500).run(target, gray(), Goal(0)).queries <= 33


@pytest.mark.parametrize("kind", KINDS)
def test_attacks_succeed_on_easy_targets(kind: type[ArtAttack]) -> None:
    slopes = linear_scores()
    slopes[:, 1] += 60
    # The L2 variant of Square in ART needs larger images.
    wide = kind(Bound("l0", 20) if kind is Square else Bound("l2", 3.0), 1500)
    found = wide.run(linear_target(slopes, lead=5), gray(), Goal(0, 1))
    assert verify(linear_target(slopes, lead=5), found.adversarial, Goal(0, 1), 1).rate == 1


@pytest.mark.parametrize("kind", KINDS)
def test_attacks_succeed_on_easy_targets_under_linf(kind: type[ArtAttack]) -> None:
    slopes = linear_scores(shape=(10, 10))
    slopes[:, 1] += 60
    target = linear_target(slopes, lead=5, shape=(10, 10))
    found = kind(Bound("linf", 0.2), 1500).run(target, np.full((10, 10), 0.5), Goal(0, 1))
    assert (
        verify(linear_target(slopes, lead=5, shape=(10, 10)), found.adversarial, Goal(0, 1), 1).rate
        == 1
    )


@pytest.mark.parametrize("kind", [Square, SimBA, ZOO, OnePixel])
def test_score_based_attacks_query_only_within_linf(kind: type[ArtAttack]) -> None:
    original, bound = np.random.default_rng(3).random((10, 10)), Bound("linf", 0.07)
    inner = linear_target(linear_scores(shape=(10, 10)), shape=(10, 10))
    shown: list[np.ndarray] = []

    def answer(rows: np.ndarray) -> np.ndarray:
        shown.extend(rows.reshape(-1, 10, 10))
        return inner.query(rows.reshape(-1, 10, 10))

    kind(bound, 300).run(BlackBox(answer, (10, 10), 3), original, Goal(0))
    assert len({image.tobytes() for image in shown}) > 20
    assert all(bound.holds(original, image) for image in shown)


@pytest.mark.parametrize("kind", [HopSkipJump, Boundary])
def test_decision_based_attacks_run_on_labels(kind: type[ArtAttack]) -> None:
    slopes = linear_scores()
    slopes[:, 1] += 60
    target = HardLabel(linear_target(slopes, lead=5))
    found = kind(Bound("l2", 3.0), 1500).run(target, gray(), Goal(0))
    assert verify(linear_target(slopes, lead=5), found.adversarial, Goal(0), 1).rate == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_random_target_causes_no_error(
    kind: type[ArtAttack],
) -> None:
    rng = np.random.default_rng(0)
    target = BlackBox(lambda rows: rng.integers(0, 4, (len(rows), 3)).astype(np.int32), SHAPE, 3)
    assert kind(LIMITS[1], 300).run(target, gray(), Goal(0)).queries <= 300


def seen_by_art(counts: list[int], goal: Goal, *, labels: bool) -> int:
    """Return the class that ART predicts for these counts."""
    target = BlackBox(lambda rows: np.tile(counts, (len(rows), 1)).astype(np.int32), SHAPE, 3)
    best = BestSeen(gray(), goal, LIMITS[0])
    asked = ArtTarget(target, gray(), goal, best, 9, labels=labels)
    outputs = asked.classifier().predict(gray()[None, None].astype(np.float32))
    assert outputs.sum() == pytest.approx(1)
    return int(outputs.argmax(axis=1)[0])


@pytest.mark.parametrize("labels", [False, True])
def test_a_tie_is_not_a_success(labels: bool) -> None:
    # Class 0 ties with class 1; argmax would return class 0.
    assert seen_by_art([5, 5, 0], Goal(1), labels=labels) == 1
    assert seen_by_art([5, 5, 0], Goal(1, 0), labels=labels) == 1
    # One additional spike breaks the tie, even among thousands.
    assert seen_by_art([5001, 5000, 0], Goal(1), labels=labels) == 0
    assert seen_by_art([5001, 5000, 0], Goal(1, 0), labels=labels) == 0


def test_unchanged_pixels_keep_their_float64_values() -> None:
    original = np.random.default_rng(0).random(SHAPE)
    assert (original.astype(np.float32) != original).all()
    shown: list[np.ndarray] = []

    def answer(rows: np.ndarray) -> np.ndarray:
        shown.extend(rows.reshape(-1, *SHAPE))
        return np.tile([9, 5, 0], (len(rows), 1)).astype(np.int32)

    SimBA(Bound("l0", 2), 5).run(BlackBox(answer, SHAPE, 3), original, Goal(0))
    assert np.array_equal(shown[0], original)
    assert [np.count_nonzero(image != original) for image in shown[1:3]] == [1, 1]


@pytest.mark.parametrize(
    ("attack", "shape", "classes", "words"),
    [
        (Square(LIMITS[0]), (12, 14), 3, "12 x 14"),
        (Square(LIMITS[0]), (6, 6), 3, "6 x 6"),
        (Square(LIMITS[1]), (8, 12), 3, "0.8.* 8 x 12"),
        (OnePixel(LIMITS[1]), (6, 6), 2, "2 classes, expected at least 3"),
    ],
)
def test_shapes_and_classes_that_art_does_not_support_are_refused(
    attack: ArtAttack, shape: tuple[int, int], classes: int, words: str
) -> None:
    target = BlackBox(lambda rows: np.ones((len(rows), classes), np.int32), shape, classes)
    with pytest.raises(UnsupportedFeatureError, match=f"attack '{attack.name}'.*{words}"):
        attack.run(target, np.full(shape, 0.5), Goal(0))
    assert target.queries == 0


def test_smaller_squares_fit_in_narrow_images() -> None:
    target = BlackBox(lambda rows: np.ones((len(rows), 3), np.int32), (8, 12), 3)
    found = Square(LIMITS[1], 60, p_init=0.3).run(target, np.full((8, 12), 0.5), Goal(0))
    assert (found.queries, found.stopped_by) == (60, "budget")


@pytest.mark.parametrize("fraction", [0, 1, 7])
def test_p_init_is_a_fraction(fraction: float) -> None:
    with pytest.raises(ValidationError, match="p_init"):
        Square(LIMITS[0], p_init=fraction)


@pytest.mark.parametrize("kind", KINDS)
def test_refused_queries_end_the_search_with_the_best_image(kind: type[ArtAttack]) -> None:
    target = NearDuplicateDetector(
        linear_target(linear_scores()), 100.0, neighbors=20, detections_allowed=0
    )
    found = kind(LIMITS[1], 300).run(target, gray(), Goal(0))
    assert found.stopped_by == "refused"
    assert found.queries == target.queries < 300


@pytest.mark.parametrize("kind", KINDS)
def test_global_random_states_are_restored(kind: type[ArtAttack]) -> None:
    np.random.seed(4)  # noqa: NPY002
    random.seed(4)
    wanted = np.random.random(), random.random()  # noqa: NPY002, S311
    np.random.seed(4)  # noqa: NPY002
    random.seed(4)
    replace(kind(LIMITS[1], 40), seed=9).run(linear_target(linear_scores()), gray(), Goal(0))
    assert (np.random.random(), random.random()) == wanted  # noqa: NPY002, S311
