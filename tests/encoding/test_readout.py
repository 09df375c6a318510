"""Readout of spike counts."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuroattack.encoding.readout import (
    SCORES_PER_UNIT,
    UNDECIDED,
    decide,
    logits_as_scores,
    spike_fractions,
)


def test_the_strict_maximum_decides_and_ties_and_silence_do_not():
    counts = np.array([[1, 5, 2], [3, 3, 1], [0, 0, 0], [0, 0, 1]])
    assert decide(counts).tolist() == [1, UNDECIDED, UNDECIDED, 2]


def test_potentials_may_be_negative():
    assert decide(np.array([[-0.5, -0.25], [-1.0, -1.0]])).tolist() == [1, UNDECIDED]


@given(arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6)))
def test_scores_of_potentials_are_a_softmax(potentials):
    scores = logits_as_scores(potentials)
    assert scores.dtype == np.int32
    for row, given_row in zip(scores, potentials, strict=True):
        raised = [math.exp(value - max(given_row)) for value in given_row]
        for score, one in zip(row, raised, strict=True):
            assert abs(score - SCORES_PER_UNIT * one / sum(raised)) <= 0.51
        order = np.argsort(given_row, kind="stable")
        assert (np.diff(row[order]) >= 0).all()


def test_spike_fractions_sum_to_one_or_are_all_zero():
    fractions = spike_fractions(np.array([[1, 3, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(fractions, [[0.25, 0.75, 0], [0, 0, 0]])
