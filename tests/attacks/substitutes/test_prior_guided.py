"""P-RGF: the optimal bias, the random directions, and the search on targets of known gradient."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.substitutes import LinearSubstitute
from support.toy_targets import SHAPE, gray, linear_scores, linear_target

from neuroattack.attacks.bounds import L0, L2
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.gradients.directions import block_directions, optimal_bias
from neuroattack.attacks.planning import best_change
from neuroattack.attacks.substitutes.prior_guided import PriorGuided
from neuroattack.errors import QueryRefusedError, UnsupportedFeatureError, ValidationError
from neuroattack.targets.black_box import BlackBox
from neuroattack.targets.defenses import HardLabel


def published_bias(squared, pixels, q):
    """Return Eq. 12 of the paper as printed; `squared` is the squared cosine."""
    if squared <= 1 / (pixels + 2 * q - 2):
        return 0.0
    if squared >= (2 * q - 1) / (pixels + 2 * q - 2):
        return 1.0
    above = (1 - squared) * (squared * (pixels + 2 * q - 2) - 1)
    return above / (2 * squared * pixels * q - squared**2 * pixels * (pixels + 2 * q - 2) - 1)


@given(st.floats(0, 0.99), st.integers(3, 3000), st.integers(1, 200))
def test_the_optimal_bias_is_that_of_the_paper(cosine, pixels, q):
    squared = cosine**2
    found = optimal_bias(squared / (1 - squared), pixels - 1, q)
    assert found == pytest.approx(published_bias(squared, pixels, q), abs=1e-5)


@pytest.mark.parametrize("cosine", [0.35, 0.45, 0.6])
def test_no_other_bias_gives_a_better_expected_estimate(cosine):
    pixels, q, estimates = 10, 4, 20_000
    rng = np.random.default_rng(0)
    # The gradient has the unit length; the prior is the first axis.
    gradient = np.r_[cosine, np.sqrt(1 - cosine**2), np.zeros(pixels - 2)]
    random = rng.normal(size=(estimates, q, pixels))
    random[..., 0] = 0
    random /= np.linalg.norm(random, axis=-1, keepdims=True)

    def quality(bias):
        """Return the squared error that the best scaling of the estimate removes."""
        directions = np.sqrt(1 - bias) * random
        directions[..., 0] = np.sqrt(bias)
        estimate = ((directions @ gradient)[..., None] * directions).mean(axis=1)
        return (estimate @ gradient).mean() ** 2 / (estimate**2).sum(axis=1).mean()

    best = max(quality(bias) for bias in np.linspace(0, 1, 41))
    chosen = optimal_bias(cosine**2 / (1 - cosine**2), pixels - 1, q)
    assert 0 < chosen < 1
    assert quality(chosen) == pytest.approx(best, rel=0.01)


@pytest.mark.parametrize("shape", [(7, 8), (2, 9, 6)])
def test_random_directions_are_equal_within_blocks(shape):
    directions = block_directions(shape, 3, 40, np.random.default_rng(0))
    assert directions.shape == (40, *shape)
    offsets = set()
    for direction in directions.reshape(40, -1, *shape[-2:]):
        values, counts = np.unique(direction, return_counts=True)
        assert counts.max() <= 9
        for value in values:
            _, rows, columns = np.nonzero(direction == value)
            assert np.ptp(rows) < 3
            assert np.ptp(columns) < 3
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        offsets.add(int(np.flatnonzero(np.diff(direction[0, :, 0]))[0]))
    assert offsets == {0, 1, 2}
    assert np.std(directions) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("targeted", [False, True])
def test_an_exact_prior_beats_random_directions(targeted):
    slopes = linear_scores(2)
    goal = Goal(0, 1 if targeted else None)

    def reached(substitutes):
        attack = PriorGuided(L2(0.8), 40, substitutes=substitutes, block=1)
        found = attack.run(linear_target(slopes), gray(), goal).adversarial
        return goal.gap(linear_target(slopes).query(found[None]).astype(float))[0]

    start = goal.gap(linear_target(slopes).query(gray()[None]).astype(float))[0]
    informed, blind = reached(LinearSubstitute(slopes)), reached(None)
    assert informed > blind > start
    if not targeted:
        best = max(
            (slopes[:, k] - slopes[:, 0])
            @ best_change(L2(0.8), gray(), slopes[:, k] - slopes[:, 0])
            for k in (1, 2)
        )
        assert informed - start > 0.8 * best


def test_a_wrong_prior_does_not_prevent_success():
    slopes = linear_scores(2)
    goal = Goal(0)
    attack = PriorGuided(L2(1.5), 600, substitutes=LinearSubstitute(-slopes), block=1)
    found = attack.run(linear_target(slopes, noise_seed=0), gray(), goal)
    assert goal.reached(linear_target(slopes).query(found.adversarial[None]))[0]


def test_pixels_under_l0_become_black_or_white():
    found = PriorGuided(L0(6), 300, block=1).run(linear_target(linear_scores()), gray(), Goal(0))
    changed = found.adversarial[found.adversarial != 0.5]
    assert len(changed) == 6
    assert set(changed) <= {0.0, 1.0}


@pytest.mark.parametrize("most", [0, 10, 45, 80])
def test_a_refusal_ends_the_search(most):
    plain = linear_target(linear_scores())

    def answer(rows):
        if box.queries > most:
            raise QueryRefusedError(len(rows), most)
        return plain.query(rows)

    box = BlackBox(answer, SHAPE, 3)
    found = PriorGuided(L2(0.8), 100, substitutes=LinearSubstitute(linear_scores())).run(
        box, gray(), Goal(0)
    )
    assert found.stopped_by == "refused"
    assert L2(0.8).holds(gray(), found.adversarial)
    # Even without any answer there is the image made with the substitute.
    assert not np.array_equal(found.adversarial, gray())


def test_labels_and_other_substitutes_are_refused():
    target = linear_target(linear_scores())
    with pytest.raises(UnsupportedFeatureError, match="score-based"):
        PriorGuided(L2(1.0)).run(HardLabel(target), gray(), Goal(0))
    other = LinearSubstitute(np.zeros((9, 3)), image_shape=(3, 3))
    with pytest.raises(ValidationError, match="substitutes"):
        PriorGuided(L2(1.0), substitutes=other).run(target, gray(), Goal(0))
    assert target.queries == 0


@pytest.mark.parametrize(
    "wrong", [{"sigma": 0}, {"step": 2.0}, {"block": 0}, {"directions": 0}, {"queries": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        PriorGuided(L2(1.0), **wrong)
