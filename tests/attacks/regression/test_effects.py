"""Effects of pixels on classes, compared with textbook formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal
from support.substitutes import LinearSubstitute

from neuroattack.attacks.regression.corrected import Corrected
from neuroattack.attacks.regression.effects import EffectEstimator, scores_on

SHAPE = (4, 5)
PIXELS = 20


def data(rows: int, *, seed: int = 0, noise: float = 3.0):
    """Return an image, perturbed images, true slopes and the resulting counts."""
    rng = np.random.default_rng(seed)
    original = rng.uniform(0.2, 0.8, SHAPE)
    images = np.clip(original + rng.choice([-0.3, 0.0, 0.3], (rows, *SHAPE)), 0, 1)
    slopes = rng.normal(0, 12, (PIXELS, 3))
    means = 60 + (images - original).reshape(rows, -1) @ slopes
    counts = np.rint(means + rng.normal(0, noise, means.shape)).clip(0).astype(np.int32)
    return original, images, slopes, counts


def correlations(length: float) -> np.ndarray:
    """Return the prior correlations between pixels from their distances."""
    grid = np.argwhere(np.ones(SHAPE))
    apart = cdist(grid, grid, "sqeuclidean")
    return np.exp(-apart / (2 * length**2)) if length else np.eye(PIXELS)


def by_the_book(changes: np.ndarray, scores: np.ndarray, length: float) -> np.ndarray:
    """Return one class's slopes: the posterior mean of the Gaussian process at the best ratio."""
    centered = changes - changes.mean(axis=0)
    answers = scores - scores.mean()
    rows = len(answers)
    prior = correlations(length)
    best = (-np.inf, np.empty(0))
    for ratio in np.logspace(-6, 6, 49):
        shape = ratio * centered @ prior @ centered.T + np.eye(rows)
        noise = answers @ np.linalg.solve(shape, answers) / rows
        likelihood = multivariate_normal(np.zeros(rows), noise * shape).logpdf(answers)
        if likelihood > best[0]:
            slopes = ratio * prior @ centered.T @ np.linalg.solve(shape, answers)
            best = (likelihood, slopes)
    return best[1]


@pytest.mark.parametrize("length", [0.0, 0.8])
@pytest.mark.parametrize("rows", [12, 60])
def test_slopes_are_the_mean_of_a_gaussian_process(rows, length):
    original, images, _, counts = data(rows)
    estimator = EffectEstimator(original, [length])
    estimator.add(images, counts)
    (effects,) = estimator.fit("counts")
    changes = (images - original).reshape(rows, -1)
    for class_ in range(3):
        expected = by_the_book(changes, counts[:, class_].astype(float), length)
        np.testing.assert_allclose(
            effects.slopes[:, class_], expected, atol=1e-6 * abs(expected).max()
        )
    # The model passes through the mean of the data.
    np.testing.assert_allclose(effects.predict(changes).mean(axis=0), counts.mean(axis=0))


def test_many_queries_leave_a_small_error():
    original, images, slopes, counts = data(4000, noise=1.0)
    estimator = EffectEstimator(original, [0.0])
    for start in range(0, 4000, 1000):
        estimator.add(images[start : start + 1000], counts[start : start + 1000])
    (effects,) = estimator.fit("counts")
    assert np.abs(effects.slopes - slopes).max() < 0.5
    np.testing.assert_allclose(effects.base, 60, atol=0.5)


def test_noise_shared_within_a_batch_has_no_effect():
    original, images, slopes, counts = data(600, noise=0.0)
    rng = np.random.default_rng(1)
    shifted, plain = EffectEstimator(original, [0.0]), EffectEstimator(original, [0.0])
    for start in range(0, 600, 8):
        part = slice(start, start + 8)
        shift = rng.integers(0, 40, 3)
        shifted.add(images[part], counts[part] + shift, shared_randomness=True)
        plain.add(images[part], counts[part] + shift)
    error = [np.abs(one.fit("counts")[0].slopes - slopes).max() for one in (shifted, plain)]
    assert error[0] < 1.0 < error[1]


def test_the_length_of_largest_likelihood_is_chosen():
    rng = np.random.default_rng(3)
    original = np.full(SHAPE, 0.5)
    images = original + rng.choice([-0.3, 0.3], (15, *SHAPE))
    changes = (images - original).reshape(15, -1)
    for length, other in ((0.0, 1.5), (1.5, 0.0)):
        root = np.linalg.cholesky(correlations(length) + 1e-9 * np.eye(PIXELS))
        slopes = 30 * root @ rng.normal(size=(PIXELS, 6))
        counts = np.rint(100 + changes @ slopes).clip(0).astype(np.int32)
        found = []
        for lengths in ([length], [other, length], [other]):
            estimator = EffectEstimator(original, lengths)
            estimator.add(images, counts)
            found.append(estimator.fit("counts")[0].slopes)
        np.testing.assert_array_equal(found[0], found[1])
        assert np.abs(found[2] - found[1]).max() > 0.1


