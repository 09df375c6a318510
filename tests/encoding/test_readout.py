"""Readout of spike counts."""

import numpy as np

from neuroattack.encoding.readout import UNDECIDED, decide, spike_fractions


def test_the_strict_maximum_decides_and_ties_and_silence_do_not():
    counts = np.array([[1, 5, 2], [3, 3, 1], [0, 0, 0], [0, 0, 1]])
    assert decide(counts).tolist() == [1, UNDECIDED, UNDECIDED, 2]


def test_spike_fractions_sum_to_one_or_are_all_zero():
    fractions = spike_fractions(np.array([[1, 3, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(fractions, [[0.25, 0.75, 0], [0, 0, 0]])
