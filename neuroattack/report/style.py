"""Style of figures: colors, markers and dashes that also distinguish series in grayscale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

__all__ = [
    "BLUE",
    "FONT_PT",
    "GREEN",
    "INK",
    "LINE",
    "MUTED",
    "ON_BARS",
    "ORANGE",
    "OTHERS",
    "PALETTE",
    "PURPLE",
    "SKY",
    "SMALL_PT",
    "VERMILION",
    "Dashes",
    "Look",
    "estimates",
    "hollow",
    "key",
    "key_below",
    "name_axes",
    "panels",
    "percents",
    "style",
    "ticks",
]

# Okabe and Ito's palette for color-blind readers. Pages with a dark background replace the first
# six colors.
INK, MUTED, LINE, OTHERS = "#1f2328", "#59636e", "#d1d7de", "#a3abb4"
BLUE, VERMILION = "#0072b2", "#d55e00"
GREEN, PURPLE, ORANGE, SKY = "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#000000")

FONT_PT = 9.5
SMALL_PT = 8.5

ON_BARS: dict[str, Any] = {"color": "#111111", "inside": "white"}
"""Colors of hollow markers on bars, for light and dark pages."""

Dashes = str | tuple[int, tuple[float, ...]]


class Look(NamedTuple):
    """Color, marker and line style of a series."""

    color: str
    marker: str
    dashes: Dashes = "-"


def style(axes: Axes, grid: Literal["both", "x", "y"] | None = "y") -> None:
    """Apply the style of the reports to axes: gray lines, no box, a grid behind the data."""
    axes.tick_params(labelsize=SMALL_PT, labelcolor=MUTED, color=LINE, length=3)
    for side in axes.spines.values():
        side.set_color(LINE)
    if grid is not None:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis=grid, color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)


def name_axes(axes: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Set the labels of both axes, with units, and the title of the panel."""
    axes.set_xlabel(x, fontsize=FONT_PT, color=INK)
    axes.set_ylabel(y, fontsize=FONT_PT, color=INK)
    axes.set_title(title, loc="left", fontsize=FONT_PT, color=INK)


def hollow(color: str, marker: str, size: float = 7.5, inside: str = "none") -> dict[str, Any]:
    """Return the style of published values: hollow markers, larger than those of our results."""
    return {
        "linestyle": "none",
        "marker": marker,
        "markersize": size,
        "markerfacecolor": inside,
        "markeredgecolor": color,
        "markeredgewidth": 1.3,
        "clip_on": False,
    }


def key(label: str, look: Look | None = None, **line: Any) -> Line2D:
    """Return an entry of a legend."""
    if look is not None:
        line = {
            "color": look.color,
            "marker": look.marker,
            "linestyle": look.dashes,
            "markersize": 5,
            **line,
        }
    return Line2D([], [], label=label, **line)


def key_below(figure: Figure, handles: Sequence[Any], columns: int) -> None:
    """Draw a legend below all panels."""
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=SMALL_PT,
        labelcolor=INK,
        handlelength=3.8,
    )


def panels(
    rows: int, columns: int, size_in: tuple[float, float], **options: Any
) -> tuple[Figure, Any]:
    """Return a figure and its axes, an array of shape (rows, columns)."""
    figure = Figure(figsize=size_in, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def percents(values: Iterable[float | None]) -> list[float]:
    """Return fractions in percent; None becomes NaN, which is not drawn."""
    return [float("nan") if value is None else 100 * value for value in values]


def estimates(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    look: Look,
    ends: ArrayLike | None = None,
    *,
    across: bool = False,
    **drawn: Any,
) -> None:
    """Draw estimates with their intervals, joined by lines unless `drawn` overrides it.

    `ends`, shape (points, 2), are the ends of the intervals, vertical ones or, with `across`,
    horizontal ones.
    """
    middle = np.asarray(x if across else y, np.float64)
    bars: dict[str, Any] = {}
    if ends is not None:
        low, high = np.asarray(ends, np.float64).T
        bars["xerr" if across else "yerr"] = np.maximum([middle - low, high - middle], 0)
    options: dict[str, Any] = {
        "marker": look.marker,
        "linestyle": look.dashes,
        "markersize": 5,
        "linewidth": 1.6,
    }
    options |= {"elinewidth": 1.1, "capsize": 2, **drawn}
    axes.errorbar(x, y, color=look.color, **bars, **options)


def ticks(axes: Axes, values: Iterable[float], size: float = 8) -> None:
    """Make the horizontal axis logarithmic, with a tick at each value."""
    style(axes)
    places = sorted(set(values))
    axes.set_xscale("log")
    axes.set_xticks(places, [f"{place:g}" for place in places], fontsize=size)
    axes.minorticks_off()
