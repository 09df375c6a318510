"""Event filters against plain loops, and in front of a network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.encoding.events import EventEncoder
from neuroattack.encoding.filters import (
    FilteredEventEncoder,
    background_filter,
    mask_filter,
    rate_limit,
)
from neuroattack.errors import ValidationError

SHAPES = [(12, 2, 5, 4), (9, 4, 6), (10, 7), (8, 2, 2, 3, 3), (1, 1, 1, 1)]


@st.composite
def samples(draw):
    shape = draw(st.sampled_from(SHAPES))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return rng.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))


def events_of(sample):
    """Return (step, pixel row, pixel column, full position) of all events, in temporal order."""
    found = []
    for place in np.argwhere(sample).tolist():
        step, *channel_and_pixel = place
        row, column = (0, *channel_and_pixel)[-2:]
        found.append((step, row, column, tuple(place)))
    return found


def made_of(places, shape):
    sample = np.zeros(shape, bool)
    for place in places:
        sample[place] = True
    return sample


@given(samples(), st.integers(0, 12))
@settings(deadline=None)
def test_background_filter_is_that_of_loops_over_pairs_of_events(sample, window):
    events = events_of(sample)
    kept = [
        place
        for step, row, column, place in events
        if any(
            0 <= step - other_step <= window
            and max(abs(row - other_row), abs(column - other_column)) == 1
            for other_step, other_row, other_column, _ in events
        )
    ]
    np.testing.assert_array_equal(
        background_filter(sample, window), made_of(kept, sample.shape), strict=True
    )


@given(samples(), st.integers(1, 8))
@settings(deadline=None)
def test_mask_filter_is_that_of_a_counter_per_pixel(sample, most):
    events = events_of(sample)
    counts = {}
    for _, row, column, _ in events:
        counts[row, column] = counts.get((row, column), 0) + 1
    kept = [place for _, row, column, place in events if counts[row, column] <= most]
    np.testing.assert_array_equal(
        mask_filter(sample, most), made_of(kept, sample.shape), strict=True
    )


@given(samples(), st.integers(1, 8))
@settings(deadline=None)
def test_rate_limit_is_that_of_a_clock_per_pixel(sample, interval):
    last, kept = {}, []
    for step, row, column, place in events_of(sample):
        if step - last.get((row, column), -interval) >= interval:
            last[row, column] = step
            kept.append(place)
    np.testing.assert_array_equal(
        rate_limit(sample, interval), made_of(kept, sample.shape), strict=True
    )


def encoded(encoder, batch, **changes):
    settings = {"indices": np.arange(len(batch)), "steps": 12, "dt_s": 1e-3, "seed": 3} | changes
    trains = encoder.encode(batch.reshape(len(batch), -1).astype(float), **settings)
    return trains.to_dense().reshape(batch.shape)


@pytest.mark.parametrize(
    ("setting", "number", "function"),
    [
        ("background_s", 0.002, lambda sample: background_filter(sample, 2)),
        ("background_s", 0.0029, lambda sample: background_filter(sample, 2)),
        ("background_s", 0.0005, lambda sample: background_filter(sample, 0)),
        ("mask_events", 4, lambda sample: mask_filter(sample, 4)),
        ("rate_limit_steps", 3, lambda sample: rate_limit(sample, 3)),
    ],
)
def test_the_filter_follows_the_sensor_noise(setting, number, function):
    batch = np.random.default_rng(0).random((4, 12, 2, 5, 4)) < 0.1
    noise = {"drop": 0.2, "background_hz": 30.0, "jitter_s": 0.002}
    noisy = encoded(EventEncoder(**noise), batch)
    filtered = encoded(FilteredEventEncoder(shape=(2, 5, 4), **noise, **{setting: number}), batch)
    np.testing.assert_array_equal(filtered, [function(sample) for sample in noisy])
    assert 0 < filtered.sum() < noisy.sum()


def test_without_a_setting_nothing_is_filtered():
    batch = np.random.default_rng(0).random((2, 12, 2, 5, 4)) < 0.1
    np.testing.assert_array_equal(encoded(FilteredEventEncoder(shape=(2, 5, 4)), batch), batch)
    assert not FilteredEventEncoder(shape=(2, 5, 4), mask_events=3).random
    assert FilteredEventEncoder(0.1, shape=(2, 5, 4), mask_events=3).random


@pytest.mark.parametrize(
    "settings",
    [{"background_s": -1.0}, {"mask_events": -1}, {"mask_events": 1.5}, {"rate_limit_steps": -2}],
)
def test_invalid_settings_are_refused(settings):
    with pytest.raises(ValidationError, match=next(iter(settings))):
        FilteredEventEncoder(shape=(2, 5, 4), **settings)
