"""A picture of where the neurons of a network lie on a chip."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from neuroattack.hardware.core_limits import Mesh
from neuroattack.hardware.mesh_order import mesh_positions
from neuroattack.hardware.placement import Placement

__all__ = ["placement_figure"]

_INK, _MUTED, _LINE = "#1f2328", "#59636e", "#d1d7de"
_SHADES, _DARK = "Blues", 0.6
_MOST_CORES, _NAMED_CORES = 4096, 256


def placement_figure(placement: Placement) -> Figure:
    """Draw the chip's cores, coloured by the share that is used of the resource used most.

    The populations on a core are named by their places in the network, as far as there is room.
    Where no limit is known, a core in use is coloured fully.
    """
    limits = placement.limits
    total = min(limits.cores_per_chip or placement.cores_used, _MOST_CORES)
    total = max(total, placement.cores_used)
    mesh = limits.mesh
    if mesh is None:
        mesh = Mesh(math.ceil(math.sqrt(total)), math.ceil(total / math.ceil(math.sqrt(total))))
    inside = math.ceil(math.sqrt(mesh.cores_per_node))
    numbers = np.arange(total)
    column, row = mesh_positions(numbers, mesh, placement.band)
    within = numbers % mesh.cores_per_node
    x = column * (inside + 0.35) + within % inside
    y = row * (math.ceil(mesh.cores_per_node / inside) + 0.35) + within // inside
    share = _shares(placement)
    wide, high = float(x.max()) + 1, float(y.max()) + 1
    scale = min(0.34, 9.0 / wide)
    figure = Figure(
        figsize=(max(5.2, scale * wide + 1.8), max(2.2, scale * high + 1.3)), layout="constrained"
    )
    axes = figure.subplots()
    shades = ScalarMappable(Normalize(0, 100), _SHADES)
    for core in range(total):
        axes.add_patch(
            Rectangle(
                (x[core], y[core]),
                0.92,
                0.92,
                facecolor=shades.to_rgba(100 * share[core]) if core < len(share) else "white",
                edgecolor=_LINE,
                linewidth=0.6,
            )
        )
    if placement.cores_used <= _NAMED_CORES:
        for core in range(placement.cores_used):
            axes.text(
                x[core] + 0.46,
                y[core] + 0.46,
                ",".join(
                    str(place)
                    for place, cores in enumerate(placement.cores.values(), 1)
                    if (cores == core).any()
                ),
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if share[core] > _DARK else _INK,
            )
    axes.set_xlim(-0.2, wide + 0.2)
    axes.set_ylim(high + 0.2, -0.2)
    axes.set_aspect("equal")
    axes.axis("off")
    chip = f" of {limits.cores_per_chip:,}" if limits.cores_per_chip else ""
    figure.suptitle(f"{limits.name}: {placement.cores_used:,}{chip} cores used", fontsize=10)
    populations = ", ".join(f"{place} {name}" for place, name in enumerate(placement.cores, 1))
    figure.supxlabel(f"Populations on a core: {populations}", fontsize=8, color=_MUTED)
    bar = figure.colorbar(shades, ax=axes, shrink=0.8)
    bar.set_label("use of the fullest resource (%)", fontsize=8, color=_MUTED)
    bar.ax.tick_params(labelsize=7.5)
    return figure


def _shares(placement: Placement) -> NDArray[np.float64]:
    """Return how full each core in use is, 0 to 1, by the resource it has least left of."""
    shares = []
    for check in placement.checks:
        resource = check.limit.removesuffix("_per_core")
        if check.available and resource in placement.used and check.limit != resource:
            shares.append(placement.used[resource] / check.available)
    if not shares:
        return np.ones(placement.cores_used)
    fullest: NDArray[np.float64] = np.max(shares, axis=0)
    return fullest
