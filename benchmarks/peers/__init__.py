"""Other simulators of spiking networks, each with the closest network that it supports."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

__all__ = ["INSTALL", "PEER_MODULES", "MissingPeer", "find_peers"]

INSTALL = "uv run --group bench python -m benchmarks (or with pip: see docs/performance.md)"

PEER_MODULES = {
    "snnTorch Leaky": "benchmarks.peers.snntorch_leaky",
    "Norse LIFCell": "benchmarks.peers.norse_lif_cell",
    "Norse LIFBoxCell": "benchmarks.peers.norse_lif_box_cell",
    "SpikingJelly LIFNode": "benchmarks.peers.spikingjelly_lif_node",
}
"""Modules by name of the peer; each defines a constant ``PEER``."""


@dataclass(frozen=True)
class MissingPeer:
    """A peer that cannot be imported, with the reason."""

    reason: str


def find_peers() -> dict[str, object]:
    """Import all installed peers.

    Returns
    -------
    dict of str to Peer or MissingPeer
    """
    found: dict[str, object] = {}
    for name, module in PEER_MODULES.items():
        try:
            found[name] = importlib.import_module(module).PEER
        except ImportError as error:
            found[name] = MissingPeer(str(error))
    return found
