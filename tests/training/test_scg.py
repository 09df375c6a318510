"""Scaled conjugate gradients against closed forms, SciPy, and plain loops from the paper."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import rosen, rosen_der

from neuroattack.errors import ValidationError
from neuroattack.training.dnn.scg import SCGParameters, initial_state, scg_step

TINY = SCGParameters(initial_lambda=1e-12)


def rosenbrock(point):
    return float(rosen(point)), rosen_der(point)


def double_well(point):
    """Return E = sum of (x^2 - 1)^2: in each coordinate a maximum at 0, minima at -1 and 1."""
    return float(np.sum((point**2 - 1) ** 2)), 4 * point * (point**2 - 1)


def a_quadratic(n, seed, largest=10.0):
    """Return A, symmetric positive definite of eigenvalues 1 to `largest`, and b."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    eigenvalues = rng.uniform(1, largest, n)
    return (basis * eigenvalues) @ basis.T, rng.standard_normal(n)


def quadratic(a, b):
    return lambda x: (float(x @ a @ x / 2 - b @ x), a @ x - b)


def stepped(state, objective, steps, parameters=None):
    for _ in range(steps):
        state = scg_step(state, objective, parameters)
    return state


class Counted:
    """Objective that records the points at which it is evaluated."""

    def __init__(self, objective):
        self.objective = objective
        self.points = []

    def __call__(self, point):
        self.points.append(point.tobytes())
        return self.objective(point)


# Quadratics


