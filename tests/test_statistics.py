"""Confidence intervals compared with their defining equations, published values, and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from neuroattack.statistics import (
    mean_interval,
    median_interval,
    newcombe_interval,
    ratio_interval,
    wilson_interval,
)


@settings(deadline=None)
@given(st.integers(1, 2000), st.data())
def test_ends_solve_the_score_equation(trials, data):
    successes = data.draw(st.integers(0, trials))
    fraction, z = successes / trials, 1.959963984540054
    for end in wilson_interval(successes, trials):
        # Wilson (1927): the ends are the p with (fraction - p)^2 = z^2 p (1 - p) / n.
        assert (fraction - end) ** 2 == pytest.approx(z * z * end * (1 - end) / trials, abs=1e-9)


def test_known_value():
    # 10 of 20: 0.2993 to 0.7007 (Newcombe 1998, method 3).
    assert wilson_interval(10, 20) == pytest.approx((0.2993, 0.7007), abs=5e-5)


def score_limits(successes, trials):
    """Return the roots of the score equation, (fraction - p)^2 = z^2 p (1 - p) / n."""
    fraction, z = successes / trials, stats.norm.ppf(0.975)
    roots = np.roots([1 + z * z / trials, -2 * fraction - z * z / trials, fraction * fraction])
    return sorted(roots.real)


# Newcombe 1998, Statistics in Medicine 17, 873-890, Table II, method 10: a/m minus b/n.
NEWCOMBE_1998 = [
    ((56, 48), (70, 80), (0.0524, 0.3339)),
    ((9, 3), (10, 10), (0.1705, 0.8090)),
    ((6, 2), (7, 7), (0.0582, 0.8062)),
    ((5, 0), (56, 29), (-0.0381, 0.1926)),
    ((0, 0), (10, 20), (-0.1611, 0.2775)),
    ((0, 0), (10, 10), (-0.2775, 0.2775)),
    ((10, 0), (10, 20), (0.6791, 1.0000)),
    ((10, 0), (10, 10), (0.6075, 1.0000)),
]


@pytest.mark.parametrize(("successes", "trials", "published"), NEWCOMBE_1998)
def test_a_difference_has_the_published_interval(successes, trials, published):
    assert newcombe_interval(successes, trials) == pytest.approx(published, abs=5.1e-5)


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_a_difference_is_squared_and_added_from_the_score_limits(first, second, data):
    successes = data.draw(st.integers(0, first)), data.draw(st.integers(0, second))
    difference = successes[0] / first - successes[1] / second
    low1, high1 = score_limits(successes[0], first)
    low2, high2 = score_limits(successes[1], second)
    below = (successes[0] / first - low1) ** 2 + (high2 - successes[1] / second) ** 2
    above = (high1 - successes[0] / first) ** 2 + (successes[1] / second - low2) ** 2
    low, high = newcombe_interval(successes, (first, second))
    assert low == pytest.approx(difference - below**0.5, abs=1e-7)
    assert high == pytest.approx(difference + above**0.5, abs=1e-7)
    assert -1 - 1e-12 <= low <= difference <= high <= 1 + 1e-12
    assert newcombe_interval(successes[::-1], (second, first)) == pytest.approx((-high, -low))


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30))
def test_a_mean_has_students_interval(values):
    error = stats.sem(values)
    if error > 0:
        expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error)
    else:
        expected = (values[0], values[0])
    assert mean_interval(values) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_one_value_has_no_interval():
    assert mean_interval([0.3]) is None
    assert mean_interval([]) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=12))
def test_a_ratio_is_where_the_interval_of_a_difference_ends_at_zero(pairs):
    first, second = np.array([*pairs, (3, 5)]).T / 8
    trials, one, two = len(first), first.mean(), second.mean()
    low1, high1 = score_limits(first.sum(), trials)
    low2, high2 = score_limits(second.sum(), trials)
    constant = first.std() == 0 or second.std() == 0
    correlation = 0.0 if constant else np.corrcoef(first, second)[0, 1]
    low, high = ratio_interval(first.tolist(), second.tolist())
    assert 0 <= low <= one / two <= high

    # The squared half-width of the interval of p1 - r p2 is that of a sum of correlated parts.
    def half(r, a, b):
        return a * a + (r * b) ** 2 - 2 * correlation * a * r * b

    assert (one - low * two) ** 2 == pytest.approx(half(low, one - low1, high2 - two), abs=1e-7)
    assert (high * two - one) ** 2 == pytest.approx(half(high, high1 - one, two - low2), rel=1e-7)


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_ratios_are_covered_by_their_intervals(shared):
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(500):
        # With probability `shared`, both rates of a pair depend on the same random number.
        number = rng.random((2, 20))
        number[1] = np.where(rng.random(20) < shared, number[0], number[1])
        low, high = ratio_interval(*(number < [[0.6], [0.8]]).astype(float).tolist())
        covered += low <= 0.75 <= high
    assert 0.92 <= covered / 500 <= 0.99


def test_median_interval_covers_the_median():
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0]) == (1.0, 6.0)
    # Published ranks for n = 100: 40 and 61 (Conover 1999, table A3).
    assert median_interval(list(range(1, 101))) == (40, 61)
    rng = np.random.default_rng(0)
    covered = [
        low <= 0 <= high
        for low, high in (median_interval(rng.normal(size=25)) for _ in range(4000))
    ]
    assert 0.95 <= np.mean(covered) <= 0.97
