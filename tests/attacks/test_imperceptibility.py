"""Distances of adversarial images, compared with loops written from their definitions."""

import itertools
import json
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.attacks.imperceptibility import (
    SD_FLOOR,
    local_standard_deviation,
    measure_imperceptibility,
)
from neuroattack.attacks.perception import Window
from neuroattack.errors import ValidationError

WHOLE = Window(0, 0, 28)


def pair(seed, moved=12, window=WHOLE):
    """Return a noisy image and one with some pixels of the window changed."""
    rng = np.random.default_rng(seed)
    original = rng.random((28, 28))
    adversarial = original.copy()
    rows = window.top + rng.integers(0, window.size, moved)
    columns = window.left + rng.integers(0, window.size, moved)
    adversarial[rows, columns] = rng.random(moved)
    return original, adversarial


def neighbors(image, row, column):
    height, width = image.shape
    return [
        image[i, j]
        for i in range(max(row - 1, 0), min(row + 2, height))
        for j in range(max(column - 1, 0), min(column + 2, width))
    ]


def loops(original, adversarial, window):
    """Return D, L0, L1, L2, L-infinity and Luo et al.'s distance, term by term."""
    n = window.size
    area = [
        original[window.top + i, window.left + j] for i, j in itertools.product(range(n), repeat=2)
    ]
    mu = sum(area) / n**2
    squares = sum((x - mu) ** 2 for x in area)
    d = l0 = l1 = l2 = linf = luo = 0.0
    for i, j in itertools.product(range(original.shape[0]), range(original.shape[1])):
        delta = abs(adversarial[i, j] - original[i, j])
        if delta:
            d += delta / math.sqrt((squares - (original[i, j] - mu) ** 2) / n**2)
            luo += delta / statistics.pstdev(neighbors(original, i, j))
            l0, l1, l2, linf = l0 + 1, l1 + delta, l2 + delta**2, max(linf, delta)
    return d, l0, l1, math.sqrt(l2), linf, luo


def ssim_by_definition(x, y):
    """Wang et al. 2004, Eqs. 13 to 17: Gaussian weights, sigma 1.5, 11 x 11."""
    axis = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    w = np.outer(axis, axis) / axis.sum() ** 2
    c1, c2 = 0.01**2, 0.03**2
    found = []
    for i, j in itertools.product(range(x.shape[0] - 10), range(x.shape[1] - 10)):
        a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
        ma, mb = (w * a).sum(), (w * b).sum()
        va, vb = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum()
        cab = (w * (a - ma) * (b - mb)).sum()
        found.append((2 * ma * mb + c1) * (2 * cab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return statistics.fmean(found)


@pytest.mark.parametrize("window", [WHOLE, Window(10, 12, 5), Window(0, 21, 7)])
def test_every_distance_equals_its_definition(window):
    original, adversarial = pair(3, window=window)
    found = measure_imperceptibility(original, adversarial, window)
    assert (
        found.distance,
        found.l0,
        found.l1,
        found.l2,
        found.linf,
        found.local_sd_distance,
    ) == pytest.approx(loops(original, adversarial, window), rel=1e-9)
    assert found.ssim == pytest.approx(ssim_by_definition(original, adversarial), abs=1e-12)
    assert found.ssim < 1


def test_only_the_floored_distance_uses_the_floor():
    original = np.zeros((28, 28))
    original[5, 5] = 0.09
    original[20, 20] = 1.0
    adversarial = original.copy()
    adversarial[5, 6] += 0.2
    adversarial[20, 21] += 0.3
    found = measure_imperceptibility(original, adversarial, WHOLE)
    # One bright pixel of nine: SD = level * sqrt(8) / 9; the value 0.0283 is below the floor.
    faint, bright = 0.09 * math.sqrt(8) / 9, math.sqrt(8) / 9
    assert faint < SD_FLOOR < bright
    assert found.local_sd_distance == pytest.approx(0.2 / faint + 0.3 / bright)
    assert found.floored_local_sd_distance == pytest.approx(0.2 / SD_FLOOR + 0.3 / bright)


def test_changes_in_uniform_regions_are_at_infinite_distance():
    original = np.full((28, 28), 0.1)
    original[0, 0] = 0.9
    adversarial = original.copy()
    adversarial[14, 14] = 0.2
    found = measure_imperceptibility(original, adversarial, WHOLE)
    assert math.isinf(found.local_sd_distance)
    assert found.floored_local_sd_distance == pytest.approx(0.1 / SD_FLOOR)
    assert math.isfinite(found.distance)
    inside = measure_imperceptibility(original, adversarial, Window(12, 12, 5))
    assert math.isinf(inside.distance)
    written = json.loads(json.dumps(inside.as_json(), allow_nan=False))
    assert (written["distance"], written["local_sd_distance"], written["l0"]) == (None, None, 1)
    assert written["floored_local_sd_distance"] == inside.floored_local_sd_distance


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6))
def test_local_sd_is_clipped_at_the_border(seed, height, width):
    image = np.random.default_rng(seed).integers(0, 3, (height, width)) / 2
    for i, j in itertools.product(range(height), range(width)):
        expected = statistics.pstdev(neighbors(image, i, j))
        assert local_standard_deviation(image)[i, j] == pytest.approx(expected, abs=1e-12)


