"""The built-in digits as seen by a simulated event camera."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.dataset import Dataset, Split
from neuroattack.datasets.digits import draw_digits

__all__ = ["DT_S", "STEPS", "record_digits"]

STEPS = 90
"""Time steps of a sample: three saccades of 30 steps."""

DT_S = 1e-3
"""Length of a time step in seconds."""

_SIDE, _BINNING = 16, 2
"""Sensor pixels per side, and pixels of an image per side of a sensor pixel."""

# Corners (row, column) of the path of the camera in pixels of the image. As in Orchard et al. 2015,
# three saccades along a triangle that end where they begin.
_CORNERS = ((0, 0), (3, 6), (-3, 3), (0, 0))

# Positions in fractions of a pixel of the image.
_SUBPIXELS = 8

# Number of dark pixels around the image; the camera does not see beyond them.
_MARGIN = 10

# Change of the logarithm of the intensity that triggers an event, and the intensity of black
# relative to white: darkness has no logarithm. Logarithms are integers in units of 1 / 4096.
_THRESHOLD, _BLACK, _UNIT = 0.35, 0.12, 4096


def record_digits() -> Dataset:
    """Return ``event-digits``; see :func:`neuroattack.datasets.load_dataset`.

    The camera moves in front of the digits of :func:`neuroattack.datasets.digits.draw_digits` on
    the path of N-MNIST. A sensor pixel has an event of polarity 0 (brighter) or 1 (darker) when the
    logarithm of its intensity differs by more than a threshold from that at its last event, as in
    v2e. All arithmetic is in integers, except for a table of logarithms that is rounded to
    integers, so that the events are the same on every platform.

    References
    ----------
    G. Orchard, A. Jayawant, G. Cohen, N. Thakor, "Converting static image datasets to spiking
    neuromorphic datasets using saccades", Frontiers in Neuroscience 9:437, 2015. Y. Hu, S.-C. Liu,
    T. Delbruck, "v2e: From video frames to realistic DVS events", CVPR Workshops 2021
    (arXiv 2006.07722).
    """
    digits = draw_digits()
    train, test = (
        Split(_recorded(split.images), split.labels) for split in (digits.train, digits.test)
    )
    return Dataset.of("event-digits", train, test, digits.classes, dt_s=DT_S)


def _recorded(images: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the samples of images, shape (images, STEPS, 2, 16, 16)."""
    levels = np.rint(images * 255).astype(np.int32)
    scene = np.pad(levels, ((0, 0), (_MARGIN, _MARGIN + 1), (_MARGIN, _MARGIN + 1)))
    brightest = 255 * _BINNING**2 * _SUBPIXELS**2
    table = np.rint(np.log(np.arange(brightest + 1) / brightest + _BLACK) * _UNIT).astype(np.int32)
    threshold = round(_THRESHOLD * _UNIT)
    samples = np.zeros((len(images), STEPS, 2, _SIDE, _SIDE), bool)
    memory = table[_seen(scene, 0, 0)]
    for step, (row, column) in enumerate(_path()):
        change = table[_seen(scene, row, column)] - memory
        samples[:, step, 0] = change >= threshold
        samples[:, step, 1] = change <= -threshold
        # Towards zero: a multiple of the threshold.
        memory += change - np.fmod(change, threshold)
    return samples


def _path() -> list[tuple[int, int]]:
    """Return the position of the camera in each step, in fractions of a pixel."""
    saccades = len(_CORNERS) - 1
    each = STEPS // saccades
    return [
        (
            (_SUBPIXELS * (start[0] * (each - k) + end[0] * k) + each // 2) // each,
            (_SUBPIXELS * (start[1] * (each - k) + end[1] * k) + each // 2) // each,
        )
        for start, end in itertools.pairwise(_CORNERS)
        for k in range(1, each + 1)
    ]


def _seen(scene: NDArray[np.int32], row: int, column: int) -> NDArray[np.int32]:
    """Return the sensor's intensities, shape (images, 16, 16), with bilinear interpolation.

    A value of 255 in all pixels is 255 times the number of image pixels and the square of the
    subpixels.
    """
    size = _SIDE * _BINNING
    # The sensor is larger than the image by two pixels on each side.
    top, below = divmod(_SUBPIXELS * (_MARGIN - 2) + row, _SUBPIXELS)
    left, right = divmod(_SUBPIXELS * (_MARGIN - 2) + column, _SUBPIXELS)
    part = scene[:, top : top + size + 1, left : left + size + 1]
    rows = (_SUBPIXELS - below) * part[:, :-1] + below * part[:, 1:]
    smooth = (_SUBPIXELS - right) * rows[:, :, :-1] + right * rows[:, :, 1:]
    # Blocks of 2 x 2; several times as fast as a sum over two axes.
    rows = smooth[:, ::_BINNING] + smooth[:, 1::_BINNING]
    blocks: NDArray[np.int32] = rows[:, :, ::_BINNING] + rows[:, :, 1::_BINNING]
    return blocks
