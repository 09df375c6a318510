"""Random noise on images, in the units of Marchisio et al. 2020, Section III.

There, noise is added to intensities scaled to [0, 0.2]. The paper does not state whether
intensities beyond this range are clipped, so clipping is a parameter here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.validation import check_integer, check_number

__all__ = ["SCALE", "Area", "Clipping", "Noise", "NoiseKind"]

SCALE = 0.2
"""Scaled value of full intensity: noise of magnitude delta changes an image by delta / SCALE."""

NoiseKind = Literal["normal", "uniform"]
Clipping = Literal["range", "zero", "none"]

_MOST_DELTA = 100.0


@dataclass(frozen=True)
class Area:
    """Rectangle of pixels: row and column of its first pixel, from 0, and its height and width.

    Raises ValidationError if an index is negative or the area is empty.
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for name, low in (("top", 0), ("left", 0), ("height", 1), ("width", 1)):
            check_integer(f"window {name}", getattr(self, name), low)

    @property
    def description(self) -> str:
        """Description such as ``"rows 9 to 13, columns 13 to 16"``."""
        return (
            f"rows {self.top} to {self.top + self.height - 1}, "
            f"columns {self.left} to {self.left + self.width - 1}"
        )

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return a mask of the area for images of that shape, True inside.

        Raises ValidationError if the area extends beyond the image.
        """
        height, width = shape
        if self.top + self.height > height or self.left + self.width > width:
            raise ValidationError(
                "window",
                self.description,
                f"rows 0 to {height - 1} and columns 0 to {width - 1}",
            )
        inside = np.zeros(shape, bool)
        inside[self.top : self.top + self.height, self.left : self.left + self.width] = True
        return inside


@dataclass(frozen=True)
class Noise:
    """Noise of one kind and magnitude.

    Parameters
    ----------
    kind : {"normal", "uniform"}
        Distribution of the noise of each pixel: ``delta * N(0, 1)`` or ``delta * U[0, 1)``.
    delta : float
        Magnitude in units of the scale [0, 0.2], at least 0.
    clipping : {"range", "zero", "none"}, optional
        Treatment of scaled intensities outside [0, 0.2]: clip to this range, clip negative values
        to 0, or no clipping. For spikes, "none" is equivalent to "zero", as there are no negative
        rates.
    area : Area, optional
        Pixels with noise; by default all.

    Raises
    ------
    ValidationError
        If kind or clipping is unknown, or the magnitude is negative or not finite.
    """

    kind: NoiseKind
    delta: float
    clipping: Clipping = "range"
    area: Area | None = None

    def __post_init__(self) -> None:
        for thing, value, values in (
            ("noise", self.kind, NoiseKind),
            ("clipping", self.clipping, Clipping),
        ):
            if value not in get_args(values):
                raise ValidationError(thing, repr(value), " or ".join(get_args(values)))
        check_number("noise magnitude delta", self.delta, f"[0, {_MOST_DELTA:g}]")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Noise:
        """Return the noise of the values of :meth:`as_json`."""
        area = values["area"]
        return cls(**{**values, "area": None if area is None else Area(**area)})

    def as_json(self) -> dict[str, Any]:
        """Return the noise as JSON values."""
        return asdict(self)

    @property
    def description(self) -> str:
        """Description for results, such as ``"normal noise 0.1, clipped to the range"``."""
        where = "" if self.area is None else f" on {self.area.description}"
        rule = {"range": "clipped to the range", "zero": "clipped at 0", "none": "not clipped"}
        return f"{self.kind} noise {self.delta:g}{where}, {rule[self.clipping]}"

    def add(self, images: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Return noisy images of the same shape (n, height, width), relative to full scale.

        They are in [0, 1] only with clipping to the range. With a generator in the same state, each
        pixel has the same random number for every magnitude and area. Raises ValidationError if the
        area extends beyond the images.
        """
        size = np.float32(self.delta / SCALE)
        if self.kind == "normal":
            noise = rng.standard_normal(images.shape, dtype=np.float32)
        else:
            noise = rng.random(images.shape, dtype=np.float32)
        noise *= size
        if self.area is not None:
            noise *= self.area.mask((images.shape[1], images.shape[2]))
        noise += images
        if self.clipping == "range":
            np.clip(noise, 0, 1, out=noise)
        elif self.clipping == "zero":
            np.maximum(noise, 0, out=noise)
        return noise
