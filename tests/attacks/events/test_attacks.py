"""Attacks on a toy target that reads events, in which their effects are known."""

import numpy as np
import pytest

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.random_noise import RandomNoise
from neuroattack.attacks.registry import attack_names, make_attack
from neuroattack.attacks.regression.count_regression import CountRegression
from neuroattack.attacks.regression.event_effects import EventEffects
from neuroattack.attacks.sparse_rs import SparseRS
from neuroattack.errors import NeuroattackError, UnsupportedFeatureError
from neuroattack.targets.black_box import BlackBox

SHAPE = (30, 2, 6, 6)


def toy_target(weights, noise=0.0, budget=None):
    """A black box whose two counts depend linearly on the cells."""
    rng = np.random.default_rng(0)

    def counts(rows):
        assert set(np.unique(rows)) <= {0.0, 1.0}
        score = rows @ weights.ravel() + noise * rng.normal(size=len(rows))
        rival = np.clip(np.rint(50 + score), 0, 100)
        return np.stack([100 - rival, rival], axis=1).astype(np.int32)

    return BlackBox(counts, SHAPE, 2, budget)


@pytest.fixture
def sample():
    return (np.random.default_rng(1).random(SHAPE) < 0.05).astype(float)


def hot_spot():
    """Weights of a spot of pixels in some steps."""
    weights = np.full(SHAPE, -0.02)
    weights[10:20, 0, 1:3, 1:3] = 1.0
    return weights


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_insertions_are_placed_where_they_pay(sample, noise):
    weights = hot_spot()
    start = float((sample * weights).sum())
    goal = Goal(0)
    bound = Bound("events", 0.1)
    offset = weights - (start + 8) / sample.sum() * (sample > 0)
    ours = CountRegression(bound, 600, 0).run(toy_target(offset, noise), sample, goal)
    assert bound.holds(sample, ours.adversarial)
    changed = ours.adversarial - sample
    assert ours.queries <= 600
    best = int(0.1 * sample.sum())
    assert (changed * weights).sum() >= 0.6 * best
    for other in (RandomNoise(bound, 600, 0), SparseRS(bound, 600, 0)):
        found = other.run(toy_target(offset, noise), sample, goal)
        assert bound.holds(sample, found.adversarial)
        assert ((found.adversarial - sample) * weights).sum() < (changed * weights).sum()


def test_retiming_follows_the_slope_in_time(sample):
    """Later events score more in one half of the pixels, earlier ones in the other."""
    slope = np.where(np.arange(6) < 3, 0.2, -0.2)[:, None] * np.ones((2, 6, 6))
    weights = np.arange(30)[:, None, None, None] * slope
    start = float((sample * weights).sum())
    centered = weights - (start + 5) / sample.sum()
    bound = Bound("jitter", 2)
    found = CountRegression(bound, 800, 0).run(toy_target(centered), sample, Goal(0))
    assert bound.holds(sample, found.adversarial)
    gained = float((found.adversarial * weights).sum()) - start
    assert gained > 5
    assert found.stopped_by == "reached"


def test_features_of_retimed_events_are_shifts(sample):
    effects = EventEffects(sample, Bound("jitter", 3), (0.0,))
    moved = np.zeros(SHAPE)
    moved[4, 1, 2, 3] = 1
    original = np.zeros(SHAPE)
    original[2, 1, 2, 3] = 1
    features = effects._features((moved - original)[None])[0]
    # Later by two steps within the first block of four.
    assert features[0, 1, 2, 3] == 1
    assert features[1, 1, 2, 3] == 1
    assert np.count_nonzero(features) == 2
    slopes = np.random.default_rng(0).normal(size=(features.size, 2))
    by_cell = effects._per_cell(slopes)
    assert (moved - original).ravel() @ by_cell == pytest.approx(features.ravel() @ slopes)


def test_linear_predictions_of_features_and_cells_agree(sample):
    rng = np.random.default_rng(2)
    for norm in ("events", "jitter"):
        effects = EventEffects(sample, Bound(norm, 2), (0.0,))
        changed = sample.copy()
        changed[5:9] = rng.permutation(changed[5:9])
        features = effects._features((changed - sample)[None])[0].ravel()
        slopes = rng.normal(size=(features.size, 3))
        expected = features @ slopes
        found = (changed - sample).ravel() @ effects._per_cell(slopes)
        assert found == pytest.approx(expected)


def test_attacks_on_images_refuse_bounds_on_events():
    supported = set()
    for name in attack_names():
        try:
            make_attack(name, Bound("events", 0.1), 100, 0)
        except NeuroattackError:
            continue
        supported.add(name)
    assert {"count-regression", "random-noise", "sparse-rs", "white-box"} <= supported
    assert "square" not in supported
    assert "transfer" not in supported
    with pytest.raises(UnsupportedFeatureError, match="jitter"):
        make_attack("sparse-rs", Bound("jitter", 2), 100, 0)


@pytest.mark.parametrize("norm", ["events", "moved"])
@pytest.mark.parametrize("queries", [1, 3, 10])
def test_small_budgets_are_kept(sample, norm, queries):
    target = toy_target(hot_spot(), budget=queries)
    found = CountRegression(Bound(norm, 0.1), queries, 0).run(target, sample, Goal(0))
    assert found.queries <= queries
    assert Bound(norm, 0.1).holds(sample, found.adversarial)
