"""AEDAT 4, the format of DV: compressed packets of events, read with the package aedat."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path

import numpy as np

from neuroattack.datasets.events.recording import Recording, camera_recording, check_order
from neuroattack.errors import FileError, NeuroattackError
from neuroattack.files import require_file
from neuroattack.isolation import read_isolated

__all__ = ["read_aedat4"]

_LARGEST_FILE = 2**30
_LONGEST_S = 300.0
_MAGIC = b"#!AER-DAT4.0\r\n"


def read_aedat4(path: str | os.PathLike[str]) -> Recording:
    """Read the events of a recording in AEDAT 4.

    The package `aedat` decodes the file in a separate process with limited memory. The file
    contains the shape of the sensor. Frames and other streams are skipped.
    Times are counted from the first event.

    Raises
    ------
    FileError
        If the file is of another version, damaged, has more than one stream of events or an event
        outside the sensor, or time runs backwards.
    NeuroattackError
        If the package aedat is not installed.
    """
    file = require_file(path, _LARGEST_FILE, "an AEDAT 4 file")
    with file.open("rb") as content:
        if content.read(len(_MAGIC)) != _MAGIC:
            raise FileError(file, "is not an AEDAT 4 file, expected #!AER-DAT4.0 in its first line")
    if importlib.util.find_spec("aedat") is None:
        raise NeuroattackError(
            "reading AEDAT 4 needs the package aedat; install it with: "
            "pip install 'neuroattack[aedat4]'"
        )
    with tempfile.TemporaryDirectory(prefix="neuroattack-aedat-") as folder:
        decoded = Path(folder) / "events.npz"
        read_isolated(
            "neuroattack.datasets.events.formats.decode_aedat4",
            file,
            decoded,
            what="an AEDAT 4 file",
            parser="the package aedat",
            longest_s=_LONGEST_S,
        )
        with np.load(decoded, allow_pickle=False) as arrays:
            t_us = arrays["t"].astype(np.int64)
            check_order(file, t_us)
            # Microseconds since 1970 would be rounded as seconds.
            t_us -= t_us[:1].sum()
            height, width = arrays["sensor"].tolist()
            return camera_recording(
                file, t_us * 1e-6, arrays["p"], arrays["y"], arrays["x"], (height, width)
            )
