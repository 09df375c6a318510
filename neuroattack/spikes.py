"""Spike trains as sparse events, and the encoders that draw them from images.

Encoders run here, never in a simulator: given the seed, the stream and the index of an image,
its input spikes are the same on every backend and in whatever batch it comes.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import ValidationError
from neuroattack.validation import check_positive

__all__ = [
    "ENCODERS",
    "Encoder",
    "PoissonEncoder",
    "RegularEncoder",
    "SpikeTrains",
]


@dataclass(frozen=True, eq=False)
class SpikeTrains:
    """Spikes of one population for a batch of images, in the order of time.

    The neurons that spike at step k of image b are
    ``neurons[offsets[b, k]:offsets[b, k + 1]]``, ascending. Between the last event of an image
    and the first of the next there may be unused entries.

    Parameters
    ----------
    size : int
        Neurons in the population.
    offsets : int64 array, shape (images, steps + 1)
        Where each step's events start in `neurons`.
    neurons : int32 array, shape (at least events,)
        Index of the neuron of each event.
    """

    size: int
    offsets: NDArray[np.int64]
    neurons: NDArray[np.int32]

    @property
    def images(self) -> int:
        """Images in the batch."""
        return int(self.offsets.shape[0])

    @property
    def steps(self) -> int:
        """Time steps an image lasts."""
        return int(self.offsets.shape[1]) - 1

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, images: slice) -> SpikeTrains:
        return SpikeTrains(self.size, self.offsets[images], self.neurons)

    def events(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32]]:
        """Return (image, step, neuron) of every spike, three arrays of shape (events,)."""
        per_step = np.diff(self.offsets, axis=1)
        image, step = np.divmod(
            np.repeat(np.arange(per_step.size), per_step.ravel()), max(self.steps, 1)
        )
        parts = [self.neurons[row[0] : row[-1]] for row in self.offsets]
        neuron = np.concatenate(parts) if parts else np.empty(0, np.int32)
        return image, step, neuron

    def counts(self) -> NDArray[np.int32]:
        """Return the spikes of every neuron over all steps, shape (images, size)."""
        counts = np.empty((self.images, self.size), np.int32)
        for image, row in enumerate(self.offsets):
            counts[image] = np.bincount(self.neurons[row[0] : row[-1]], minlength=self.size)
        return counts

    def to_dense(self) -> NDArray[np.bool_]:
        """Return the raster, shape (images, steps, size)."""
        dense = np.zeros((self.images, self.steps, self.size), bool)
        dense[self.events()] = True
        return dense

    @classmethod
    def from_events(
        cls, image: ArrayLike, step: ArrayLike, neuron: ArrayLike, shape: tuple[int, int, int]
    ) -> SpikeTrains:
        """Build trains from events in any order.

        Parameters
        ----------
        image, step, neuron : int arrays, shape (events,)
            One entry a spike.
        shape : (images, steps, size)
            What the events lie in.
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
        """Build trains from a raster of shape (images, steps, size)."""
        images, steps, size = dense.shape
        image, step, neuron = np.nonzero(dense)
        return cls.from_events(image, step, neuron, (images, steps, size))

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


@dataclass(frozen=True)
class Encoder(abc.ABC):
    """Turns intensities into input spikes at rates of intensity times `max_rate_hz`.

    Parameters
    ----------
    max_rate_hz : float
        Rate in hertz of a pixel of intensity 1.

    Raises
    ------
    ValidationError
        If `max_rate_hz` is not positive and finite.
    """

    max_rate_hz: float
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        rate_hz = check_positive("encoder max_rate_hz", self.max_rate_hz, "rate in Hz")
        object.__setattr__(self, "max_rate_hz", rate_hz)

    def check_step(self, dt_s: float) -> None:
        """Raise ValidationError if a pixel of intensity 1 would need over one spike a step."""
        if self.max_rate_hz * dt_s > 1:
            raise ValidationError(
                "encoder max_rate_hz",
                f"{self.max_rate_hz:g} Hz with steps of {dt_s:g} s "
                f"({self.max_rate_hz * dt_s:g} spikes a step)",
                f"at most one spike a step, {1 / dt_s:g} Hz",
            )

    def encode(
        self,
        images: NDArray[np.float64],
        *,
        indices: NDArray[np.int64],
        steps: int,
        dt_s: float,
        seed: int,
        stream: int = 0,
    ) -> SpikeTrains:
        """Draw the input spikes of a batch.

        Parameters
        ----------
        images : float64 array, shape (images, pixels)
            Valid intensities, as :func:`neuroattack.images.validate_images` returns them.
        indices : int64 array, shape (images,)
            What tells the draws of the images apart: the same seed, stream and index give the
            same draw for the same image, alone or in any batch.
        steps : int
            Time steps T to draw.
        dt_s : float
            Length of a step in seconds.
        seed, stream : int
            Seed, and which of its independent streams of draws to use.

        Returns
        -------
        SpikeTrains
            Of the input population.

        Raises
        ------
        ValidationError
            If a pixel of intensity 1 would need over one spike a step.
        """
        self.check_step(dt_s)
        probability = images * (self.max_rate_hz * dt_s)
        neurons: list[NDArray[np.int32]] = []
        offsets = np.zeros((len(images), steps + 1), np.int64)
        start = 0
        for row, index in enumerate(indices):
            lit = np.flatnonzero(probability[row])
            raster = self._raster(probability[row, lit], steps, (seed, stream, int(index)))
            offsets[row, 0] = start
            offsets[row, 1:] = start + np.cumsum(np.count_nonzero(raster, axis=1))
            start = int(offsets[row, -1])
            neurons.append(lit[np.nonzero(raster)[1]].astype(np.int32))
        return SpikeTrains(images.shape[1], offsets, np.concatenate(neurons))

    @abc.abstractmethod
    def _raster(
        self, probability: NDArray[np.float64], steps: int, draw: tuple[int, int, int]
    ) -> NDArray[np.bool_]:
        """Return the spikes of the lit pixels, shape (steps, lit pixels)."""


@dataclass(frozen=True)
class PoissonEncoder(Encoder):
    """Independent Bernoulli draw every step, with p = intensity * max_rate_hz * dt.

    The discrete form of a Poisson process: at most one spike a step, refused where p > 1.
    """

    kind: ClassVar[str] = "poisson"

    def _raster(
        self, probability: NDArray[np.float64], steps: int, draw: tuple[int, int, int]
    ) -> NDArray[np.bool_]:
        seed, stream, index = draw
        sequence = np.random.SeedSequence(seed, spawn_key=(stream, index))
        # Named, since NumPy may change what default_rng stands for.
        generator = np.random.Generator(np.random.PCG64(sequence))
        return generator.random((steps, probability.size)) < probability


@dataclass(frozen=True)
class RegularEncoder(Encoder):
    """Evenly spaced spikes without chance: one whenever the expected count passes n + 1/2."""

    kind: ClassVar[str] = "regular"

    def _raster(
        self, probability: NDArray[np.float64], steps: int, draw: tuple[int, int, int]
    ) -> NDArray[np.bool_]:
        del draw
        expected = np.arange(steps + 1)[:, None] * probability
        due = np.floor(expected + 0.5)
        return due[1:] > due[:-1]


ENCODERS: dict[str, type[Encoder]] = {
    encoder.kind: encoder for encoder in (PoissonEncoder, RegularEncoder)
}
