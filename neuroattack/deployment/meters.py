"""Meters: what an attacker reads of each query in addition to the output counts.

A power meter at the supply of the chip reads the energy, a clock the time to decision. Both are
modeled from the recorded activity. Readings have a relative measurement noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import (
    SimulationError,
    UnknownNameError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.targets.black_box import METERS
from neuroattack.validation import check_number

if TYPE_CHECKING:
    from neuroattack.encoding.early_exit import EarlyExit
    from neuroattack.hardware.fitting import Fitted

__all__ = ["Meter"]

_PJ_PER_NJ = 1000.0


class Measurable(Protocol):
    """What a meter must know of a deployment."""

    @property
    def fitted(self) -> Fitted | None:
        """Mapping to a chip."""
        ...

    @property
    def exit(self) -> EarlyExit | None:
        """Early exit of the readout."""
        ...


@dataclass(frozen=True)
class Meter:
    """Meter of a quantity, read once per query.

    Parameters
    ----------
    quantity : str
        One of :data:`neuroattack.targets.black_box.METERS`.
    noise : float, optional
        Standard deviation of the measurement noise, relative to the reading, in [0, 10].

    Raises
    ------
    UnknownNameError, ValidationError
        If a parameter is invalid.
    """

    quantity: str
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.quantity not in METERS:
            raise UnknownNameError("meter", str(self.quantity), METERS)
        check_number(f"noise of meter {self.quantity!r}", self.noise, "[0, 10]")

    @classmethod
    def from_text(cls, text: str) -> Meter:
        """Parse ``energy``, or ``energy:0.05`` with a measurement noise of 5 %.

        Raises
        ------
        UnknownNameError, ValidationError
            If the text is malformed.
        """
        name, colon, noise = (part.strip() for part in text.partition(":"))
        if not colon:
            return cls(name)
        try:
            return cls(name, float(noise))
        except ValueError:
            raise ValidationError(
                f"noise of meter {name!r}", repr(noise), f"a number, as in {name}:0.05"
            ) from None

    def check(self, deployment: Measurable) -> None:
        """Raise UnsupportedFeatureError unless a deployment has the quantity.

        Energy needs a profile with energy coefficients, and latency an early exit.
        """
        fitted = deployment.fitted
        if self.quantity == "latency" and deployment.exit is None:
            raise UnsupportedFeatureError(
                "meter 'latency': got no early exit, expected one, such as exit=margin:5"
            )
        if self.quantity == "energy" and (fitted is None or not fitted.has_energy):
            found = "no hardware profile" if fitted is None else f"profile {fitted.profile.id}"
            raise UnsupportedFeatureError(
                f"meter 'energy': got {found}, expected a profile with energy coefficients"
            )

    def read(
        self,
        quantities: Mapping[str, NDArray[np.float64]],
        *,
        seed: int,
        stream: int,
        indices: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        """Return the readings of a batch, rounded to integers, shape (images,).

        Parameters
        ----------
        quantities : mapping of str to float64 array, shape (images,)
            As from :meth:`neuroattack.deployment.deployment.Deployment.quantities`.
        seed, stream : int
            Random seed of the deployment, and random stream of the queries.
        indices : int64 array, shape (images,)
            Index of each query in the stream, which determines its measurement noise.

        Raises
        ------
        SimulationError
            If a reading does not fit in 32 bits.
        """
        if self.quantity == "energy":
            both = quantities["energy_pj_lower"] + quantities["energy_pj_upper"]
            values = both / 2 / _PJ_PER_NJ
        else:
            values = quantities[self.quantity.replace("-", "_")]
        if self.noise:
            normal = [np.random.default_rng((seed, stream, int(k))).normal() for k in indices]
            values = values * np.maximum(1 + self.noise * np.array(normal), 0)
        if values.max() > np.iinfo(np.int32).max:
            raise SimulationError(f"meter {self.quantity!r}: a reading exceeds 2**31 - 1")
        return np.rint(values).astype(np.int32)
