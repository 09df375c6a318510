"""Binning of events, and sensor noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.encoding.events import EventEncoder, bin_events
from neuroattack.encoding.registry import encoder_from
from neuroattack.errors import UnknownNameError, ValidationError

SHAPE = (2, 4, 3)


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 60))
@settings(max_examples=50, deadline=None)
def test_binning_is_that_of_a_plain_loop(seed, steps, count):
    rng = np.random.default_rng(seed)
    quarters = rng.integers(0, 40, count)
    t = quarters * 0.25e-3 + 7.0
    where = tuple(rng.integers(0, side, count) for side in SHAPE)
    found = bin_events(t, where, SHAPE, steps, 1e-3)
    sample = np.zeros((steps, *SHAPE), bool)
    merged = late = 0
    for i in range(count):
        step = int(quarters[i] - quarters.min()) // 4
        cell = (step, *(int(axis[i]) for axis in where))
        if step >= steps:
            late += 1
        elif sample[cell]:
            merged += 1
        else:
            sample[cell] = True
    assert np.array_equal(found.sample, sample)
    assert (found.events, found.merged, found.late) == (count, merged, late)
    assert found.events == found.sample.sum() + found.merged + found.late


@pytest.mark.parametrize(
    ("t", "where", "named"),
    [
        ([0.0, np.nan], ([0, 0], [0, 0], [0, 0]), "finite"),
        ([0.0, 1.0], ([0, 2], [0, 0], [0, 0]), "axis 0"),
        ([0.0, 1.0], ([0, 0], [0, -1], [0, 0]), "axis 1"),
        ([0.0, 1.0], ([0, 0], [0, 0.5], [0, 0]), "axis 1"),
        ([0.0, 1.0], ([0], [0], [0]), "2 times"),
        ([0.0, 1.0], ([0, 0], [0, 0]), "2 times"),
    ],
)
def test_invalid_events_are_refused(t, where, named):
    with pytest.raises(ValidationError, match=named):
        bin_events(t, tuple(map(np.array, where)), SHAPE, 3, 1e-3)


def encoded(encoder, sample, index=0, seed=5, stream=3):
    trains = encoder.encode(
        sample[None].reshape(1, -1).astype(float),
        indices=np.array([index]),
        steps=len(sample),
        dt_s=1e-3,
        seed=seed,
        stream=stream,
    )
    return trains.to_dense()[0].reshape(sample.shape)


def random_sample(steps=200, seed=0):
    return np.random.default_rng(seed).random((steps, *SHAPE)) < 0.2


def test_without_noise_the_input_is_the_sample():
    sample = random_sample()
    assert not EventEncoder().random
    assert np.array_equal(encoded(EventEncoder(), sample), sample)


def test_values_other_than_0_and_1_are_refused():
    sample = random_sample().astype(float)
    sample[3, 0, 0, 0] = 0.25
    with pytest.raises(ValidationError, match=r"0\.25"):
        encoded(EventEncoder(), sample)


def test_trials_differ_and_are_reproducible():
    encoder, sample = EventEncoder(drop=0.3), random_sample()
    assert encoder.random
    first = encoded(encoder, sample)
    assert np.array_equal(first, encoded(encoder, sample))
    assert not np.array_equal(first, encoded(encoder, sample, index=1))
    assert not np.array_equal(first, encoded(encoder, sample, stream=4))
    assert not np.array_equal(first, encoded(encoder, sample, seed=6))
    batch = encoder.encode(
        np.stack([sample.ravel()] * 2).astype(float),
        indices=np.array([1, 0]),
        steps=len(sample),
        dt_s=1e-3,
        seed=5,
        stream=3,
    )
    assert np.array_equal(batch.to_dense()[1].reshape(sample.shape), first)


def test_noise_of_equal_cells_is_equal():
    encoder = EventEncoder(drop=0.3, background_hz=50, hot_fraction=0.2, hot_hz=200)
    one, other = random_sample(), random_sample()
    other[100:] ^= True
    before = slice(0, 100)
    assert np.array_equal(encoded(encoder, one)[before], encoded(encoder, other)[before])


def test_dropped_events_are_missing_and_none_is_added():
    sample = random_sample(5_000)
    found = encoded(EventEncoder(drop=0.25), sample)
    assert not (found & ~sample).any()
    kept = found.sum() / sample.sum()
    assert kept == pytest.approx(0.75, abs=5 * np.sqrt(0.25 * 0.75 / sample.sum()))


def test_background_activity_has_its_rate():
    sample = np.zeros((20_000, *SHAPE), bool)
    found = encoded(EventEncoder(background_hz=20), sample)
    expected = 20 * 1e-3
    assert found.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / found.size))


def test_hot_pixels_are_the_same_in_all_trials():
    sample = np.zeros((400, *SHAPE), bool)
    encoder = EventEncoder(hot_fraction=0.4, hot_hz=200)
    hot = [encoded(encoder, sample, index=i, stream=i).any(axis=0) for i in range(3)]
    assert 0 < hot[0].sum() < hot[0].size
    assert np.array_equal(hot[0], hot[1])
    assert np.array_equal(hot[0], hot[2])


def test_jitter_moves_events_by_at_most_its_steps():
    sample = np.zeros((60, *SHAPE), bool)
    sample[[5, 30, 57]] = True
    found = encoded(EventEncoder(jitter_s=2e-3), sample)
    assert np.array_equal(found.sum(axis=0), sample.sum(axis=0))
    shift = np.nonzero(found.reshape(60, -1).T)[1] - np.nonzero(sample.reshape(60, -1).T)[1]
    assert set(shift.tolist()) == {-2, -1, 0, 1, 2}


def test_too_short_jitter_moves_nothing():
    sample = random_sample()
    assert np.array_equal(encoded(EventEncoder(jitter_s=0.9e-3), sample), sample)


@pytest.mark.parametrize(
    "settings_", [{"drop": 1.0}, {"drop": -0.1}, {"jitter_s": -1}, {"hot_fraction": 1.5},
                  {"background_hz": -3}, {"hot_hz": np.inf}]
)  # fmt: skip
def test_invalid_noise_is_refused_by_name(settings_):
    (name,) = settings_
    with pytest.raises(ValidationError, match=name):
        EventEncoder(**settings_)


def test_rates_above_one_spike_per_step_are_refused():
    with pytest.raises(ValidationError, match="background_hz"):
        encoded(EventEncoder(background_hz=1001), random_sample())


def test_encoders_are_made_from_their_settings():
    encoder = EventEncoder(drop=0.1, jitter_s=0.002)
    assert encoder_from("events", encoder.settings()) == encoder
    assert encoder_from("events", {}) == EventEncoder()
    with pytest.raises(UnknownNameError, match="dropp"):
        encoder_from("events", {"dropp": 0.1})


def test_the_shape_of_a_sample_has_the_steps_first():
    assert EventEncoder().sample_shape(SHAPE, 7) == (7, *SHAPE)
