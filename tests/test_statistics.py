"""The Wilson interval against its defining quadratic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroattack.statistics import wilson_interval


@given(st.integers(1, 2000), st.data())
def test_ends_solve_the_score_equation(trials, data):
    successes = data.draw(st.integers(0, trials))
    share, z = successes / trials, 1.959963984540054
    for end in wilson_interval(successes, trials):
        # Wilson (1927): the ends are the p with (share - p)^2 = z^2 p (1 - p) / n.
        assert (share - end) ** 2 == pytest.approx(z * z * end * (1 - end) / trials, abs=1e-9)


@given(st.integers(1, 500), st.data())
def test_interval_holds_the_share_and_is_mirrored(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    mirrored = wilson_interval(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_known_value():
    # 10 of 20: 0.2993 to 0.7007 (Newcombe 1998, method 3).
    assert wilson_interval(10, 20) == pytest.approx((0.2993, 0.7007), abs=5e-5)
