"""Where the spikes of every neuron go on a chip: connections, cores, and hops between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.placement.mesh_order import mesh_positions
from neuroattack.hardware.placement.placement import Placement
from neuroattack.hardware.placement.wiring import Wiring
from neuroattack.ir.network import INPUT, Network

__all__ = ["Traffic", "traffic"]


@dataclass(frozen=True, eq=False)
class Traffic:
    """What one spike of each neuron sets off, by population; arrays of shape (size,).

    A spike takes one route to each core that it has targets on, however many those are.

    Parameters
    ----------
    connections : mapping of str to int64 array
        Connections out of each neuron, the input's under ``"input"``.
    destination_cores : mapping of str to int64 array
        Cores that each neuron has a target on: its routes. Its own core may be one of them.
    in_tile : mapping of str to int64 array, or None
        Those of them that lie on the neuron's own node of the mesh, its own core among them: routes
        without a hop. The input comes from off the chip, where it enters is not known, and it is
        in none of the last three; without a mesh they are None.
    hops_ew, hops_ns : mapping of str to int64 array, or None
        Hops from node to node, east or west and north or south, summed over the routes: each
        goes the shortest way, first along one direction, then along the other.
    """

    connections: Mapping[str, NDArray[np.int64]]
    destination_cores: Mapping[str, NDArray[np.int64]]
    in_tile: Mapping[str, NDArray[np.int64]] | None
    hops_ew: Mapping[str, NDArray[np.int64]] | None
    hops_ns: Mapping[str, NDArray[np.int64]] | None


def traffic(network: Network, placement: Placement) -> Traffic:
    """Return where the spikes of every neuron go.

    Parameters
    ----------
    network : Network
        That was placed.
    placement : Placement
        Where its neurons lie.
    """
    wiring = Wiring.of(network)
    destinations: dict[str, NDArray[np.int64]] = {}
    in_tile: dict[str, NDArray[np.int64]] = {}
    hops_ew: dict[str, NDArray[np.int64]] = {}
    hops_ns: dict[str, NDArray[np.int64]] = {}
    mesh = placement.limits.mesh
    for name in wiring.sizes:
        cores, reached = wiring.routes(name, placement.cores)
        destinations[name] = reached.sum(axis=0, dtype=np.int64)
        if mesh is None or name == INPUT:
            continue
        column, row = mesh_positions(placement.cores[name].astype(np.int64), mesh, placement.band)
        in_tile[name], hops_ew[name], hops_ns[name] = np.zeros((3, len(row)), np.int64)
        to_column, to_row = mesh_positions(cores.astype(np.int64), mesh, placement.band)
        for reaching, east, north in zip(reached, to_column, to_row, strict=True):
            in_tile[name] += reaching & (column == east) & (row == north)
            hops_ew[name] += reaching * np.abs(column - east)
            hops_ns[name] += reaching * np.abs(row - north)
    if mesh is None:
        return Traffic(wiring.fan_out, destinations, None, None, None)
    return Traffic(wiring.fan_out, destinations, in_tile, hops_ew, hops_ns)
