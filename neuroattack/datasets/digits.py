"""scikit-learn's handwritten digits, resampled to 28 x 28 pixels in the style of MNIST."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.dataset import Dataset, Split

__all__ = ["draw_digits"]

_BOX, _FRAME, _SUBPIXELS = 20, 28, 4
"""Side lengths of a digit's box and of the image in pixels, as in MNIST; samples per pixel and
dimension, which are averaged to smooth the edges."""

_INK_FROM, _INK_FULL = 8, 11
"""Source pixels have 16 points: strokes begin at 8 inked points and saturate at 11. These values
reproduce the mean intensity and the fraction of nonzero pixels of MNIST."""


def draw_digits() -> Dataset:
    """Return the 1,797 digits; see :func:`neuroattack.datasets.load_dataset`."""
    from sklearn.datasets import load_digits

    source = load_digits()
    images = _centered(_upscaled(source.images.astype(np.int64)))
    labels = source.target.astype(np.uint8)
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        test[np.flatnonzero(labels == label)[4::5]] = True
    return Dataset.of(
        "digits",
        Split.from_bytes(images[~test], labels[~test]),
        Split.from_bytes(images[test], labels[test]),
        classes=10,
    )


def _upscaled(source: NDArray[np.int64]) -> NDArray[np.int64]:
    """Upscale (n, 8, 8) counts from 0 to 16 to (n, 20, 20) gray levels from 0 to 255.

    Catmull-Rom interpolation to 80 x 80, a steep ramp, and the mean of each 4 x 4 block. All
    arithmetic is in integers, so that the result does not depend on platform or library versions.
    """
    # Distances from samples to source pixels in units of 1/20 source pixel, for which the weights
    # of the kernel, times 16,000, are integers.
    distance = np.abs(2 * np.arange(_BOX * _SUBPIXELS)[:, None] - 9 - 20 * np.arange(8))
    near = 3 * distance**3 - 100 * distance**2 + 16000
    far = -(distance**3) + 100 * distance**2 - 3200 * distance + 32000
    weights = np.where(distance < 20, near, np.where(distance < 40, far, 0))
    unit = 16000**2
    ramp = (_INK_FULL - _INK_FROM) * unit
    ink = np.clip(weights @ source @ weights.T - _INK_FROM * unit, 0, ramp)
    blocks = ink.reshape(-1, _BOX, _SUBPIXELS, _BOX, _SUBPIXELS).sum(axis=(2, 4))
    full = ramp * _SUBPIXELS**2
    return np.asarray((2 * 255 * blocks + full) // (2 * full))


def _centered(boxes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Center (n, 20, 20) levels in (n, 28, 28) images by the center of mass, as in MNIST.

    Shifts are rounded to integers, in integer arithmetic for the same reason as above.
    """
    total = boxes.sum(axis=(1, 2))
    margin = _BOX  # empty edges of a box may extend beyond the frame
    down, right = (
        (2 * (_FRAME // 2 * total - boxes.sum(axis=axis) @ np.arange(_BOX)) + total) // (2 * total)
        + margin
        for axis in (2, 1)
    )
    canvas = np.zeros((len(boxes), _FRAME + 2 * margin, _FRAME + 2 * margin), dtype=np.uint8)
    for image, box, y, x in zip(canvas, boxes, down, right, strict=True):
        image[y : y + _BOX, x : x + _BOX] = box
    return canvas[:, margin:-margin, margin:-margin]
