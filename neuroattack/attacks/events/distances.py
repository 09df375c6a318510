"""Distances between event samples: inserted, deleted and retimed events.

A sample is an array of zeros and ones of shape (steps, ...), see
:mod:`neuroattack.encoding.events`. All distances are relative to the number of events of the clean
sample, except for the largest shift. Retiming leaves the number of events of each neuron as it is;
the events of a neuron are matched in temporal order, which minimizes both the largest and the total
shift. Without such a match, the distance is infinite.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["deletions", "events", "insertions", "jitter", "moved", "shift", "shifts"]

Sample = NDArray[np.float64]


def events(original: Sample, adversarial: Sample) -> float:
    """Return the number of inserted and deleted events per clean event."""
    return _changed(original, adversarial) / _count(original)


def insertions(original: Sample, adversarial: Sample) -> float:
    """Return the number of inserted events per clean event; infinite if one was deleted."""
    return math.inf if (adversarial < original).any() else events(original, adversarial)


def deletions(original: Sample, adversarial: Sample) -> float:
    """Return the fraction of deleted events; infinite if one was inserted."""
    return math.inf if (adversarial > original).any() else events(original, adversarial)


def jitter(original: Sample, adversarial: Sample) -> float:
    """Return the largest shift of an event in time steps."""
    found = shifts(original, adversarial)
    return math.inf if found is None else float(np.abs(found).max(initial=0))


def shift(original: Sample, adversarial: Sample) -> float:
    """Return the total shift of all events, in time steps per clean event."""
    found = shifts(original, adversarial)
    return math.inf if found is None else float(np.abs(found).sum()) / _count(original)


def moved(original: Sample, adversarial: Sample) -> float:
    """Return the fraction of the events that are not where they were."""
    if shifts(original, adversarial) is None:
        return math.inf
    return _changed(original, adversarial) / 2 / _count(original)


def shifts(original: Sample, adversarial: Sample) -> NDArray[np.intp] | None:
    """Return the shift of each event in time steps, ordered by neuron and time.

    None if a neuron has not the same number of events in both samples.
    """
    (neurons, before), (others, after) = (
        np.nonzero(sample.reshape(len(sample), -1).T > 0) for sample in (original, adversarial)
    )
    return after - before if np.array_equal(neurons, others) else None


def _changed(original: Sample, adversarial: Sample) -> float:
    return float(np.count_nonzero(original != adversarial))


def _count(original: Sample) -> int:
    # A sample without events can only be changed by insertions, each of which counts as one.
    return max(int(np.count_nonzero(original)), 1)
