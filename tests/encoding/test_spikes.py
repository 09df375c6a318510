"""Spike trains."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neuroattack.conformance.networks import rasters
from neuroattack.encoding.spikes import SpikeTrains


@given(rasters(7))
def test_rasters_survive_the_round_trip(dense):
    trains = SpikeTrains.from_dense(dense)
    np.testing.assert_array_equal(trains.to_dense(), dense)
    np.testing.assert_array_equal(trains.counts(), dense.sum(axis=1))
    joined = SpikeTrains.concatenate([trains[:1], trains, trains[len(dense) // 2 :]])
    expected = np.concatenate([dense[:1], dense, dense[len(dense) // 2 :]])
    np.testing.assert_array_equal(joined.to_dense(), expected)


@given(rasters(5), st.randoms())
def test_events_may_come_in_any_order(dense, random):
    events = list(zip(*np.nonzero(dense), strict=True))
    random.shuffle(events)
    image, step, neuron = np.array(events, int).reshape(-1, 3).T
    trains = SpikeTrains.from_events(image, step, neuron, dense.shape)
    np.testing.assert_array_equal(trains.to_dense(), dense)
