"""Perturbation budgets: norm bounds on adversarial images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.distances import DISTANCES, EVENT_DISTANCES
from neuroattack.attacks.events.patches import is_within_patch
from neuroattack.attacks.events.refractory import keeps_refractory
from neuroattack.errors import UnknownNameError, ValidationError
from neuroattack.validation import check_integer, check_number, check_positive

__all__ = ["L0", "L2", "Bound", "LInf", "LocalSD"]

# Tolerance for rounding errors of images that lie on the bound.
_SLACK = 1e-9

_INTEGERS = {"l0": "pixels", "jitter": "time steps"}
_RETIMING = ("jitter", "shift", "moved")
# Constraints on changes of events, and their largest values.
_OPTIONS = {"refractory_steps": 10_000, "patch_px": 10_000}


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
    patch_px : int, optional
        For event samples with rows and columns of pixels: side of a square, anywhere on the sensor,
        that contains all changed events, of all channels and time steps. 0 for no such constraint.
        Written ``events=0.05,patch_px=5``.

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
    patch_px: int = 0

    def __post_init__(self) -> None:
        if self.norm not in DISTANCES:
            raise UnknownNameError("norm", self.norm, DISTANCES)
        for option, most in _OPTIONS.items():
            value = getattr(self, option)
            check_integer(f"bound {option}", value, 0, most)
            if value and not self.is_of_events:
                raise ValidationError(
                    f"bound on {self.norm}",
                    f"{option} {value}",
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
        first, *rest = text.split(",")
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
        options: dict[str, int] = {}
        for option in rest:
            key, _, value = (part.strip() for part in option.partition("="))
            if key not in _OPTIONS or key in options or not value.isdecimal():
                raise ValidationError(
                    f"bound on {norm}",
                    repr(",".join(rest)),
                    f"{' and '.join(_OPTIONS)}, each at most once and an integer, as in "
                    "events=0.1,refractory_steps=2",
                )
            options[key] = int(value)
        return cls(norm, number, **options)

    def __str__(self) -> str:
        is_integer = self.maximum == round(self.maximum)
        values = {self.norm: int(self.maximum) if is_integer else self.maximum}
        return ",".join(f"{key}={value}" for key, value in (values | self.options).items())

    @property
    def options(self) -> dict[str, int]:
        """Further constraints by name."""
        return {option: getattr(self, option) for option in _OPTIONS if getattr(self, option)}

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
        """Raise ValidationError if the bound is not defined for images of this shape."""
        if self.norm == "local_sd" and len(shape) < 2:
            raise ValidationError(
                "bound on local_sd",
                f"images of shape {shape}",
                "(height, width) or (channels, height, width); use a bound on l0, l2 or linf",
            )
        if self.patch_px and len(shape) < 3:
            raise ValidationError(
                f"bound {self}",
                f"samples of shape {shape}",
                "(steps, ..., rows, columns); use a bound without patch_px",
            )

    def distance(self, original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> float:
        """Return the distance between two images of the same shape."""
        return DISTANCES[self.norm](original, adversarial)

    def holds(self, original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> bool:
        """Return whether an image is within the bound; of events, with all constraints."""
        self.check_shape(original.shape)
        if self.distance(original, adversarial) > self.maximum * (1 + _SLACK):
            return False
        if self.patch_px and not is_within_patch(original, adversarial, self.patch_px):
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
