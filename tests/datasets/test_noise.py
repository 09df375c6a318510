"""Noise on images: definition and clipping."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from neuroattack.datasets.noise import SCALE, Area, Noise
from neuroattack.errors import ValidationError

SHAPE = (5, 4, 6)
KINDS, RULES = ("normal", "uniform"), ("range", "zero", "none")

images_of = arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32))
seeds = st.integers(0, 2**32)
deltas = st.floats(0, 2)


def some_images(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def drawn(kind, seed, shape):
    rng = np.random.default_rng(seed)
    if kind == "normal":
        return rng.standard_normal(shape, dtype=np.float32)
    return rng.random(shape, dtype=np.float32)


@settings(max_examples=50, deadline=None)
@given(images_of, st.sampled_from(KINDS), st.sampled_from(RULES), deltas, seeds)
def test_noise_is_that_of_the_paper(images, kind, rule, delta, seed):
    found = Noise(kind, delta, rule).add(images, np.random.default_rng(seed))
    # In the paper's units: intensities scaled to [0, 0.2], delta times one number per pixel.
    scaled = images.astype(float) * 0.2 + delta * drawn(kind, seed, SHAPE).astype(float)
    if rule == "range":
        scaled = np.minimum(np.maximum(scaled, 0), 0.2)
    elif rule == "zero":
        scaled = np.where(scaled < 0, 0, scaled)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scaled / 0.2, rtol=1e-5, atol=1e-5)
    if rule == "range":
        assert found.min() >= 0
        assert found.max() <= 1
    elif rule == "zero":
        assert found.min() >= 0


@settings(max_examples=50, deadline=None)
@given(images_of, st.sampled_from(KINDS), st.sampled_from(RULES), seeds, st.data())
def test_pixels_outside_of_the_area_stay_and_those_inside_get_what_they_get_without(
    images, kind, rule, seed, data
):
    top, left = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 5))
    height = data.draw(st.integers(1, 4 - top))
    width = data.draw(st.integers(1, 6 - left))
    area = Area(top, left, height, width)
    found = Noise(kind, 0.3, rule, area).add(images, np.random.default_rng(seed))
    everywhere = Noise(kind, 0.3, rule).add(images, np.random.default_rng(seed))
    for row in range(4):
        for column in range(6):
            inside = top <= row < top + height and left <= column < left + width
            expected = everywhere if inside else images
            np.testing.assert_array_equal(found[:, row, column], expected[:, row, column])


def test_nothing_is_added_by_magnitude_0_and_the_images_given_are_not_written_to():
    images = some_images()
    images.flags.writeable = False
    for kind in KINDS:
        for rule in RULES:
            found = Noise(kind, 0, rule).add(images, np.random.default_rng(3))
            np.testing.assert_array_equal(found, images)
            assert not np.shares_memory(found, images)


def test_the_distributions_are_those_of_the_definition():
    blank = np.zeros((50, 40, 40), np.float32)
    rng = np.random.default_rng(0)
    normal = Noise("normal", 0.1, "none").add(blank, rng).ravel() * SCALE
    uniform = Noise("uniform", 0.1, "none").add(blank, rng).ravel() * SCALE
    # 80,000 numbers: a Kolmogorov-Smirnov distance over 1.95 / sqrt(n) has a chance of 1 in 1000.
    bound = 1.95 / np.sqrt(80_000)
    assert stats.kstest(normal, stats.norm(0, 0.1).cdf).statistic < bound
    assert stats.kstest(uniform, stats.uniform(0, 0.1).cdf).statistic < bound


@settings(deadline=None)
@given(
    st.builds(
        Noise,
        st.sampled_from(KINDS),
        st.floats(0, 100),
        st.sampled_from(RULES),
        st.none() | st.builds(Area, *[st.integers(0, 9)] * 2, *[st.integers(1, 9)] * 2),
    )
)
def test_json_values_give_the_noise_back(noise):
    assert Noise.from_json(json.loads(json.dumps(noise.as_json()))) == noise


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Noise, ("pink", 0.1), "noise: got 'pink'"),
        (Noise, ("normal", 0.1, "wrap"), "clipping: got 'wrap', expected range or zero or none"),
        (Noise, ("normal", -0.1), "noise magnitude delta: got -0.1"),
        (
            Noise,
            ("normal", float("nan")),
            "noise magnitude delta: got nan",
        ),
        (
            Noise,
            ("normal", float("inf")),
            "noise magnitude delta: got inf",
        ),
        (
            Noise,
            ("normal", 100.5),
            "noise magnitude delta: got 100.5",
        ),
        (Area, (-1, 0, 1, 1), "window top: got -1, expected .* at least 0"),
        (Area, (0, -2, 1, 1), "window left: got -2, expected .* at least 0"),
        (Area, (0, 0, 0, 1), "window height: got 0, expected .* at least 1"),
        (Area, (0, 0, 1, 0), "window width: got 0, expected .* at least 1"),
        (Area, (0.5, 0, 1, 1), "window top: got 0.5, expected .* at least 0"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(kind, arguments, message):
    with pytest.raises(ValidationError, match=message):
        kind(*arguments)


@pytest.mark.parametrize("sides", [(0, 0, 5, 1), (0, 0, 1, 7), (3, 0, 2, 1), (0, 5, 1, 2)])
def test_an_area_that_reaches_out_of_the_images_is_refused(sides):
    noise = Noise("uniform", 0.1, area=Area(*sides))
    with pytest.raises(ValidationError, match="expected rows 0 to 3 and columns 0 to 5"):
        noise.add(some_images(), np.random.default_rng(0))


def test_descriptions_say_all_that_differs():
    noises = [
        Noise(kind, delta, rule, area)
        for kind in KINDS
        for delta in (0.1, 0.125)
        for rule in RULES
        for area in (None, Area(1, 2, 3, 4), Area(1, 2, 4, 3))
    ]
    assert len({noise.description for noise in noises}) == len(noises)
