"""Window, SD (Eq. 1) and D (Eq. 2), compared with the formulas of the paper."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroattack.attacks.perception import Window, distance, standard_deviation
from neuroattack.errors import ValidationError


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_sd_equals_eq_1_term_by_term(n, seed):
    area = np.random.default_rng(seed).random((n, n))
    mu = sum(area[k, m] for k in range(n) for m in range(n)) / n**2
    for i in range(n):
        for j in range(n):
            total = sum((area[k, m] - mu) ** 2 for k in range(n) for m in range(n))
            expected = math.sqrt(max(total - (area[i, j] - mu) ** 2, 0) / (n * n))
            assert standard_deviation(area)[i, j] == pytest.approx(expected, abs=1e-9)


def test_sd_excludes_the_pixel_from_the_sum_but_not_from_the_number():
    area = np.zeros((2, 2))
    area[0, 0] = 1.0
    # mu = 1/4; squares: 9/16 for the lit pixel, 1/16 for each other; their sum 12/16.
    sd = standard_deviation(area)
    assert sd[0, 0] == pytest.approx(math.sqrt((12 / 16 - 9 / 16) / 4))
    assert sd[1, 1] == pytest.approx(math.sqrt((12 / 16 - 1 / 16) / 4))


def test_sd_of_a_flat_window_is_zero():
    for level in range(256):
        image = np.full((28, 28), level / 255)
        for n in (3, 5, 7):
            np.testing.assert_array_equal(standard_deviation(image[10 : 10 + n, 10 : 10 + n]), 0)


def test_distance_equals_eq_2():
    original = np.zeros((2, 2))
    adversarial = np.array([[0.1, -0.2], [0.0, 0.0]])
    sd = np.array([[0.5, 0.25], [0.0, 1.0]])
    assert distance(adversarial, original, sd) == pytest.approx(0.1 / 0.5 + 0.2 / 0.25)


def test_distance_is_infinite_if_a_pixel_of_sd_zero_changed():
    assert distance(np.ones((1, 1)), np.zeros((1, 1)), np.zeros((1, 1))) == math.inf


def test_centered_window():
    assert Window.centered((28, 28), 7) == Window(10, 10, 7)
    assert Window.centered((28, 28), 28) == Window(0, 0, 28)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (lambda: Window(25, 0, 5).check_inside((28, 28)), "rows 25 to 29"),
        (lambda: Window.centered((28, 28), 29), "rows 0 to 28"),
        (lambda: Window(-1, 0, 5), "row -1"),
        (lambda: Window(0, 0, 0), "window size: got 0"),
        (lambda: Window.centered((784,), 5), "image shape"),
    ],
)
def test_impossible_windows_are_refused(window, message):
    with pytest.raises(ValidationError, match=message):
        window()
