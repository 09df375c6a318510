"""Event filters in front of a network, as defenses: noise filters of event cameras.

A filter removes events of a sample, an array of zeros and ones of shape (steps, ...); see
:mod:`neuroattack.encoding.events`. The last two axes are rows and columns, those before them are
channels, such as polarities; a sample of shape (steps, neurons) has a single row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.events import EventEncoder
from neuroattack.validation import check_integer, check_positive

__all__ = ["FilteredEventEncoder", "background_filter", "mask_filter", "rate_limit"]


def background_filter(sample: NDArray[np.bool_], window_steps: int) -> NDArray[np.bool_]:
    """Remove events without a recent event of a neighboring pixel: background activity.

    An event passes if one of the eight neighbors of its pixel has an event, of any polarity, in the
    same step or at most `window_steps` steps before. Events that do not pass support others, too.

    Parameters
    ----------
    sample : bool array, shape (steps, ...)
        Events.
    window_steps : int
        Length of the time window, at least 0; 0 for the same step only.

    References
    ----------
    T. Delbruck, "Frame-free dynamic digital vision", Proceedings of the International Symposium on
    Secure-Life Electronics, 2008. A. Marchisio, G. Pira, M. Martina, G. Masera, M. Shafique,
    "R-SNN: An analysis and design methodology for robustifying spiking neural networks against
    adversarial attacks through noise filters for dynamic vision sensors", IROS 2021
    (arXiv 2109.00533).
    """
    planes = _planes(sample)
    steps, _, rows, columns = planes.shape
    active = np.pad(planes.any(axis=1), ((0, 0), (1, 1), (1, 1)))
    around = np.zeros((steps, rows, columns), bool)
    for row in range(3):
        for column in range(3):
            if (row, column) != (1, 1):
                around |= active[:, row : row + rows, column : column + columns]
    # Number of steps with a neighboring event before each step.
    total = np.concatenate([np.zeros((1, rows, columns), np.int32), around.cumsum(0, np.int32)])
    end = np.arange(1, steps + 1)
    supported = total[end] > total[np.maximum(end - window_steps - 1, 0)]
    passed: NDArray[np.bool_] = planes & supported[:, np.newaxis]
    return passed.reshape(sample.shape)


def mask_filter(sample: NDArray[np.bool_], most: int) -> NDArray[np.bool_]:
    """Remove all events of pixels that have more than `most` events in the sample.

    Parameters
    ----------
    sample : bool array, shape (steps, ...)
        Events.
    most : int
        Largest number of events of a pixel, over all polarities and steps.

    References
    ----------
    A. Marchisio et al., "DVS-Attacks: Adversarial attacks on dynamic vision sensors for spiking
    neural networks", IJCNN 2021 (arXiv 2107.00415).
    """
    planes = _planes(sample)
    quiet = planes.sum(axis=(0, 1)) <= most
    passed: NDArray[np.bool_] = planes & quiet
    return passed.reshape(sample.shape)


def rate_limit(sample: NDArray[np.bool_], interval_steps: int) -> NDArray[np.bool_]:
    """Limit each pixel to one event per interval, like the refractory period of a pixel.

    An event passes if no event of its pixel has passed in the same step or the
    ``interval_steps - 1`` steps before. Of the events of a pixel in one step, that of the first
    polarity passes.

    Parameters
    ----------
    sample : bool array, shape (steps, ...)
        Events.
    interval_steps : int
        Least number of steps from one event of a pixel to the next, at least 1.
    """
    planes = _planes(sample)
    planes = planes.reshape(*planes.shape[:2], -1)
    passed = np.zeros_like(planes)
    free_from = np.zeros(planes.shape[2], np.int64)
    for step, events in enumerate(planes):
        pixels = np.flatnonzero(events.any(axis=0) & (free_from <= step))
        passed[step, events.argmax(axis=0)[pixels], pixels] = True
        free_from[pixels] = step + interval_steps
    return passed.reshape(sample.shape)


def _planes(sample: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a sample of shape (steps, channels, rows, columns)."""
    shape = sample.shape[1:] if sample.ndim > 2 else (1, *sample.shape[1:])
    return sample.reshape(len(sample), -1, *shape[-2:])


@dataclass(frozen=True)
class FilteredEventEncoder(EventEncoder):
    """Events as input spikes, with sensor noise and a filter of the noisy events, as a defense.

    The settings of the sensor noise are those of :class:`EventEncoder`. A filter of one pixel
    depends on the events of others, so that samples with the same random numbers can have different
    input also where they are equal. This is a property of a deployment: networks are not stored
    with it.

    Parameters
    ----------
    shape : tuple of int
        Shape of the network's input.
    background_s : float, optional
        Time window of :func:`background_filter` in seconds; rounded down to time steps.
    mask_events : int, optional
        Largest number of events of a pixel in a sample, see :func:`mask_filter`.
    rate_limit_steps : int, optional
        Interval of :func:`rate_limit` in time steps.

    Raises
    ------
    ValidationError
        If a parameter is out of range.

    Notes
    -----
    Filters whose setting is 0, the default, are not applied. Several are applied in the order of
    the settings.
    """

    shape: tuple[int, ...] = field(kw_only=True)
    background_s: float = 0.0
    mask_events: int = 0
    rate_limit_steps: int = 0
    kind: ClassVar[str] = "filtered-events"
    fields: ClassVar[Mapping[str, type[float] | type[int]]] = {
        **EventEncoder.fields,
        "background_s": float,
        "mask_events": int,
        "rate_limit_steps": int,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.background_s != 0:
            check_positive("event encoder background_s", self.background_s)
        for name in ("mask_events", "rate_limit_steps"):
            check_integer(f"event encoder {name}", getattr(self, name), 0)

    def _passed(self, raster: NDArray[np.bool_], dt_s: float) -> NDArray[np.bool_]:
        sample = raster.reshape(len(raster), *self.shape)
        if self.background_s:
            sample = background_filter(sample, math.floor(self.background_s / dt_s + 1e-9))
        if self.mask_events:
            sample = mask_filter(sample, self.mask_events)
        if self.rate_limit_steps:
            sample = rate_limit(sample, self.rate_limit_steps)
        return sample.reshape(raster.shape)
