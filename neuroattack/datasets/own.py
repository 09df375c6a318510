"""Data sets from npz or CSV files of users."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.arrays import read_npz
from neuroattack.datasets.dataset import Dataset, Labels, Split
from neuroattack.datasets.events.packed import unpack_samples
from neuroattack.errors import FileError
from neuroattack.files import require_file

__all__ = ["OWN_SUFFIXES", "read_own"]

OWN_SUFFIXES = (".npz", ".csv")
"""File name extensions of data sets."""

_LARGEST_FILE = 2**31
"""Largest size of a file in bytes."""

_MOST_BYTES = 2**32
_MOST_CLASSES = 65_536


def read_own(path: str) -> Dataset:
    """Read a data set from a file.

    An npz file contains ``test_images`` and ``test_labels``, and for training ``train_images`` and
    ``train_labels``. Images are arrays of shape (images, height, width),
    (images, channels, height, width) or (images, values), of intensities in [0, 1] or bytes from 0
    to 255. Labels are integers from 0 of shape
    (images,). The optional integer ``classes`` is the number of classes; by default it is the
    largest label plus one.

    An npz file with event samples contains ``test_events`` instead of ``test_images``, and
    ``train_events``; the command ``events`` writes such files. ``shape`` is the shape of a sample,
    (steps, ...), such as (100, 2, 34, 34) for two polarities of 34 x 34 pixels, and ``dt_s`` the
    time step in seconds. Events are a uint8 array of shape (samples, bytes): each row is
    ``np.packbits(sample.ravel())`` for a bool array `sample` of the given shape.

    A CSV file has one line per image: its label, then its pixels in row-major order. If any value
    exceeds 1, pixels are bytes from 0 to 255, otherwise intensities in [0, 1]. A first line that is
    not numeric is skipped as a header. If the number of pixels is a square, images are square. All
    images are test images.

    Parameters
    ----------
    path : str
        File, and name of the data set in results.

    Raises
    ------
    FileError
        If something is missing, of another type or shape, or out of range; the message names the
        file and the array.
    """
    file = require_file(path, _LARGEST_FILE, "a data set (npz or CSV)")
    npz = file.suffix.lower() == ".npz"
    arrays = read_npz(file, _MOST_BYTES, "fiu") if npz else _read_csv(file)
    events = "test_events" in arrays
    if not events and "test_images" not in arrays:
        raise FileError(
            path,
            f"contains {', '.join(arrays) or 'nothing'}, expected test_images or test_events",
        )
    read_split = _event_split if events else _image_split
    test = read_split(path, arrays, "test")
    if f"train_{'events' if events else 'images'}" in arrays:
        train = read_split(path, arrays, "train")
        if train.images.shape[1:] != test.images.shape[1:]:
            raise FileError(
                path,
                f"train_images have shape {train.images.shape[1:]}, expected "
                f"{test.images.shape[1:]} as in test_images",
            )
    else:
        train = Split(test.images[:0], test.labels[:0])
    largest = max(int(split.labels.max(initial=0)) for split in (train, test))
    classes = _classes(path, arrays, largest + 1)
    return Dataset.of(path, train, test, classes, float(arrays["dt_s"]) if events else None)


def _classes(path: str, arrays: Mapping[str, NDArray[Any]], least: int) -> int:
    given = arrays.get("classes")
    if given is None:
        return least
    if given.shape != () or given.dtype.kind not in "iu" or not least <= given <= _MOST_CLASSES:
        raise FileError(
            path, f"classes is {given}, expected an integer from {least} to {_MOST_CLASSES}"
        )
    return int(given)


def _labels(
    path: str, arrays: Mapping[str, NDArray[Any]], part: str, what: str, count: int
) -> Labels:
    labels = arrays.get(f"{part}_labels")
    if labels is None:
        raise FileError(path, f"has {part}_{what} but no {part}_labels, expected both")
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise FileError(
            path,
            f"{part}_labels is {labels.dtype} of shape {labels.shape}, expected integers of shape "
            f"({count},)",
        )
    if labels.min() < 0 or labels.max() >= _MOST_CLASSES:
        raise FileError(
            path,
            f"{part}_labels are {labels.min()} to {labels.max()}, expected 0 to "
            f"{_MOST_CLASSES - 1}",
        )
    return labels.astype(np.uint8 if labels.max() < 256 else np.uint16)


def _event_split(path: str, arrays: Mapping[str, NDArray[Any]], part: str) -> Split:
    samples, _dt_s = unpack_samples(path, arrays, part)
    return Split(samples, _labels(path, arrays, part, "events", len(samples)))


def _image_split(path: str, arrays: Mapping[str, NDArray[Any]], part: str) -> Split:
    images = arrays[f"{part}_images"]
    if images.ndim < 2 or 0 in images.shape:
        raise FileError(
            path, f"{part}_images has shape {images.shape}, expected (images, height, width)"
        )
    compact = _labels(path, arrays, part, "images", len(images))
    if images.dtype == np.uint8:
        return Split.from_bytes(images, compact)
    if images.dtype.kind != "f":
        raise FileError(path, f"{part}_images is {images.dtype}, expected floating point or uint8")
    # Also rejects NaN.
    if not (images.min() >= 0 and images.max() <= 1):
        raise FileError(
            path,
            f"{part}_images are {images.min():g} to {images.max():g}, expected intensities in "
            "[0, 1]",
        )
    return Split(images.astype(np.float32), compact)


def _read_csv(path: Path) -> dict[str, NDArray[Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        if lines and not _are_numbers(lines[0]):
            del lines[0]
        table = np.loadtxt(lines, delimiter=",", ndmin=2) if lines else np.empty((0, 0))
    except (OSError, ValueError) as error:
        raise FileError(path, f"is not a CSV file of numbers: {error}") from error
    if table.shape[0] == 0 or table.shape[1] < 2:
        raise FileError(
            path,
            f"has {table.shape[0]} lines of {table.shape[1]} numbers, expected a label and pixels "
            "per line",
        )
    labels, pixels = table[:, 0], table[:, 1:]
    if (labels != np.rint(labels)).any():
        raise FileError(path, "has non-integer labels in its first column, expected integers")
    side = math.isqrt(pixels.shape[1])
    shape = (side, side) if side * side == pixels.shape[1] else pixels.shape[1:]
    if pixels.max() > 1:
        if (pixels != np.rint(pixels)).any() or pixels.max() > 255 or pixels.min() < 0:
            raise FileError(
                path,
                f"has pixels from {pixels.min():g} to {pixels.max():g}, expected bytes from 0 to "
                "255 or intensities in [0, 1]",
            )
        pixels = pixels.astype(np.uint8)
    return {"test_images": pixels.reshape(-1, *shape), "test_labels": labels.astype(np.int64)}


def _are_numbers(line: str) -> bool:
    try:
        [float(cell) for cell in line.split(",")]
    except ValueError:
        return False
    return True
