"""Plots of figures, one function per kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.registry import Figures

__all__ = ["Curve", "curves_figure", "throughput_figure"]

# Colors as in the reports: Okabe and Ito's blue, with grays.
_INK, _MUTED, _LINE, _OTHERS, _OURS = "#1f2328", "#59636e", "#d1d7de", "#8b949e", "#0072b2"
_FONT_PT, _SMALL_PT = 9.5, 8.5


@dataclass(frozen=True, eq=False)
class Curve:
    """A measured curve.

    Parameters
    ----------
    title, x_label, y_label : str
        Title and axis labels.
    x : sequence of float
        Values at which it was measured.
    y, low, high : sequence of float
        Medians, and the ends of their spread.
    note : str
        Its slope as text.
    """

    title: str
    x_label: str
    y_label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    note: str


def throughput_figure(lines: Sequence[tuple[str, Figures, bool]]) -> Figure:
    """Plot throughputs as dots on a logarithmic scale, with their spread as a line.

    Parameters
    ----------
    lines : sequence of (str, dict, bool)
        Name, figures with ``images_per_s`` and its spread, and whether it is neuroattack.
    """
    figure = Figure(figsize=(7.2, 0.9 + 0.32 * len(lines)), layout="constrained")
    axes = figure.subplots()
    ordered = sorted(lines, key=lambda line: line[1]["images_per_s"])
    for place, (_, found, ours) in enumerate(ordered):
        color = _OURS if ours else _OTHERS
        axes.plot(found["images_per_s_spread"], [place, place], color=color, linewidth=2)
        axes.plot(found["images_per_s"], place, "o", color=color, markersize=6)
        axes.annotate(
            f"{found['images_per_s']:,.0f}",
            (found["images_per_s"], place),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=_SMALL_PT,
            color=_INK if ours else _MUTED,
        )
    axes.set_yticks(range(len(ordered)), [name for name, *_ in ordered])
    axes.set_ylim(-0.6, len(ordered) - 0.3)
    axes.set_xscale("log")
    _style(axes)
    axes.tick_params(axis="y", labelsize=_SMALL_PT, labelcolor=_INK, length=0)
    axes.set_xlabel("images per second (T = 100, batches of 100, one core)")
    axes.xaxis.label.set(fontsize=_FONT_PT, color=_INK)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(_plain_number))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color=_LINE, linewidth=0.6)
    return figure


def curves_figure(curves: Sequence[Curve]) -> Figure:
    """Plot curves on logarithmic scales, three per row; dotted lines are proportional growth."""
    rows = -(-len(curves) // 3)
    figure = Figure(figsize=(9.6, 2.9 * rows), layout="constrained")
    panels = np.ravel(figure.subplots(rows, 3))
    for axes, curve in zip(panels, curves, strict=False):
        x, first = np.array(curve.x), curve.y[0] / curve.x[0]
        axes.plot(x, first * x, color=_OTHERS, linewidth=1.2, linestyle=":")
        axes.fill_between(curve.x, curve.low, curve.high, color=_OURS, alpha=0.18, linewidth=0)
        axes.plot(curve.x, curve.y, color=_OURS, linewidth=2, marker="o", markersize=4)
        axes.set_xscale("log")
        axes.set_yscale("log")
        # Ticks at the measured values.
        axes.set_xticks(curve.x)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(_plain_number))
            axis.set_minor_locator(NullLocator())
        _style(axes)
        axes.set_title(curve.title, loc="left", fontsize=_FONT_PT, color=_INK)
        axes.set_xlabel(curve.x_label, fontsize=_SMALL_PT, color=_MUTED)
        axes.set_ylabel(curve.y_label, fontsize=_SMALL_PT, color=_MUTED)
        axes.grid(color=_LINE, linewidth=0.6)
        axes.text(
            0.04,
            0.93,
            curve.note,
            transform=axes.transAxes,
            va="top",
            fontsize=_SMALL_PT,
            color=_INK,
        )
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    return figure


def _plain_number(value: float, _: object) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def _style(axes: Axes) -> None:
    axes.tick_params(which="both", labelsize=_SMALL_PT, labelcolor=_MUTED, color=_LINE, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    for side in axes.spines.values():
        side.set_color(_LINE)
    axes.set_axisbelow(True)
