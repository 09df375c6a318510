"""Files of the Heidelberg data sets SHD and SSC: spike trains of a cochlea in HDF5."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.events.recording import Recording, unit_recording
from neuroattack.errors import FileError
from neuroattack.files import require_file
from neuroattack.isolation import read_isolated

__all__ = ["SENSOR", "SpikeFile", "open_shd", "read_shd_labels"]

SENSOR = (700,)
"""Number of units of SHD and SSC."""

_LARGEST_FILE = 2**32
_LONGEST_S = 600.0
_WHAT = "a file of SHD or SSC (HDF5)"


@dataclass(frozen=True, eq=False)
class SpikeFile:
    """Recordings of one file of SHD or SSC, read from disk one by one.

    Parameters
    ----------
    path : Path
        The file.
    labels : int array, shape (recordings,)
        Class of each recording.
    starts : int array, shape (recordings + 1,)
        Number of spikes before each recording.
    t_s, units : array, shape (spikes,)
        Spikes of all recordings, on disk.
    """

    path: Path
    labels: NDArray[np.int64]
    starts: NDArray[np.int64]
    t_s: NDArray[np.float64]
    units: NDArray[np.int32]

    def recording(self, index: int, sensor: tuple[int, ...] = SENSOR) -> Recording:
        """Return one recording; raise FileError if a unit is outside the sensor."""
        spikes = slice(self.starts[index], self.starts[index + 1])
        t_s = np.array(self.t_s[spikes])
        if not np.isfinite(t_s).all() or t_s.min(initial=0) < 0:
            raise FileError(
                self.path, f"recording {index} has a negative or infinite time, expected seconds"
            )
        return unit_recording(self.path, t_s, np.array(self.units[spikes]), sensor)


def read_shd_labels(path: str | os.PathLike[str]) -> NDArray[np.int64]:
    """Return the classes of the recordings in a file of SHD or SSC; see :func:`open_shd`."""
    file = require_file(path, _LARGEST_FILE, _WHAT)
    with tempfile.TemporaryDirectory(prefix="neuroattack-spikes-") as name:
        return _unpack(file, Path(name), "labels")


@contextlib.contextmanager
def open_shd(path: str | os.PathLike[str]) -> Iterator[SpikeFile]:
    """Open a file of SHD or SSC.

    It contains, for each recording, the array ``spikes/times`` in seconds, the array
    ``spikes/units`` from 0 to 699, and the integer ``labels``. A separate process with limited
    memory parses it, because a damaged file may crash the HDF5 library.

    Yields
    ------
    SpikeFile
        The recordings; temporary files contain them until the block ends.

    Raises
    ------
    FileError
        If the file is missing, not HDF5, damaged, or an array is missing or of another type.

    References
    ----------
    B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke, "The Heidelberg spiking data sets for the
    systematic evaluation of spiking neural networks", IEEE Transactions on Neural Networks and
    Learning Systems 33(7), 2022.
    """
    file = require_file(path, _LARGEST_FILE, _WHAT)
    with tempfile.TemporaryDirectory(prefix="neuroattack-spikes-") as name:
        folder = Path(name)
        labels = _unpack(file, folder, "all")
        counts = np.load(folder / "counts.npy", allow_pickle=False)
        starts = np.concatenate([[0], np.cumsum(counts)])
        spikes = int(starts[-1])
        # A file without bytes cannot be mapped.
        t_s = np.memmap(folder / "times.bin", "<f8", "r") if spikes else np.empty(0)
        units = np.memmap(folder / "units.bin", "<i4", "r") if spikes else np.empty(0, np.int32)
        yield SpikeFile(file, labels, starts, t_s, units)


def _unpack(path: Path, folder: Path, parts: str) -> NDArray[np.int64]:
    read_isolated(
        "neuroattack.datasets.events.formats.unpack_spikes",
        path,
        folder,
        parts,
        what=_WHAT,
        parser="HDF5",
        longest_s=_LONGEST_S,
    )
    labels: NDArray[np.int64] = np.load(folder / "labels.npy", allow_pickle=False)
    if labels.min() < 0 or labels.max() >= 2**16:
        raise FileError(path, f"has labels {labels.min()} to {labels.max()}, expected 0 to 65535")
    return labels
