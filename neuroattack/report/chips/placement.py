"""Figure of the placement of a network on the cores of a chip."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from neuroattack.hardware.placement.mesh_order import mesh_positions
from neuroattack.hardware.placement.placement import Placement
from neuroattack.report.style import INK, LINE, MUTED, PALETTE

__all__ = ["placement_figure"]

# Without blue, the color of the utilization.
_COLORS = (*PALETTE[1:], "#f0e442")
_UNKNOWN = "#c4cad1"
_SHADES = "Blues"
_MOST_CORES = 4096
"""Largest number of cores that are drawn, unless more are used."""

_CORE, _STRIP, _GAP = 0.9, 0.22, 0.35
_MOST_SCALE_IN, _WIDEST_IN = 0.34, 9.0


def placement_figure(placement: Placement) -> Figure:
    """Draw the cores of a chip, their utilization and the populations on them.

    The shade of a core is the utilization of its fullest resource, gray if the profile has no
    limits per core. The strip at its lower edge has the colors of its populations. Cores of a mesh
    node are adjacent; without a mesh, the cores fill a square, row by row.
    """
    limits = placement.limits
    total = max(min(limits.cores_per_chip or 0, _MOST_CORES), placement.cores_used)
    x, y = _corners(placement, total)
    fraction, fullest = _use(placement)
    shades = ScalarMappable(Normalize(0, 100), _SHADES)
    cores = [Rectangle((x[core], y[core]), _CORE, _CORE) for core in range(total)]
    fills: list[str | NDArray[np.float64]] = ["white"] * total
    for core in range(placement.cores_used):
        fills[core] = (
            _UNKNOWN if fraction is None else np.array(shades.to_rgba(100 * fraction[core]))
        )
    names = list(placement.cores)
    strips, strip_colors = [], []
    for core, populations in enumerate(_populations(placement)):
        for i, name in enumerate(populations):
            width = _CORE / len(populations)
            strips.append(Rectangle((x[core] + i * width, y[core]), width, _STRIP))
            strip_colors.append(_COLORS[names.index(name) % len(_COLORS)])
    wide, high = x.max() + 1, y.max() + 1
    scale = min(_MOST_SCALE_IN, _WIDEST_IN / wide)
    figure = Figure(
        figsize=(max(5.6, scale * wide + 1.6), max(2.4, scale * high + 1.5)), layout="constrained"
    )
    axes = figure.subplots()
    axes.add_collection(PatchCollection(cores, facecolor=fills, edgecolor=LINE, linewidth=0.6))
    axes.add_collection(PatchCollection(strips, facecolor=strip_colors))
    axes.set_xlim(-0.1, wide)
    axes.set_ylim(-0.1, high)
    axes.set_aspect("equal")
    axes.axis("off")
    chip = f" of {limits.cores_per_chip:,}" if limits.cores_per_chip else ""
    plural = "" if placement.cores_used == 1 and not chip else "s"
    if placement.cores_used < total < (limits.cores_per_chip or 0):
        fullest += f"; the first {total:,} cores are drawn"
    axes.set_title(
        f"{limits.name}: {placement.cores_used:,}{chip} core{plural} used\n{fullest}",
        fontsize=9.5,
        color=INK,
    )
    handles: list[Artist] = [
        Patch(color=_COLORS[place % len(_COLORS)], label=name) for place, name in enumerate(names)
    ]
    if total > placement.cores_used:
        handles.append(Patch(facecolor="white", edgecolor=LINE, label="unused"))
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=8.5)
    if fraction is not None:
        bar = figure.colorbar(shades, ax=axes, shrink=0.8, aspect=15, pad=0.02)
        bar.set_label("Utilization of the fullest resource (%)", fontsize=8, color=MUTED)
        bar.ax.tick_params(labelsize=7.5, labelcolor=MUTED, color=LINE)
        bar.outline.set_visible(False)
    return figure


def _corners(placement: Placement, total: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower left corners of the first cores of a chip, in units of a core."""
    numbers = np.arange(total)
    mesh = placement.limits.mesh
    if mesh is None:
        side = math.ceil(math.sqrt(total))
        rows = numbers // side
        return (numbers % side).astype(np.float64), (rows[-1] - rows).astype(np.float64)
    columns, rows = mesh_positions(numbers, mesh, placement.band)
    within = numbers % mesh.cores_per_node
    side = math.ceil(math.sqrt(mesh.cores_per_node))
    gap = _GAP if side > 1 else 0.0
    high = math.ceil(mesh.cores_per_node / side)
    x = columns * (side + gap) + within % side
    y = rows * (high + gap) + within // side
    return x.astype(np.float64), y.astype(np.float64)


def _populations(placement: Placement) -> list[list[str]]:
    """Return the populations on each core in use."""
    on_core: list[list[str]] = [[] for _ in range(placement.cores_used)]
    for name, cores in placement.cores.items():
        for core in np.unique(cores).tolist():
            on_core[core].append(name)
    return on_core


def _use(placement: Placement) -> tuple[NDArray[np.float64] | None, str]:
    """Return the utilization of each core in use, and a text on the fullest resource."""
    known = {
        limit.removesuffix("_per_core"): available
        for limit, (_, available) in placement.utilization.items()
        if limit.endswith("_per_core")
    }
    if not known:
        return None, "no known limits per core"
    parts = np.stack([placement.used[name] / available for name, available in known.items()])
    resource, core = np.unravel_index(parts.argmax(), parts.shape)
    name = list(known)[int(resource)]
    return parts.max(axis=0), (
        f"fullest resource: {name.replace('_', ' ')} of core {core}, "
        f"{placement.used[name][core]:,} of {known[name]:,}"
    )
