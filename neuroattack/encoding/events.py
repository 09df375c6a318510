"""Events of an event camera or another spiking sensor as input of a network.

An event sample is an array of zeros and ones, one per time step and input neuron: 1 where the
neuron spikes. It has the shape (steps, ...), with the shape of the network's input after the steps,
such as (60, 2, 16, 16) for two polarities of 16 x 16 pixels. :func:`bin_events` makes a sample of
a list of events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.encoders import Encoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.validation import check_number, check_positive

__all__ = ["Binned", "EventEncoder", "bin_events"]

# Third number of the spawn keys, so that the random numbers are independent of those of other
# encoders with the same seed and stream.
_OF_TRIALS, _OF_SENSOR = 1, 2

# In time steps: times are rounded to float64, clocks of sensors have a resolution of microseconds.
_MARGIN = 1e-9


@dataclass(frozen=True, eq=False)
class Binned:
    """Event sample, and the number of events that it does not contain.

    Parameters
    ----------
    sample : bool array, shape (steps, ...)
        Whether each input neuron spikes in each step.
    events : int
        Number of events given.
    merged : int
        Number of events that were merged with an earlier one of the same neuron and step.
    late : int
        Number of events after the last step.
    """

    sample: NDArray[np.bool_]
    events: int
    merged: int
    late: int


def bin_events(
    t_s: ArrayLike,
    addresses: tuple[ArrayLike, ...],
    shape: tuple[int, ...],
    steps: int,
    dt_s: float,
) -> Binned:
    """Bin events into time steps: one spike per neuron and step.

    An event at time t is in step ``floor(t / dt)``, counted from the first event. Further events of
    the same neuron and step are merged with the first.

    Parameters
    ----------
    t_s : float array, shape (events,)
        Times in seconds.
    addresses : tuple of int arrays, shape (events,)
        Position of each event along each axis of `shape`, such as polarity, row and column.
    shape : tuple of int
        Shape of the sensor.
    steps : int
        Number of time steps.
    dt_s : float
        Length of a time step in seconds.

    Raises
    ------
    ValidationError
        If times or addresses are invalid.
    """
    times = np.asarray(t_s, np.float64)
    where = [np.asarray(each) for each in addresses]
    if times.ndim != 1 or len(where) != len(shape) or any(a.shape != times.shape for a in where):
        raise ValidationError(
            "events", f"{len(times.ravel())} times", f"as many addresses of {len(shape)} numbers"
        )
    if not np.isfinite(times).all():
        raise ValidationError("events", "a time that is not finite", "seconds")
    for axis, (position, size) in enumerate(zip(where, shape, strict=True)):
        if position.dtype.kind not in "iu":
            raise ValidationError(f"events, axis {axis}", f"type {position.dtype}", "integers")
        if len(position) and (position.min() < 0 or position.max() >= size):
            raise ValidationError(
                f"events, axis {axis}", f"{position.min()} to {position.max()}", f"0 to {size - 1}"
            )
    sample = np.zeros((steps, *shape), bool)
    # Without the margin, rounding would bin an event at 3 * 0.05 s into step 2.
    step = np.floor((times - times.min(initial=np.inf)) / dt_s + _MARGIN) if len(times) else times
    inside = step < steps
    cells = [step[inside].astype(np.intp), *(position[inside] for position in where)]
    sample[tuple(cells)] = True
    return Binned(
        sample,
        len(times),
        int(inside.sum()) - int(sample.sum()),
        len(times) - int(inside.sum()),
    )


@dataclass(frozen=True)
class EventEncoder(Encoder):
    """Events as input spikes, with sensor noise.

    Without noise, the input is the event sample itself. The noise is that of event cameras
    (Gallego et al., IEEE TPAMI 44(1), 2022, section 2): missing events, timing jitter, background
    activity and hot pixels. Noise of a sample is random in every trial; the set of hot pixels
    depends on the random seed only. Events of the same neuron and step are merged.

    Parameters
    ----------
    drop : float, optional
        Probability that an event is missing, in [0, 1).
    jitter_s : float, optional
        Largest timing jitter in seconds. Events move by a uniformly distributed number of steps, at
        most this duration in either direction, and stay within the sample.
    background_hz : float, optional
        Rate of additional events of every neuron, in hertz.
    hot_fraction : float, optional
        Fraction of the neurons that are hot pixels, in [0, 1].
    hot_hz : float, optional
        Rate of additional events of hot pixels, in hertz.

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """

    drop: float = 0.0
    jitter_s: float = 0.0
    background_hz: float = 0.0
    hot_fraction: float = 0.0
    hot_hz: float = 0.0
    kind: ClassVar[str] = "events"
    fields: ClassVar[Mapping[str, type[float] | type[int]]] = {
        "drop": float,
        "jitter_s": float,
        "background_hz": float,
        "hot_fraction": float,
        "hot_hz": float,
    }

    def __post_init__(self) -> None:
        check_number("event encoder drop", self.drop, "[0, 1)")
        check_number("event encoder hot_fraction", self.hot_fraction, "[0, 1]")
        for name in ("jitter_s", "background_hz", "hot_hz"):
            value = getattr(self, name)
            if value != 0:
                check_positive(f"event encoder {name}", value)

    @classmethod
    def from_text(cls, text: str) -> EventEncoder:
        """Return the encoder with noise such as ``drop:0.05+jitter_s:0.001``.

        Raises
        ------
        UnknownNameError, ValidationError
            If a name is unknown, or a number is malformed or out of range.
        """
        settings: dict[str, float] = {}
        for part in text.split("+"):
            name, _, number = (piece.strip() for piece in part.partition(":"))
            if name not in EventEncoder.fields:
                raise UnknownNameError("sensor noise", name, EventEncoder.fields)
            try:
                settings[name] = float(number)
            except ValueError:
                raise ValidationError(
                    f"sensor noise {name!r}", repr(number), f"a number, as in {name}:0.01"
                ) from None
        return EventEncoder(**settings)

    @property
    def random(self) -> bool:
        """Whether there is sensor noise."""
        return any(self.settings()[name] for name in ("drop", "jitter_s", "background_hz")) or bool(
            self.hot_fraction and self.hot_hz
        )

    def describe(self) -> str:
        """Return the encoder and its settings, in a few words."""
        noise = ", ".join(f"{name} {value:g}" for name, value in self.settings().items() if value)
        return f"{self.kind}, {noise or 'no sensor noise'}"

    def sample_shape(self, shape: tuple[int, ...], steps: int) -> tuple[int, ...]:
        """Return the shape of an event sample: that of the input in every step."""
        return steps, *shape

    def check_step(self, dt_s: float) -> None:
        """Raise ValidationError if a rate exceeds one spike per time step."""
        for name in ("background_hz", "hot_hz"):
            rate_hz = getattr(self, name)
            if rate_hz * dt_s > 1:
                raise ValidationError(
                    f"event encoder {name}",
                    f"{rate_hz:g} Hz with steps of {dt_s:g} s",
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
        """Return the input spikes of a batch of samples; see :meth:`Encoder.encode`."""
        self.check_step(dt_s)
        odd = images[(images != 0) & (images != 1)]
        if len(odd):
            raise ValidationError("event sample", f"a value of {odd[0]:g}", "0 or 1 in every step")
        rasters = images.astype(bool).reshape(len(images), steps, -1)
        for row, index in enumerate(indices):
            raster = rasters[row]
            if self.random:
                raster = self._noisy(raster, int(index), dt_s, seed, stream)
            rasters[row] = self._passed(raster, dt_s)
        return SpikeTrains.from_dense(rasters)

    def _passed(self, raster: NDArray[np.bool_], dt_s: float) -> NDArray[np.bool_]:
        """Return the events of a trial, shape (steps, neurons), that reach the network."""
        del dt_s
        return raster

    def _noisy(
        self, raster: NDArray[np.bool_], index: int, dt_s: float, seed: int, stream: int
    ) -> NDArray[np.bool_]:
        """Return one trial of a sample, shape (steps, neurons)."""
        # Numbers are generated for all cells, so that equal cells of two samples have the same.
        rng = _generator(seed, stream, index, _OF_TRIALS)
        steps, neurons = raster.shape
        if self.drop:
            raster = raster & (rng.random(raster.shape) >= self.drop)
        most = math.floor(self.jitter_s / dt_s + 1e-9)
        if most:
            shift = rng.integers(-most, most + 1, raster.shape)
            step, neuron = np.nonzero(raster)
            moved = np.clip(step + shift[step, neuron], 0, steps - 1)
            raster = np.zeros_like(raster)
            raster[moved, neuron] = True
        if self.background_hz:
            raster = raster | (rng.random(raster.shape) < self.background_hz * dt_s)
        if self.hot_fraction and self.hot_hz:
            chosen = _generator(seed, 0, 0, _OF_SENSOR).random(neurons) < self.hot_fraction
            raster = raster | ((rng.random(raster.shape) < self.hot_hz * dt_s) & chosen)
        return raster


def _generator(seed: int, stream: int, index: int, kind: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, index, kind)))
