"""Readout: predicted class, output spike fractions, and scores from real-valued outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SCORES_PER_UNIT",
    "UNDECIDED",
    "decide",
    "fractions_as_scores",
    "logits_as_scores",
    "spike_fractions",
]

UNDECIDED = -1
"""Predicted class of an image without output spikes, or with a tie."""

SCORES_PER_UNIT = 10**9
"""Score that represents a fraction of 1."""


def decide(outputs: NDArray[np.integer] | NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return the class with strictly the highest output, :data:`UNDECIDED` on silence or a tie.

    Parameters
    ----------
    outputs : int or float array, shape (images, classes)
        Spike counts or membrane potentials of the readout population, or scores.

    Returns
    -------
    int64 array, shape (images,)
    """
    winner = outputs.argmax(axis=1)
    unique = np.count_nonzero(outputs == outputs.max(axis=1, keepdims=True), axis=1) == 1
    return np.where(unique, winner, UNDECIDED)


def fractions_as_scores(fractions: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return fractions in [0, 1] as integers, scaled by :data:`SCORES_PER_UNIT`."""
    return np.rint(fractions * SCORES_PER_UNIT).astype(np.int32)


def logits_as_scores(logits: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return real-valued outputs as nonnegative integers, by a softmax over the classes.

    Parameters
    ----------
    logits : float64 array, shape (images, classes)
        Finite outputs: membrane potentials of the readout population, or logits.

    Returns
    -------
    int32 array, shape (images, classes)
        Scores in units of 1e-9, which have the same order as the outputs. Outputs that differ too
        little or are too low for that resolution have equal scores.
    """
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return fractions_as_scores(raised / raised.sum(axis=1, keepdims=True))


def spike_fractions(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the output spike fraction of each class; all 0 without output spikes.

    Parameters
    ----------
    counts : int array, shape (images, classes)
        Spike counts of the readout population.

    Returns
    -------
    float64 array, shape (images, classes)
        Fractions; Marchisio et al. 2020 call them the probabilities of the classes.
    """
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray(counts / np.maximum(total, 1), np.float64)
