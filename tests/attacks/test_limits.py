"""Limits on distance, against loops over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroattack.attacks.limits import Limit
from neuroattack.errors import NeuroattackError


def plain_local_sd(original: np.ndarray, adversarial: np.ndarray) -> float:
    """Return Luo's distance, a 3 x 3 neighbourhood at a time, cut at the border."""
    total = 0.0
    for row in range(original.shape[0]):
        for column in range(original.shape[1]):
            around = original[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            change = abs(adversarial[row, column] - original[row, column])
            total += change / max(around.std(), 0.05)
    return total


def test_distances():
    rng = np.random.default_rng(0)
    original = rng.uniform(0, 1, (6, 7))
    original[:3] = 0.0
    adversarial = original.copy()
    adversarial[1, 1] += 0.4
    adversarial[4, 5] *= 0.5
    assert Limit("l0", 2).distance(original, adversarial) == 2
    expected = math.hypot(0.4, original[4, 5] / 2)
    assert Limit("l2", 1).distance(original, adversarial) == pytest.approx(expected)
    assert Limit("local_sd", 1).distance(original, adversarial) == pytest.approx(
        plain_local_sd(original, adversarial)
    )


def test_an_image_at_the_limit_is_within_it_and_one_beyond_is_not():
    original = np.zeros((2, 2))
    # Not exactly 0.3 away in floating point.
    touching = original + np.array([[0.1 + 0.2, 0], [0, 0]])
    assert Limit("l2", 0.3).holds(original, touching)
    assert not Limit("l2", 0.3).holds(original, touching * 1.001)
    assert not Limit("l0", 1).holds(original, original + 0.1)


def test_a_rounding_is_no_changed_pixel():
    original = np.full((2, 2), 0.1)
    assert Limit("l0", 1).distance(original, original + 1e-16) == 0


@given(
    st.one_of(
        st.builds(Limit, st.just("l0"), st.integers(1, 10**9)),
        st.builds(Limit, st.sampled_from(["l2", "local_sd"]), st.floats(1e-9, 1e12)),
    )
)
def test_text_and_back(limit):
    assert Limit.from_text(str(limit)) == limit


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("l2", "'l2', expected a measure and its bound, as l2=2"),
        ("", "''"),
        ("linf=1", "linf"),
        ("l2=two", "'two', expected a positive number"),
        ("l2=", "'', expected a positive number"),
        ("l2=0", "limit on l2"),
        ("l2=-1", "limit on l2"),
        ("l2=inf", "limit on l2"),
        ("l2=nan", "limit on l2"),
        ("l0=1.5", "1.5, expected a whole number of pixels"),
    ],
)
def test_what_is_no_limit_is_refused(text, told):
    with pytest.raises(NeuroattackError) as refused:
        Limit.from_text(text)
    assert told in str(refused.value)


def test_an_unknown_measure_is_refused():
    with pytest.raises(NeuroattackError, match="linf"):
        Limit("linf", 1.0)
