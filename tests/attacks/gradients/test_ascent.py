"""Gradient ascent on models whose optimum is known, and gradients against finite differences."""

import numpy as np
import pytest

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.gradients.ascent import Aim, aims_of, ascend
from neuroattack.attacks.planning import best_change

SHAPE = (3, 4)


class Linear:
    """Model whose log scores are linear in the pixels."""

    image_shape = SHAPE
    n_classes = 3

    def __init__(self, seed):
        self.weights = np.random.default_rng(seed).normal(size=(12, 3))

    def log_scores(self, images):
        return images.reshape(len(images), -1) @ self.weights

    def linearize(self, images):
        return self.log_scores(images), lambda rows: (rows @ self.weights.T).reshape(images.shape)


@pytest.mark.parametrize(
    "bound",
    [Bound("l2", 0.9), Bound("l0", 3), Bound("linf", 0.3), Bound("local_sd", 6.0)],
    ids=str,
)
@pytest.mark.parametrize("seed", range(4))
def test_it_reaches_the_optimum_of_a_linear_model(bound, seed):
    model = Linear(seed)
    original = np.random.default_rng(seed).uniform(0, 1, SHAPE)
    (found,) = ascend(model, original[None], [Aim(Goal(0), 2)], bound, steps=200)
    assert bound.holds(original, found)
    slopes = model.weights[:, 2] - model.weights[:, 0]
    best = best_change(bound, original, slopes) @ slopes
    assert (found - original).ravel() @ slopes >= 0.98 * best


def test_every_row_has_its_own_aim():
    model = Linear(1)
    original = np.full((2, *SHAPE), 0.5)
    aims = [Aim(Goal(0, 1)), Aim(Goal(0), 2)]
    found = ascend(model, original, aims, Bound("l2", 0.5))
    scores = model.log_scores(found)
    assert scores[0].argmax() == 1
    slopes = model.weights[:, 2] - model.weights[:, 0]
    change = best_change(Bound("l2", 0.5), original[1], slopes)
    np.testing.assert_allclose(
        (found[1] - original[1]).ravel() @ slopes, change @ slopes, rtol=1e-3
    )


def test_aims():
    assert aims_of(Goal(1, 2), 4) == [Aim(Goal(1, 2))]
    assert [aim.rival for aim in aims_of(Goal(1), 4)] == [None, 0, 2, 3]
