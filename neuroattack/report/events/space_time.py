"""Space-time plot of an event sample: one row per neuron, time on the horizontal axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neuroattack.attacks.events.distances import shifts
from neuroattack.report.events.marks import DENSE, Pair, change_keys, draw_marks, legend_below
from neuroattack.report.style import LINE, MUTED, OTHERS, SMALL_PT, name_axes, style

__all__ = ["space_time_figure"]

_CROWD = 150


def space_time_figure(pair: Pair) -> Figure:
    """Draw all events of a sample over time.

    With an adversarial sample, unchanged events are gray squares, inserted ones rings and deleted
    ones crosses. If events were only moved in time, a line joins the old and the new time.
    """
    figure = Figure(figsize=(6.2, 3.6), layout="constrained")
    axes = figure.subplots()
    changed = pair.changes()
    compared = pair.attacked is not None
    neurons = pair.clean[0].size
    block = neurons // len(pair.polarities)
    # Many markers of full size would cover each other.
    crowd = sum(np.count_nonzero(events) for events in changed.values()) / _CROWD
    size_pt = max(4.4 / max(crowd, 1.0) ** 0.5, 2.2)
    unchanged = pair.clean & ~changed["deleted"]
    for number, (name, color) in enumerate(pair.polarities):
        within = slice(number * block, (number + 1) * block)
        _draw_unchanged(axes, pair, unchanged, within, OTHERS if compared else color)
        for kind, events in changed.items():
            step, neuron = _events(events, within)
            draw_marks(axes, kind, _centers(pair, step), neuron, color, size_pt)
        _draw_moves(axes, pair, within, color)
        if len(pair.polarities) > 1:
            axes.text(
                *(1.01, (within.start + within.stop - 1) / 2, name),
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=SMALL_PT,
                fontweight="bold",
                color=color,
            )
            if number:
                axes.axhline(within.start - 0.5, color=LINE, linewidth=0.8)
    axes.set_xlim(0, pair.steps * pair.scale)
    margin = 0.02 * neurons
    axes.set_ylim(neurons - 1 + margin, -margin)
    style(axes, None)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    name_axes(axes, f"Time ({pair.unit})", "Neuron")
    if compared:
        entries = change_keys()
        if _shifts(pair) is not None:
            entries.append(Line2D([], [], color=MUTED, linewidth=1.0, label="moved"))
        legend_below(figure, entries)
    return figure


def _draw_unchanged(
    axes: Axes, pair: Pair, sample: NDArray[np.bool_], within: slice, color: str
) -> None:
    step, neuron = _events(sample, within)
    axes.scatter(
        *(_centers(pair, step), neuron, 4.5),
        color=color,
        marker="s",
        linewidths=0,
        zorder=2,
        rasterized=len(step) > DENSE,
    )


def _draw_moves(axes: Axes, pair: Pair, within: slice, color: str) -> None:
    shift = _shifts(pair)
    if shift is None:
        return
    neuron, before = np.nonzero(pair.clean.reshape(pair.steps, -1).T)
    moved = (shift != 0) & (neuron >= within.start) & (neuron < within.stop)
    old, new = (_centers(pair, step[moved]) for step in (before, before + shift))
    at = neuron[moved]
    lines = np.stack([np.stack([old, at], axis=1), np.stack([new, at], axis=1)], axis=1)
    axes.add_collection(
        LineCollection(list(lines), colors=color, linewidths=0.7, alpha=0.6, zorder=2.5)
    )


def _shifts(pair: Pair) -> NDArray[np.intp] | None:
    """Return the shifts of the events if some were moved and none inserted or deleted."""
    if pair.attacked is None:
        return None
    found = shifts(pair.clean.astype(np.float64), pair.attacked.astype(np.float64))
    return found if found is not None and found.any() else None


def _events(sample: NDArray[np.bool_], within: slice) -> tuple[Any, Any]:
    step, neuron = np.nonzero(sample.reshape(len(sample), -1)[:, within])
    return step, neuron + within.start


def _centers(pair: Pair, step: NDArray[Any]) -> NDArray[np.float64]:
    centers: NDArray[np.float64] = (step + 0.5) * pair.scale
    return centers
