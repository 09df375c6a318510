"""Norm bounds, compared with loops over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroattack.attacks.bounds import L0, L2, Bound, LInf, LocalSD
from neuroattack.errors import NeuroattackError


def plain_local_sd(original: np.ndarray, adversarial: np.ndarray) -> float:
    """Return Luo et al.'s distance by a loop over 3 x 3 neighborhoods, clipped at the border."""
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
    assert Bound("l0", 2).distance(original, adversarial) == 2
    expected = math.hypot(0.4, original[4, 5] / 2)
    assert Bound("l2", 1).distance(original, adversarial) == pytest.approx(expected)
    assert Bound("linf", 1).distance(original, adversarial) == pytest.approx(
        max(abs(a - b) for a, b in zip(adversarial.flat, original.flat, strict=True))
    )
    assert Bound("local_sd", 1).distance(original, adversarial) == pytest.approx(
        plain_local_sd(original, adversarial)
    )


def test_an_image_at_the_bound_is_within_it_and_one_beyond_is_not():
    original = np.zeros((2, 2))
    # The distance is not exactly 0.3 in floating point.
    touching = original + np.array([[0.1 + 0.2, 0], [0, 0]])
    assert Bound("l2", 0.3).holds(original, touching)
    assert not Bound("l2", 0.3).holds(original, touching * 1.001)
    assert Bound("linf", 0.3).holds(original, np.full((2, 2), 0.1 + 0.2))
    assert not Bound("linf", 0.3).holds(original, touching * 1.001)
    assert not Bound("l0", 1).holds(original, original + 0.1)


def test_rounding_errors_do_not_count_as_changes():
    original = np.full((2, 2), 0.1)
    assert Bound("l0", 1).distance(original, original + 1e-16) == 0
    assert Bound("linf", 1).distance(original, original + 1e-16) == 0


@given(
    st.one_of(
        st.builds(Bound, st.just("l0"), st.integers(1, 10**9)),
        st.builds(Bound, st.sampled_from(["l2", "local_sd"]), st.floats(1e-9, 1e12)),
        st.builds(Bound, st.just("linf"), st.floats(1e-9, 1)),
    )
)
def test_text_round_trip(bound):
    assert Bound.from_text(str(bound)) == bound


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("l2", "'l2'"),
        ("", "''"),
        ("l3=1", "l3"),
        ("l2=two", "'two'"),
        ("l2=", "bound on l2: got ''"),
        ("l2=0", "bound on l2"),
        ("l2=-1", "bound on l2"),
        ("l2=inf", "bound on l2"),
        ("l2=nan", "bound on l2"),
        ("l0=1.5", "bound on l0: got 1.5"),
        ("linf=0", "bound on linf: got 0"),
        ("linf=1.01", "bound on linf: got 1.01"),
        ("linf=8", "bound on linf: got 8"),
        ("linf=nan", "bound on linf: got nan"),
    ],
)
def test_malformed_bounds_are_refused(text, message):
    with pytest.raises(NeuroattackError) as refused:
        Bound.from_text(text)
    assert message in str(refused.value)


def test_an_unknown_distance_is_refused():
    with pytest.raises(NeuroattackError, match="l3"):
        Bound("l3", 1.0)


def test_constructors():
    assert (L0(50), L2(2.0)) == (Bound("l0", 50), Bound("l2", 2.0))
    assert LInf(0.1) == Bound("linf", 0.1)
    assert LocalSD(60.0) == Bound("local_sd", 60.0)
