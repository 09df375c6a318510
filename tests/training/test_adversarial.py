"""Adversarial training: gradients by finite differences, the bound, and complete trainings."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.trainings import SHORT, SMALL, few, same

from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.training.adversarial import AdversarialTraining, input_gradient
from neuroattack.training.fine_tuning import cross_entropy
from neuroattack.training.recipes import RECIPES, find_recipe, train
from neuroattack.training.siegert import SiegertParameters, Transfer, siegert_rates

GAIN = 30.0
FULL_SCALE = 0.2


def network(seed):
    """Return drive weights, input rates and labels of a random network."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0.5, 3, shape).astype(np.float32) for shape in ((9, 8), (8, 6), (6, 3))]
    inputs = (FULL_SCALE * rng.random((12, 9))).astype(np.float32)
    return weights, inputs, rng.integers(0, 3, 12)


def loss(weights, inputs, labels, transfer):
    """Return the loss in float64, by the reference implementation of the transfer function."""
    rates = inputs.astype(np.float64)
    for layer in (w.astype(np.float64) for w in weights):
        spread = np.sqrt(transfer.variance_gain * (rates @ layer**2))
        rates = siegert_rates(transfer.drive_gain * (rates @ layer), spread, transfer.siegert)
    return cross_entropy(rates, labels, GAIN)[0]


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_agrees_with_finite_differences(seed):
    weights, inputs, labels = network(seed)
    transfer = Transfer(SiegertParameters())
    squares = [np.square(layer) for layer in weights]
    gradient = input_gradient(weights, squares, inputs, labels, transfer, GAIN)
    numeric = np.zeros(inputs.shape)
    for place in np.ndindex(inputs.shape):
        ends = []
        for step in (1e-5, -1e-5):
            moved = inputs.astype(np.float64)
            moved[place] += step
            ends.append(loss(weights, moved, labels, transfer))
        numeric[place] = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose(gradient, numeric, atol=2e-3 * np.abs(numeric).max())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 99), st.floats(0.01, 4), st.integers(1, 6))
def test_adversarial_images_are_within_the_bound_and_the_range(seed, l2, steps):
    weights, inputs, labels = network(seed)
    adversarial = AdversarialTraining(l2, steps).perturb(
        inputs,
        labels,
        weights,
        Transfer(SiegertParameters()),
        FULL_SCALE,
        GAIN,
        np.random.default_rng(seed),
    )
    assert adversarial.dtype == np.float32
    assert adversarial.min() >= 0
    assert adversarial.max() <= np.float32(FULL_SCALE)
    distances = np.linalg.norm((adversarial - inputs) / FULL_SCALE, axis=1)
    assert distances.max() <= l2 * (1 + 1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_exceeds_that_of_random_images_at_the_bound(seed):
    weights, inputs, labels = network(seed)
    transfer = Transfer(SiegertParameters())
    rng = np.random.default_rng(seed)
    found = AdversarialTraining(0.3, 10).perturb(
        inputs, labels, weights, transfer, FULL_SCALE, GAIN, rng
    )
    random = []
    for _ in range(50):
        moved = rng.standard_normal(inputs.shape)
        moved *= 0.3 * FULL_SCALE / np.linalg.norm(moved, axis=1, keepdims=True)
        random.append(loss(weights, np.clip(inputs + moved, 0, FULL_SCALE), labels, transfer))
    assert loss(weights, found, labels, transfer) > max(random)


def adversarial(recipe, l2):
    tuning = dataclasses.replace(recipe.fine_tuning, adversarial=AdversarialTraining(l2))
    return dataclasses.replace(recipe, fine_tuning=tuning)


def test_trainings_with_the_same_seed_are_equal_and_with_other_bounds_differ():
    plain, one, again, other = (
        train(*few(), recipe=recipe, **SMALL)
        for recipe in (SHORT, *(adversarial(SHORT, l2) for l2 in (0.5, 0.5, 0.6)))
    )
    assert same(one, again)
    assert not same(one, plain)
    assert not same(one, other)


def test_an_interrupted_training_resumes_to_the_same_network(tmp_path, monkeypatch):
    monkeypatch.setattr("neuroattack.training.recipes._STEPS_PER_REPORT", 1)
    recipe = adversarial(SHORT, 0.5)

    def stop(progress):
        if progress.stage == "fine-tuning" and progress.epoch == 2:
            raise KeyboardInterrupt

    file = tmp_path / "checkpoint.h5"
    with pytest.raises(KeyboardInterrupt):
        train(*few(), recipe=recipe, checkpoint=file, progress=stop, **SMALL)
    resumed = train(*few(), recipe=recipe, checkpoint=file, resume=True, **SMALL)
    assert same(resumed, train(*few(), recipe=recipe, **SMALL))


def test_a_recipe_may_be_given_with_its_bound():
    recipe = find_recipe("fine-tuned,adversarial_l2=1.50")
    assert recipe.name == "fine-tuned,adversarial_l2=1.5"
    assert recipe.fine_tuning.adversarial == AdversarialTraining(1.5)
    assert dataclasses.replace(recipe, name="fine-tuned", fine_tuning=None) == dataclasses.replace(
        RECIPES["fine-tuned"], fine_tuning=None
    )


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("fine-tuned,adversarial=1", UnknownNameError, "did you mean 'adversarial_l2'"),
        ("fine-tuned,adversarial_l2", ValidationError, "adversarial_l2 of a recipe: got ''"),
        ("fine-tuned,adversarial_l2=far", ValidationError, "got 'far'"),
        ("fine-tuned,adversarial_l2=0", ValidationError, "adversarial_l2: got 0"),
        ("fine-tuned,adversarial_l2=nan", ValidationError, "adversarial_l2: got nan"),
        ("paper,adversarial_l2=1", ValidationError, "a recipe with fine-tuning"),
    ],
)
def test_impossible_settings_of_a_recipe_are_refused(text, error, message):
    with pytest.raises(error, match=message):
        find_recipe(text)


def test_no_steps_are_refused():
    with pytest.raises(ValidationError, match="steps of adversarial training"):
        AdversarialTraining(1.0, 0)
