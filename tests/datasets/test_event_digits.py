"""The digits as seen by a simulated event camera, against a plain simulation."""

import itertools
import math

import numpy as np
import pytest

from neuroattack.datasets import load_dataset
from neuroattack.datasets.dataset import Dataset, Split
from neuroattack.datasets.events.counts import count_images
from neuroattack.errors import ValidationError


@pytest.fixture(scope="module")
def events():
    return load_dataset("event-digits")


def seen(image, row, column):
    """Intensity of every sensor pixel, by bilinear interpolation of single pixels, in [0, 1]."""

    def at(y, x):
        return image[y, x] if 0 <= y < 28 and 0 <= x < 28 else 0.0

    def interpolated(y, x):
        top, left = math.floor(y), math.floor(x)
        down, right = y - top, x - left
        return (
            (1 - down) * ((1 - right) * at(top, left) + right * at(top, left + 1))
            + down * ((1 - right) * at(top + 1, left) + right * at(top + 1, left + 1))
        )  # fmt: skip

    return np.array(
        [
            [
                np.mean(
                    [interpolated(2 * i + a - 2 + row, 2 * j + b - 2 + column)
                     for a in (0, 1) for b in (0, 1)]
                )
                for j in range(16)
            ]
            for i in range(16)
        ]
    )  # fmt: skip


def test_events_are_those_of_a_plain_simulation(events):
    """Three saccades, and an event where the logarithm has changed by more than 0.35."""
    image = load_dataset("digits").test.images[7].astype(float)
    corners = [(0, 0), (3, 6), (-3, 3), (0, 0)]
    path = [
        # Positions are rounded to eighths of a pixel.
        tuple(math.floor(8 * (a + (b - a) * k / 30) + 0.5) / 8 for a, b in zip(*pair, strict=True))
        for pair in itertools.pairwise(corners)
        for k in range(1, 31)
    ]
    memory = np.log(seen(image, 0, 0) + 0.12)
    expected = np.zeros((90, 2, 16, 16), bool)
    close = 0
    for step, (row, column) in enumerate(path):
        change = np.log(seen(image, row, column) + 0.12) - memory
        crossed = np.floor(np.abs(change) / 0.35)
        # Rounded logarithms may decide otherwise next to the threshold.
        close += int((np.abs(np.abs(change) / 0.35 - np.rint(np.abs(change) / 0.35)) < 2e-3).sum())
        expected[step, 0] = (change > 0) & (crossed > 0)
        expected[step, 1] = (change < 0) & (crossed > 0)
        memory += np.sign(change) * crossed * 0.35
    found = events.test.images[7]
    assert expected.sum() > 300
    # Each such case shifts events of its pixel.
    assert (found != expected).sum() <= 0.02 * expected.sum()


def test_format(events):
    assert events.dt_s == 1e-3
    assert events.train.images.dtype == bool
    assert events.test.images.shape == (355, 90, 2, 16, 16)
    assert events.checksum == load_dataset("event-digits").checksum
    assert np.array_equal(events.test.labels, load_dataset("digits").test.labels)
    per_sample = events.test.images.sum(axis=(1, 2, 3, 4))
    assert 200 < per_sample.min() < per_sample.max() < 3_000


def test_images_of_counts(events):
    images = count_images(events)
    most = events.train.images.sum(axis=1).max()
    assert images.dt_s is None
    assert (images.name, images.checksum) == (events.name, events.checksum)
    assert images.train.images.shape == (1442, 2, 16, 16)
    assert images.train.images.max() == 1
    expected = np.minimum(events.test.images[3].sum(axis=0) / most, 1)
    assert images.test.images[3] == pytest.approx(expected, abs=1e-6)
    digits = load_dataset("digits")
    assert count_images(digits) is digits


def test_samples_without_events_cannot_be_trained_on():
    empty = Split(np.zeros((2, 5, 3), bool), np.zeros(2, np.uint8))
    with pytest.raises(ValidationError, match="'dark'"):
        count_images(Dataset.of("dark", empty, empty, 2, dt_s=1e-3))
