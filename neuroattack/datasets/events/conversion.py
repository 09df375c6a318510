"""Conversion of recordings of events to a data set file."""

from __future__ import annotations

import itertools
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuroattack.datasets.events.formats.aedat2 import read_aedat2
from neuroattack.datasets.events.formats.aedat3 import read_aedat3
from neuroattack.datasets.events.formats.aedat4 import read_aedat4
from neuroattack.datasets.events.formats.nmnist import SENSOR, read_nmnist
from neuroattack.datasets.events.formats.shd import SENSOR as UNITS
from neuroattack.datasets.events.formats.shd import open_shd
from neuroattack.datasets.events.formats.structured import read_structured
from neuroattack.datasets.events.layouts import Item, list_recordings
from neuroattack.datasets.events.packed import check_size, write_array, write_samples
from neuroattack.datasets.events.recording import Recording
from neuroattack.encoding.events import Binned, bin_events
from neuroattack.errors import FileError, ValidationError
from neuroattack.files import atomic_path
from neuroattack.validation import check_integer, check_positive

__all__ = ["Conversion", "SplitCounts", "convert_recordings"]

_MOST_STEPS = 1_000_000
_MOST_SIDE = 2**15
_CAMERA_FORMATS = {"aedat2": read_aedat2, "aedat3": read_aedat3, "aedat4": read_aedat4}


@dataclass
class SplitCounts:
    """Numbers of recordings and events of one part of a data set.

    Parameters
    ----------
    recordings : list of int
        Number of recordings of each class.
    events, merged, late : int
        Number of events, of those merged with an earlier one of the same neuron and step, and of
        those after the last step.
    empty : int
        Number of recordings without an event.
    """

    recordings: list[int]
    events: int = 0
    merged: int = 0
    late: int = 0
    empty: int = 0

    def add(self, label: int, binned: Binned) -> None:
        """Count a recording."""
        self.recordings[label] += 1
        self.events += binned.events
        self.merged += binned.merged
        self.late += binned.late
        self.empty += not binned.events


@dataclass(frozen=True)
class Conversion:
    """Result of a conversion.

    Parameters
    ----------
    file_format : str
        Format of the recordings.
    shape : tuple of int
        Shape of a sample, (steps, ...).
    classes : tuple of str
        Names of the classes.
    splits : dict of str to SplitCounts
        Numbers of "train" and "test".
    """

    file_format: str
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    splits: dict[str, SplitCounts]


@dataclass
class _Work:
    """Settings of a conversion, and the shape of the samples once the first one is known."""

    file_format: str
    sensor: tuple[int, ...] | None
    time_unit_s: float
    downsample: int
    steps: int
    dt_s: float
    total: int
    report: Callable[[int, int], None]
    done: int = 0
    shape: tuple[int, ...] = field(default=())

    def samples(self, items: Sequence[Item], counts: SplitCounts) -> Iterator[Any]:
        """Yield the samples of recordings and count their events."""
        pairs = zip(items, self._recordings(items), strict=True)
        for item, recording in pairs:
            small = recording.downsampled(self.downsample)
            shape = (self.steps, *small.shape)
            if not self.shape:
                check_size(self.total, shape)
                self.shape = shape
            if shape != self.shape:
                raise FileError(
                    item.path,
                    f"has the sensor {small.shape}, expected {self.shape[1:]} as the first file",
                )
            binned = bin_events(small.t_s, small.addresses, small.shape, self.steps, self.dt_s)
            counts.add(item.label, binned)
            self.done += 1
            self.report(self.done, self.total)
            yield binned.sample

    def _recordings(self, items: Sequence[Item]) -> Iterator[Recording]:
        """Yield recordings; each file is read once for all of its parts."""
        for path, group in itertools.groupby(items, key=lambda item: item.path):
            if self.file_format == "shd":
                with open_shd(path) as spikes:
                    for item in group:
                        yield spikes.recording(item.index or 0, self.sensor or UNITS)
                continue
            recording = self._read(path)
            for item in group:
                span = item.interval_s
                yield recording if span is None else recording.between(*span)

    def _read(self, path: Path) -> Recording:
        if self.file_format == "nmnist":
            return read_nmnist(path, self.sensor or SENSOR)
        if self.file_format == "structured":
            return read_structured(path, self.sensor, self.time_unit_s)
        return _CAMERA_FORMATS[self.file_format](path)


