"""Reading of a single image from a NumPy array or a picture file."""

from __future__ import annotations

import hashlib
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from neuroattack.encoding.images import validate_images
from neuroattack.errors import FileError, NeuroattackError
from neuroattack.files import require_file

__all__ = ["image_checksum", "read_image"]

_LIMIT_BYTES = 64 * 2**20

# Modes that Pillow converts to 8-bit gray levels without losing anything but color.
_MODES = ("1", "L", "P", "RGB")


def read_image(path: str | os.PathLike[str], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Read an image of a given shape.

    Parameters
    ----------
    path : path
        A ``.npy`` array of intensities in [0, 1], or of bytes from 0 to 255; or a picture in a
        format of Pillow (PNG, PGM, BMP...), converted to gray levels, or to red, green and blue
        for shape (3, height, width).
    shape : tuple of int
        Required shape.

    Returns
    -------
    float64 array of that shape, intensities in [0, 1]

    Raises
    ------
    FileError
        If the file cannot be read, or is not an image of that shape.
    """
    path = require_file(path, _LIMIT_BYTES, "an image (.npy or a picture)")
    pixels = _read_array(path) if path.suffix.lower() == ".npy" else _read_picture(path, shape)
    if pixels.dtype.kind not in "fu" or (pixels.dtype.kind == "u" and pixels.dtype != np.uint8):
        raise FileError(path, f"contains {pixels.dtype}, expected floating point or uint8")
    if pixels.shape != shape:
        raise FileError(path, f"has shape {pixels.shape}, expected {shape}")
    intensities = pixels.astype(np.float64) / (255 if pixels.dtype == np.uint8 else 1)
    try:
        return np.reshape(validate_images(intensities[None], shape), shape)
    except NeuroattackError as error:
        raise FileError(path, str(error)) from error


def image_checksum(image: NDArray[np.float64]) -> str:
    """Return the SHA-256 of shape and intensities, in hexadecimal."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(image.astype("<f8").tobytes())
    return digest.hexdigest()


def _read_array(path: os.PathLike[str]) -> NDArray[Any]:
    try:
        # Memory-mapped, so that a header with a wrong size does not allocate memory.
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # NumPy's header parser raises exceptions of many types.
        raise FileError(path, "is not a readable .npy array of numbers") from error
    if not isinstance(array, np.ndarray):
        raise FileError(path, "is an archive of arrays, expected one .npy array")
    return array


def _read_picture(path: os.PathLike[str], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        with warnings.catch_warnings():
            # Ignore Pillow's warning about large pictures: the size is checked before decoding.
            warnings.simplefilter("ignore")
            picture = Image.open(path)
        with picture:
            height_width = picture.size[::-1]
            is_color = len(shape) == 3 and shape[0] == 3
            if height_width != (shape[1:] if is_color else shape):
                raise FileError(path, f"has shape {height_width}, expected {shape}")
            if picture.mode not in _MODES or "transparency" in picture.info:
                raise FileError(
                    path,
                    f"is a picture of mode {picture.mode}, expected 8-bit gray or color without "
                    "transparency",
                )
            if is_color:
                return np.moveaxis(np.asarray(picture.convert("RGB")), -1, 0)
            return np.asarray(picture.convert("L"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise FileError(path, "is neither a readable picture nor a .npy array") from error
    except Image.DecompressionBombError as error:
        raise FileError(path, f"is too large, expected a picture of shape {shape}") from error
