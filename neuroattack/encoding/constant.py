"""Constant input of direct coding, and the type of any input of a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains

__all__ = ["ConstantInput", "InputSignal"]


@dataclass(frozen=True, eq=False)
class ConstantInput:
    """Input that is the same in every time step: the intensities of a batch of images.

    A projection from the input adds ``sum(weight * value) * 2**exponent`` to its targets in every
    step from its delay on.

    Parameters
    ----------
    values : int32 array, shape (images, size)
        Intensity of every pixel in units of ``2**exponent``.
    exponent : int
        Exponent of the grid.
    steps : int
        Number of time steps per image.
    """

    values: NDArray[np.int32]
    exponent: int
    steps: int

    @property
    def images(self) -> int:
        """Number of images in the batch."""
        return int(self.values.shape[0])

    @property
    def size(self) -> int:
        """Number of neurons of the input population: pixels of one image."""
        return int(self.values.shape[1])

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, images: slice | NDArray[np.intp]) -> ConstantInput:
        return ConstantInput(self.values[images], self.exponent, self.steps)

    def intensities(self) -> NDArray[np.float64]:
        """Return the intensities on the grid, shape (images, size)."""
        intensities: NDArray[np.float64] = np.ldexp(self.values.astype(np.float64), self.exponent)
        return intensities

    def counts(self) -> NDArray[np.int32]:
        """Return the number of steps in which each neuron has an input, shape (images, size).

        It is the number of its synaptic operations per connection, as a spike count is for spikes.
        """
        return np.where(self.values != 0, self.steps, 0).astype(np.int32)

    def to_dense(self) -> NDArray[np.float64]:
        """Return the input of every step, shape (images, steps, size)."""
        return np.repeat(self.intensities()[:, None], self.steps, axis=1)


InputSignal = SpikeTrains | ConstantInput
"""Input of a network for a batch of images, or of other samples.

Spikes, from a rate encoder or recorded by an event camera, are :class:`SpikeTrains`: simulators do
not know where they come from. Direct coding gives a :class:`ConstantInput`.
"""