def convert_recordings(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    steps: int,
    dt_s: float,
    sensor: tuple[int, ...] | None = None,
    downsample: int = 1,
    limit: int | None = None,
    file_format: str = "auto",
    time_unit_s: float = 1e-6,
    progress: Callable[[int, int], None] | None = None,
) -> Conversion:
    """Bin the recordings of a folder or file, and write them as a data set file.

    The file has the format of :func:`neuroattack.datasets.own.read_own`; samples are binned by
    :func:`neuroattack.encoding.events.bin_events`. Recordings are read one by one.

    Parameters
    ----------
    source : str or path
        Folder or file, see :func:`neuroattack.datasets.events.layouts.list_recordings`.
    target : str or path
        File to write, with the suffix .npz.
    steps : int
        Time steps per sample.
    dt_s : float
        Length of a time step in seconds.
    sensor : tuple of int, optional
        (height, width) or (units,), for formats that do not contain it. Default: 34 x 34 for
        ``nmnist`` and 700 units for ``shd``; ``structured`` has none.
    downsample : int, optional
        Number of pixels per side, or of units, that are combined to one.
    limit : int, optional
        Largest number of recordings per split, from the first. Default: all.
    file_format : str, optional
        Format of the recordings. Default: from suffixes and first bytes of the files.
    time_unit_s : float, optional
        Unit of times in structured arrays, in seconds.
    progress : callable, optional
        Called after each recording with the number of recordings so far and in total.

    Raises
    ------
    ValidationError
        If a setting is out of range, or the samples are too large.
    FileError
        If a recording is invalid, or there is no test recording; no file is written.
    OutputError
        If the file cannot be written.
    """
    if not str(target).lower().endswith(".npz"):
        raise ValidationError("output file", target, "a name that ends in .npz")
    check_integer("steps", steps, 1, _MOST_STEPS)
    check_positive("time step", dt_s, "number of seconds")
    check_positive("time unit", time_unit_s, "number of seconds")
    check_integer("downsampling factor", downsample, 1, _MOST_SIDE)
    if limit is not None:
        check_integer("limit", limit, 1)
    listing = list_recordings(Path(source), file_format)
    _check_sensor(listing.file_format, sensor)
    splits = {part: items[:limit] for part, items in listing.splits.items() if items}
    if "test" not in splits:
        raise FileError(source, "has no test recordings, expected some")
    work = _Work(
        listing.file_format,
        sensor,
        time_unit_s,
        downsample,
        steps,
        dt_s,
        total=sum(map(len, splits.values())),
        report=progress or (lambda _done, _total: None),
    )
    counts = {part: SplitCounts([0] * len(listing.classes)) for part in splits}
    with atomic_path(target) as path, zipfile.ZipFile(path, "w") as archive:
        for part, items in splits.items():
            # The first sample shows the shape of all.
            samples = work.samples(items, counts[part])
            first = next(samples)
            complete = itertools.chain([first], samples)
            write_samples(archive, f"{part}_events", complete, len(items), work.shape)
            write_array(archive, f"{part}_labels", [item.label for item in items])
        write_array(archive, "shape", work.shape)
        write_array(archive, "dt_s", dt_s)
        write_array(archive, "classes", len(listing.classes))
    return Conversion(listing.file_format, work.shape, listing.classes, counts)


def _check_sensor(file_format: str, sensor: tuple[int, ...] | None) -> None:
    if sensor is None:
        return
    shown = "x".join(map(str, sensor))
    if file_format in _CAMERA_FORMATS:
        raise ValidationError(
            "sensor", shown, f"none, as {file_format} files contain the shape of the sensor"
        )
    axes = {"nmnist": 2, "shd": 1}.get(file_format, len(sensor))
    if len(sensor) != axes or not all(1 <= side <= _MOST_SIDE for side in sensor):
        expected = "height x width, such as 34x34" if axes == 2 else "a number of units"
        raise ValidationError("sensor", shown, f"{expected}, up to {_MOST_SIDE}")
