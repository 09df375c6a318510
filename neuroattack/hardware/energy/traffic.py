"""Traffic of spikes on a chip: connections, destination cores and hops of every neuron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.placement.mesh_order import mesh_positions
from neuroattack.hardware.placement.pattern import pattern_of
from neuroattack.hardware.placement.placement import Placement
from neuroattack.hardware.placement.wiring import Wiring
from neuroattack.ir.network import INPUT, Network

__all__ = ["Traffic", "traffic"]

PerNeuron = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Traffic:
    """Traffic of one spike of each neuron, by population; int64 arrays.

    Arrays have the shape (size,) if nothing else is stated.

    A spike takes one route to each core with at least one target.

    Parameters
    ----------
    connections : mapping of str to int64 array
        Number of outgoing connections of each neuron, and of the input under ``"input"``.
    destination_cores : mapping of str to int64 array
        Number of cores with a target of each neuron, possibly including its own core; also its
        number of routes.
    into_cores : mapping of str to int64 array, shape (size, cores)
        Number of outgoing connections of each neuron into each core.
    hops_ew, hops_ns : mapping of str to int64 array, or None
        Hops between nodes, east-west and north-south, summed over the routes of each neuron, with
        dimension-ordered routing. The input is not included, because the entry point of its spikes
        is unknown; None without a mesh.
    """

    connections: PerNeuron
    destination_cores: PerNeuron
    into_cores: PerNeuron
    hops_ew: PerNeuron | None
    hops_ns: PerNeuron | None


def traffic(network: Network, placement: Placement) -> Traffic:
    """Return the traffic of a placed network."""
    wiring = Wiring.of(network)
    destinations: dict[str, NDArray[np.int64]] = {}
    hops_ew: dict[str, NDArray[np.int64]] = {}
    hops_ns: dict[str, NDArray[np.int64]] = {}
    into_cores = {name: _into_cores(network, name, placement) for name in wiring.sizes}
    mesh = placement.limits.mesh
    for name in wiring.sizes:
        cores, reached = wiring.routes(name, placement.cores)
        destinations[name] = reached.sum(axis=0, dtype=np.int64)
        if mesh is None or name == INPUT:
            continue
        column, row = mesh_positions(placement.cores[name].astype(np.int64), mesh, placement.band)
        hops_ew[name], hops_ns[name] = np.zeros((2, len(row)), np.int64)
        to_column, to_row = mesh_positions(cores.astype(np.int64), mesh, placement.band)
        for reaching, east, north in zip(reached, to_column, to_row, strict=True):
            hops_ew[name] += reaching * np.abs(column - east)
            hops_ns[name] += reaching * np.abs(row - north)
    if mesh is None:
        return Traffic(wiring.fan_out, destinations, into_cores, None, None)
    return Traffic(wiring.fan_out, destinations, into_cores, hops_ew, hops_ns)


def _into_cores(network: Network, name: str, placement: Placement) -> NDArray[np.int64]:
    into = np.zeros((network.sizes[name], placement.cores_used), np.int64)
    for projection in network.outgoing(name):
        if placement.cores_used == 1:
            into[:, 0] += projection.fan_out()
            continue
        cores = placement.cores[projection.target]
        for block in pattern_of([projection]).blocks():
            np.add.at(into, (block.sources, cores[block.targets()]), 1)
    return into
