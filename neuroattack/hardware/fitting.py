"""A network fitted to a chip: quantized and placed on its cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.hardware.energy.activity import Activity, count_activity
from neuroattack.hardware.energy.energy import EnergyEstimate, estimate
from neuroattack.hardware.energy.traffic import Traffic, traffic
from neuroattack.hardware.placement.placement import Placement, place
from neuroattack.hardware.profiles.profile import Profile
from neuroattack.hardware.quantization.quantization import Quantized, Rounding, quantize
from neuroattack.ir.network import Network

__all__ = ["Fitted", "fit"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A network on a chip.

    Parameters
    ----------
    profile : Profile
        Of the chip.
    rounding : Rounding
        Settings of the quantization.
    quantized : Quantized
        The network in the chip's number formats, and what it lost.
    placement : Placement
        Its neurons on the chip's cores.
    traffic : Traffic
        Destinations of their spikes.
    """

    profile: Profile
    rounding: Rounding
    quantized: Quantized
    placement: Placement
    traffic: Traffic

    @property
    def network(self) -> Network:
        """The network that runs."""
        return self.quantized.network

    @property
    def needs_spikes(self) -> bool:
        """Whether an estimate needs the spikes themselves, not only their counts."""
        return self.profile.energy_model().update_policy == "on_event"

    def activity(
        self,
        counts: Mapping[str, NDArray[np.int32]],
        steps: int,
        spikes: Mapping[str, SpikeTrains] | None = None,
    ) -> Activity:
        """Count the events of recorded spikes on the chip; see :func:`count_activity`."""
        # Counting updates on events takes a hundred times as long as all the rest.
        needed = spikes if self.needs_spikes else None
        return count_activity(
            self.network, self.traffic, self.placement, counts, steps, spikes=needed
        )

    def estimate(self, activity: Activity) -> EnergyEstimate:
        """Estimate its energy; see :func:`neuroattack.hardware.energy.energy.estimate`."""
        return estimate(activity, self.profile.energy_model(), self.network.dt_s)

    def as_json(self) -> dict[str, Any]:
        """Return the rounding, placement and unchecked limits as JSON values."""
        return {
            "profile": self.profile.id,
            "profile_checksum": self.profile.checksum,
            "rounding": asdict(self.rounding),
            **self.quantized.roundings_as_json(),
            "dropped": list(self.quantized.dropped),
            "unchecked": [*self.quantized.unchecked, *self.placement.unchecked],
            # Without a limit of a core, how many the network takes is not known.
            "cores_used": self.placement.cores_used if self.placement.is_by_core else None,
            "utilization": {name: list(use) for name, use in self.placement.utilization.items()},
        }


def fit(network: Network, profile: Profile, rounding: Rounding | None = None) -> Fitted:
    """Quantize a network for a chip and place it on its cores.

    Parameters
    ----------
    network : Network
        In floating point.
    profile : Profile
        Of the chip.
    rounding : Rounding, optional
        By default to nearest, with one scale per population.

    Raises
    ------
    UnsupportedFeatureError
        If the network has a feature that the chip lacks, or rounding would destroy it.
    DoesNotFitError
        If it does not fit on the chip.
    """
    rounding = rounding or Rounding()
    quantized = quantize(network, profile.number_format(), rounding)
    placement = place(quantized.network, profile.core_limits())
    return Fitted(profile, rounding, quantized, placement, traffic(quantized.network, placement))
