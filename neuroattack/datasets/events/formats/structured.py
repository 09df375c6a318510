"""Structured NumPy arrays with one event per element, as the package Tonic uses them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.arrays import read_npy, read_npz
from neuroattack.datasets.events.recording import Recording, camera_recording, unit_recording
from neuroattack.errors import FileError, ValidationError
from neuroattack.files import require_file

__all__ = ["read_structured"]

_LARGEST_FILE = 2**30
_MOST_BYTES = 2**31


def read_structured(
    path: str | os.PathLike[str], sensor: tuple[int, ...] | None, time_unit_s: float = 1e-6
) -> Recording:
    """Read a recording from a structured array in an npy or npz file; nothing is unpickled.

    An array with the fields t, x, y and p contains the events of a camera: time, column, row and
    polarity. An array with t and x, and optionally p, which is then 1, contains the spikes of
    units x. Times are counted from the first event. An npz file contains one array.

    Parameters
    ----------
    path : str or path
        The file.
    sensor : tuple of int
        Shape of the sensor, which is not in the file: (height, width) or (units,).
    time_unit_s : float, optional
        Unit of the times in seconds.

    Raises
    ------
    FileError
        If the file is damaged or not such an array, or an event is outside the sensor.
    ValidationError
        If the sensor is None or has another number of axes.
    """
    file = require_file(path, _LARGEST_FILE, "a structured array (npy or npz)")
    array = _read(file)
    fields = set(array.dtype.names or ())
    camera = fields == {"t", "x", "y", "p"}
    if array.ndim != 1 or not (camera or fields in ({"t", "x", "p"}, {"t", "x"})):
        raise FileError(
            file,
            f"is an array of shape {array.shape} with the fields {', '.join(sorted(fields))}, "
            "expected one axis and the fields t, x, y, p or t, x, p",
        )
    for name in sorted(fields):
        kind = array.dtype[name].kind
        if kind not in {"t": "iuf", "p": "iub"}.get(name, "iu"):
            raise FileError(file, f"field {name} is {array.dtype[name]}, expected integers")
    if sensor is None or len(sensor) != (2 if camera else 1):
        raise ValidationError(
            "sensor",
            "none" if sensor is None else "x".join(map(str, sensor)),
            "height x width, such as 34x34, for events with the fields t, x, y, p"
            if camera
            else "the number of units, such as 700, for events with the fields t, x, p",
        )
    times = array["t"]
    if not np.isfinite(times).all():
        raise FileError(file, "has a time that is not finite, expected numbers")
    if len(times):
        # Microseconds since 1970 would be rounded as seconds.
        times = times - times.min()
    t_s = times.astype(np.float64) * time_unit_s
    if camera:
        polarity = array["p"].astype(np.int64)
        return camera_recording(file, t_s, polarity, array["y"], array["x"], sensor)
    if "p" in fields and (array["p"] != 1).any():
        raise FileError(file, "has an event of a unit with a p other than 1, expected 1")
    return unit_recording(file, t_s, array["x"], sensor)


def _read(path: Path) -> NDArray[Any]:
    if path.suffix.lower() == ".npz":
        arrays = read_npz(path, _MOST_BYTES, "V")
        if len(arrays) != 1:
            raise FileError(path, f"contains {len(arrays)} arrays, expected one structured array")
        return next(iter(arrays.values()))
    return read_npy(path, _MOST_BYTES, "V")
