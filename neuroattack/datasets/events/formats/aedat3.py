"""AEDAT 3.1, the format of cAER and of DVS128 Gesture: packets of events."""

from __future__ import annotations

import csv
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.events.formats.headers import check_version
from neuroattack.datasets.events.recording import Recording, camera_recording, check_order
from neuroattack.errors import FileError
from neuroattack.files import require_file

__all__ = ["read_aedat3", "read_gestures"]

_LARGEST_FILE = 2**30
_LONGEST_HEADER = 2**20
_END = b"#!END-HEADER\r\n"

# Type, source, bytes per event, offset of the time, overflows of the clock, capacity, number of
# events, and number of valid events.
_PACKET = struct.Struct("<hhiiiiii")
_POLARITY_EVENTS, _EVENT_BYTES = 1, 8

_SENSORS = {
    "DVS128": (128, 128),
    "DAVIS240A": (180, 240),
    "DAVIS240B": (180, 240),
    "DAVIS240C": (180, 240),
    "DAVIS346": (260, 346),
    "DAVIS346B": (260, 346),
}
_SOURCE_LINE = re.compile(rb"^#Source (\d+): *(\w+)", re.MULTILINE)


def read_aedat3(path: str | os.PathLike[str]) -> Recording:
    """Read the polarity events of a recording in AEDAT 3.1.

    After the header, a packet has a header of 28 bytes and events of one type; integers are
    little-endian. A polarity event is 32 bits of data and a time in microseconds: bit 0 is set if
    the event is valid, bit 1 is the polarity, bits 2 to 16 are y and bits 17 to 31 are x. Events of
    other types and events that are not valid are skipped. The header names the camera.

    Raises
    ------
    FileError
        If the file has another version or an unknown camera, is truncated, contains an invalid
        packet or an event outside the sensor, or time runs backwards.

    References
    ----------
    iniVation, "AEDAT file formats".
    """
    file = require_file(path, _LARGEST_FILE, "an AEDAT 3.1 file")
    content = file.read_bytes()
    check_version(file, content, "3.1")
    start = content.find(_END, 0, _LONGEST_HEADER)
    if start < 0:
        raise FileError(file, "has no end of its header, expected the line #!END-HEADER")
    header = content[:start]
    if re.search(rb"^#Format: *RAW", header, re.MULTILINE) is None:
        raise FileError(file, "has another format of its packets, expected #Format: RAW")
    sensor = _sensor(file, header)
    data, times = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for words, overflows in _packets(file, content, start + len(_END)):
        valid = (words[:, 0] & 1) == 1
        data.append(words[valid, 0])
        times.append(words[valid, 1].astype(np.int64) + (overflows << 31))
    t_us, event = np.concatenate(times), np.concatenate(data)
    check_order(file, t_us)
    return camera_recording(
        file,
        t_us.astype(np.float64) * 1e-6,
        ((event >> 1) & 1).astype(np.uint8),
        ((event >> 2) & 0x7FFF).astype(np.int16),
        (event >> 17).astype(np.int16),
        sensor,
    )


def read_gestures(path: Path) -> list[tuple[int, float, float]]:
    """Read the labels of a recording of DVS128 Gesture: class from 0, start and end in seconds.

    The file has the columns ``class`` (from 1), ``startTime_usec`` and ``endTime_usec``.

    Raises
    ------
    FileError
        If the file is missing or invalid.
    """
    file = require_file(path, 2**20, "labels of gestures (CSV)")
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        labels = [
            (int(row["class"]) - 1, int(row["startTime_usec"]), int(row["endTime_usec"]))
            for row in rows
        ]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise FileError(
            file,
            f"is not a table of gestures ({error}), expected integers in the columns class, "
            "startTime_usec and endTime_usec",
        ) from error
    for label, start, end in labels:
        if not (0 <= label < 2**16 and 0 <= start < end):
            raise FileError(
                file,
                f"has class {label + 1} from {start} to {end} us, expected a class from 1 and a "
                "start before the end",
            )
    return [(label, start * 1e-6, end * 1e-6) for label, start, end in labels]


def _sensor(path: Path, header: bytes) -> tuple[int, int]:
    named = [name.decode() for _number, name in _SOURCE_LINE.findall(header)]
    if len(named) != 1 or named[0] not in _SENSORS:
        raise FileError(
            path,
            f"has the sources {', '.join(named) or 'none'}, expected one of {', '.join(_SENSORS)}",
        )
    return _SENSORS[named[0]]


def _packets(path: Path, content: bytes, at: int) -> Iterator[tuple[NDArray[np.uint32], int]]:
    """Yield the events of each packet of polarity events as words, and the clock's overflows."""
    while at < len(content):
        if len(content) - at < _PACKET.size:
            raise FileError(path, f"is truncated in a packet header at byte {at:,}")
        kind, _source, size, offset, overflows, capacity, number, _valid = _PACKET.unpack_from(
            content, at
        )
        at += _PACKET.size
        if size <= 0 or not 0 <= number <= capacity or overflows < 0:
            raise FileError(
                path,
                f"has a packet of {number} events of {size} bytes at byte {at - _PACKET.size:,}, "
                "expected positive numbers",
            )
        if number * size > len(content) - at:
            raise FileError(
                path,
                f"is truncated: a packet declares {number * size:,} bytes at byte {at:,}, of which "
                f"{len(content) - at:,} are there",
            )
        if kind == _POLARITY_EVENTS:
            if size != _EVENT_BYTES or offset != _EVENT_BYTES // 2:
                raise FileError(
                    path,
                    f"has polarity events of {size} bytes with their time at byte {offset}, "
                    "expected 8 and 4",
                )
            words = np.frombuffer(content, "<u4", 2 * number, at).astype(np.uint32)
            yield words.reshape(-1, 2), overflows
        at += number * size
