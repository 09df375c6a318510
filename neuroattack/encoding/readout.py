"""Reading spike counts: the class they decide for, and each class's share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNDECIDED", "decide", "spike_fractions"]

UNDECIDED = -1
"""The predicted class of an image whose readout is silent or tied."""


def decide(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the class with strictly the most spikes, :data:`UNDECIDED` on silence or a tie.

    Parameters
    ----------
    counts : int array, shape (images, classes)
        Spikes of the readout population.

    Returns
    -------
    int64 array, shape (images,)
    """
    winner = counts.argmax(axis=1)
    unique = np.count_nonzero(counts == counts.max(axis=1, keepdims=True), axis=1) == 1
    return np.where(unique, winner, UNDECIDED)


def spike_fractions(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return each class's share of the output spikes; all 0 where the readout is silent.

    Parameters
    ----------
    counts : int array, shape (images, classes)
        Spikes of the readout population.

    Returns
    -------
    float64 array, shape (images, classes)
        What the paper calls the probability of a class.
    """
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray(counts / np.maximum(total, 1), np.float64)
