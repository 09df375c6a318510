"""How the pictures look: hues, markers and dashes that tell series apart in grey too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neuroattack.paper.settings import DNN

__all__ = [
    "BLUE",
    "FONT_PT",
    "GREEN",
    "INK",
    "LINE",
    "MUTED",
    "ON_BARS",
    "OTHERS",
    "PALETTE",
    "PURPLE",
    "SKY",
    "SMALL_PT",
    "VERMILLION",
    "Dashes",
    "Look",
    "hollow",
    "is_noiseless",
    "key",
    "key_below",
    "name_axes",
    "network_look",
    "network_name",
    "network_place",
    "style",
]

# Okabe and Ito's palette, which colour-blind readers can tell apart. The page turns the first six
# into colours for a dark background where it has one.
INK, MUTED, LINE, OTHERS = "#1f2328", "#59636e", "#d1d7de", "#a3abb4"
BLUE, VERMILLION = "#0072b2", "#d55e00"
GREEN, PURPLE, ORANGE, SKY = "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "#000000")

FONT_PT = 9.5
SMALL_PT = 8.5

ON_BARS: dict[str, Any] = {"colour": "#111111", "inside": "white"}
"""Of hollow points that lie on bars, on a light page and on a dark one."""

Dashes = str | tuple[int, tuple[float, ...]]


class Look(NamedTuple):
    """Of a series: hue, marker, and the dashes of its line."""

    colour: str
    marker: str
    dashes: Dashes = "-"


_NETWORKS: dict[str, tuple[str, Look]] = {
    "sdbn": ("spiking SDBN", Look(BLUE, "o", "-")),
    "sdbn-exact": ("SDBN as rates", Look(SKY, "s", (0, (4, 1.5)))),
    "dnn": ("DNN", Look(VERMILLION, "^", (0, (5, 1.5, 1, 1.5)))),
    "dnn-sampled": ("sampled DNN", Look(ORANGE, "D", (0, (1, 1.2)))),
    "sdbn-fine-tuned": ("spiking fine-tuned SDBN", Look(GREEN, "v", (0, (8, 2)))),
    "sdbn-fine-tuned-exact": (
        "fine-tuned SDBN as rates",
        Look(PURPLE, "P", (0, (5, 1, 1, 1, 1, 1))),
    ),
}


def is_noiseless(network: str) -> bool:
    """Say whether a network of that name answers the same image always alike."""
    return network == DNN or network.endswith("-exact")


def network_name(name: str) -> str:
    """Return what people call a network that results have under that name."""
    return _NETWORKS[name][0]


def network_look(name: str) -> Look:
    """Return how a network looks in every picture."""
    return _NETWORKS[name][1]


def network_place(name: str) -> int:
    """Return where a network stands in an order of all."""
    return list(_NETWORKS).index(name)


def style(axes: Axes, grid: Literal["both", "x", "y"] | None = "y") -> None:
    """Give axes the manner of the report: quiet lines, no box, a grid behind the data."""
    axes.tick_params(labelsize=SMALL_PT, labelcolor=MUTED, color=LINE, length=3)
    for side in axes.spines.values():
        side.set_color(LINE)
    if grid is not None:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis=grid, color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)


def name_axes(axes: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Write what an axis counts, with its unit, and what the panel shows."""
    axes.set_xlabel(x, fontsize=FONT_PT, color=INK)
    axes.set_ylabel(y, fontsize=FONT_PT, color=INK)
    axes.set_title(title, loc="left", fontsize=FONT_PT, color=INK)


def hollow(colour: str, marker: str, size: float = 7.5, inside: str = "none") -> dict[str, Any]:
    """Return how the paper's points are drawn: hollow, and larger than ours."""
    return {
        "linestyle": "none",
        "marker": marker,
        "markersize": size,
        "markerfacecolor": inside,
        "markeredgecolor": colour,
        "markeredgewidth": 1.3,
        "clip_on": False,
    }


def key(label: str, look: Look | None = None, **line: Any) -> Line2D:
    """Return an entry of a key."""
    if look is not None:
        line = {
            "color": look.colour,
            "marker": look.marker,
            "linestyle": look.dashes,
            "markersize": 5,
            **line,
        }
    return Line2D([], [], label=label, **line)


def key_below(figure: Figure, handles: Sequence[Any], columns: int) -> None:
    """Write a key below all panels."""
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=SMALL_PT,
        labelcolor=INK,
        handlelength=3.8,
    )