def test_a_silent_class_has_no_effects():
    original, images, _, counts = data(30)
    counts[:, 1] = 0
    estimator = EffectEstimator(original, [0.7])
    estimator.add(images, counts)
    for effects, base in zip(estimator.fit("counts", "log"), (0.0, np.log(0.5)), strict=True):
        assert np.isfinite(effects.slopes).all()
        np.testing.assert_allclose(effects.slopes[:, 1], 0, atol=1e-9)
        assert effects.base[1] == pytest.approx(base)


def test_a_single_query_determines_only_the_base():
    estimator = EffectEstimator(np.full(SHAPE, 0.5), [0.0])
    estimator.add(np.full((1, *SHAPE), 0.5), np.array([[7, 0, 3]]))
    (effects,) = estimator.fit("counts")
    np.testing.assert_array_equal(effects.slopes, 0)
    np.testing.assert_array_equal(effects.base, [7, 0, 3])


def test_scales():
    counts = np.array([[0, 1, 10]])
    np.testing.assert_array_equal(scores_on("counts", counts), [[0.0, 1.0, 10.0]])
    np.testing.assert_allclose(scores_on("log", counts), np.log([[0.5, 1.5, 10.5]]))


@pytest.mark.parametrize("rows", [12, 60])
def test_with_substitutes_factors_and_slopes_are_generalized_least_squares(rows):
    original, images, slopes, counts = data(rows, noise=2.0)
    rng = np.random.default_rng(5)
    substitute = LinearSubstitute(
        slopes / 4 + rng.normal(0, 0.5, slopes.shape), base=(0.0, 1.0, 2.0), image_shape=SHAPE
    )
    estimator = EffectEstimator(original, [0.0], substitute)
    estimator.add(images, counts)
    (effects,) = estimator.fit("counts")
    changes = (images - original).reshape(rows, -1)
    centered, prior = changes - changes.mean(axis=0), substitute.log_scores(images)
    for class_ in range(3):
        answers = counts[:, class_] - counts[:, class_].mean()
        given = prior[:, class_] - prior[:, class_].mean()
        best = (-np.inf, 0.0, np.empty(0))
        for ratio in np.logspace(-6, 6, 49):
            shape = ratio * centered @ centered.T + np.eye(rows)
            trust = max(given @ np.linalg.solve(shape, answers), 0) / (
                given @ np.linalg.solve(shape, given)
            )
            rest = answers - trust * given
            noise = rest @ np.linalg.solve(shape, rest) / rows
            likelihood = multivariate_normal(np.zeros(rows), noise * shape).logpdf(rest)
            if likelihood > best[0]:
                found = ratio * centered.T @ np.linalg.solve(shape, rest)
                best = (likelihood, trust, found)
        assert effects.trust[class_] == pytest.approx(best[1], rel=1e-6)
        np.testing.assert_allclose(effects.slopes[:, class_], best[2], atol=1e-6)
    model = Corrected(substitute, original, effects)
    np.testing.assert_allclose(model.log_scores(images).mean(axis=0), counts.mean(axis=0))


def test_useless_substitutes_lose_their_influence():
    original, images, slopes, counts = data(200)
    useless = LinearSubstitute(-slopes, image_shape=SHAPE)
    estimator = EffectEstimator(original, [0.0], useless)
    estimator.add(images, counts)
    np.testing.assert_array_equal(estimator.fit("counts")[0].trust, 0)


def test_the_corrected_model_has_the_gradients_of_its_scores():
    original, images, slopes, counts = data(30)
    estimator = EffectEstimator(original, [0.7], LinearSubstitute(slopes / 3, image_shape=SHAPE))
    estimator.add(images, counts)
    model = Corrected(
        LinearSubstitute(slopes / 3, image_shape=SHAPE), original, estimator.fit("counts")[0]
    )
    rng = np.random.default_rng(0)
    weights, step = rng.normal(size=(30, 3)), rng.normal(size=images.shape)
    scores, pullback = model.linearize(images)
    np.testing.assert_allclose(scores, model.log_scores(images))
    rise = (model.log_scores(images + 1e-3 * step) - scores) / 1e-3
    np.testing.assert_allclose((pullback(weights) * step).sum(), (rise * weights).sum(), rtol=1e-6)


def test_correlated_perturbations():
    estimator = EffectEstimator(np.zeros((2, 9, 9)), [1.5])
    rows = estimator.correlated(np.random.default_rng(0), 4000, 1.5)
    np.testing.assert_allclose(np.linalg.norm(rows.reshape(4000, -1), axis=1), 1)
    center = rows[:, 0, 4, 4]
    for offset in (1, 2, 4):
        found = np.corrcoef(center, rows[:, 0, 4, 4 + offset])[0, 1]
        # Norms of 1 and the border change the correlations a little.
        assert found == pytest.approx(np.exp(-(offset**2) / (2 * 1.5**2)), abs=0.12)
    assert abs(np.corrcoef(center, rows[:, 1, 4, 4])[0, 1]) < 0.06
