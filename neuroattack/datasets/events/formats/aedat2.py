"""AEDAT 2.0, the format of jAER: addresses of 32 bits."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.events.formats.headers import check_version
from neuroattack.datasets.events.recording import Recording, camera_recording, check_order
from neuroattack.errors import FileError
from neuroattack.files import require_file

__all__ = ["read_aedat2"]

_LARGEST_FILE = 2**30
_EVENT_BYTES = 8
_LONGEST_HEADER = 2**22


@dataclass(frozen=True)
class _Chip:
    """Bits of an address: the first bit and the number of bits of each part."""

    sensor: tuple[int, int]
    x: tuple[int, int]
    y: tuple[int, int]
    polarity: int
    others: int
    """Bits that are set in addresses that are no event of a pixel."""


_DVS128 = _Chip((128, 128), x=(1, 7), y=(8, 7), polarity=0, others=1 << 15)
_DAVIS_SENSORS = {"240": (180, 240), "346": (260, 346)}

# Newer files have this line, older ones have not.
_LAST_LINE = b"#End Of ASCII Header"

_CHIP_LINE = re.compile(rb"^# ?AEChip: *([\w.]+)", re.MULTILINE)


def read_aedat2(path: str | os.PathLike[str]) -> Recording:
    """Read a recording in AEDAT 2.0, of a DVS128, DAVIS240 or DAVIS346.

    After a header of lines that begin with #, an event is an address and a time in microseconds,
    both big-endian numbers of 32 bits. Address bits of the DVS128: polarity 0, x 1 to 7, y 8 to 14.
    Address bits of DAVIS cameras: polarity 11, x 12 to 21, y 22 to 30. External events, frames and
    samples of inertial sensors are skipped. The line ``# AEChip:`` names the camera; without it,
    the camera is a DVS128. Row 0 of the recording is the upper one, that of the file the lower one.

    Raises
    ------
    FileError
        If the file has another version or camera, is truncated, contains an event outside the
        sensor, or time runs backwards.

    References
    ----------
    iniVation, "AEDAT file formats".
    """
    file = require_file(path, _LARGEST_FILE, "an AEDAT 2.0 file")
    content = file.read_bytes()
    check_version(file, content, "2.0")
    start = _header_length(file, content)
    chip = _chip(file, content[:start])
    if (len(content) - start) % _EVENT_BYTES:
        raise FileError(
            file,
            f"is truncated: it has {len(content) - start:,} bytes of events, expected a multiple "
            f"of {_EVENT_BYTES}",
        )
    events = np.frombuffer(content, ">u4", offset=start).reshape(-1, 2)
    address = events[:, 0].astype(np.uint32)
    t_us = events[:, 1].astype(np.uint32).view(np.int32).astype(np.int64)
    pixels = (address & np.uint32(chip.others)) == 0
    address, t_us = address[pixels], t_us[pixels]
    check_order(file, t_us)
    height = chip.sensor[0]
    return camera_recording(
        file,
        t_us * 1e-6,
        _bits(address, (chip.polarity, 1)).astype(np.uint8),
        height - 1 - _bits(address, chip.y),
        _bits(address, chip.x),
        chip.sensor,
    )


def _bits(address: NDArray[np.uint32], part: tuple[int, int]) -> NDArray[np.int16]:
    first, count = part
    bits: NDArray[np.int16] = (address >> np.uint32(first) & np.uint32(2**count - 1)).astype(
        np.int16
    )
    return bits


def _header_length(path: Path, content: bytes) -> int:
    """Return the length of the lines at the start that begin with #."""
    at = 0
    while content[at : at + 1] == b"#":
        end = content.find(b"\n", at, _LONGEST_HEADER)
        # An event may begin with the byte of #: a line of the header is text.
        if end < 0 or not _is_text(content[at:end]):
            break
        last = content.startswith(_LAST_LINE, at)
        at = end + 1
        if last:
            break
    if at >= _LONGEST_HEADER:
        raise FileError(path, f"has a header of over {_LONGEST_HEADER:,} bytes, expected events")
    return at


def _is_text(line: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r" for byte in line)


def _chip(path: Path, header: bytes) -> _Chip:
    named = _CHIP_LINE.search(header)
    if named is None:
        return _DVS128
    name = named.group(1).decode().rpartition(".")[2]
    if name.upper() == "DVS128":
        return _DVS128
    davis = re.match(r"davis(\d+)", name, re.IGNORECASE)
    sensor = _DAVIS_SENSORS.get(davis.group(1)) if davis else None
    if sensor is None:
        raise FileError(path, f"is of the camera {name}, expected DVS128, DAVIS240 or DAVIS346")
    # Bit 31: frames and inertial sensors; bit 10: external events.
    return _Chip(sensor, x=(12, 10), y=(22, 9), polarity=11, others=1 << 31 | 1 << 10)
