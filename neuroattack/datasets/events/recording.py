"""Recordings of event cameras and other spiking sensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import FileError

__all__ = ["Recording", "camera_recording", "check_order", "unit_recording"]


@dataclass(frozen=True, eq=False)
class Recording:
    """Events of one recording.

    Parameters
    ----------
    t_s : float64 array, shape (events,)
        Times in seconds.
    addresses : tuple of int arrays, shape (events,)
        Position of each event along each axis of `shape`.
    shape : tuple of int
        Shape of the sensor: (2, height, width) for a camera, with polarity 1 for events of
        increasing intensity, or (units,).
    """

    t_s: NDArray[np.float64]
    addresses: tuple[NDArray[Any], ...]
    shape: tuple[int, ...]

    def between(self, start_s: float, end_s: float) -> Recording:
        """Return the events from `start_s`, before `end_s`."""
        inside = (self.t_s >= start_s) & (self.t_s < end_s)
        return Recording(
            self.t_s[inside], tuple(position[inside] for position in self.addresses), self.shape
        )

    def downsampled(self, factor: int) -> Recording:
        """Return the recording with blocks of `factor` pixels per side, or units, as one."""
        cameras = len(self.shape) > 1
        sides = self.shape[1:] if cameras else self.shape
        smaller = tuple(-(-side // factor) for side in sides)
        kept = self.addresses[: -len(sides)]
        blocks = tuple(position // factor for position in self.addresses[-len(sides) :])
        return Recording(self.t_s, kept + blocks, self.shape[: -len(sides)] + smaller)


def camera_recording(
    path: Path,
    t_s: NDArray[np.float64],
    polarity: NDArray[Any],
    row: NDArray[Any],
    column: NDArray[Any],
    sensor: tuple[int, ...],
) -> Recording:
    """Return a recording of a camera with a sensor of (height, width) pixels.

    Raises
    ------
    FileError
        If an event is outside the sensor.
    """
    height, width = sensor
    for name, position, size in (("y", row, height), ("x", column, width)):
        _check_address(path, name, position, size, f"{height}x{width}")
    _check_address(path, "polarity", polarity, 2, "two polarities")
    return Recording(t_s, (polarity, row, column), (2, height, width))


def unit_recording(
    path: Path, t_s: NDArray[np.float64], unit: NDArray[Any], sensor: tuple[int, ...]
) -> Recording:
    """Return a recording of a sensor of (units,); see :func:`camera_recording`."""
    _check_address(path, "unit", unit, sensor[0], f"{sensor[0]} units")
    return Recording(t_s, (unit,), sensor)


def check_order(path: Path, times: NDArray[np.int64]) -> None:
    """Raise FileError if time runs backwards."""
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        event = int(back[0]) + 1
        raise FileError(
            path,
            f"event {event:,} is at {times[event]} us after one at {times[event - 1]} us, expected "
            "events in the order of their times",
        )


def _check_address(path: Path, name: str, position: NDArray[Any], size: int, sensor: str) -> None:
    wrong = np.flatnonzero((position < 0) | (position >= size))
    if len(wrong):
        event = int(wrong[0])
        raise FileError(
            path,
            f"event {event:,} has {name} {position[event]}, expected 0 to {size - 1} ({sensor})",
        )
