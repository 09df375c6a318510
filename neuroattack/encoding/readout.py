"""Readout of spike counts: predicted class, and output spike fraction of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNDECIDED", "decide", "spike_fractions"]

UNDECIDED = -1
"""Predicted class of an image without output spikes, or with a tie."""


def decide(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the class with strictly the most spikes, :data:`UNDECIDED` on silence or a tie.

    Parameters
    ----------
    counts : int array, shape (images, classes)
        Spike counts of the readout population.

    Returns
    -------
    int64 array, shape (images,)
    """
    winner = counts.argmax(axis=1)
    unique = np.count_nonzero(counts == counts.max(axis=1, keepdims=True), axis=1) == 1
    return np.where(unique, winner, UNDECIDED)


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
