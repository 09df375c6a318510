"""Transformations compared with formulas and other libraries; survival for a known target."""

import json

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from neuroattack.attacks.goals import Goal
from neuroattack.datasets.transformations import FAMILIES, TRANSFORMATIONS, Transformation
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.experiments.transformations.running import Case, survival
from neuroattack.statistics import wilson_interval

BY_NAME = {t.name: t for t in TRANSFORMATIONS}


def rng():
    return np.random.default_rng(7)


def smooth(n=3, height=28, width=28, seed=0):
    """Return images of smoothed noise over the full range of intensities."""
    noise = np.random.default_rng(seed).random((n, height, width))
    images = scipy.ndimage.gaussian_filter(noise, (0, 1.5, 1.5))
    low, high = images.min(axis=(1, 2), keepdims=True), images.max(axis=(1, 2), keepdims=True)
    return (images - low) / (high - low)


@pytest.mark.parametrize("transformation", TRANSFORMATIONS, ids=lambda each: each.name)
def test_channels_are_transformed_like_images(transformation):
    planes = smooth(n=6, height=12, width=10)
    found = transformation.apply(planes.reshape(2, 3, 12, 10), rng())
    assert found.shape == (2, 3, 12, 10)
    np.testing.assert_array_equal(found.reshape(6, 12, 10), transformation.apply(planes, rng()))


def test_the_catalog_has_every_family_once_by_name_and_the_control_first():
    assert TRANSFORMATIONS[0].family == "none"
    assert len(BY_NAME) == len(TRANSFORMATIONS)
    assert {t.family for t in TRANSFORMATIONS} == set(FAMILIES)
    assert [t.name for t in TRANSFORMATIONS if t.is_random] == ["noise-0.05", "noise-0.1"]


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(TRANSFORMATIONS),
    st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)),
    st.integers(0, 2**32 - 1),
)
def test_any_images_stay_images_and_a_batch_is_its_images(transformation, shape, seed):
    images = np.random.default_rng(seed).integers(0, 2, shape).astype(float)
    kept = images.copy()
    found = transformation.apply(images, np.random.default_rng(seed))
    assert (found.shape, found.dtype) == (shape, np.float64)
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_array_equal(images, kept)
    again = transformation.apply(images, np.random.default_rng(seed))
    np.testing.assert_array_equal(found, again)
    one_by_one = np.random.default_rng(seed)
    for image, expected in zip(images, found, strict=True):
        np.testing.assert_array_equal(transformation.apply(image[None], one_by_one)[0], expected)


@pytest.mark.parametrize("transformation", TRANSFORMATIONS, ids=lambda t: t.name)
def test_only_gamma_and_noise_change_an_even_ground(transformation):
    # The middle of 8 bits, which JPEG represents exactly at any quality.
    level = 128 / 255
    found = transformation.apply(np.full((1, 28, 28), level), rng())
    expected = {"gamma": level ** (transformation.parameter or 0)}.get(transformation.family, level)
    if transformation.is_random:
        assert found.std() > 0
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


# Table K.1 of the JPEG standard (ITU-T T.81, 1992): steps of the luminance coefficients.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


@pytest.mark.parametrize("quality", [90, 75, 50, 25, 10])
def test_jpeg_rounds_cosine_coefficients_to_the_steps_of_the_standard(quality):
    # Away from black and white, so that no pixel is clipped.
    images = 0.2 + 0.6 * smooth(2, 32, 24)
    found = BY_NAME[f"jpeg-{quality}"].apply(images, rng())
    # Scaling of the table with quality in libjpeg.
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = np.floor((LUMINANCE * percent + 50) / 100)
    for image, jpeg in zip(np.rint(images * 255) - 128, found * 255 - 128, strict=True):
        for i in range(0, 32, 8):
            for j in range(0, 24, 8):
                block = scipy.fft.dctn(image[i : i + 8, j : j + 8], norm="ortho")
                pixels = jpeg[i : i + 8, j : j + 8]
                kept = np.rint(scipy.fft.dctn(pixels, norm="ortho") / steps) * steps
                # Rounded to the nearest step, up to the accuracy of libjpeg's integers, and
                # then to integer levels up to 255.
                assert (np.abs(kept - block) <= steps / 2 + 0.1).all()
                assert np.abs(scipy.fft.idctn(kept, norm="ortho") - pixels).max() < 0.6
    assert np.abs(found - images).max() > 1 / 255


def bilinear(image, rows, columns):
    """Return an image interpolated between pixels, with repeated edges."""
    at = RegularGridInterpolator(tuple(np.arange(n) for n in image.shape), image)
    inside = np.clip(rows, 0, image.shape[0] - 1), np.clip(columns, 0, image.shape[1] - 1)
    return at(np.stack(inside, axis=-1))


