"""Encoders of image intensities as input to a network: spikes, or a constant input.

Encoders do not run in the simulators: for a given seed, stream and index, the input of an image is
the same on every backend and in every batch.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.memory import check_memory
from neuroattack.validation import check_integer, check_number, check_positive

__all__ = [
    "DirectEncoder",
    "Encoder",
    "PoissonEncoder",
    "RandomRateEncoder",
    "RateEncoder",
    "RegularEncoder",
    "highest_rate_hz",
]


# Intensities in units of the grid are stored as int32.
_MAX_BITS = 30

# Pixels times steps whose regular spikes are computed at once.
_MOST_CELLS = 2**21


class Encoder(abc.ABC):
    """Encoder of intensities as input to a network.

    An encoder is determined by its kind and its settings, which are numbers: see
    :func:`neuroattack.encoding.registry.encoder_from`.
    """

    kind: ClassVar[str]
    """Name of the encoder."""

    fields: ClassVar[Mapping[str, type[float] | type[int]]]
    """Names and types of the settings, in the order of the constructor's arguments."""

    @property
    def random(self) -> bool:
        """Whether the input depends on random numbers, not only on the image."""
        return False

    def settings(self) -> dict[str, float | int]:
        """Return the settings by name, for files and results."""
        return {name: getattr(self, name) for name in self.fields}

    @abc.abstractmethod
    def describe(self) -> str:
        """Return the encoder and its settings, in a few words."""

    def sample_shape(self, shape: tuple[int, ...], steps: int) -> tuple[int, ...]:
        """Return the shape of an image, for an input of some shape and a number of steps."""
        del steps
        return shape

    def check_step(self, dt_s: float) -> None:  # noqa: B027 - most encoders have nothing to check
        """Raise ValidationError if the encoder cannot be used with time steps of that length."""

    @abc.abstractmethod
    def encode(
        self,
        images: NDArray[np.float64],
        *,
        indices: NDArray[np.int64],
        steps: int,
        dt_s: float,
        seed: int,
        stream: int = 0,
    ) -> InputSignal:
        """Generate the input of a batch.

        Parameters
        ----------
        images : float64 array, shape (images, pixels)
            Intensities validated by :func:`neuroattack.encoding.images.validate_images`.
        indices : int64 array, shape (images,)
            Index of each image's random numbers in the stream. The same seed, stream and index
            give the same input for the same image, alone or in any batch; pixels that are equal
            in two images with the same index have the same input in both.
        steps : int
            Number of time steps T.
        dt_s : float
            Length of a time step in seconds.
        seed, stream : int
            Random seed, and number of one of its independent random streams.

        Returns
        -------
        InputSignal
            Input of the network: spikes of the input population, or a constant input.

        Raises
        ------
        ValidationError
            If the encoder cannot be used with time steps of that length.
        """


