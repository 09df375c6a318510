"""Encoders, which turn the intensities of images into input spikes.

They run here, never in a simulator: given the seed, the stream and the index of an image, its
input spikes are the same on every backend and in whatever batch it comes.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.validation import check_positive

__all__ = ["ENCODERS", "Encoder", "PoissonEncoder", "RegularEncoder"]


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
            Valid intensities, as :func:`neuroattack.encoding.images.validate_images` returns them.
        indices : int64 array, shape (images,)
            What tells the draws of the images apart: the same seed, stream and index give the
            same draw for the same image, alone or in any batch. Where two images of the same
            index have a pixel in common, its spikes are the same in both.
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
        return self._draw(images * (self.max_rate_hz * dt_s), indices, steps, seed, stream)

    @abc.abstractmethod
    def _draw(
        self,
        probability: NDArray[np.float64],
        indices: NDArray[np.int64],
        steps: int,
        seed: int,
        stream: int,
    ) -> SpikeTrains:
        """Return the spikes, given the expected number of them in a step."""


@dataclass(frozen=True)
class PoissonEncoder(Encoder):
    """Independent Bernoulli draw every step, with p = intensity * max_rate_hz * dt.

    The discrete form of a Poisson process: at most one spike a step, refused where p > 1. The
    draw of a pixel depends on no other pixel, nor on the number of steps; a brighter pixel
    spikes in all the steps that a darker one does, and in some more. How the numbers are drawn is
    in :mod:`neuroattack.encoding.poisson`.
    """

    kind: ClassVar[str] = "poisson"

    def _draw(
        self,
        probability: NDArray[np.float64],
        indices: NDArray[np.int64],
        steps: int,
        seed: int,
        stream: int,
    ) -> SpikeTrains:
        # Here, for numba is slow to import and most uses of a network draw nothing.
        from neuroattack.encoding.poisson import poisson_spikes

        return poisson_spikes(probability, indices, steps, seed, stream)


@dataclass(frozen=True)
class RegularEncoder(Encoder):
    """Evenly spaced spikes without chance: one whenever the expected count passes n + 1/2."""

    kind: ClassVar[str] = "regular"

    def _draw(
        self,
        probability: NDArray[np.float64],
        indices: NDArray[np.int64],
        steps: int,
        seed: int,
        stream: int,
    ) -> SpikeTrains:
        del indices, seed, stream
        neurons: list[NDArray[np.int32]] = []
        offsets = np.zeros((len(probability), steps + 1), np.int64)
        start = 0
        for row, of_pixels in enumerate(probability):
            lit = np.flatnonzero(of_pixels)
            due = np.floor(np.arange(steps + 1)[:, None] * of_pixels[lit] + 0.5)
            raster = due[1:] > due[:-1]
            offsets[row, 0] = start
            offsets[row, 1:] = start + np.cumsum(np.count_nonzero(raster, axis=1))
            start = int(offsets[row, -1])
            neurons.append(lit[np.nonzero(raster)[1]].astype(np.int32))
        return SpikeTrains(probability.shape[1], offsets, np.concatenate(neurons))


ENCODERS: dict[str, type[Encoder]] = {
    encoder.kind: encoder for encoder in (PoissonEncoder, RegularEncoder)
}
