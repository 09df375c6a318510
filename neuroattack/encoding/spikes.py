"""Spike trains as sparse events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SpikeTrains"]


@dataclass(frozen=True, eq=False)
class SpikeTrains:
    """Spikes of one population for a batch of images, in temporal order.

    The neurons that spike in step k of image b are ``neurons[offsets[b, k]:offsets[b, k + 1]]``, in
    ascending order. There may be unused entries between the last event of an image and the first
    event of the next.

    Parameters
    ----------
    size : int
        Number of neurons in the population.
    offsets : int64 array, shape (images, steps + 1)
        Index in `neurons` of the first event of each step.
    neurons : int32 array, shape (at least events,)
        Index of the neuron of each event.
    """

    size: int
    offsets: NDArray[np.int64]
    neurons: NDArray[np.int32]

    @property
    def images(self) -> int:
        """Number of images in the batch."""
        return int(self.offsets.shape[0])

    @property
    def steps(self) -> int:
        """Number of time steps per image."""
        return int(self.offsets.shape[1]) - 1

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, images: slice | NDArray[np.intp]) -> SpikeTrains:
        return SpikeTrains(self.size, self.offsets[images], self.neurons)

    @property
    def nbytes(self) -> int:
        """Memory of the spikes in bytes, without unused entries."""
        events = int((self.offsets[:, -1] - self.offsets[:, 0]).sum())
        return self.offsets.nbytes + self.neurons.itemsize * events

    def events(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32]]:
        """Return image, step and neuron of every spike: three arrays of shape (events,)."""
        per_step = np.diff(self.offsets, axis=1)
        image, step = np.divmod(
            np.repeat(np.arange(per_step.size), per_step.ravel()), max(self.steps, 1)
        )
        parts = [self.neurons[row[0] : row[-1]] for row in self.offsets]
        neuron = np.concatenate(parts) if parts else np.empty(0, np.int32)
        return image, step, neuron

    def counts(self) -> NDArray[np.int32]:
        """Return the spike count of every neuron, shape (images, size)."""
        counts = np.empty((self.images, self.size), np.int32)
        for image, row in enumerate(self.offsets):
            counts[image] = np.bincount(self.neurons[row[0] : row[-1]], minlength=self.size)
        return counts

    def until(self, steps: NDArray[np.int64]) -> SpikeTrains:
        """Return the spikes of the first steps of each image; the number of steps stays the same.

        Parameters
        ----------
        steps : int64 array, shape (images,)
            Number of steps of each image whose spikes are kept.
        """
        ends = np.take_along_axis(self.offsets, steps[:, np.newaxis], axis=1)
        return SpikeTrains(self.size, np.minimum(self.offsets, ends), self.neurons)

    def to_dense(self) -> NDArray[np.bool_]:
        """Return the spikes as a raster of shape (images, steps, size)."""
        dense = np.zeros((self.images, self.steps, self.size), bool)
        dense[self.events()] = True
        return dense

    @classmethod
    def from_events(
        cls, image: ArrayLike, step: ArrayLike, neuron: ArrayLike, shape: tuple[int, int, int]
    ) -> SpikeTrains:
        """Build spike trains from events in any order.

        Parameters
        ----------
        image, step, neuron : int arrays, shape (events,)
            Image, step and neuron of each spike.
        shape : (images, steps, size)
            Numbers of images, steps and neurons.
        """
        images, steps, size = shape
        slot = np.asarray(image, np.int64) * steps + np.asarray(step, np.int64)
        neuron = np.asarray(neuron, np.int32)
        order = np.lexsort((neuron, slot))
        ends = np.cumsum(np.bincount(slot, minlength=images * steps)).reshape(images, steps)
        offsets = np.zeros((images, steps + 1), np.int64)
        offsets[:, 1:] = ends
        offsets[1:, 0] = ends[:-1, -1] if steps else 0
        return cls(size, offsets, neuron[order])

    @classmethod
    def from_dense(cls, dense: NDArray[np.bool_]) -> SpikeTrains:
        """Build spike trains from a raster of shape (images, steps, size)."""
        images, steps, size = dense.shape
        found = np.flatnonzero(dense)
        ends = np.searchsorted(found, np.arange(images * steps + 1) * size)
        rows = np.arange(images)[:, None] * steps + np.arange(steps + 1)
        return cls(size, ends[rows], (found % size).astype(np.int32))

    @classmethod
    def concatenate(cls, parts: Sequence[SpikeTrains]) -> SpikeTrains:
        """Join batches of the same population and number of steps, dropping unused entries."""
        pieces: list[NDArray[np.int32]] = []
        rows: list[NDArray[np.int64]] = []
        start = 0
        for part in parts:
            for row in part.offsets:
                pieces.append(part.neurons[row[0] : row[-1]])
                rows.append(row - row[0] + start)
                start += int(row[-1] - row[0])
        return cls(parts[0].size, np.stack(rows), np.concatenate(pieces))