@dataclass(frozen=True)
class RateEncoder(Encoder):
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
    fields: ClassVar[Mapping[str, type[float] | type[int]]] = {"max_rate_hz": float}

    def __post_init__(self) -> None:
        rate_hz = check_positive("encoder max_rate_hz", self.max_rate_hz, "rate in Hz")
        object.__setattr__(self, "max_rate_hz", rate_hz)

    def describe(self) -> str:
        """Return the encoder and its settings, in a few words."""
        return f"{self.kind} encoder, at most {self.max_rate_hz:g} Hz"

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
        """Generate the input spikes of a batch; see :meth:`Encoder.encode`."""
        self.check_step(dt_s)
        per_step = images * (self.max_rate_hz * dt_s)
        # The expected spikes, and the number of the first spike of every step.
        check_memory(
            f"input spikes of {len(images):,} images of {steps:,} time steps",
            4 * per_step.sum() * steps + 8 * len(images) * (steps + 1),
            "use fewer images or time steps",
        )
        return self._spikes(per_step, indices, steps, seed, stream)

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
class PoissonEncoder(RateEncoder):
    """Independent Bernoulli trial in every step, with p = intensity * max_rate_hz * dt.

    Discrete form of a Poisson process with at most one spike per step; p > 1 is refused. The
    random numbers of a pixel do not depend on other pixels or on the number of steps. With the
    same random numbers, a brighter pixel spikes in every step in which a darker pixel does. The
    generator is described in :mod:`neuroattack.encoding.poisson`.
    """

    kind: ClassVar[str] = "poisson"

    @property
    def random(self) -> bool:
        """True."""
        return True

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
class RandomRateEncoder(PoissonEncoder):
    """Poisson encoder whose maximum rate is random in every trial, as a defense.

    The rate of a trial is ``max_rate_hz * f``, with f uniform between 1 - spread and 1 + spread.
    It depends on seed, stream and index only, so that all pixels have the same factor. This is a
    property of a deployment: networks are not stored with it.

    Parameters
    ----------
    max_rate_hz : float
        Mean spike rate of a pixel of intensity 1, in hertz.
    spread : float
        Largest relative deviation of the rate, in (0, 1].

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """

    spread: float
    kind: ClassVar[str] = "random-rate"
    fields: ClassVar[Mapping[str, type[float] | type[int]]] = {
        "max_rate_hz": float,
        "spread": float,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("spread of a random rate", self.spread, "(0, 1]")

    def describe(self) -> str:
        """Return the encoder and its settings, in a few words."""
        return f"{super().describe()} on average, spread {self.spread:g}"

    def check_step(self, dt_s: float) -> None:
        """Raise ValidationError if the largest rate exceeds one spike per time step."""
        PoissonEncoder(self.max_rate_hz * (1 + self.spread)).check_step(dt_s)

    def factors(
        self, indices: NDArray[np.int64], seed: int, stream: int = 0
    ) -> NDArray[np.float64]:
        """Return the factor of the rate in each trial, shape (images,)."""
        # The spawn key has one more number than that of the stream's spikes, so that the factors
        # are independent of these.
        keys = ((stream, int(index)) for index in indices)
        uniform = [
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key)).random()
            for key in keys
        ]
        return 1 + self.spread * (2 * np.array(uniform) - 1)

    def _spikes(
        self,
        probability: NDArray[np.float64],
        indices: NDArray[np.int64],
        steps: int,
        seed: int,
        stream: int,
    ) -> SpikeTrains:
        scaled = probability * self.factors(indices, seed, stream)[:, np.newaxis]
        return super()._spikes(scaled, indices, steps, seed, stream)


@dataclass(frozen=True)
class RegularEncoder(RateEncoder):
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
            offsets[row, 0] = start
            at_once = max(1, _MOST_CELLS // max(len(lit), 1))
            for first in range(0, steps, at_once):
                last = min(first + at_once, steps)
                due = np.floor(np.arange(first, last + 1)[:, None] * of_pixels[lit] + 0.5)
                raster = due[1:] > due[:-1]
                numbers = np.count_nonzero(raster, axis=1)
                offsets[row, first + 1 : last + 1] = start + np.cumsum(numbers)
                start = int(offsets[row, last])
                neurons.append(lit[np.nonzero(raster)[1]].astype(np.int32))
        return SpikeTrains(probability.shape[1], offsets, np.concatenate(neurons))


@dataclass(frozen=True)
class DirectEncoder(Encoder):
    """Constant input: the intensity is injected in every time step, without spikes.

    Also called direct or analog coding. An input neuron of intensity x acts in every step like a
    spike whose weights are multiplied by x. Intensities are rounded to multiples of ``2**-bits``,
    so that weighted sums are exact in float64.

    Parameters
    ----------
    bits : int, optional
        Number of bits after the binary point, from 1 to 30. With the default, intensities are
        rounded by at most 5e-7.

    Raises
    ------
    ValidationError
        If `bits` is not an integer from 1 to 30.
    """

    bits: int = 20
    kind: ClassVar[str] = "direct"
    fields: ClassVar[Mapping[str, type[float] | type[int]]] = {"bits": int}

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", check_integer("encoder bits", self.bits, 1, _MAX_BITS))

    def describe(self) -> str:
        """Return the encoder and its settings, in a few words."""
        return f"{self.kind} encoder, {self.bits} bits"

    def encode(
        self,
        images: NDArray[np.float64],
        *,
        indices: NDArray[np.int64],
        steps: int,
        dt_s: float,
        seed: int,
        stream: int = 0,
    ) -> ConstantInput:
        """Round the intensities of a batch to the grid; see :meth:`Encoder.encode`."""
        del indices, dt_s, seed, stream
        values = np.rint(np.ldexp(images, self.bits)).astype(np.int32)
        return ConstantInput(values, -self.bits, steps)


def highest_rate_hz(dt_s: float) -> float:
    """Return the largest `max_rate_hz` for time steps of `dt_s` seconds: one spike per step."""
    rate_hz = 1 / dt_s
    # Rounding can give slightly more than one spike per step.
    return rate_hz if rate_hz * dt_s <= 1 else math.nextafter(rate_hz, 0.0)
