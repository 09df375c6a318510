"""Substitutes: scores against PyTorch's definition, gradients, files, and training."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.attacks.substitutes.ensemble import Ensemble, Perceptron
from neuroattack.attacks.substitutes.storage import load_substitutes, save_substitutes
from neuroattack.attacks.substitutes.training import fit_perceptron
from neuroattack.datasets import Split, load_dataset
from neuroattack.errors import FileError, ValidationError

SHAPE = (2, 3)


def perceptron(seed, hidden=(5, 4), classes=3):
    rng = np.random.default_rng(seed)
    sizes = (6, *hidden, classes)
    return Perceptron(
        SHAPE,
        tuple(rng.normal(size=pair).astype(np.float32) for pair in itertools.pairwise(sizes)),
        tuple(rng.normal(size=size).astype(np.float32) for size in sizes[1:]),
    )


def plain_log_scores(model, image):
    values = [float(value) for value in image.ravel()]
    for layer, (weights, biases) in enumerate(zip(model.weights, model.biases, strict=True)):
        if layer:
            values = [max(value, 0.0) for value in values]
        values = [
            sum(value * float(row[unit]) for value, row in zip(values, weights, strict=True))
            + float(biases[unit])
            for unit in range(len(biases))
        ]
    total = np.log(np.sum(np.exp(values)))
    return [value - total for value in values]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scores_and_gradients(seed):
    rng = np.random.default_rng(seed)
    model = Ensemble([perceptron(seed), perceptron(seed + 1, hidden=(7,))])
    images, weights = rng.uniform(0, 1, (2, *SHAPE)), rng.normal(size=(2, 3))
    scores, pullback = model.linearize(images)
    for image, row in zip(images, scores, strict=True):
        plain = np.mean([plain_log_scores(member, image) for member in model.members], axis=0)
        np.testing.assert_allclose(row, plain, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(scores, model.log_scores(images))
    found = pullback(weights)
    step, size = rng.normal(size=images.shape), 1e-8

    def moved(sign):
        return [
            np.mean([plain_log_scores(member, image) for member in model.members], axis=0)
            for image in images + sign * size * step
        ]

    # In float64, where the step is so small that it crosses no kink of the rectifiers.
    rise = (np.array(moved(1)) - np.array(moved(-1))) / (2 * size)
    assert (found * step).sum() == pytest.approx((rise * weights).sum(), rel=1e-3, abs=1e-3)


def test_files_keep_every_bit(tmp_path):
    ensemble = Ensemble([perceptron(1), perceptron(2, hidden=(7,))])
    save_substitutes(tmp_path / "s.h5", ensemble)
    loaded = load_substitutes(tmp_path / "s.h5")
    images = np.random.default_rng(0).uniform(0, 1, (4, *SHAPE))
    np.testing.assert_array_equal(loaded.log_scores(images), ensemble.log_scores(images))
    (tmp_path / "s.h5").write_bytes(b"no file of substitutes")
    with pytest.raises(FileError):
        load_substitutes(tmp_path / "s.h5")


def test_models_that_do_not_fit_together():
    with pytest.raises(ValidationError):
        Ensemble([])
    with pytest.raises(ValidationError):
        Ensemble([perceptron(1), perceptron(2, classes=4)])


def test_training_learns_and_is_reproducible():
    digits = load_dataset("digits")
    first, again = (fit_perceptron(digits.train, 10, (50,), seed=3, epochs=30) for _ in range(2))
    found = first.log_scores(digits.test.images.astype(np.float64)).argmax(axis=1)
    assert (found == digits.test.labels).mean() > 0.9
    np.testing.assert_array_equal(first.weights[0], again.weights[0])


def test_two_classes():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 1, (2000, 2, 2)).astype(np.float32)
    labels = (images[:, 0, 0] > 0.5).astype(np.uint8)
    model = fit_perceptron(Split(images, labels), 2, (16,), seed=0, epochs=100, noise=0.0)
    found = model.log_scores(images.astype(np.float64)).argmax(axis=1)
    assert (found == labels).mean() > 0.9
