"""Transformations between attacker and network: compression, scaling, rotation and others.

Marchisio et al. 2020, Section IV-B, require that adversarial images of a robust attack survive
such transformations.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.encoding.images import validate_images
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.validation import check_integer, check_number

__all__ = ["FAMILIES", "TRANSFORMATIONS", "Transformation"]

_MOST_PARAMETER = 1000.0

Pixels = NDArray[np.float64]
"""Intensities in [0, 1], shape (planes, height, width), where a plane is a channel of an image."""


@dataclass(frozen=True)
class Transformation:
    """Image transformation with a fixed parameter, for images of any size.

    The channels of an image are transformed one by one.

    Parameters
    ----------
    name : str
        Name in tables and commands.
    family : str
        Kind of transformation, one of :data:`FAMILIES`.
    parameter : float or None
        Strength: quality of ``"jpeg"`` (integer from 1 to 100); scale factor of the sides for
        ``"resize"``, in (0, 1]; angle of ``"rotation"`` in degrees, counterclockwise; sigma of
        ``"blur"`` in pixels; exponent of ``"gamma"``; SD of ``"noise"`` relative to full intensity
        (0.05 is delta 0.01 in the paper's units, whose full scale is 0.2); None for ``"none"``,
        the control.

    Raises
    ------
    UnknownNameError
        If there is no such family.
    ValidationError
        If the parameter is invalid for the family.
    """

    name: str
    family: str
    parameter: float | None = None

    def __post_init__(self) -> None:
        if self.family not in _FAMILIES:
            raise UnknownNameError("kind of transformation", self.family, _FAMILIES)
        _check_parameter(self.family, self.parameter)

    @property
    def is_random(self) -> bool:
        """Whether repeated applications give different results."""
        return self.family == "noise"

    def apply(self, images: ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return transformed images of the same shape, in [0, 1].

        The shape is (images, height, width) or (images, channels, height, width). `rng` is used by
        ``"noise"`` only. Raises ValidationError if the batch is empty, or
        intensities are not in [0, 1].
        """
        shape = np.shape(images)
        if len(shape) < 3:
            raise ValidationError(
                "images",
                f"shape {shape}",
                "(images, height, width) or (images, channels, height, width)",
            )
        pixels = validate_images(images, shape[1:]).reshape(-1, *shape[-2:])
        parameter = 0.0 if self.parameter is None else float(self.parameter)
        # Interpolation and rounding may exceed the range slightly, noise by more.
        transformed = _FAMILIES[self.family](pixels, parameter, rng)
        return np.clip(transformed, 0.0, 1.0).reshape(shape)

    def as_json(self) -> dict[str, Any]:
        """Return the transformation as JSON values."""
        return {"name": self.name, "family": self.family, "parameter": self.parameter}


def _check_parameter(family: str, parameter: float | None) -> None:
    thing = f"parameter of {family}"
    if family == "none":
        if parameter is not None:
            raise ValidationError(thing, parameter, "none")
        return
    if parameter is None:
        raise ValidationError(thing, "none", "a number")
    if family == "jpeg":
        check_integer(thing, parameter, 1, 100)
    elif family == "rotation":
        if not math.isfinite(parameter):
            raise ValidationError(thing, parameter, "an angle in degrees")
    else:
        most = 1.0 if family == "resize" else _MOST_PARAMETER
        check_number(thing, parameter, f"(0, {most:g}]")


def _jpeg(images: Pixels, quality: float, _rng: np.random.Generator) -> Pixels:
    """Encode and decode as an 8-bit gray JPEG with Pillow."""
    from PIL import Image

    back = np.empty_like(images)
    for image, into in zip(np.rint(images * 255).astype(np.uint8), back, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=int(quality))
        with Image.open(file) as read:
            into[:] = np.asarray(read, np.float64) / 255
    return back


def _resize(images: Pixels, scale: float, _rng: np.random.Generator) -> Pixels:
    """Downscale with antialiasing, and upscale to the original size; both bilinear."""
    from skimage.transform import resize

    height, width = images.shape[1:]
    small = max(1, round(height * scale)), max(1, round(width * scale))
    back = np.empty_like(images)
    for image, into in zip(images, back, strict=True):
        shrunk = resize(image, small, order=1, mode="edge", anti_aliasing=True)
        into[:] = resize(shrunk, (height, width), order=1, mode="edge", anti_aliasing=False)
    return back


def _rotate(images: Pixels, angle_degrees: float, _rng: np.random.Generator) -> Pixels:
    """Rotate about the center, bilinear; pixels from outside repeat the edge."""
    from skimage.transform import rotate

    return np.stack([rotate(image, angle_degrees, order=1, mode="edge") for image in images])


def _blur(images: Pixels, sigma_pixels: float, _rng: np.random.Generator) -> Pixels:
    from skimage.filters import gaussian

    # Blur over rows and columns, not across images.
    return np.asarray(gaussian(images, sigma=(0, sigma_pixels, sigma_pixels), mode="nearest"))


def _gamma(images: Pixels, exponent: float, _rng: np.random.Generator) -> Pixels:
    from skimage.exposure import adjust_gamma

    return np.asarray(adjust_gamma(images, exponent))


def _noise(images: Pixels, sd: float, rng: np.random.Generator) -> Pixels:
    return images + rng.normal(0.0, sd, images.shape)


_FAMILIES: dict[str, Callable[[Pixels, float, np.random.Generator], Pixels]] = {
    "none": lambda images, _parameter, _rng: images,
    "jpeg": _jpeg,
    "resize": _resize,
    "rotation": _rotate,
    "blur": _blur,
    "gamma": _gamma,
    "noise": _noise,
}

FAMILIES = tuple(_FAMILIES)
"""Kinds of transformations, including ``"none"``."""

TRANSFORMATIONS = (
    Transformation("none", "none"),
    *(Transformation(f"jpeg-{quality}", "jpeg", quality) for quality in (90, 75, 50, 25, 10)),
    # 28 pixels are reduced to 20, and to 14.
    Transformation("resize-0.71", "resize", 5 / 7),
    Transformation("resize-0.5", "resize", 0.5),
    *(Transformation(f"rotation{a:+d}", "rotation", a) for a in (-10, -5, -2, 2, 5, 10)),
    *(Transformation(f"blur-{sigma:g}", "blur", sigma) for sigma in (0.5, 1.0)),
    *(Transformation(f"gamma-{exponent:g}", "gamma", exponent) for exponent in (0.7, 1.5)),
    *(Transformation(f"noise-{sd:g}", "noise", sd) for sd in (0.05, 0.1)),
)
"""Transformations used in studies: the control, then several strengths of each family."""
