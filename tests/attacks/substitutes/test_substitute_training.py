"""Substitute training: augmentation, training on fractions, budgets, and success on toy targets."""

from itertools import pairwise

import numpy as np
import pytest
from support.toy_targets import SHAPE, gray, linear_scores, linear_target

from neuroattack.attacks.bounds import L2
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.substitutes.ensemble import Perceptron
from neuroattack.attacks.substitutes.substitute_training import (
    SubstituteTraining,
    _Learner,
    augmented,
)
from neuroattack.datasets.dataset import Split
from neuroattack.errors import QueryRefusedError, ValidationError
from neuroattack.targets.black_box import BlackBox
from neuroattack.targets.callable import target
from neuroattack.targets.defenses import HardLabel


def seeds(count=60, shape=SHAPE):
    rng = np.random.default_rng(5)
    return Split(rng.random((count, *shape)).astype(np.float32), np.zeros(count, np.uint8))


def softmax(rows):
    scores = np.exp(rows - rows.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def probability_target(slopes, shape=SHAPE):
    """Return a target whose probabilities are those of a linear model."""
    return target(
        lambda images: softmax(images.reshape(len(images), -1) @ slopes - slopes.sum(0) / 2),
        image_shape=shape,
        classes=slopes.shape[1],
        response="probabilities",
    )


def test_augmentation_follows_finite_differences_of_the_probability():
    rng = np.random.default_rng(0)
    sizes = (6, 5, 3)
    model = Perceptron(
        (2, 3),
        tuple(rng.normal(size=pair).astype(np.float32) for pair in pairwise(sizes)),
        tuple(rng.normal(size=size).astype(np.float32) for size in sizes[1:]),
    )

    def probability(image, k):
        rows = image.ravel()
        for layer, (weights, biases) in enumerate(zip(model.weights, model.biases, strict=True)):
            rows = (np.maximum(rows, 0) if layer else rows) @ weights.astype(float) + biases
        return softmax(rows[None])[0, k]

    images = rng.uniform(0.05, 0.95, (8, 2, 3))
    classes = rng.integers(0, 3, 8)
    found = augmented(model, images, classes, 0.1)
    for image, k, changed in zip(images, classes, found, strict=True):
        for place in np.ndindex(2, 3):
            up, down = image.copy(), image.copy()
            up[place] += 1e-6
            down[place] -= 1e-6
            slope = probability(up, k) - probability(down, k)
            wanted = min(max(image[place] + 0.1 * np.sign(slope), 0.0), 1.0)
            assert changed[place] == pytest.approx(wanted)


def test_the_substitute_learns_fractions():
    rng = np.random.default_rng(1)
    slopes = rng.normal(0, 2, (6, 3))
    images, unseen = rng.random((800, 2, 3)), rng.random((200, 2, 3))

    def wanted(each):
        return softmax((each.reshape(len(each), -1) - 0.5) @ slopes)

    learner = _Learner(6, 3, rng)
    for _ in range(8):
        learner.fit(images, wanted(images))
    found = np.exp(learner.perceptron((2, 3)).log_scores(unseen))
    error = np.abs(found - wanted(unseen)).mean()
    assert error < 0.2 * np.abs(wanted(unseen) - wanted(unseen).mean(axis=0)).mean()


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("labels", [False, True])
def test_success_on_an_easy_target(targeted, labels):
    slopes = np.random.default_rng(3).normal(0, 3, (36, 3))
    box = probability_target(slopes)
    image = gray() + np.reshape(0.15 * np.sign(slopes[:, 0] - slopes[:, 1:].mean(axis=1)), SHAPE)
    goal = Goal(0, 1 if targeted else None)
    assert not goal.reached(box.query(image[None]))[0]
    attack = SubstituteTraining(L2(2.0), 400, dataset=seeds(), seed_images=60)
    found = attack.run(HardLabel(box) if labels else box, image, goal)
    # Untargeted, 40 queries select among three images: 6 each, then 10 for each of the best two.
    assert found.queries == (400 if targeted else 360 + 3 * 6 + 2 * 10)
    assert goal.reached(box.query(found.adversarial[None]))[0]


def test_initial_and_augmented_images_fill_the_budget():
    queried = []

    def answer(rows):
        queried.append(rows.reshape(-1, *SHAPE).copy())
        return np.rint(np.c_[rows.sum(1), 40 - rows.sum(1)]).astype(np.int32)

    box = BlackBox(answer, SHAPE, 2)
    split = seeds()
    attack = SubstituteTraining(
        L2(0.5), 100, dataset=split, seed_images=20, perturbation=0.1, selection_fraction=0.1
    )
    found = attack.run(box, gray(), Goal(0))
    assert found.queries == box.queries <= 100
    initial, doubled, doubled_again, rest = queried[:4]
    assert [len(each) for each in (initial, doubled, doubled_again, rest)] == [20, 20, 40, 10]
    np.testing.assert_array_equal(initial[0], gray())
    known = {image.astype(np.float64).tobytes() for image in split.images}
    assert all(image.tobytes() in known for image in initial[1:])
    for old, new in zip(np.concatenate([initial, doubled]), doubled_again, strict=True):
        assert np.abs(new - old).max() <= 0.1 + 1e-12


def test_no_data_set_is_needed():
    slopes = np.random.default_rng(3).normal(0, 3, (36, 3))
    box = probability_target(slopes)
    found = SubstituteTraining(L2(0.6), 300).run(box, gray(), Goal(0))
    assert 270 < found.queries <= 300
    assert not np.array_equal(found.adversarial, gray())


@pytest.mark.parametrize("most", [0, 30, 95])
def test_a_refusal_ends_the_search(most):
    plain = linear_target(linear_scores())

    def answer(rows):
        if box.queries > most:
            raise QueryRefusedError(len(rows), most)
        return plain.query(rows)

    box = BlackBox(answer, SHAPE, 3)
    attack = SubstituteTraining(L2(0.8), 100, dataset=seeds(), seed_images=20)
    found = attack.run(box, gray(), Goal(0))
    assert found.stopped_by == "refused"
    assert L2(0.8).holds(gray(), found.adversarial)
    assert np.array_equal(found.adversarial, gray()) == (most == 0)


def test_images_of_another_shape_and_settings_out_of_range_are_refused():
    box = linear_target(linear_scores())
    with pytest.raises(ValidationError, match="data set of the substitute"):
        SubstituteTraining(L2(1.0), dataset=seeds(shape=(5, 5))).run(box, gray(), Goal(0))
    assert box.queries == 0
    for wrong in ({"seed_images": 0}, {"perturbation": 0.0}, {"selection_fraction": 2.0}):
        with pytest.raises(ValidationError):
            SubstituteTraining(L2(1.0), **wrong)
