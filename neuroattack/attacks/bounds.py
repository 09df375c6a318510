"""Perturbation budgets: a distance, and the most of it that an attack may use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.distances import DISTANCES
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.validation import check_positive

__all__ = ["L0", "L2", "Bound", "LocalSD"]

# An image that touches the bound passes it by a rounding.
_SLACK = 1e-9


@dataclass(frozen=True)
class Bound:
    """Maximum distance of an adversarial image from its original.

    Written as ``l2=2``, ``l0=50`` or ``local_sd=60``; in Python, :func:`L2`, :func:`L0` and
    :func:`LocalSD` are shorter.

    Parameters
    ----------
    norm : {"l0", "l2", "local_sd"}
        The distance, one of :data:`neuroattack.attacks.distances.DISTANCES`.
    maximum : float
        Its largest allowed value, positive and finite; an integer for ``"l0"``.

    Raises
    ------
    UnknownNameError
        If there is no such distance.
    ValidationError
        If the maximum is out of range.
    """

    norm: str
    maximum: float

    def __post_init__(self) -> None:
        if self.norm not in DISTANCES:
            raise UnknownNameError("distance of a bound", self.norm, DISTANCES)
        check_positive(f"bound on {self.norm}", self.maximum)
        if self.norm == "l0" and self.maximum != round(self.maximum):
            raise ValidationError("bound on l0", self.maximum, "an integer number of pixels")

    @classmethod
    def from_text(cls, text: str) -> Bound:
        """Read a bound as people write it: ``l2=2``, ``l0=50``, ``local_sd=60``.

        Raises
        ------
        UnknownNameError, ValidationError
            If it cannot be read.
        """
        norm, sign, maximum = text.partition("=")
        norm = norm.strip()
        if not sign:
            raise ValidationError("bound", repr(text), "a distance and its maximum, such as l2=2")
        if norm not in DISTANCES:
            raise UnknownNameError("distance of a bound", norm, DISTANCES)
        try:
            number = float(maximum)
        except ValueError:
            raise ValidationError(
                f"bound on {norm}", repr(maximum.strip()), "a positive number"
            ) from None
        return cls(norm, number)

    def __str__(self) -> str:
        whole = self.maximum == round(self.maximum)
        return f"{self.norm}={int(self.maximum) if whole else self.maximum}"

    @property
    def is_convex(self) -> bool:
        """Whether an image between two that are within the bound is within it too."""
        return self.norm != "l0"

    def distance(self, original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
        """Return the distance between two images, each of shape (height, width)."""
        return DISTANCES[self.norm](original, adversarial)

    def holds(self, original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> bool:
        """Return whether an image is within the bound."""
        return self.distance(original, adversarial) <= self.maximum * (1 + _SLACK)


def L0(pixels: int) -> Bound:  # noqa: N802  # named as the norm is written
    """Return a bound on the number of pixels that may change."""
    return Bound("l0", pixels)


def L2(maximum: float) -> Bound:  # noqa: N802
    """Return a bound on the L2 distance, in intensities of [0, 1]."""
    return Bound("l2", maximum)


def LocalSD(maximum: float) -> Bound:  # noqa: N802
    """Return a bound on the sum of changes over the local standard deviation of each pixel."""
    return Bound("local_sd", maximum)
