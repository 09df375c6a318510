"""The black box: query counter, budget and encapsulation."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from neuroattack.errors import BudgetExceededError, ValidationError
from neuroattack.remote.client import RemoteTarget
from neuroattack.targets.black_box import BlackBox, Target
from neuroattack.targets.defenses import TargetWrapper

SHAPE = (4, 4)


def constant(rows):
    return np.tile(np.arange(3, dtype=np.int32), (len(rows), 1))


def images(n):
    return np.full((n, *SHAPE), 0.5)


def test_every_image_is_one_query():
    target = BlackBox(constant, SHAPE, 3, budget=10)
    target.query(images(4))
    target.query(images(1).reshape(1, 16))
    assert (target.queries, target.remaining) == (5, 5)


def test_a_query_beyond_the_budget_is_refused_and_not_counted():
    seen = []
    target = BlackBox(lambda rows: (seen.append(len(rows)), constant(rows))[1], SHAPE, 3, budget=10)
    target.query(images(8))
    with pytest.raises(BudgetExceededError, match=r"3.*2"):
        target.query(images(3))
    assert (target.queries, seen) == (8, [8])
    target.query(images(2))
    assert target.remaining == 0


@pytest.mark.parametrize("kind", [BlackBox, RemoteTarget, TargetWrapper])
def test_a_target_has_all_that_attacks_use(kind):
    missing = {name for name in vars(Target) if not name.startswith("_")} - set(dir(kind))
    assert not missing


def test_refused_images_are_not_counted():
    target = BlackBox(constant, SHAPE, 3, budget=10)
    for wrong in (np.full((1, 4, 4), np.nan), np.full((1, 4, 4), 1.5), np.zeros((2, 5, 5)), []):
        with pytest.raises(ValidationError):
            target.query(wrong)
    assert target.queries == 0


@pytest.mark.parametrize("budget", [0, -5, 2.5, float("nan")])
def test_budget_must_be_positive(budget):
    with pytest.raises(ValidationError, match=f"query budget: got {budget}"):
        BlackBox(constant, SHAPE, 3, budget=budget)


def test_public_names_neither_expose_the_network_nor_reset_the_counter():
    target = BlackBox(constant, SHAPE, 3, budget=10)
    public = {name for name in dir(target) if not name.startswith("_")}
    properties = {"image_shape", "n_classes", "response", "randomness", "meter", "queries"}
    assert public == properties | {"remaining", "query"}
    for name in properties:
        with pytest.raises(AttributeError):
            setattr(target, name, 0)
    with pytest.raises(AttributeError):
        target.network = None


def test_threads_that_share_a_target_share_its_budget():
    def slow(rows):
        time.sleep(0.002)
        return constant(rows)

    target = BlackBox(slow, SHAPE, 3, budget=5)
    answered = []

    def ask(_):
        try:
            target.query(images(1))
        except BudgetExceededError:
            return
        answered.append(1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(40)))
    assert (len(answered), target.queries, target.remaining) == (5, 5, 0)


def test_a_failed_query_is_counted():
    def broken(rows):
        raise RuntimeError("the chip went away")

    target = BlackBox(broken, SHAPE, 3, budget=5)
    with pytest.raises(RuntimeError, match="chip"):
        target.query(images(2))
    assert (target.queries, target.remaining) == (2, 3)