def rescaled(image, shape):
    """Return an image resampled at the centers of pixels of another size."""
    centers = [(np.arange(m) + 0.5) * n / m - 0.5 for n, m in zip(image.shape, shape, strict=True)]
    return bilinear(image, *np.meshgrid(*centers, indexing="ij"))


@pytest.mark.parametrize(("name", "small"), [("resize-0.71", (20, 25)), ("resize-0.5", (14, 18))])
def test_resize_is_smooth_sample_and_interpolate(name, small):
    images = smooth(2, 28, 35 if small[1] == 25 else 36)
    found = BY_NAME[name].apply(images, rng())
    for image, back in zip(images, found, strict=True):
        # The smoothing that scikit-image documents: sigma of (factor - 1) / 2 pixels.
        sigma = [(n / m - 1) / 2 for n, m in zip(image.shape, small, strict=True)]
        shrunk = rescaled(scipy.ndimage.gaussian_filter(image, sigma, mode="nearest"), small)
        np.testing.assert_allclose(back, rescaled(shrunk, image.shape), rtol=0, atol=1e-9)


@pytest.mark.parametrize("angle", [-10, -5, -2, 2, 5, 10])
def test_rotation_looks_up_where_each_pixel_came_from(angle):
    images = smooth(2)
    found = BY_NAME[f"rotation{angle:+d}"].apply(images, rng())
    theta = np.deg2rad(angle)
    # About the center, with x to the right and y up.
    row, column = np.mgrid[:28, :28]
    x, y = column - 13.5, 13.5 - row
    from_x = x * np.cos(theta) + y * np.sin(theta)
    from_y = -x * np.sin(theta) + y * np.cos(theta)
    for image, turned in zip(images, found, strict=True):
        expected = bilinear(image, 13.5 - from_y, from_x + 13.5)
        np.testing.assert_allclose(turned, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_blur_is_a_sum_with_gaussian_weights(sigma):
    images = smooth(2, 12, 15)
    reach = 4 * int(np.ceil(sigma))
    found = BY_NAME[f"blur-{sigma:g}"].apply(images, rng())
    steps = np.arange(-reach, reach + 1)
    # Weights beyond four sigmas are cut off.
    weights = np.exp(-(steps**2) / (2 * sigma**2)) * (abs(steps) <= int(4 * sigma + 0.5))
    weights /= weights.sum()
    for image, blurred in zip(images, found, strict=True):
        padded = np.pad(image, reach, mode="edge")
        expected = sum(
            weights[i] * weights[j] * padded[i : i + 12, j : j + 15]
            for i in range(len(steps))
            for j in range(len(steps))
        )
        np.testing.assert_allclose(blurred, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("exponent", [0.7, 1.5])
def test_gamma_is_a_power(exponent):
    found = BY_NAME[f"gamma-{exponent:g}"].apply(smooth(), rng())
    np.testing.assert_allclose(found, smooth() ** exponent, rtol=1e-12)


@pytest.mark.parametrize("sd", [0.05, 0.1])
def test_noise_is_normal_of_its_size_and_by_its_seed(sd):
    noise = BY_NAME[f"noise-{sd:g}"]
    # Five standard deviations from either end: nothing is clipped.
    change = noise.apply(np.full((40, 50, 50), 0.5), rng()) - 0.5
    assert scipy.stats.kstest(change.ravel(), scipy.stats.norm(0, sd).cdf).pvalue > 1e-3
    other = noise.apply(np.full((40, 50, 50), 0.5), np.random.default_rng(8)) - 0.5
    assert abs(np.corrcoef(change.ravel(), other.ravel())[0, 1]) < 0.02
    # For black images, negative noise is clipped.
    black = noise.apply(np.zeros((40, 50, 50)), rng())
    np.testing.assert_allclose(black, np.maximum(change, 0), atol=1e-12)
    assert (black == 0).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("family", "parameter", "error", "message"),
    [
        ("jpg", 50, UnknownNameError, "unknown kind of transformation 'jpg'.*'jpeg'"),
        ("jpeg", 0, ValidationError, "parameter of jpeg: got 0, expected .* from 1"),
        ("jpeg", 50.5, ValidationError, "parameter of jpeg: got 50.5"),
        ("jpeg", None, ValidationError, "parameter of jpeg: got none"),
        (
            "resize",
            1.5,
            ValidationError,
            r"parameter of resize: got 1.5, expected a number in \(0, 1\]",
        ),
        ("rotation", float("inf"), ValidationError, "an angle in degrees"),
        ("blur", -1.0, ValidationError, "parameter of blur: got -1.0"),
        ("noise", float("nan"), ValidationError, "parameter of noise: got nan"),
        ("none", 1.0, ValidationError, "parameter of none: got 1.0"),
    ],
)
def test_impossible_transformations_are_refused(family, parameter, error, message):
    with pytest.raises(error, match=message):
        Transformation("mine", family, parameter)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28)), "shape \\(28, 28\\)"),
        (np.zeros((0, 28, 28)), "an empty batch"),
        (np.full((1, 4, 4), np.nan), "NaN"),
        (np.full((1, 4, 4), 2.0), "intensities from 2 to 2"),
    ],
)
def test_what_is_no_images_is_refused(images, message):
    with pytest.raises(ValidationError, match=message):
        BY_NAME["blur-1"].apply(images, rng())


