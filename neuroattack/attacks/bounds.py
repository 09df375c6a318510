"""Perturbation budgets: norm bounds on adversarial images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.distances import DISTANCES, EVENT_DISTANCES
from neuroattack.attacks.events.refractory import keeps_refractory
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.validation import check_integer, check_number, check_positive

__all__ = ["L0", "L2", "Bound", "LInf", "LocalSD"]

# Tolerance for rounding errors of images that lie on the bound.
_SLACK = 1e-9

_INTEGERS = {"l0": "pixels", "jitter": "time steps"}
_RETIMING = ("jitter", "shift", "moved")
_MOST_REFRACTORY = 10_000


@dataclass(frozen=True)
class Bound:
    """Norm bound: the maximum distance of an adversarial image from the clean image.

    Written as ``l2=2``, ``l0=50``, ``linf=0.1`` or ``local_sd=60``; in Python, :func:`L2`,
    :func:`L0`, :func:`LInf` and :func:`LocalSD` are shorter.

    Parameters
    ----------
    norm : str
        Distance measure: ``"l0"``, ``"l2"``, ``"linf"`` or ``"local_sd"`` of images; or of event
        samples ``"events"``, ``"insertions"``, ``"deletions"``, ``"jitter"``, ``"shift"`` or
        ``"moved"``, see :mod:`neuroattack.attacks.events.distances`.
    maximum : float
        Largest allowed distance, positive and finite; an integer for ``"l0"`` and ``"jitter"``, at
        most 1 for ``"linf"``, since intensities are in [0, 1].
    refractory_steps : int, optional
        For event samples: least number of time steps between two events of a neuron that the
        perturbation must keep, a limit on plausible sensors. Written
        ``events=0.05,refractory_steps=2``.

    Raises
    ------
    UnknownNameError
        If the norm is unknown.
    ValidationError
        If the maximum is out of range.
    """

    norm: str
    maximum: float
    refractory_steps: int = 0

    def __post_init__(self) -> None:
        if self.norm not in DISTANCES:
            raise UnknownNameError("norm", self.norm, DISTANCES)
        check_integer("bound refractory_steps", self.refractory_steps, 0, _MOST_REFRACTORY)
        if self.refractory_steps and not self.is_of_events:
            raise ValidationError(
                f"bound on {self.norm}",
                f"refractory_steps {self.refractory_steps}",
                f"none, except for bounds on {', '.join(EVENT_DISTANCES)}",
            )
        if self.norm == "linf":
            check_number("bound on linf", self.maximum, "(0, 1]")
        else:
            check_positive(f"bound on {self.norm}", self.maximum)
        if self.norm in _INTEGERS and self.maximum != round(self.maximum):
            raise ValidationError(
                f"bound on {self.norm}",
                self.maximum,
                f"an integer number of {_INTEGERS[self.norm]}",
            )

    @classmethod
    def from_text(cls, text: str) -> Bound:
        """Parse a bound such as ``l2=2``, ``l0=50``, ``linf=0.1`` or ``local_sd=60``.

        Raises
        ------
        UnknownNameError
            If the norm is unknown.
        ValidationError
            If the text is malformed or the maximum is out of range.
        """
        first, comma, rest = text.partition(",")
        norm, sign, maximum = first.partition("=")
        norm = norm.strip()
        if not sign:
            raise ValidationError("bound", repr(text), "a norm and its maximum, such as l2=2")
        if norm not in DISTANCES:
            raise UnknownNameError("norm", norm, DISTANCES)
        try:
            number = float(maximum)
        except ValueError:
            raise ValidationError(
                f"bound on {norm}", repr(maximum.strip()), "a positive number"
            ) from None
        if not comma:
            return cls(norm, number)
        key, _, steps = rest.partition("=")
        if key.strip() != "refractory_steps" or not steps.strip().isdecimal():
            raise ValidationError(
                f"bound on {norm}",
                repr(rest),
                "refractory_steps and an integer, as in events=0.1,refractory_steps=2",
            )
        return cls(norm, number, int(steps))

    def __str__(self) -> str:
        is_integer = self.maximum == round(self.maximum)
        text = f"{self.norm}={int(self.maximum) if is_integer else self.maximum}"
        return text + (
            f",refractory_steps={self.refractory_steps}" if self.refractory_steps else ""
        )

    @property
    def is_of_events(self) -> bool:
        """Whether it bounds event samples, not images."""
        return self.norm in EVENT_DISTANCES

    @property
    def is_retiming(self) -> bool:
        """Whether it bounds retimed events; other bounds on events insert or delete them."""
        return self.norm in _RETIMING

    @property
    def is_convex(self) -> bool:
        """Whether the set of images within the bound is convex."""
        return self.norm != "l0" and not self.is_of_events

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ValidationError if the norm is not defined for images of this shape."""
        if self.norm == "local_sd" and len(shape) < 2:
            raise ValidationError(
                "bound on local_sd",
                f"images of shape {shape}",
                "(height, width) or (channels, height, width); use a bound on l0, l2 or linf",
            )

    def distance(self, original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
        """Return the distance between two images of the same shape."""
        return DISTANCES[self.norm](original, adversarial)

    def holds(self, original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> bool:
        """Return whether an image is within the bound; of events, with the refractory period."""
        if self.distance(original, adversarial) > self.maximum * (1 + _SLACK):
            return False
        return not self.refractory_steps or keeps_refractory(
            original, adversarial, self.refractory_steps, retimed=self.is_retiming
        )


def L0(pixels: int) -> Bound:  # noqa: N802  # named like the norm
    """Return a bound on the number of changed pixels; each channel of a pixel counts."""
    return Bound("l0", pixels)


def L2(maximum: float) -> Bound:  # noqa: N802
    """Return a bound on the L2 distance, for intensities in [0, 1]."""
    return Bound("l2", maximum)


def LInf(maximum: float) -> Bound:  # noqa: N802
    """Return a bound on the largest change of a pixel, in (0, 1]; intensities are in [0, 1]."""
    return Bound("linf", maximum)


def LocalSD(maximum: float) -> Bound:  # noqa: N802
    """Return a bound on the sum of changes divided by the local standard deviation."""
    return Bound("local_sd", maximum)
