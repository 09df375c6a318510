"""What a training is given: labelled images and layer sizes, checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.errors import ValidationError
from neuroattack.training.siegert import FloatArray
from neuroattack.validation import check_whole

__all__ = ["checked_data", "checked_sizes"]


def checked_data(
    images: ArrayLike, labels: ArrayLike, classes: int, what: str
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return labelled images as rows, or say what is wrong with them.

    Parameters
    ----------
    images : array_like (n, height, width)
        Intensities in [0, 1].
    labels : integer array_like (n,)
        Classes, 0 to `classes` - 1.
    classes : int
        How many there are.
    what : str
        What they are for, for the message: ``"training"``.

    Returns
    -------
    rows : float32 array (n, pixels)
        Intensities.
    labels : intp array (n,)
        Classes.

    Raises
    ------
    ValidationError
        If they are not as described.
    """
    shape = np.shape(images)
    if len(shape) != 3:
        raise ValidationError(f"{what} images", f"shape {shape}", "shape (n, height, width)")
    if shape[0] == 0:
        raise ValidationError(f"{what} images", "none", "a data set that has some")
    rows = validate_images(images, shape[1:]).astype(np.float32)
    array = np.asarray(labels)
    if array.shape != (len(rows),) or not np.issubdtype(array.dtype, np.integer):
        raise ValidationError(
            f"{what} labels",
            f"{array.dtype} of shape {array.shape}",
            f"{len(rows)} integers, one an image",
        )
    if array.min() < 0 or array.max() >= classes:
        raise ValidationError(
            f"{what} labels", f"{array.min()} to {array.max()}", f"0 to {classes - 1}"
        )
    return rows, array.astype(np.intp)


def checked_sizes(pixels: int, hidden: tuple[int, ...], classes: int) -> tuple[int, ...]:
    """Return the units of all layers, inputs first; ValidationError for an impossible layer."""
    if not hidden:
        raise ValidationError("hidden layers", "none", "at least one")
    for units in hidden:
        check_whole("hidden layer size", units, 1)
    if classes < 2:
        raise ValidationError("classes", classes, "at least 2")
    return (pixels, *hidden, classes)
