"""Networks that Brian2 supports exactly."""

from __future__ import annotations

from neuroattack.deployment.features import FEATURES
from neuroattack.deployment.features import check_supported as check_features
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import Network
from neuroattack.ir.structure import lags

__all__ = ["SUPPORTED", "check_supported"]

SUPPORTED = frozenset(FEATURES) - {"fixed_point"}
"""Features supported in both modes and in exported scripts."""

# Tested range; far outside, integers in Brian2's C++ code overflow.
_SHORTEST_STEP_S = 1e-15
_LONGEST_STEP_S = 1e12

# Brian2 stores synapses one by one, also those of convolutions, with about 65 bytes each: 1 GiB.
_MOST_SYNAPSES = 2**24


def check_supported(name: str, network: Network) -> None:
    """Raise UnsupportedFeatureError if Brian2 does not support the network exactly.

    `name` is that of the backend in the message.
    """
    check_features(name, SUPPORTED, network)
    if not _SHORTEST_STEP_S <= network.dt_s <= _LONGEST_STEP_S:
        raise UnsupportedFeatureError(
            f"backend {name!r} does not support time steps of {network.dt_s:g} s exactly, expected "
            f"{_SHORTEST_STEP_S:g} to {_LONGEST_STEP_S:g} s"
        )
    synapses = sum(projection.connections for projection in network.projections)
    if synapses > _MOST_SYNAPSES:
        raise UnsupportedFeatureError(
            f"backend {name!r} stores every synapse: got {synapses:,} connections, expected at "
            f"most {_MOST_SYNAPSES:,}"
        )
    lags(network)
