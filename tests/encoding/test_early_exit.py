"""Early exit of the readout against a plain loop over steps and classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from neuroattack.encoding.early_exit import EarlyExit, leads, steps_until
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import NeuroattackError

RASTERS = arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.booleans())


def decide_by_loop(raster, margin):
    """Return steps run and counts of one image, step by step."""
    counts = [0] * raster.shape[1]
    for step, spikes in enumerate(raster):
        for label, spiked in enumerate(spikes):
            counts[label] += int(spiked)
        first, *others = sorted(counts, reverse=True)
        if first - (others[0] if others else 0) >= margin:
            return step + 1, counts
    return len(raster), counts


@given(raster=RASTERS, margin=st.integers(1, 6))
@settings(deadline=None)
def test_a_plain_loop_decides_the_same(raster, margin):
    trains = SpikeTrains.from_dense(raster)
    steps = EarlyExit(margin).decision_steps(trains)
    assert steps.dtype == np.int64
    expected = [decide_by_loop(image, margin) for image in raster]
    assert steps.tolist() == [each[0] for each in expected]
    assert trains.until(steps).counts().tolist() == [each[1] for each in expected]
    # The spikes until the decision lead to the same decision.
    assert EarlyExit(margin).decision_steps(trains.until(steps)).tolist() == steps.tolist()


@given(raster=RASTERS)
@settings(deadline=None)
def test_spikes_until_a_step_are_a_slice(raster):
    trains = SpikeTrains.from_dense(raster)
    for steps in range(raster.shape[1] + 1):
        cut = trains.until(np.full(len(raster), steps))
        expected = raster.copy()
        expected[:, steps:] = False
        np.testing.assert_array_equal(cut.to_dense(), expected)
        assert len(cut.events()[0]) == expected.sum()
        joined = SpikeTrains.concatenate([cut, trains])
        np.testing.assert_array_equal(joined.to_dense(), np.concatenate([expected, raster]))


def test_a_case_by_hand():
    # Class 1 spikes first; class 0 draws level and is ahead by 1 after step 4, by 2 after step 5.
    one = [[0, 0], [0, 1], [1, 0], [1, 0], [1, 0], [0, 0]]
    # Both spike in step 2; class 0 leads after step 4. Class 1 draws level in step 6.
    tied = [[0, 0], [1, 1], [0, 0], [1, 0], [0, 0], [0, 1]]
    silent = [[0, 0]] * 6
    trains = SpikeTrains.from_dense(np.array([one, tied, silent], bool))
    assert leads(trains).tolist() == [[0, 1, 0, 1, 2, 2], [0, 0, 0, 1, 1, 0], [0] * 6]
    assert EarlyExit.from_text("first-spike").decision_steps(trains).tolist() == [2, 4, 6]
    assert EarlyExit.from_text("margin:2").decision_steps(trains).tolist() == [5, 6, 6]
    assert trains.until(np.array([2, 4, 6])).counts().tolist() == [[0, 1], [2, 1], [0, 0]]
    assert steps_until(leads(trains), 3).tolist() == [6, 6, 6]


def test_text_and_back():
    assert EarlyExit.from_text("first-spike") == EarlyExit.from_text("margin:1") == EarlyExit(1)
    for margin in (1, 5, 20_000):
        assert EarlyExit.from_text(str(EarlyExit(margin))) == EarlyExit(margin)


@pytest.mark.parametrize(
    "text",
    [
        "margin:0",
        "margin:20001",
        "margin:-3",
        "margin",
        "margin:2.5",
        "margn:3",
        "first-spike:2",
        "",
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(NeuroattackError):
        EarlyExit.from_text(text)
