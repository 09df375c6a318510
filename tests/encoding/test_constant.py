"""Direct coding: intensities on the grid, in every step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import DirectEncoder

INTENSITIES = arrays(np.float64, (3, 5), elements=st.floats(0, 1))


def encoded(images, bits=20, steps=4, seed=0):
    return DirectEncoder(bits).encode(
        np.asarray(images, float), indices=np.arange(len(images)), steps=steps, dt_s=1.0, seed=seed
    )


@given(INTENSITIES, st.integers(1, 30))
def test_intensities_are_rounded_to_the_grid(images, bits):
    signal = encoded(images, bits)
    found = signal.intensities()
    assert signal.values.dtype == np.int32
    for pixel, intensity in zip(found.ravel(), images.ravel(), strict=True):
        assert abs(pixel - intensity) <= 2.0 ** -(bits + 1)
        assert (pixel * 2.0**bits).is_integer()


def test_extremes_are_exact():
    assert encoded([[0.0, 0.5, 1.0]]).intensities().tolist() == [[0.0, 0.5, 1.0]]


@given(INTENSITIES, st.integers(0, 6))
def test_the_input_is_the_same_in_every_step(images, steps):
    signal = encoded(images, steps=steps)
    dense = signal.to_dense()
    assert dense.shape == (3, steps, 5)
    for step in range(steps):
        np.testing.assert_array_equal(dense[:, step], signal.intensities())
    np.testing.assert_array_equal(signal.counts(), np.count_nonzero(dense, axis=1))
    assert signal.counts().dtype == np.int32


def test_seeds_do_not_matter():
    images = np.random.default_rng(0).random((2, 6))
    np.testing.assert_array_equal(encoded(images).values, encoded(images, seed=9).values)


@pytest.mark.parametrize("images", [slice(1, 3), np.array([2, 0])])
def test_parts_of_a_batch(images):
    signal = ConstantInput(np.arange(12, dtype=np.int32).reshape(3, 4), -8, 7)
    part = signal[images]
    assert (len(signal), signal.images, signal.size, signal.steps) == (3, 3, 4, 7)
    assert (len(part), part.exponent, part.steps) == (2, -8, 7)
    np.testing.assert_array_equal(part.values, signal.values[images])
