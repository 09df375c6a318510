"""Losses of a network on a chip: refused, or named."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.profiles.number_format import Feature, NumberFormat

__all__ = ["Losses"]


class Losses:
    """Losses of a network in a chip's number formats.

    Parameters
    ----------
    number_format : NumberFormat
        Number formats of the chip.
    allow_lossy : bool
        Whether losses are named; otherwise the first one is refused.
    """

    def __init__(self, number_format: NumberFormat, allow_lossy: bool) -> None:
        self.format = number_format
        self._allow_lossy = allow_lossy
        self.named: list[str] = []

    def name(self, what: str, limit: str) -> None:
        """Name a loss, with the limit of the chip.

        Raises
        ------
        UnsupportedFeatureError
            If losses are not allowed.
        """
        if not self._allow_lossy:
            raise UnsupportedFeatureError(f"{what}: {limit}")
        self.named.append(f"{what}: {limit}")

    def lack(self, feature: Feature) -> str:
        """Return the statement that the chip does not support a feature, with its source."""
        return f"not supported by {self.format.name} ({self.format.lacks[feature]})"

    def in_range(self, what: str, steps: NDArray[np.int64], feature: Feature) -> NDArray[np.int64]:
        """Return the nearest supported numbers of time steps."""
        fewest = 1 if feature == "delay" else 0
        limits = self.format.delay_steps
        if feature == "refractory_period":
            limits = self.format.refractory_steps
        if feature in self.format.lacks:
            limits, limit = (fewest, fewest), self.lack(feature)
        elif limits is not None:
            limit = f"{self.format.name} supports {limits[0]} to {limits[1]}"
        else:
            limits = (fewest, max(fewest, int(steps.max())))
            limit = f"{self.format.name} supports at least {fewest}"
        nearest: NDArray[np.int64] = np.clip(steps, *limits)
        if (nearest != steps).any():
            low, high = int(steps.min()), int(steps.max())
            amount = f"{low}" if low == high else f"{low} to {high}"
            self.name(f"{what}, {amount} time steps", limit)
        return nearest