class Coins:
    """Target that returns class 1 with a probability of the image's mean, otherwise class 0.

    Black is never 1, white always; a mean above 0.95 is silent.
    """

    image_shape = (4, 6)
    n_classes = 3
    remaining = None

    def __init__(self, stream):
        self.queries = 0
        self.rng = np.random.default_rng(stream)

    def query(self, images):
        images = np.asarray(images)
        self.queries += len(images)
        means = images.reshape(len(images), -1).mean(axis=1)
        one = self.rng.random(len(images)) < means
        counts = np.zeros((len(images), 3), np.int32)
        counts[np.arange(len(images)), one.astype(int)] = 9
        counts[means > 0.95] = 0
        return counts


def case(index, level, gap=None, goal=None, original=0.0):
    return Case(
        index,
        np.full((4, 6), original),
        np.full((4, 6), level),
        goal or Goal(0, 1),
        level if gap is None else gap,
    )


NONE = Transformation("none", "none")
SQUARE = Transformation("square", "gamma", 2.0)


def test_survival_is_the_chance_of_the_transformed_image():
    levels = [0.1, 0.5, 0.9]
    study = survival(
        Coins, [case(i, level) for i, level in enumerate(levels)], [NONE, SQUARE], trials=2000
    )
    for one, power in zip(study.survivals, (1, 2), strict=True):
        for image, level in zip(one.images, levels, strict=True):
            # 4.5 standard deviations: once in 10**5 such figures.
            near = 4.5 * (level**power * (1 - level**power) / 2000) ** 0.5
            assert image.adversarial.reached("targeted").rate == pytest.approx(
                level**power, abs=near
            )
            assert image.untransformed.reached("targeted").rate == pytest.approx(level, abs=near)
            assert (image.original.targeted, image.original.correct) == (0, 2000)
    # 0.5 squared is not adversarial any more, 0.9 squared still is.
    square = study.survivals[1].summary("targeted")
    assert (square.images_fooled.successes, square.images_fooled.trials) == (1, 3)
    chances = [0.01, 0.25, 0.81]
    assert square.adversarial.trials == 6000
    assert square.adversarial.rate == pytest.approx(sum(chances) / 3, abs=0.025)
    assert square.original.successes == 0


def test_targeted_untargeted_correct_and_silent_are_told_apart():
    goals = [Goal(0, 1), Goal(0, 2), Goal(0), Goal(1)]
    cases = [case(i, 0.9, goal=goal) for i, goal in enumerate(goals)]
    cases.append(case(4, 1.0, goal=Goal(1, 0)))
    first, second, third, fourth, silent = (
        image.adversarial for image in survival(Coins, cases, [NONE]).survivals[0].images
    )
    assert first.targeted == first.untargeted == 50 - first.correct > 25
    assert (second.targeted, second.untargeted > 25) == (0, True)
    assert (third.targeted, third.untargeted > 25) == (None, True)
    assert (fourth.correct > 25, fourth.untargeted) == (True, 50 - fourth.correct)
    assert (silent.targeted, silent.untargeted, silent.correct) == (0, 0, 0)
    with pytest.raises(ValidationError, match="goal: got no target class"):
        third.reached("targeted")


def test_of_those_fooled_before_so_many_survive():
    # Probabilities of 0.9 and 0.94 become 0.2 and 0.39.
    darker = Transformation("darker", "gamma", np.log(0.2) / np.log(0.9))
    cases = [case(0, 0.9), case(1, 0.94), case(2, 0.1)]
    survived = (
        survival(Coins, cases, [darker], trials=200).survivals[0].summary("targeted").survived
    )
    assert (survived.successes, survived.trials) == (0, 2)
    survived = survival(Coins, cases, [NONE], trials=200).survivals[0].summary("targeted").survived
    assert (survived.successes, survived.trials) == (2, 2)


def test_random_transformations_are_drawn_anew_for_every_query():
    seen = []

    class Watcher(Coins):
        def query(self, images):
            seen.append(np.array(images))
            return super().query(images)

    noise = Transformation("noise", "noise", 0.1)
    survival(Watcher, [case(0, 0.5, original=0.5)], [noise], trials=300)
    control, adversarial, original = (np.concatenate(seen[i : i + 2]) for i in range(0, 6, 2))
    assert len(np.unique(control, axis=0)) == 1
    assert len(np.unique(np.concatenate([adversarial, original]), axis=0)) == 600


