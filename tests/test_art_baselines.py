import random
from dataclasses import replace

import numpy as np
import pytest
from toy_targets import SHAPE, grey, linear_scores, linear_target

pytest.importorskip("art", reason="needs the extra `attacks`")

from neuroattack.attack.art_baselines import (
    ZOO,
    ArtAttack,
    Boundary,
    HopSkipJump,
    OnePixel,
    SimBA,
    Square,
)
from neuroattack.attack.defences import HardLabel
from neuroattack.attack.limits import Limit
from neuroattack.attack.result import Goal, verify
from neuroattack.attack.target import BlackBox

LIMITS = [Limit("l2", 1.0), Limit("l0", 4), Limit("local_sd", 20)]
KINDS = [Square, SimBA, ZOO, OnePixel, HopSkipJump, Boundary]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("queries", [1, 7, 50, 200])
@pytest.mark.parametrize("noise_seed", [None, 3])
def test_never_past_queries_limit_or_range_and_the_same_again(
    kind: type[ArtAttack], limit: Limit, queries: int, noise_seed: int | None
) -> None:
    attack = kind(limit, queries, seed=5)
    image = np.random.default_rng(1).random(SHAPE)
    for goal in (Goal(0), Goal(0, 2)):
        found = []
        for _ in range(2):
            target = linear_target(linear_scores(), noise_seed=noise_seed, budget=queries + 10)
            found.append(attack.run(target, image, goal))
            assert found[-1].queries == target.queries <= queries
        one, two = found
        assert limit.holds(image, one.adversarial)
        assert one.adversarial.min() >= 0
        assert one.adversarial.max() <= 1
        np.testing.assert_array_equal(one.adversarial, two.adversarial)


@pytest.mark.parametrize("kind", KINDS)
def test_the_budget_of_the_target_is_as_hard(kind: type[ArtAttack]) -> None:
    target = linear_target(linear_scores(), budget=33)
    assert kind(LIMITS[0], 500).run(target, grey(), Goal(0)).queries <= 33


@pytest.mark.parametrize("kind", KINDS)
def test_easy_targets_are_fooled(kind: type[ArtAttack]) -> None:
    slopes = linear_scores()
    slopes[:, 1] += 60
    # On images this small ART's L2 form of Square divides by zero.
    wide = kind(Limit("l0", 20) if kind is Square else Limit("l2", 3.0), 1500)
    found = wide.run(linear_target(slopes, lead=5), grey(), Goal(0, 1))
    assert verify(linear_target(slopes, lead=5), found.adversarial, Goal(0, 1), 1).rate == 1


@pytest.mark.parametrize("kind", [HopSkipJump, Boundary])
def test_those_that_need_labels_only_are_content_with_them(kind: type[ArtAttack]) -> None:
    slopes = linear_scores()
    slopes[:, 1] += 60
    target = HardLabel(linear_target(slopes, lead=5))
    found = kind(Limit("l2", 3.0), 1500).run(target, grey(), Goal(0))
    assert verify(linear_target(slopes, lead=5), found.adversarial, Goal(0), 1).rate == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_that_answers_at_random_ends_no_search_in_an_error(
    kind: type[ArtAttack],
) -> None:
    rng = np.random.default_rng(0)
    target = BlackBox(lambda rows: rng.integers(0, 4, (len(rows), 3)).astype(np.int32), SHAPE, 3)
    assert kind(LIMITS[0], 300).run(target, grey(), Goal(0)).queries <= 300


@pytest.mark.parametrize("kind", [Square, SimBA, OnePixel])
def test_a_tie_is_no_success(kind: type[ArtAttack]) -> None:
    # The true class ties with the lowest one, to which argmax would give it.
    target = BlackBox(lambda rows: np.tile([5, 5, 0], (len(rows), 1)).astype(np.int32), SHAPE, 3)
    found = kind(LIMITS[0], 60).run(target, grey(), Goal(1))
    assert found.queries == 60


@pytest.mark.parametrize("kind", KINDS)
def test_global_chance_is_left_as_it_was(kind: type[ArtAttack]) -> None:
    np.random.seed(4)  # noqa: NPY002
    random.seed(4)
    wanted = np.random.random(), random.random()  # noqa: NPY002, S311
    np.random.seed(4)  # noqa: NPY002
    random.seed(4)
    replace(kind(LIMITS[0], 40), seed=9).run(linear_target(linear_scores()), grey(), Goal(0))
    assert (np.random.random(), random.random()) == wanted  # noqa: NPY002, S311
