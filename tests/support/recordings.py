"""Hypothesis strategy for networks on chips and what they did there."""

import numpy as np
from conformance.networks import fixed_networks, networks, rasters
from hypothesis import strategies as st

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.hardware.placement.placement import Placement, place
from neuroattack.hardware.profiles.core_limits import CoreLimits, Mesh
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import Network

ON_CHIPS = frozenset({"convolution", "recurrence", "feedback", "same_step_arrival"})
"""Features of networks with other connections than between consecutive layers."""


@st.composite
def recorded(draw: st.DrawFn) -> tuple[Network, Placement, list[dict[str, np.ndarray]]]:
    """Draw a network, spread over the cores of a chip, and the spikes of a few images."""
    network = draw(networks(12, 3, ON_CHIPS) | fixed_networks(12, 3, ON_CHIPS))
    raster = draw(rasters(network.input.size))[:3]
    per_core = draw(st.sampled_from([1, 3, 50]))
    mesh = draw(st.sampled_from([None, Mesh(3, 20, 1), Mesh(10, 10, 2)]))
    placement = place(network, CoreLimits("Made-up", neurons_per_core=per_core, mesh=mesh))
    return network, placement, [simulate(network, image) for image in raster]


def batch(
    spikes: list[dict[str, np.ndarray]],
) -> tuple[dict[str, np.ndarray], dict[str, SpikeTrains]]:
    """Return counts and spike trains of several images as a backend would."""
    trains = {
        name: SpikeTrains.from_dense(np.stack([image[name] for image in spikes]))
        for name in spikes[0]
    }
    return {name: train.counts() for name, train in trains.items()}, trains