def test_a_noiseless_target_is_asked_once_but_under_random_transformations():
    noise = Transformation("noise", "noise", 0.1)
    study = survival(Coins, [case(0, 0.5)], [NONE, noise], trials=30, noiseless=True)
    none, noisy = (found.images[0] for found in study.survivals)
    assert none.adversarial.trials == none.original.trials == none.untransformed.trials == 1
    assert noisy.adversarial.trials == noisy.original.trials == 30


@pytest.mark.parametrize("sign", [1, -1])
def test_gap_groups_and_rank_correlation(sign):
    levels = np.linspace(0.05, 0.9, 12)
    order = np.random.default_rng(0).permutation(12)
    cases = [case(int(i), levels[i], gap=sign * float(levels[i])) for i in order]
    one = survival(Coins, cases, [NONE], trials=60, gap_groups=4).survivals[0]
    summary = one.summary("targeted")
    rates = [image.adversarial.targeted / 60 for image in one.images]
    ranks = [scipy.stats.rankdata(x) for x in ([image.gap for image in one.images], rates)]
    rho = np.corrcoef(*ranks)[0, 1]
    assert summary.gap_correlation.rho == pytest.approx(rho)
    # Without correlation, t = rho sqrt((n - 2) / (1 - rho^2)) has Student's distribution.
    t = abs(rho) * (10 / (1 - rho**2)) ** 0.5
    assert summary.gap_correlation.p_value == pytest.approx(2 * scipy.stats.t.sf(t, 10), rel=1e-6)
    assert 0.9 < sign * rho < 1
    for group, members in zip(summary.gap_groups, np.split(np.arange(12)[::sign], 4), strict=True):
        assert (group.low, group.high) == (sign * levels[members[0]], sign * levels[members[-1]])
        assert (group.images, group.adversarial.trials) == (3, 180)
        assert group.adversarial.rate == pytest.approx(levels[members].mean(), abs=0.15)


def test_results_depend_on_neither_company_nor_order_but_on_the_seed():
    cases = [case(i, level) for i, level in enumerate((0.3, 0.5, 0.7))]
    noise = BY_NAME["noise-0.1"]
    whole = survival(Coins, cases, [NONE, SQUARE, noise])
    assert whole == survival(Coins, cases, [NONE, SQUARE, noise])
    alone = survival(Coins, cases[1:2], [noise])
    assert alone.survivals[0].images == whole.survivals[2].images[1:2]
    streams = []
    survival(lambda stream: streams.append(stream) or Coins(stream), cases, [NONE, SQUARE])
    assert len(set(streams)) == len(streams) == 3 + 2 * 2 * 3


def test_json_says_all_with_intervals():
    cases = [case(i, level) for i, level in enumerate((0.2, 0.5, 0.8))]
    steps = []
    study = survival(
        Coins, cases, [NONE, SQUARE], on_progress=lambda fraction, words: steps.append(fraction)
    )
    written = json.loads(json.dumps(study.as_json(), allow_nan=False))
    square = written["transformations"][1]
    assert (square["name"], square["family"], square["parameter"]) == ("square", "gamma", 2.0)
    found = square["images"][2]["adversarial"]["targeted"]
    assert found["ci95"] == list(wilson_interval(found["successes"], found["trials"]))
    pooled = square["targeted"]["adversarial"]
    every = [one["adversarial"]["targeted"]["successes"] for one in square["images"]]
    assert pooled["successes"] == sum(every)
    assert pooled["ci95"] == list(wilson_interval(sum(every), 150))
    assert set(square["targeted"]["gap_correlation"]) == {"rho", "p_value"}
    assert steps == pytest.approx([k / 9 for k in range(1, 10)])


@pytest.mark.parametrize(
    ("cases", "settings", "message"),
    [
        ([], {}, "cases: got none"),
        ([case(3, 0.5), case(3, 0.6)], {}, "image 3 twice with one goal"),
        ([case(3, 0.5, gap=float("nan"))], {}, "gap of image 3: got nan"),
        ([case(3, 0.5, goal=Goal(0, 3))], {}, "target class: got 3"),
        ([case(3, 0.5)], {"trials": 0}, "verification trials: got 0"),
        ([case(3, 0.5)], {"seed": -1}, "seed: got -1"),
        ([case(3, 0.5)], {"gap_groups": 0}, "gap groups: got 0"),
        (
            [Case(3, np.zeros((4, 6)), np.zeros((6, 4)), Goal(0, 1), 0.0)],
            {},
            r"adversarial image of image 3: got shape \(6, 4\)",
        ),
    ],
)
def test_impossible_studies_are_refused(cases, settings, message):
    with pytest.raises(ValidationError, match=message):
        survival(Coins, cases, [NONE], **settings)
