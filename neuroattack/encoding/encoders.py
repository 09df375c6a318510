"""Encoders of image intensities as input spikes.

Encoders do not run in the simulators: for a given seed, stream and index, the input spikes of an
image are the same on every backend and in every batch.
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
    """Encoder of intensities as input spikes with the rate ``intensity * max_rate_hz``.

    Parameters
    ----------
    max_rate_hz : float
        Spike rate of a pixel of intensity 1, in hertz.

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
        """Raise ValidationError if a pixel of intensity 1 exceeds one spike per time step."""
        if self.max_rate_hz * dt_s > 1:
            raise ValidationError(
                "encoder max_rate_hz",
                f"{self.max_rate_hz:g} Hz with steps of {dt_s:g} s "
                f"({self.max_rate_hz * dt_s:g} spikes per step)",
                f"at most one spike per step, {1 / dt_s:g} Hz",
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
        """Generate the input spikes of a batch.

        Parameters
        ----------
        images : float64 array, shape (images, pixels)
            Intensities validated by :func:`neuroattack.encoding.images.validate_images`.
        indices : int64 array, shape (images,)
            Index of each image's random numbers in the stream. The same seed, stream and index
            give the same spikes for the same image, alone or in any batch; pixels that are equal
            in two images with the same index have the same spikes in both.
        steps : int
            Number of time steps T.
        dt_s : float
            Length of a time step in seconds.
        seed, stream : int
            Random seed, and number of one of its independent random streams.

        Returns
        -------
        SpikeTrains
            Spikes of the input population.

        Raises
        ------
        ValidationError
            If a pixel of intensity 1 exceeds one spike per time step.
        """
        self.check_step(dt_s)
        return self._spikes(images * (self.max_rate_hz * dt_s), indices, steps, seed, stream)

    @abc.abstractmethod
    def _spikes(
        self,
        probability: NDArray[np.float64],
        indices: NDArray[np.int64],
        steps: int,
        seed: int,
        stream: int,
    ) -> SpikeTrains:
        """Return the spikes, given the expected number of spikes per step."""


@dataclass(frozen=True)
class PoissonEncoder(Encoder):
    """Independent Bernoulli trial in every step, with p = intensity * max_rate_hz * dt.

    Discrete form of a Poisson process with at most one spike per step; p > 1 is refused. The
    random numbers of a pixel do not depend on other pixels or on the number of steps. With the
    same random numbers, a brighter pixel spikes in every step in which a darker pixel does. The
    generator is described in :mod:`neuroattack.encoding.poisson`.
    """

    kind: ClassVar[str] = "poisson"

    def _spikes(
        self,
        probability: NDArray[np.float64],
        indices: NDArray[np.int64],
        steps: int,
        seed: int,
        stream: int,
    ) -> SpikeTrains:
        # Imported here because numba is slow to import and often not needed.
        from neuroattack.encoding.poisson import poisson_spikes

        return poisson_spikes(probability, indices, steps, seed, stream)


@dataclass(frozen=True)
class RegularEncoder(Encoder):
    """Deterministic, evenly spaced spikes: one whenever the expected count reaches n + 1/2."""

    kind: ClassVar[str] = "regular"

    def _spikes(
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