def test_local_sd_of_uniform_regions_is_exactly_zero():
    for level in range(256):
        np.testing.assert_array_equal(local_standard_deviation(np.full((4, 4), level / 255)), 0)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_invariants(seed, moved):
    original, adversarial = pair(seed, moved)
    found = measure_imperceptibility(original, adversarial, WHOLE)
    back = measure_imperceptibility(adversarial, original, WHOLE)
    assert (found.l0, found.l1, found.l2, found.linf) == (back.l0, back.l1, back.l2, back.linf)
    assert found.ssim == pytest.approx(back.ssim, abs=1e-12)
    assert -1 <= found.ssim <= 1
    almost = 1 + 1e-12
    assert found.linf <= found.l2 * almost
    assert found.l2 <= found.l1 * almost
    assert found.l1 <= found.l0 * found.linf * almost
    assert found.l1 <= math.sqrt(found.l0) * found.l2 * almost
    assert found.floored_local_sd_distance <= found.local_sd_distance
    # The SD of intensities in [0, 1] is at most 1/2.
    assert found.local_sd_distance >= 2 * found.l1 / almost


def test_distances_of_equal_images_are_zero():
    for image in (np.zeros((28, 28)), pair(0)[0]):
        found = measure_imperceptibility(image, image, WHOLE)
        assert found.ssim == 1
        assert {v for k, v in found.as_json().items() if k != "ssim"} == {0}


def test_changes_that_cancel_are_not_counted():
    before = np.zeros((28, 28))
    after = before.copy()
    for move in (0.1, 0.1, 0.1, -0.1, -0.1, -0.1):
        after[14, 14] += move
    assert after[14, 14] != 0
    found = measure_imperceptibility(before, after, WHOLE)
    assert (found.l0, found.distance, found.local_sd_distance) == (0, 0.0, 0.0)


def test_images_too_small_for_the_weights_have_no_ssim():
    rng = np.random.default_rng(0)
    small = rng.random((10, 12))
    assert measure_imperceptibility(small, small, Window(0, 0, 10)).ssim is None
    fit = rng.random((11, 12))
    assert measure_imperceptibility(fit, fit, Window(0, 0, 10)).ssim == 1


@pytest.mark.parametrize(
    ("adversarial", "window", "message"),
    [
        (np.zeros((28, 27)), WHOLE, r"adversarial image: got shape \(28, 27\)"),
        (np.zeros(784), WHOLE, r"image shape: got \(784,\)"),
        (np.full((28, 28), np.nan), WHOLE, "NaN"),
        (np.full((28, 28), 1.2), WHOLE, "intensities from 1.2 to 1.2"),
        (np.zeros((28, 28)), Window(24, 0, 5), "rows 24 to 28"),
        (np.eye(28), Window(10, 10, 5), "adversarial image: got 23"),
    ],
)
def test_invalid_images_and_windows_are_refused(adversarial, window, message):
    with pytest.raises(ValidationError, match=message):
        measure_imperceptibility(np.zeros((28, 28)), adversarial, window)
