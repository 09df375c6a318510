"""Projection onto bounds, compared with constrained optimization and with random points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import visibility_sd
from neuroattack.attacks.gradients.projection import project

SHAPE = (3, 4)
BOUNDS = [Bound("l2", 0.9), Bound("l0", 3), Bound("linf", 0.3), Bound("local_sd", 6.0)]


def pair(seed):
    rng = np.random.default_rng(seed)
    original = rng.uniform(0, 1, (1, *SHAPE))
    original[0, 0, :2] = 0.0, 1.0
    return original, original + rng.normal(0, 0.7, original.shape)


@pytest.mark.parametrize("bound", BOUNDS, ids=str)
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_projected_images_are_within_the_bound_and_stay_where_they_are(bound, seed):
    original, image = pair(seed)
    found = project(bound, original, image)
    assert found.min() >= 0
    assert found.max() <= 1
    assert bound.holds(original[0], found[0])
    np.testing.assert_allclose(project(bound, original, found), found, atol=1e-9)


@pytest.mark.parametrize("bound", [Bound("l2", 0.9), Bound("local_sd", 6.0)], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_no_allowed_image_is_nearer(bound, seed):
    original, image = pair(seed)
    start = original.ravel()
    unit = visibility_sd(original[0]).ravel() if bound.norm == "local_sd" else np.ones(start.size)
    wanted = (image.ravel() - start) / unit

    def distance(change):
        return np.abs(change).sum() if bound.norm == "local_sd" else np.linalg.norm(change)

    # Positive and negative parts make the L1 norm smooth.
    best = optimize.minimize(
        lambda parts: ((parts[:12] - parts[12:] - wanted) ** 2).sum(),
        np.full(24, 1e-3),
        bounds=[(0, max(high, 0)) for high in (1 - start) / unit]
        + [(0, max(low, 0)) for low in start / unit],
        constraints={
            "type": "ineq",
            "fun": lambda parts: (
                bound.maximum - parts.sum()
                if bound.norm == "local_sd"
                else bound.maximum**2 - ((parts[:12] - parts[12:]) ** 2).sum()
            ),
        },
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    found = (project(bound, original, image).ravel() - start) / unit
    assert distance(found) <= bound.maximum * (1 + 1e-9)
    assert ((found - wanted) ** 2).sum() <= best.fun + 1e-5


def test_linf_moves_each_pixel_to_its_nearest_allowed_intensity():
    original, image = pair(4)
    found = project(Bound("linf", 0.3), original, image)
    for place in np.ndindex(original.shape):
        low, high = max(original[place] - 0.3, 0), min(original[place] + 0.3, 1)
        allowed = np.linspace(low, high, 1001)
        nearest = allowed[np.abs(allowed - image[place]).argmin()]
        assert found[place] == pytest.approx(nearest, abs=1e-3)


def test_l0_keeps_the_largest_changes_after_clipping():
    original = np.array([[[0.5, 0.9, 0.2, 0.4]]])
    image = np.array([[[0.8, 9.0, 0.0, 0.41]]])
    found = project(Bound("l0", 2), original, image)
    np.testing.assert_array_equal(found, [[[0.8, 0.9, 0.0, 0.4]]])
