"""Poisson spikes: definition, statistics and dependencies of the random numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from neuroattack.encoding.poisson import poisson_spikes, threefry_2x32

MASK = 2**32 - 1


def plain_threefry(key, counter):
    """Return a block of Threefry-2x32 with 20 rounds, in Python integers, as in the paper."""
    keys = (*key, key[0] ^ key[1] ^ 0x1BD11BDA)
    x = [(counter[i] + keys[i]) & MASK for i in (0, 1)]
    for turn in range(20):
        rotation = (13, 15, 26, 6, 17, 29, 16, 24)[turn % 8]
        x[0] = (x[0] + x[1]) & MASK
        x[1] = ((x[1] << rotation | x[1] >> (32 - rotation)) & MASK) ^ x[0]
        if turn % 4 == 3:
            injection = turn // 4 + 1
            x[0] = (x[0] + keys[injection % 3]) & MASK
            x[1] = (x[1] + keys[(injection + 1) % 3] + injection) & MASK
    return tuple(x)


def image_key(seed, stream, index):
    words = np.random.SeedSequence(seed, spawn_key=(stream,)).generate_state(2)
    return plain_threefry(tuple(map(int, words)), (index & MASK, index >> 32 & MASK))


def plain_number(key, pixel, step):
    """Return the 32-bit number of a pixel and step, from the definition."""
    halves = []
    for first in (0, 2**31):
        word = plain_threefry(key, (pixel, first + step // 4))[step % 4 // 2]
        halves.append(word >> 16 if step % 2 else word & 0xFFFF)
    return halves[0] << 16 | halves[1]


def draw(probability, steps=100, indices=None, seed=3, stream=0):
    probability = np.asarray(probability, float)
    indices = np.arange(len(probability)) if indices is None else np.asarray(indices, np.int64)
    return poisson_spikes(probability, indices, steps, seed, stream)


def raster(*arguments, **options):
    return draw(*arguments, **options).to_dense()


@pytest.mark.parametrize(
    ("key", "counter", "block"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((MASK, MASK), (MASK, MASK), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_known_answers(key, counter, block):
    assert plain_threefry(key, counter) == block
    assert tuple(map(int, threefry_2x32(*map(np.uint32, (*key, *counter))))) == block


def probabilities(rows, pixels):
    levels = st.one_of(st.sampled_from([0.0, 1.0, 2.0**-33, 2.0**-16, 0.5]), st.floats(0, 1))
    return hnp.arrays(float, (rows, pixels), elements=levels)


@settings(max_examples=30, deadline=None)
@given(
    probabilities(2, 5),
    st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=2),
    st.integers(1, 11),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**70),
)
def test_spikes_follow_the_definition(probability, indices, steps, seed, stream):
    found = raster(probability, steps, indices, seed, stream)
    for image, index in enumerate(indices):
        key = image_key(seed, stream, index)
        for pixel in range(5):
            for step in range(steps):
                spikes = plain_number(key, pixel, step) < probability[image, pixel] * 2**32
                assert found[image, step, pixel] == spikes


def test_the_last_bit_of_a_probability_decides():
    """Numbers whose upper half equals that of the probability take another code path."""
    steps = pixels = 15
    own = np.arange(pixels)
    for index in range(50):
        key = image_key(3, 0, index)
        at = np.array([plain_number(key, pixel, pixel) for pixel in own]) / 2**32
        above = at + 2.0**-32
        for image, spikes in ((at, False), (above, True)):
            assert (raster([image], steps, [index])[0, own, own] == spikes).all()
        for first in (np.zeros(pixels), np.ones(pixels), above):
            together = raster([first, at, above], steps, [index] * 3)
            assert not together[1, own, own].any()
            assert together[2, own, own].all()


@pytest.mark.parametrize(
    ("p", "images"), [(1e-5, 400), (0.003, 60), (0.1, 60), (1 / 3, 60), (0.97, 60), (1 - 1e-5, 400)]
)
def test_rates_of_pixels_are_binomial(p, images):
    steps, pixels = 350, 100
    spikes = draw(np.full((images, pixels), p), steps).counts().sum(axis=0)
    trials = steps * images
    # Two-sided, for each pixel and for all together; with this many pixels, one in 10,000 seeds
    # would fail.
    of_each = stats.binom(trials, p)
    assert (of_each.cdf(spikes) > 5e-7).all()
    assert (of_each.sf(spikes - 1) > 5e-7).all()
    of_all = stats.binom(trials * pixels, p)
    assert of_all.cdf(spikes.sum()) > 1e-4
    assert of_all.sf(spikes.sum() - 1) > 1e-4


def test_pixels_steps_images_streams_and_seeds_are_independent():
    shape = (24, 64, 200)

    def signs(**which):
        return 2 * raster(np.full((shape[0], shape[2]), 0.5), shape[1], **which).astype(int) - 1

    base = signs()

    def check_uncorrelated(a, b):
        assert abs((a * b).sum()) < 5 * np.sqrt(a.size)

    for axis, lags in enumerate(((1, 2, 16), (1, 2, 3, 4, 5, 8, 32), (1, 2, 3, 28, 128))):
        for lag in lags:
            early = np.take(base, np.arange(shape[axis] - lag), axis)
            late = np.take(base, np.arange(lag, shape[axis]), axis)
            check_uncorrelated(early, late)
    far = np.arange(shape[0]) + 2**32
    for other in ({"seed": 4}, {"stream": 1}, {"stream": 2**32}, {"indices": far}):
        check_uncorrelated(base, signs(**other))


@settings(max_examples=100, deadline=None)
@given(probabilities(3, 8), st.integers(1, 30), st.lists(st.integers(0, 1), min_size=3, max_size=3))
def test_images_with_shared_randomness_spike_as_they_do_alone(images, steps, indices):
    found = raster(images, steps, indices)
    for image, index in enumerate(indices):
        np.testing.assert_array_equal(found[[image]], raster(images[[image]], steps, [index]))


@pytest.mark.parametrize("changed", [0, 1, 5, 8, 9, 90, 200])
def test_images_with_shared_randomness_may_differ_in_any_number_of_pixels(changed):
    rng = np.random.default_rng(changed)
    first = rng.random(200) * (rng.random(200) < 0.5)
    pixels = rng.choice(200, changed, replace=False)
    images = np.repeat(first[None], 4, axis=0)
    images[1, pixels] = rng.random(changed)
    images[2, pixels] = 0
    images[3, pixels] = 1
    together = draw(images, 70, [8, 8, 8, 8])
    for image in range(4):
        alone = draw(images[[image]], 70, [8])
        np.testing.assert_array_equal(together.to_dense()[[image]], alone.to_dense())
        # A raster does not show whether events are sorted and unique.
        found = together[image : image + 1].events()
        for column, expected in zip(found, alone.events(), strict=True):
            np.testing.assert_array_equal(column, expected)


def test_events_take_no_more_memory_than_needed():
    trains = draw(np.full((5, 30), 0.1))
    assert trains.neurons.size == trains.counts().sum()
    assert (np.diff(trains.offsets.ravel()) >= 0).all()
