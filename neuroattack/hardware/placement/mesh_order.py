"""Where on a mesh consecutive cores lie."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.profiles.core_limits import Mesh

__all__ = ["capacity", "mesh_positions", "nearest_band"]


def capacity(mesh: Mesh) -> int:
    """Return the cores of a mesh."""
    return mesh.width * mesh.height * mesh.cores_per_node


def mesh_positions(
    cores: NDArray[np.int64], mesh: Mesh, band: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return column and row of the nodes that cores lie on.

    Cores fill node after node. Nodes follow one another like a snake through bands of so many
    rows: up one column of the band and down the next, along the first band and back along the
    second. Consecutive nodes are neighbours but at the turn of a band, and many of them lie close
    together, which rows of the whole width do not.

    Parameters
    ----------
    cores : int64 array
        Numbers of cores.
    mesh : Mesh
        Of the chip.
    band : int
        Rows of a band; the last has what is left.

    Returns
    -------
    int64 array, int64 array
        Columns from the west and rows from the south, from 0.
    """
    stripe, place = np.divmod(cores // mesh.cores_per_node, mesh.width * band)
    rows = np.minimum(band, mesh.height - stripe * band)
    column, row = np.divmod(place, rows)
    row = np.where(column % 2 == 0, row, rows - 1 - row)
    return np.where(stripe % 2 == 0, column, mesh.width - 1 - column), stripe * band + row


def nearest_band(
    mesh: Mesh, source: NDArray[np.int64], destination: NDArray[np.int64], routes: NDArray[np.int64]
) -> int:
    """Return the band by which routes take the fewest hops, the narrowest of equal ones.

    Parameters
    ----------
    mesh : Mesh
        Of the chip.
    source, destination : int64 array, shape (pairs,)
        Pairs of cores.
    routes : int64 array, shape (pairs,)
        Routes from one to the other.
    """
    if not len(routes):
        return 1
    nodes = math.ceil((max(int(source.max()), int(destination.max())) + 1) / mesh.cores_per_node)

    def hops(band: int) -> int:
        here, there = (mesh_positions(cores, mesh, band) for cores in (source, destination))
        return sum(int((routes * np.abs(a - b)).sum()) for a, b in zip(here, there, strict=True))

    # A band as high as the cores in use are many lies in one column: wider ones are no nearer.
    return min(range(1, min(mesh.height, math.isqrt(nodes) + 2) + 1), key=hops)
