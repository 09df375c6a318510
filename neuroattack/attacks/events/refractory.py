"""Refractory period that perturbations of event samples keep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["keeps_refractory"]

Sample = NDArray[np.float64]


def keeps_refractory(
    original: Sample, adversarial: Sample, refractory_steps: int, *, retimed: bool
) -> bool:
    """Return whether a perturbation keeps a refractory period between two events of a neuron.

    Clean samples can have events that are closer. Without retiming, such events may stay where they
    are. With retiming, two successive events of a neuron may come no closer than they were.

    Parameters
    ----------
    original, adversarial : float64 array, shape (steps, ...)
        Samples of zeros and ones; with retiming, the same number of events per neuron.
    refractory_steps : int
        Least number of time steps between two events.
    retimed : bool
        Whether events were retimed, instead of inserted or deleted.
    """
    before, after = (sample.reshape(len(sample), -1).T > 0 for sample in (original, adversarial))
    neurons, steps = np.nonzero(after)
    gaps = np.diff(steps)
    close = (np.diff(neurons) == 0) & (gaps <= refractory_steps)
    if not close.any():
        return True
    if retimed:
        return bool((gaps >= np.diff(np.nonzero(before)[1]))[close].all())
    unchanged = before[neurons, steps]
    return bool((unchanged[:-1] & unchanged[1:])[close].all())
