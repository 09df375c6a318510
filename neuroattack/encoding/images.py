"""Images of any shape: validation, and their layout in rows, columns and channels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import ValidationError
from neuroattack.memory import check_memory

__all__ = ["planes_of", "validate_images"]

_ONE = np.float64(1.0).view(np.uint64)


def validate_images(images: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Validate images and return them with one row of intensities per image.

    Parameters
    ----------
    images : float array, shape (images, ...) or (images, pixels)
        Intensities in [0, 1].
    shape : tuple of int
        Shape of one image.

    Returns
    -------
    float64 array, shape (images, pixels)

    Raises
    ------
    ValidationError
        If the shape differs, the batch is empty, or a value is NaN, infinite or outside [0, 1].
    """
    if isinstance(images, np.ndarray) and images.dtype != np.float64:
        check_memory("images in double precision", 8 * images.size, "use fewer images at once")
    try:
        array = np.asarray(images, np.float64)
    except (TypeError, ValueError):
        raise ValidationError("images", "values that are not numbers", "intensities") from None
    pixels = math.prod(shape)
    if array.shape[1:] not in ((pixels,), tuple(shape)):
        expected = " or ".join(
            f"(images, {', '.join(map(str, sides))})" for sides in dict.fromkeys([shape, (pixels,)])
        )
        if math.prod(array.shape[1:]) == pixels:
            sides = "x".join(map(str, array.shape[1:]))
            expected += f"; a network is imported for images of this shape by --image-shape {sides}"
        raise ValidationError("images", f"an array of shape {array.shape}", expected)
    if array.size == 0:
        raise ValidationError("images", "an empty batch", "at least one image")
    # As integers, the bits of negative numbers, infinity and NaN are above those of 1.
    if array.view(np.uint64).max() > _ONE and not (array.min() >= 0 and array.max() <= 1):
        if not np.isfinite(array).all():
            kind = "NaN" if np.isnan(array).any() else "infinite values"
            raise ValidationError("images", kind, "finite intensities in [0, 1]")
        raise ValidationError(
            "images", f"intensities from {array.min():g} to {array.max():g}", "values in [0, 1]"
        )
    return array.reshape(array.shape[0], pixels)


def planes_of(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an image of any shape as its channels, shape (channels, rows, columns).

    The last two axes of an image are rows and columns, those before are channels. A vector has a
    single row.
    """
    shape = image.shape if image.ndim > 1 else (1, image.size)
    return image.reshape(-1, *shape[-2:])
