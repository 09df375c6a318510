"""Random noise on images, in the paper's units: added to intensities scaled to [0, 0.2].

Marchisio et al. 2020, Section III. Their text leaves open whether intensities that noise takes out
of the scale are clipped, so the rule is a parameter of every noise here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.validation import check_number, check_whole

__all__ = ["SCALE", "Area", "Clipping", "Noise", "NoiseKind"]

SCALE = 0.2
"""What full intensity is scaled to: noise of magnitude delta changes an image by delta / SCALE."""

NoiseKind = Literal["normal", "uniform"]
Clipping = Literal["range", "zero", "none"]

_MOST_DELTA = 100.0


@dataclass(frozen=True)
class Area:
    """A rectangle of pixels: row and column of its first one, from 0, and its sides.

    Raises ValidationError if it begins outside of the image or has no pixels.
    """

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for name, low in (("top", 0), ("left", 0), ("height", 1), ("width", 1)):
            check_whole(f"window {name}", getattr(self, name), low)

    @property
    def description(self) -> str:
        """In words: ``"rows 9 to 13, columns 13 to 16"``."""
        return (
            f"rows {self.top} to {self.top + self.height - 1}, "
            f"columns {self.left} to {self.left + self.width - 1}"
        )

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return True where a pixel of an image of that shape lies in it.

        Raises ValidationError if it reaches out of the image.
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
        ``delta * N(0, 1)``, or ``delta`` times uniform on [0, 1), a number for each pixel.
    delta : float
        Magnitude, in units of the scale [0, 0.2]; at least 0.
    clipping : {"range", "zero", "none"}, optional
        What becomes of scaled intensities outside [0, 0.2]: clipped to it; only those below 0
        clipped, to 0; kept. As spikes, "none" is "zero", for there are no negative rates.
    area : Area, optional
        Pixels that are noisy; by default all.

    Raises
    ------
    ValidationError
        If kind or clipping is none of these, or the magnitude is negative or not finite.
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
        """Return what :meth:`as_json` described."""
        area = values["area"]
        return cls(**{**values, "area": None if area is None else Area(**area)})

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @property
    def description(self) -> str:
        """In words, for results: ``"normal noise 0.1, clipped to the range"``."""
        where = "" if self.area is None else f" on {self.area.description}"
        rule = {"range": "clipped to the range", "zero": "clipped at 0", "none": "not clipped"}
        return f"{self.kind} noise {self.delta:g}{where}, {rule[self.clipping]}"

    def add(self, images: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Return noisy images, of the same shape (n, height, width), relative to full scale.

        They are in [0, 1] only if clipped to the range. A generator in the same state gives, for
        every magnitude and area, the same numbers to the same pixels, times that magnitude. Raises
        ValidationError if the area reaches out of the images.
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
