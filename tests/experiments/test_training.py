"""Adversarial images as further training images."""

import numpy as np
import pytest

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.substitutes.ensemble import Perceptron
from neuroattack.datasets import Dataset, Split
from neuroattack.errors import ValidationError
from neuroattack.experiments.training import adversarial_split


def split(images, shape=(6, 6)):
    rng = np.random.default_rng(images)
    labels = rng.integers(0, 3, images).astype(np.uint8)
    return Split(rng.random((images, *shape), dtype=np.float32), labels)


def test_adversarial_images_are_within_the_bound_and_lower_the_margin(monkeypatch):
    monkeypatch.setattr("neuroattack.experiments.training._BATCH", 7)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((36, 3)).astype(np.float32)
    model = Perceptron((6, 6), (weights,), (np.zeros(3, np.float32),))
    clean = split(20)
    adversarial = adversarial_split(model, clean, Bound("l2", 0.5))
    np.testing.assert_array_equal(adversarial.labels, clean.labels)
    changes = (adversarial.images - clean.images).reshape(20, -1)
    assert np.linalg.norm(changes, axis=1).max() <= 0.5 + 1e-5
    rows = np.arange(20)

    def margins(images):
        scores = images.reshape(20, -1) @ weights
        true = scores[rows, clean.labels].copy()
        scores[rows, clean.labels] = -np.inf
        return true - scores.max(axis=1)

    assert (margins(adversarial.images) < margins(clean.images)).all()


def test_a_data_set_is_extended_by_training_images_only():
    data = Dataset.of("random", split(5), split(4), 3)
    extra = split(3)
    longer = data.extended(extra)
    np.testing.assert_array_equal(longer.train.images[:5], data.train.images)
    np.testing.assert_array_equal(longer.train.images[5:], extra.images)
    np.testing.assert_array_equal(longer.train.labels[5:], extra.labels)
    assert longer.test is data.test
    assert longer.name == data.name
    assert longer.checksum != data.checksum
    with pytest.raises(ValidationError, match="extra images: got shape"):
        data.extended(split(3, (5, 5)))
