"""Optimal perturbations, compared with linear programs and exhaustive search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import visibility_sd
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.planning import best_change, pixels_to_probe
from neuroattack.attacks.regression.effects import Effects
from neuroattack.attacks.regression.plans import plan_images

SHAPE = (3, 4)
PIXELS = 12
LIMITS = [Bound("l2", 0.9), Bound("l0", 3), Bound("linf", 0.3), Bound("local_sd", 6.0)]


def problem(seed: int):
    """Return an image with pixels at both ends of the range, and slopes with a zero."""
    rng = np.random.default_rng(seed)
    original = rng.uniform(0, 1, SHAPE)
    original[0, 0], original[1, 1] = 0.0, 1.0
    slopes = rng.normal(0, 5, PIXELS)
    slopes[5] = 0.0
    return original, slopes


def ends(original: np.ndarray) -> list[tuple[float, float]]:
    """Return the largest decrease and increase of each pixel."""
    return [(-value, 1 - value) for value in original.ravel()]


def of_programme(limit: Bound, original: np.ndarray, slopes: np.ndarray) -> float:
    """Return the largest gain within a bound, computed independently."""
    if limit.norm == "l2":
        found = optimize.minimize(
            lambda change: -change @ slopes,
            np.zeros(PIXELS),
            jac=lambda _: -slopes,
            bounds=ends(original),
            constraints={"type": "ineq", "fun": lambda change: limit.maximum**2 - change @ change},
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-12},
        )
        return -found.fun
    if limit.norm == "l0":
        gains = [
            max(low * slope, high * slope)
            for (low, high), slope in zip(ends(original), slopes, strict=True)
        ]
        return max(sum(some) for some in itertools.combinations(gains, int(limit.maximum)))
    if limit.norm == "linf":
        reach = [
            (max(low, -limit.maximum), min(high, limit.maximum)) for low, high in ends(original)
        ]
        return -optimize.linprog(-slopes, bounds=reach).fun
    cost = 1 / visibility_sd(original).ravel()
    found = optimize.linprog(
        -np.concatenate([slopes, -slopes]),
        A_ub=[np.concatenate([cost, cost])],
        b_ub=[limit.maximum],
        bounds=[(0, high) for _, high in ends(original)] + [(0, -low) for low, _ in ends(original)],
    )
    return -found.fun


@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("seed", range(8))
def test_no_change_within_the_bound_gains_more(limit, seed):
    original, slopes = problem(seed)
    change = best_change(limit, original, slopes)
    assert change @ slopes == pytest.approx(of_programme(limit, original, slopes), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    measure=st.sampled_from(["l2", "l0", "linf", "local_sd"]),
    bound=st.integers(1, 40),
    silent=st.booleans(),
)
def test_changes_respect_bound_and_range(seed, measure, bound, silent):
    step = 1 / 41 if measure == "linf" else 1
    limit = Bound(measure, bound * step)
    original, slopes = problem(seed)
    slopes = slopes * (not silent)
    change = best_change(limit, original, slopes)
    image = original + change.reshape(SHAPE)
    assert limit.holds(original, image)
    assert image.min() >= -1e-12
    assert image.max() <= 1 + 1e-12
    assert change[slopes == 0] == pytest.approx(0)
    # The whole bound is used unless no further gain is possible.
    wider = best_change(Bound(measure, (bound + 1) * step), original, slopes)
    assert wider @ slopes >= change @ slopes - 1e-9


def linear(seed: int, shape: tuple[int, int] = SHAPE) -> tuple[np.ndarray, Effects]:
    """Return an image of which class 0 of 5 is predicted, and the effects around it."""
    rng = np.random.default_rng(seed)
    original = rng.uniform(0.2, 0.8, shape)
    base = np.array([30.0, *rng.uniform(5, 20, 4)])
    return original, Effects(base, rng.normal(0, 8, (original.size, 5)))


def gap(effects: Effects, goal: Goal, original: np.ndarray, image: np.ndarray) -> float:
    """Return the gap predicted by the effects."""
    return float(goal.gap(effects.predict((image - original).ravel())[None])[0])


@pytest.mark.parametrize("seed", range(5))
def test_untargeted_plans_are_the_best_of_each_wrong_class(seed):
    original, effects = linear(seed)
    limit = Bound("local_sd", 8.0)
    plans = plan_images(effects, limit, original, Goal(0), 3)
    gaps = [gap(effects, Goal(0), original, image) for image in plans]
    best = max(
        effects.base[rival]
        - effects.base[0]
        + of_programme(limit, original, effects.slopes[:, rival] - effects.slopes[:, 0])
        for rival in range(1, 5)
    )
    assert len(plans) == 3
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] == pytest.approx(best)


@pytest.mark.parametrize("seed", range(12))
def test_a_targeted_plan_is_close_to_the_optimum_against_all_rivals(seed):
    original, effects = linear(seed, (10, 10))
    limit = Bound("local_sd", 20.0)
    plan = plan_images(effects, limit, original, Goal(0, 3), 1)[0]
    assert limit.holds(original, plan)
    others = [0, 1, 2, 4]
    cost = 1 / visibility_sd(original).ravel()
    ahead = effects.slopes[:, [3]] - effects.slopes[:, others]
    # Largest t such that the target class leads every rival by t.
    found = optimize.linprog(
        np.array([0.0] * 2 * len(cost) + [-1.0]),
        A_ub=np.vstack(
            [np.hstack([cost, cost, 0])]
            + [np.hstack([-ahead[:, k], ahead[:, k], 1]) for k in range(4)]
        ),
        b_ub=[limit.maximum, *(effects.base[3] - effects.base[others])],
        bounds=[(0, high) for _, high in ends(original)]
        + [(0, -low) for low, _ in ends(original)]
        + [(None, None)],
    )
    best = -found.fun
    start = float((effects.base[3] - effects.base[others]).min())
    found_gap = gap(effects, Goal(0, 3), original, plan)
    assert found_gap <= best + 1e-9
    assert found_gap >= start + 0.95 * (best - start)


def test_pixels_to_probe_have_the_largest_gain_per_distance():
    original, _ = problem(2)
    gains = np.random.default_rng(4).uniform(0, 1, PIXELS)
    sd = visibility_sd(original).ravel()
    for breadth in (0.5, 2.0, 100.0):
        limit = Bound("local_sd", 6.0)
        chosen = pixels_to_probe(limit, original, gains, breadth).ravel()
        assert (1 / sd[chosen]).sum() <= breadth * limit.maximum or chosen.sum() == 1
        if not chosen.all():
            left_out = (gains * sd)[~chosen]
            assert (gains * sd)[chosen].min(initial=np.inf) >= left_out.max()
    assert chosen.all()
    for free in (Bound("l2", 0.1), Bound("l0", 1), Bound("linf", 0.1)):
        assert pixels_to_probe(free, original, gains, 0.1).all()


def test_pixels_of_equal_gain_are_all_included():
    flat = np.full(SHAPE, 0.5)
    assert pixels_to_probe(Bound("local_sd", 6.0), flat, np.ones(PIXELS), 4.0).all()
