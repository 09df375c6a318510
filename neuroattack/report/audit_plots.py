"""Plots of an audit: success against query budget, the bracket, and accuracy against noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from neuroattack.experiments.audit.card import TOLERATED, Figure
from neuroattack.experiments.campaign.bracket import Estimate, Level
from neuroattack.report.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SMALL_PT,
    VERMILION,
    Look,
    key,
    key_below,
    name_axes,
    style,
)

__all__ = ["attacks_figure", "bracket_figure", "noise_figure"]

_SIZE_IN = (4.8, 3.3)
_LOOKS = (
    Look(VERMILION, "o", "-"),
    Look(BLUE, "s", (0, (4, 1.5))),
    Look(GREEN, "^", (0, (5, 1.5, 1, 1.5))),
    Look(PURPLE, "D", (0, (1, 1.2))),
    Look(ORANGE, "v", (0, (8, 2))),
)
# Opacity of intervals drawn as bands.
_BAND = 0.15
# Horizontal shift between attacks, in decades, so that intervals at one budget do not overlap.
_APART = 0.03


def attacks_figure(figures: Sequence[Figure], clean_error_rate: Figure) -> Drawing:
    """Plot the misclassified fraction against the query budget, with 95 % intervals."""
    drawing = Drawing(figsize=_SIZE_IN, layout="constrained")
    axes = drawing.subplots()
    names = list(dict.fromkeys(figure.row for figure in figures))
    for index, name in enumerate(names):
        curve = [figure for figure in figures if figure.row == name]
        queries = np.array([float(figure.key.rpartition("/")[2]) for figure in curve])
        shift = np.exp(_APART * (index - (len(names) - 1) / 2) * np.log(10))
        _line(axes, queries * shift, curve, _LOOKS[index % len(_LOOKS)])
    axes.axhline(100 * TOLERATED, color=MUTED, linewidth=1.2, linestyle=":")
    handles = [key(name, look) for name, look in zip(names, _cycle(len(names)), strict=True)]
    axes.axhline(100 * clean_error_rate.value, color=INK, linewidth=1.2)
    handles.append(key("clean error rate", color=INK, linewidth=1.2))
    handles.append(key("threshold", color=MUTED, linewidth=1.2, linestyle=":"))
    _budgets(axes, {int(figure.key.rpartition("/")[2]) for figure in figures})
    _fractions(axes, "Query budget", "Misclassified trials (%)")
    key_below(drawing, handles, 3)
    return drawing


def bracket_figure(levels: Sequence[Level]) -> Drawing:
    """Plot black-box success against the query budget, between clean error and white-box success.

    Bands are 95 % intervals. The levels differ in the query budget only.
    """
    drawing = Drawing(figsize=_SIZE_IN, layout="constrained")
    axes = drawing.subplots()
    budgets = [level.budget for level in levels]
    strongest, white, clean = (
        Look(VERMILION, "o"),
        Look(BLUE, "none", (0, (5, 1.5))),
        Look(INK, "none", (0, (1, 1.2))),
    )
    handles = []
    if levels[0].white_box is not None:
        _across(axes, levels[0].white_box, white)
        handles.append(key("white-box", white))
    _band(axes, budgets, [level.black_box for level in levels], strongest)
    _across(axes, levels[0].clean_error, clean)
    handles += [key("black-box", strongest), key("clean error rate", clean)]
    _budgets(axes, set(budgets))
    _fractions(axes, "Query budget", "Misclassified trials (%)")
    key_below(drawing, handles, len(handles))
    return drawing


def _band(
    axes: Axes, positions: Sequence[float], estimates: Sequence[Estimate], look: Look
) -> None:
    """Draw estimates joined by a line, on a band of their intervals."""
    values = 100 * np.array([each.value for each in estimates])
    low, high = 100 * np.array([each.ci95 or (each.value,) * 2 for each in estimates]).T
    axes.fill_between(positions, low, high, color=look.color, alpha=_BAND, linewidth=0)
    axes.plot(
        positions,
        values,
        color=look.color,
        marker=look.marker,
        linestyle=look.dashes,
        linewidth=1.8,
        markersize=5,
        clip_on=False,
    )


def _across(axes: Axes, estimate: Estimate, look: Look) -> None:
    """Draw an estimate that does not depend on the budget, and its interval, across the plot."""
    low, high = estimate.ci95 or (estimate.value,) * 2
    axes.axhspan(100 * low, 100 * high, color=look.color, alpha=_BAND, linewidth=0)
    axes.axhline(100 * estimate.value, color=look.color, linewidth=1.8, linestyle=look.dashes)


def noise_figure(figures: Sequence[Figure], accuracy: Figure) -> Drawing:
    """Plot accuracy against the magnitude of random noise, with 95 % intervals."""
    drawing = Drawing(figsize=_SIZE_IN, layout="constrained")
    axes = drawing.subplots()
    names = list(dict.fromkeys(figure.row for figure in figures))
    for name, look in zip(names, _cycle(len(names)), strict=True):
        curve = [accuracy, *(figure for figure in figures if figure.row == name)]
        deltas = [0.0, *(float(figure.column.split()[-1]) for figure in curve[1:])]
        _line(axes, np.array(deltas), curve, look)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    _fractions(axes, "Noise magnitude \u03b4 (full intensity: 0.2)", "Accuracy (%)")
    key_below(
        drawing, [key(name, look) for name, look in zip(names, _cycle(len(names)), strict=True)], 2
    )
    return drawing


def _budgets(axes: Axes, budgets: set[int]) -> None:
    """Make the horizontal axis logarithmic, with a tick at each query budget."""
    places = sorted(budgets)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{place:,}" for place in places]))
    axes.xaxis.set_minor_locator(NullLocator())


def _cycle(count: int) -> list[Look]:
    return [_LOOKS[index % len(_LOOKS)] for index in range(count)]


def _line(
    axes: Axes, positions: NDArray[np.float64], figures: Sequence[Figure], look: Look
) -> None:
    values = 100 * np.array([figure.value for figure in figures])
    axes.plot(
        positions,
        values,
        color=look.color,
        marker=look.marker,
        linestyle=look.dashes,
        linewidth=1.8,
        markersize=5,
        clip_on=False,
    )
    for position, figure in zip(positions, figures, strict=True):
        if figure.ci95 is not None:
            low, high = (100 * end for end in figure.ci95)
            axes.plot(
                [position, position], [low, high], color=look.color, linewidth=1.1, alpha=0.75
            )


def _fractions(axes: Axes, x: str, y: str) -> None:
    axes.set_ylim(0, 100)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(labelsize=SMALL_PT)
    style(axes)
    name_axes(axes, x, y)
