"""Limits on how far an adversarial image may be from its original."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.imperceptibility import SD_FLOOR, local_standard_deviation
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.validation import check_positive

__all__ = ["Limit", "Measure", "visibility_sd"]

Measure = Literal["l0", "l2", "local_sd"]
"""Pixels that differ; root of the sum of squares; Luo et al.'s distance, no SD below SD_FLOOR."""

# An image that touches the limit passes it by a rounding.
_SLACK = 1e-9


@dataclass(frozen=True)
class Limit:
    """How far an adversarial image may be from its original.

    Parameters
    ----------
    measure : {"l0", "l2", "local_sd"}
        How distance is measured; see :data:`Measure`.
    bound : float
        The largest distance allowed; positive, and finite. Of ``"l0"``: whole pixels.

    Raises
    ------
    ValidationError
        If the measure is none of them, or the bound is out of range.
    """

    measure: Measure
    bound: float

    def __post_init__(self) -> None:
        if self.measure not in get_args(Measure):
            raise ValidationError("limit", repr(self.measure), " or ".join(get_args(Measure)))
        check_positive(f"limit on {self.measure}", self.bound)
        if self.measure == "l0" and self.bound != round(self.bound):
            raise ValidationError("limit on l0", self.bound, "a whole number of pixels")

    @classmethod
    def from_text(cls, text: str) -> Limit:
        """Read a limit as people write it: ``l2=2``, ``l0=50``, ``local_sd=60``.

        Raises
        ------
        UnknownNameError, ValidationError
            If it cannot be read.
        """
        measure, sign, bound = text.partition("=")
        measure = measure.strip()
        if not sign:
            raise ValidationError("limit", repr(text), "a measure and its bound, as l2=2")
        if measure not in get_args(Measure):
            raise UnknownNameError("measure of a limit", measure, get_args(Measure))
        try:
            number = float(bound)
        except ValueError:
            raise ValidationError(
                f"limit on {measure}", repr(bound.strip()), "a positive number"
            ) from None
        return cls(measure, number)  # type: ignore[arg-type]  # it is one of them

    def __str__(self) -> str:
        bound = int(self.bound) if self.bound == round(self.bound) else self.bound
        return f"{self.measure}={bound}"

    @property
    def is_convex(self) -> bool:
        """Whether an image between two that are within the limit is within it too."""
        return self.measure != "l0"

    def distance(self, original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
        """Return how far apart two images are, each of shape (height, width)."""
        change = np.abs(np.asarray(adversarial) - original)
        change[change < _SLACK] = 0.0
        if self.measure == "l0":
            return float(np.count_nonzero(change))
        if self.measure == "l2":
            return math.sqrt(float((change**2).sum()))
        return float((change / visibility_sd(original)).sum())

    def holds(self, original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> bool:
        """Return whether an image is within the limit."""
        return self.distance(original, adversarial) <= self.bound * (1 + _SLACK)


def visibility_sd(original: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a pixel's change is divided by in ``local_sd``, of the image's shape."""
    return np.maximum(local_standard_deviation(original), SD_FLOOR)
