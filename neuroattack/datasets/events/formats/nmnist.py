"""Files of N-MNIST and N-Caltech101: 5 bytes per event."""

from __future__ import annotations

import os

import numpy as np

from neuroattack.datasets.events.recording import Recording, camera_recording
from neuroattack.errors import FileError
from neuroattack.files import require_file

__all__ = ["SENSOR", "read_nmnist"]

SENSOR = (34, 34)
"""Height and width of a recording of N-MNIST."""

_LARGEST_FILE = 2**28
_EVENT_BYTES = 5

# Row of the marks of the camera's clock. The sensor has rows 0 to 239.
_CLOCK_ROW, _CLOCK_US = 240, 2**13

_LARGEST_STEP_BACK_US = 2**22


def read_nmnist(path: str | os.PathLike[str], sensor: tuple[int, ...] = SENSOR) -> Recording:
    """Read a recording of N-MNIST or N-Caltech101.

    An event is a big-endian number of 40 bits: x (8 bits), y (8 bits), polarity (1 bit) and time in
    microseconds (23 bits). An event in row 240 is no event of a pixel but a mark: from there on,
    times are later by 8192 microseconds. The file does not contain the shape of the sensor.

    Parameters
    ----------
    path : str or path
        File with the suffix .bin.
    sensor : tuple of int
        Height and width of the sensor; recordings of N-Caltech101 have up to 180 x 240 pixels.

    Raises
    ------
    FileError
        If the file is truncated, an event is outside the sensor, or the clock wraps around.

    References
    ----------
    G. Orchard, A. Jayawant, G. Cohen, N. Thakor, "Converting static image datasets to spiking
    neuromorphic datasets using saccades", Frontiers in Neuroscience 9:437, 2015.
    """
    file = require_file(path, _LARGEST_FILE, "a recording of N-MNIST (.bin)")
    content = np.frombuffer(file.read_bytes(), np.uint8)
    if len(content) % _EVENT_BYTES:
        raise FileError(
            file, f"is truncated: it has {len(content):,} bytes, expected a multiple of 5"
        )
    column, row, high, middle, low = content.reshape(-1, _EVENT_BYTES).T
    t_us = (high & 0x7F).astype(np.int64) << 16 | middle.astype(np.int64) << 8 | low
    back = np.flatnonzero(np.diff(t_us) < -_LARGEST_STEP_BACK_US)
    if len(back):
        raise FileError(
            file,
            f"its clock of 23 bits wraps around at event {back[0] + 1:,}, expected a recording of "
            "less than 8.4 s",
        )
    marks = row == _CLOCK_ROW
    t_us = (t_us + _CLOCK_US * np.cumsum(marks))[~marks]
    return camera_recording(
        file, t_us * 1e-6, (high >> 7)[~marks], row[~marks], column[~marks], sensor
    )
