"""Positions of consecutive cores on a mesh."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.profiles.core_limits import Mesh

__all__ = ["capacity", "mesh_positions", "nearest_band"]


def capacity(mesh: Mesh) -> int:
    """Return the number of cores of a mesh."""
    return mesh.width * mesh.height * mesh.cores_per_node


def mesh_positions(
    cores: NDArray[np.int64], mesh: Mesh, band: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return column and row of the node of each core.

    Cores are numbered node by node. Nodes follow a serpentine path through bands of rows: up one
    column of a band and down the next, along the first band and back along the second. Consecutive
    nodes are neighbors except at the end of a band, so cores with similar numbers are close.

    Returns
    -------
    int64 array, int64 array
        Columns from the west and rows from the south, from 0.
    """
    stripe, index = np.divmod(cores // mesh.cores_per_node, mesh.width * band)
    rows = np.minimum(band, mesh.height - stripe * band)
    column, row = np.divmod(index, rows)
    row = np.where(column % 2 == 0, row, rows - 1 - row)
    return np.where(stripe % 2 == 0, column, mesh.width - 1 - column), stripe * band + row


def nearest_band(
    mesh: Mesh, source: NDArray[np.int64], destination: NDArray[np.int64], routes: NDArray[np.int64]
) -> int:
    """Return the height of the narrowest band with the fewest hops.

    `source` and `destination`, of shape (pairs,), are pairs of cores, and `routes` their number of
    routes.
    """
    if not len(routes):
        return 1
    nodes = math.ceil((max(int(source.max()), int(destination.max())) + 1) / mesh.cores_per_node)

    def hops(band: int) -> int:
        here, there = (mesh_positions(cores, mesh, band) for cores in (source, destination))
        return sum(int((routes * np.abs(a - b)).sum()) for a, b in zip(here, there, strict=True))

    # Higher bands than tried here do not reduce the distances of the nodes in use.
    return min(range(1, min(mesh.height, math.isqrt(nodes) + 2) + 1), key=hops)
