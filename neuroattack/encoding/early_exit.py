"""Early exit: the readout decides as soon as one class has enough more spikes than the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.validation import check_integer

__all__ = ["FIRST_SPIKE", "EarlyExit", "leads", "steps_until"]

FIRST_SPIKE = "first-spike"
_MARGIN = "margin"
_LARGEST_MARGIN = 20_000


@dataclass(frozen=True)
class EarlyExit:
    """Rule by which a network decides before its last time step.

    The network stops after the first step in which the class with the most output spikes leads the
    runner-up by at least `margin` spikes, at the latest after T steps.

    With a margin of 1 it stops at the first output spike; if several classes spike in that step, it
    goes on until one of them, or another class, leads.

    Parameters
    ----------
    margin : int
        Margin in output spikes, at least 1.

    Raises
    ------
    ValidationError
        If the margin is out of range.
    """

    margin: int

    def __post_init__(self) -> None:
        check_integer("margin of an early exit", self.margin, 1, _LARGEST_MARGIN)

    @classmethod
    def from_text(cls, text: str) -> EarlyExit:
        """Parse ``margin:5`` or ``first-spike``, which is the same as ``margin:1``.

        Raises
        ------
        ValidationError, UnknownNameError
            If the rule is unknown, or its margin is not a number in range.
        """
        if text == FIRST_SPIKE:
            return cls(1)
        name, _, margin = text.partition(":")
        if name == FIRST_SPIKE:
            raise ValidationError(f"early exit {name!r}", repr(text), "the name without a number")
        if name != _MARGIN:
            raise UnknownNameError("early exit", name, (_MARGIN, FIRST_SPIKE))
        try:
            return cls(int(margin))
        except ValueError:
            raise ValidationError(
                f"early exit {name!r}", repr(margin), "an integer after the name, as in margin:5"
            ) from None

    def __str__(self) -> str:
        return f"{_MARGIN}:{self.margin}"

    def decision_steps(self, spikes: SpikeTrains) -> NDArray[np.int64]:
        """Return the number of steps after which each image is decided, shape (images,).

        Parameters
        ----------
        spikes : SpikeTrains
            Spikes of the readout population.
        """
        return steps_until(leads(spikes), self.margin)


def leads(spikes: SpikeTrains) -> NDArray[np.int32]:
    """Return by how many spikes the leading class leads the runner-up after each step.

    Parameters
    ----------
    spikes : SpikeTrains
        Spikes of the readout population. With a single class, the runner-up has no spikes.

    Returns
    -------
    int32 array, shape (images, steps)
    """
    found = np.zeros((spikes.images, spikes.steps), np.int32)
    for image in range(spikes.images):
        counts = spikes[image : image + 1].to_dense()[0].cumsum(axis=0, dtype=np.int32)
        if spikes.size == 1:
            found[image] = counts[:, 0]
        else:
            ranked = np.partition(counts, -2, axis=1)
            found[image] = ranked[:, -1] - ranked[:, -2]
    return found


def steps_until(found: NDArray[np.int32], margin: int) -> NDArray[np.int64]:
    """Return the number of steps until leads reach a margin, T where they never do.

    Parameters
    ----------
    found : int32 array, shape (images, steps)
        Leads from :func:`leads`.
    margin : int
        Margin in spikes.

    Returns
    -------
    int64 array, shape (images,)
        From 1 to T.
    """
    reached = found >= margin
    first = reached.argmax(axis=1) + 1
    return np.where(reached.any(axis=1), first, found.shape[1]).astype(np.int64)
