"""Encoders, and the images that they take."""

import numpy as np
import pytest

from neuroattack.encoding.encoders import (
    DirectEncoder,
    PoissonEncoder,
    RandomRateEncoder,
    RegularEncoder,
)
from neuroattack.encoding.images import validate_images
from neuroattack.encoding.registry import encoder_from
from neuroattack.errors import UnknownNameError, ValidationError


def draw(encoder, images, steps=100, indices=None, **options):
    images = np.asarray(images, float)
    indices = np.arange(len(images)) if indices is None else np.asarray(indices)
    options = {"seed": 3, "stream": 0} | options
    return encoder.encode(images, indices=indices, steps=steps, dt_s=1e-3, **options)


def test_regular_spikes_are_evenly_spaced_at_the_rate():
    trains = draw(RegularEncoder(100.0), [[1.0, 0.5, 0.0]], steps=1000).to_dense()[0]
    assert trains.sum(axis=0).tolist() == [100, 50, 0]
    assert set(np.diff(np.flatnonzero(trains[:, 0]))) == {10}
    assert set(np.diff(np.flatnonzero(trains[:, 1]))) == {20}


def test_dark_images_are_silent_and_full_rate_is_saturated():
    assert not draw(PoissonEncoder(1000.0), np.zeros((2, 9))).to_dense().any()
    assert draw(PoissonEncoder(1000.0), np.ones((2, 9))).to_dense().all()
    assert draw(RegularEncoder(1000.0), np.ones((2, 9))).to_dense().all()


def test_more_than_one_spike_per_step_is_refused():
    with pytest.raises(ValidationError, match=r"got 2000 Hz .*, expected .* 1000 Hz"):
        draw(PoissonEncoder(2000.0), np.zeros((1, 4)))


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValidationError, match="max_rate_hz"):
        PoissonEncoder(rate)


@pytest.mark.parametrize("bits", [0, 31, 2.5, True])
def test_impossible_grids_are_refused(bits):
    with pytest.raises(ValidationError, match="encoder bits"):
        DirectEncoder(bits)


@pytest.mark.parametrize(
    "encoder", [PoissonEncoder(250.0), RegularEncoder(100.0), DirectEncoder(), DirectEncoder(7)]
)
def test_an_encoder_is_given_by_its_kind_and_settings(encoder):
    assert encoder_from(encoder.kind, encoder.settings()) == encoder
    assert encoder.kind in encoder.describe()


@pytest.mark.parametrize(
    ("kind", "settings", "error"),
    [
        ("morse", {}, UnknownNameError),
        ("poisson", {}, ValidationError),
        ("poisson", {"bits": 3}, UnknownNameError),
        ("direct", {"max_rate_hz": 100.0}, UnknownNameError),
    ],
)
def test_settings_of_other_encoders_are_refused(kind, settings, error):
    with pytest.raises(error, match=kind):
        encoder_from(kind, settings)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 5)), r"shape \(3, 5\), expected \(images, 2, 2\) or \(images, 4\)"),
        (np.zeros((0, 4)), "an empty batch"),
        ([[np.nan] * 4], "NaN"),
        ([[np.inf] * 4], "infinite"),
        ([[0, 0, 0, 1.5]], "from 0 to 1.5"),
        ([[0, 0, -0.1, 1]], "from -0.1 to 1"),
        ([["a", "b", "c", "d"]], "not numbers"),
    ],
)
def test_impossible_images_are_refused(images, message):
    with pytest.raises(ValidationError, match=message):
        validate_images(images, (2, 2))


def test_a_random_rate_has_the_mean_rate_and_scales_whole_images():
    encoder = RandomRateEncoder(100.0, 0.5)
    indices = np.arange(4000)
    factors = encoder.factors(indices, 3, 7)
    assert 0.5 <= factors.min() < 0.52
    assert 1.48 < factors.max() <= 1.5
    # Five standard errors of a uniform distribution of width 1.
    assert factors.mean() == pytest.approx(1, abs=5 / np.sqrt(12 * len(indices)))
    images = np.random.default_rng(0).random((4, 30))
    settings = {"steps": 50, "dt_s": 1e-3, "seed": 3, "stream": 7}
    found = encoder.encode(images, indices=indices[:4], **settings)
    scaled = PoissonEncoder(150.0).encode(
        images * factors[:4, None] / 1.5, indices=indices[:4], **settings
    )
    np.testing.assert_array_equal(found.to_dense(), scaled.to_dense())


def test_random_rates_depend_on_seed_stream_and_index_only():
    encoder = RandomRateEncoder(100.0, 0.3)
    factors = encoder.factors(np.arange(50), 0, 1)
    np.testing.assert_array_equal(factors[[4, 9]], encoder.factors(np.array([4, 9]), 0, 1))
    for others in (encoder.factors(np.arange(50), 1, 1), encoder.factors(np.arange(50), 0, 2)):
        assert abs(np.corrcoef(factors, others)[0, 1]) < 0.5


@pytest.mark.parametrize("spread", [0.0, 1.5, float("nan")])
def test_impossible_spreads_are_refused(spread):
    with pytest.raises(ValidationError, match="spread"):
        RandomRateEncoder(100.0, spread)


def test_the_largest_random_rate_must_be_possible():
    RandomRateEncoder(800.0, 0.25).check_step(1e-3)
    with pytest.raises(ValidationError, match="max_rate_hz"):
        RandomRateEncoder(800.0, 0.26).check_step(1e-3)
