"""Mapping of a network to a chip: quantization and placement on cores."""

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
from neuroattack.ir.network import Convolution, Network

__all__ = ["Fitted", "fit"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Network mapped to a chip.

    Parameters
    ----------
    profile : Profile
        Hardware profile of the chip.
    rounding : Rounding
        Settings of the quantization.
    quantized : Quantized
        Network in the chip's number formats, with its rounding errors and losses.
    placement : Placement
        Placement of the neurons on the chip's cores.
    traffic : Traffic
        Destinations of the neurons' spikes.
    """

    profile: Profile
    rounding: Rounding
    quantized: Quantized
    placement: Placement
    traffic: Traffic

    @property
    def network(self) -> Network:
        """The quantized network."""
        return self.quantized.network

    @property
    def needs_spikes(self) -> bool:
        """Whether energy estimates need spike times, not only spike counts."""
        return self.profile.energy_model().update_policy == "on_event"

    @property
    def has_energy(self) -> bool:
        """Whether the chip has any energy coefficient."""
        model = self.profile.energy_model()
        return bool(model.event_pj or model.power_mw)

    def activity(
        self,
        counts: Mapping[str, NDArray[np.int32]],
        steps: int,
        spikes: Mapping[str, SpikeTrains] | None = None,
        steps_run: NDArray[np.int64] | None = None,
    ) -> Activity:
        """Count the events of recorded spikes on the chip; see :func:`count_activity`."""
        # Counting event-driven updates takes a hundred times as long as everything else.
        needed = spikes if self.needs_spikes else None
        return count_activity(
            self.network, self.traffic, self.placement, counts, steps, needed, steps_run
        )

    def estimate(self, activity: Activity) -> EnergyEstimate:
        """Estimate the energy; see :func:`neuroattack.hardware.energy.energy.estimate`."""
        return estimate(activity, self.profile.energy_model(), self.network.dt_s)

    @property
    def unrolled_connections(self) -> int:
        """Number of connections of convolutions, each of which takes memory on the chip."""
        return sum(p.connections for p in self.network.projections if isinstance(p, Convolution))

    def as_json(self) -> dict[str, Any]:
        """Return rounding, utilization and unchecked limits as JSON values.

        Convolutions have an entry ``"unrolled_connections"``.
        """
        unrolled = self.unrolled_connections
        return {
            "profile": self.profile.id,
            "profile_checksum": self.profile.checksum,
            "rounding": asdict(self.rounding),
            **self.quantized.roundings_as_json(),
            "dropped": list(self.quantized.dropped),
            "unchecked": [*self.quantized.unchecked, *self.placement.unchecked],
            # Without a known limit per core, the number of cores is unknown.
            "cores_used": self.placement.cores_used if self.placement.is_by_core else None,
            "utilization": {name: list(use) for name, use in self.placement.utilization.items()},
            **({"unrolled_connections": unrolled} if unrolled else {}),
        }


def fit(network: Network, profile: Profile, rounding: Rounding | None = None) -> Fitted:
    """Quantize a network for a chip and place it on its cores.

    No chip is known to share the weights of a convolution between its connections in the numbers of
    its profile, so convolutions are placed as their connections. They are simulated as kernels.

    Parameters
    ----------
    network : Network
        Network in floating point.
    profile : Profile
        Hardware profile of the chip.
    rounding : Rounding, optional
        Settings of the quantization; by default rounding to nearest, with one scale per population.

    Raises
    ------
    UnsupportedFeatureError
        If the chip does not support a feature of the network, or rounding would set all weights of
        a projection, or a threshold, to 0.
    DoesNotFitError
        If the network does not fit on the chip.
    """
    rounding = rounding or Rounding()
    quantized = quantize(network, profile.number_format(), rounding)
    placement = place(quantized.network, profile.core_limits())
    return Fitted(profile, rounding, quantized, placement, traffic(quantized.network, placement))