@settings(deadline=None)
@given(n=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_a_quadratic_is_minimised_in_as_many_steps_as_dimensions(n, seed):
    a, b = a_quadratic(n, seed)
    objective = quadratic(a, b)
    start = np.random.default_rng(seed + 1).standard_normal(n)
    state = stepped(initial_state(start, objective, TINY), objective, n, TINY)
    solution = np.linalg.solve(a, b)
    assert np.linalg.norm(state.weights - solution) < 1e-7 * np.linalg.norm(start - solution)


def test_where_the_model_is_exact_every_step_succeeds_and_lambda_falls_to_a_quarter():
    a, b = a_quadratic(6, seed=5)
    objective = quadratic(a, b)
    state = initial_state(np.ones(6), objective)
    for k in range(1, 5):
        state = scg_step(state, objective)
        assert state.success
        assert state.scale == 1e-6 / 4**k


def test_a_maximum_is_left_although_the_curvature_is_negative_there():
    state = stepped(initial_state(np.array([0.01]), double_well), double_well, 60)
    assert abs(state.weights[0]) == pytest.approx(1, abs=1e-6)


# Rosenbrock's function: a curved valley with the minimum 0 at (1, ..., 1)


@pytest.mark.parametrize(("n", "steps"), [(2, 200), (10, 600)])
def test_rosenbrock_is_followed_to_its_minimum(n, steps):
    start = np.tile([-1.2, 1.0], n // 2)
    state = stepped(initial_state(start, rosenbrock), rosenbrock, steps)
    assert state.value < 1e-12
    np.testing.assert_allclose(state.weights, 1, atol=1e-5)


def test_the_value_never_rises_and_belongs_to_the_point():
    state = initial_state(np.array([-1.2, 1.0, 0.5]), rosenbrock)
    outcomes = set()
    for _ in range(100):
        after = scg_step(state, rosenbrock)
        assert after.value <= state.value
        assert after.value == rosen(after.weights)
        np.testing.assert_array_equal(after.residual, -rosen_der(after.weights))
        if not after.success:
            np.testing.assert_array_equal(after.weights, state.weights)
        outcomes.add(after.success)
        state = after
    assert outcomes == {True, False}


def plain_loops(start, objective, steps, sigma, first_lambda):
    """Run the algorithm of Møller (1993) with scalar arithmetic; yield each w."""

    def dot(one, other):
        return sum(x * y for x, y in zip(one, other, strict=True))

    def error(point):
        return objective(np.array(point))[0]

    def slope(point):
        return [float(x) for x in objective(np.array(point))[1]]

    w = [float(x) for x in start]
    lam, lam_bar, success = first_lambda, 0.0, True
    p = r = [-x for x in slope(w)]
    for k in range(1, steps + 1):
        length2 = dot(p, p)
        if success:
            sigma_k = sigma / math.sqrt(length2)
            ahead = slope([x + sigma_k * y for x, y in zip(w, p, strict=True)])
            s = [(x - y) / sigma_k for x, y in zip(ahead, slope(w), strict=True)]
            delta = dot(p, s)
        delta = delta + (lam - lam_bar) * length2
        if delta <= 0:
            lam_bar = 2 * (lam - delta / length2)
            delta = -delta + lam * length2
            lam = lam_bar
        mu = dot(p, r)
        alpha = mu / delta
        trial = [x + alpha * y for x, y in zip(w, p, strict=True)]
        big_delta = 2 * delta * (error(w) - error(trial)) / (mu * mu)
        if big_delta >= 0:
            w = trial
            old, r = r, [-x for x in slope(w)]
            lam_bar = 0.0
            success = True
            if k % len(w) == 0:
                p = r
            else:
                beta = (dot(r, r) - dot(r, old)) / mu
                p = [x + beta * y for x, y in zip(r, p, strict=True)]
            if big_delta >= 0.75:
                lam = lam / 4
        else:
            lam_bar = lam
            success = False
        if big_delta < 0.25:
            lam = lam + delta * (1 - big_delta) / length2
        yield w
        if not any(r):
            return


@pytest.mark.parametrize(
    ("objective", "start"),
    [
        (rosenbrock, [-1.2, 1.0]),
        (rosenbrock, [3.1, -3.8, 0.6, -0.9, -0.7]),
        (rosenbrock, [0.8, 0.3, -0.1, -3.5, 0.6]),
        (rosenbrock, [0.5, 2.3, -2.7, 2.5, -0.1]),
        (double_well, [0.3, -0.01, 1.5]),
    ],
)
def test_the_points_are_those_of_the_paper_read_as_plain_loops(objective, start):
    """Rounding errors grow along the valley, so only 25 steps are compared."""
    state = initial_state(np.array(start), objective)
    failures = 0
    for point in plain_loops(start, objective, 25, 1e-4, 1e-6):
        state = scg_step(state, objective)
        failures += not state.success
        np.testing.assert_allclose(state.weights, point, rtol=1e-6)
    assert failures > 0


# Evaluations per step, and content of states


def test_nothing_is_evaluated_twice():
    counted = Counted(rosenbrock)
    state = initial_state(np.array([-1.2, 1.0, 0.5]), counted)
    expected = 1
    for _ in range(60):
        expected += 2 if state.success else 1
        state = scg_step(state, counted)
    assert len(counted.points) == expected
    assert len(set(counted.points)) == len(counted.points)


def test_a_step_leaves_its_state_as_it_was():
    state = stepped(initial_state(np.array([-1.2, 1.0]), rosenbrock), rosenbrock, 3)
    kept = state.weights.copy(), state.residual.copy(), state.direction.copy()
    scg_step(state, rosenbrock)
    for before, after in zip(kept, (state.weights, state.residual, state.direction), strict=True):
        np.testing.assert_array_equal(before, after)


def test_at_a_minimum_it_stays():
    state = initial_state(np.ones(3), rosenbrock)
    assert state.converged
    assert scg_step(state, rosenbrock) is state


def test_hundreds_of_steps_at_the_limit_of_rounding_do_no_harm():
    a, b = a_quadratic(4, seed=1)
    objective = quadratic(a, b)
    state = stepped(initial_state(np.ones(4), objective), objective, 2000)
    np.testing.assert_allclose(state.weights, np.linalg.solve(a, b), rtol=1e-6)


def test_a_point_where_the_objective_is_not_finite_is_not_taken():
    """E = x - ln x, infinite for x <= 0; the first step from 3 would end far below 0."""

    def objective(x):
        if x[0] <= 0:
            return math.inf, np.array([math.nan])
        return float(x[0] - math.log(x[0])), 1 - 1 / x

    state = initial_state(np.array([3.0]), objective)
    after = scg_step(state, objective)
    assert not after.success
    np.testing.assert_array_equal(after.weights, state.weights)
    assert after.scale == 4e-6
    again = scg_step(after, objective)
    added = 3e-6 * float(state.direction @ state.direction)
    assert again.curvature == pytest.approx(after.curvature + added, rel=1e-12)
    assert stepped(after, objective, 60).weights[0] == pytest.approx(1, abs=1e-6)


def test_a_direction_at_a_right_angle_to_the_residual_gives_way_to_it():
    """Otherwise, the step size would be zero and the comparison parameter 0 / 0.

    At the trial point beta is (1/2 + 1/2) / 1, the residual (-1/2, 1/2), the direction (1/2, 1/2).
    """

    def objective(point):
        if abs(point[0]) < 0.5:
            return 0.0, np.array([point[0] - 1, 0.0])
        return -0.5, np.array([0.5, -0.5])

    state = scg_step(initial_state(np.zeros(2), objective, TINY), objective, TINY)
    np.testing.assert_array_equal(state.residual, [-0.5, 0.5])
    np.testing.assert_array_equal(state.direction, state.residual)


# Validation


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": 1e-3}, "sigma"),
        ({"sigma": math.nan}, "sigma"),
        ({"initial_lambda": 0.0}, "lambda"),
        ({"initial_lambda": 1e-5}, "lambda"),
    ],
)
def test_constants_outside_the_range_of_the_paper_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        SCGParameters(**change)


@pytest.mark.parametrize("start", [np.zeros((2, 2)), np.zeros(0), np.zeros(3, int)])
def test_a_start_that_is_no_vector_of_floats_is_refused(start):
    with pytest.raises(ValidationError, match="SCG weights"):
        initial_state(start, rosenbrock)


def test_an_objective_that_is_not_finite_at_the_start_is_refused():
    with pytest.raises(ValidationError, match="initial weights"):
        initial_state(np.array([np.inf, 1.0]), lambda x: (math.inf, x))
