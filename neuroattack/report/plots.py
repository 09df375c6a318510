"""Pictures of an attack, one subject each, and the SVG that a report inlines."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neuroattack.attacks.perception import Window
from neuroattack.attacks.result import Goal, Search
from neuroattack.encoding.spikes import SpikeTrains

__all__ = ["distance_figure", "images_figure", "inline_svg", "raster_figure", "shares_figure"]

# Emphasis in Okabe and Ito's palette, which colour-blind readers can tell apart; dark enough
# for white paper. A page may set the CSS variables to colours for a dark background.
_INK, _MUTED, _LINE, _OTHERS = "#1f2328", "#59636e", "#d1d7de", "#a3abb4"
_TRUE, _TARGET = "#0072b2", "#d55e00"
_CSS_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _LINE: "--line",
    _OTHERS: "--others",
    _TRUE: "--true",
    _TARGET: "--target",
}
# Green stays visible on black, white, red and blue alike.
_WINDOW = "#009e73"

_FONT_PT = 9.5
_SMALL_PT = 8.5
_WIDTH_IN = 4.8


def images_figure(search: Search) -> Figure:
    """Draw the original, the adversarial image and their difference, with the window on each.

    Parameters
    ----------
    search : Search
        Whose images have intensities in [0, 1], shape (height, width).
    """
    height, width = search.original.shape
    difference = search.adversarial - search.original
    # A search may end where it began; a scale of no extent cannot be drawn.
    limit = float(np.abs(difference).max()) or 1.0
    figure = Figure(figsize=(5.4, 1.4 * height / width + 0.75), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, title, pixels, colours, low in (
        (panels[0], "original", search.original, "gray", 0.0),
        (panels[1], "adversarial", search.adversarial, "gray", 0.0),
        (panels[2], "difference", difference, "RdBu_r", -limit),
    ):
        shown = axes.imshow(
            pixels, cmap=colours, vmin=low, vmax=limit if low else 1.0, interpolation="nearest"
        )
        axes.add_patch(_window_outline(search.window))
        _style(axes)
        axes.set_title(title, fontsize=_FONT_PT, color=_INK)
        axes.set_xlabel("column (pixels)", fontsize=_SMALL_PT, color=_MUTED)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panels[0].set_ylabel("row (pixels)", fontsize=_SMALL_PT, color=_MUTED)
    scale = figure.colorbar(shown, cax=panels[2].inset_axes((1.05, 0.0, 0.07, 1.0)))
    scale.set_label("change of intensity", fontsize=_SMALL_PT, color=_MUTED)
    scale.set_ticks([-limit, 0.0, limit], labels=[f"\u2212{limit:.2g}", "0", f"+{limit:.2g}"])
    scale.outline.set_visible(False)
    _style(scale.ax)
    return figure


def shares_figure(search: Search) -> Figure:
    """Draw every class's share of the output spikes at every iteration of a search.

    The true class is a solid line with discs; the target class, or without one the best wrong
    class of each iteration, is dashed with squares.

    Parameters
    ----------
    search : Search
        The search; each of its shares is one draw.
    """
    goal = search.goal
    percent = 100 * np.array([step.shares for step in search.trace])
    iterations = np.arange(len(percent))
    figure, axes = _iterations_figure(2.9)
    wrong = percent.copy()
    wrong[:, goal.label] = -1
    if goal.target_class is None:
        rivals, name = wrong.argmax(axis=1), "best wrong"
    else:
        rivals, name = np.full(len(percent), goal.target_class), f"{goal.target_class} target"
    labels: list[tuple[float, str, str]] = []
    for other in range(percent.shape[1]):
        if other in (goal.label, goal.target_class):
            continue
        axes.plot(iterations, percent[:, other], color=_OTHERS, linewidth=0.9)
        # The lowest lines lie on one another; names for them would not tell which is which.
        if percent[-1, other] >= 5 and other != rivals[-1]:
            labels.append((percent[-1, other], str(other), _MUTED))
    for line, text, colour, dashes, marker in (
        (percent[:, goal.label], f"{goal.label} true", _TRUE, "-", "o"),
        (percent[iterations, rivals], name, _TARGET, (0, (3, 1.5)), "s"),
    ):
        axes.plot(
            iterations,
            line,
            color=colour,
            linewidth=2,
            linestyle=dashes,
            marker=marker,
            markersize=4,
            markevery=_marker_spacing(search),
            clip_on=False,
        )
        labels.append((line[-1], text, colour))
    axes.set_ylim(0, 100)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    _label_line_ends(axes, labels)
    _style_iterations(axes, search)
    axes.set_ylabel("share of output spikes (%)", fontsize=_FONT_PT, color=_INK)
    return figure


def distance_figure(search: Search, max_distance: float | None = None) -> Figure:
    """Draw the distance D of every iteration's image to the original.

    Parameters
    ----------
    search : Search
        The search; a distance that is infinite is left out of the line.
    max_distance : float, optional
        D_max, drawn as a limit.
    """
    distances = np.array([step.distance for step in search.trace])
    figure, axes = _iterations_figure(1.95)
    axes.plot(
        np.arange(len(distances)),
        np.where(np.isfinite(distances), distances, np.nan),
        color=_INK,
        linewidth=2,
        marker="o",
        markersize=4,
        markevery=_marker_spacing(search),
        clip_on=False,
    )
    top = float(distances[np.isfinite(distances)].max())
    if max_distance is not None:
        axes.axhline(max_distance, color=_MUTED, linewidth=1.2, linestyle=(0, (5, 3)))
        _label_line_ends(axes, [(max_distance, f"limit {max_distance:g}", _MUTED)])
        top = max(top, max_distance)
    axes.set_ylim(0, 1.1 * top or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    _style_iterations(axes, search)
    axes.set_ylabel("distance D (no unit)", fontsize=_FONT_PT, color=_INK)
    return figure


def raster_figure(spikes: SpikeTrains, goal: Goal, dt_s: float) -> Figure:
    """Draw the output spikes of one draw of the original and one of the adversarial image.

    Parameters
    ----------
    spikes : SpikeTrains
        Of the readout: image 0 is the original, image 1 the adversarial one.
    goal : Goal
        Whose classes are emphasised.
    dt_s : float
        Length of a step in seconds.
    """
    figure = Figure(figsize=(_WIDTH_IN, 1.3 + 0.4 * spikes.size), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    classes = range(spikes.size)
    roles = {goal.label: (" true", _TRUE), goal.target_class: (" target", _TARGET)}
    image, step, neuron = spikes.events()
    counts = spikes.counts()
    for row, (axes, title) in enumerate(zip(panels, ("original", "adversarial"), strict=True)):
        times_ms = [step[(image == row) & (neuron == c)] * (dt_s * 1e3) for c in classes]
        axes.eventplot(
            times_ms,
            lineoffsets=list(classes),
            linelengths=0.72,
            linewidths=[1.5 if c in roles else 1.0 for c in classes],
            colors=[roles.get(c, ("", _MUTED))[1] for c in classes],
        )
        for c in classes:
            role, colour = roles.get(c, ("", _MUTED))
            axes.text(
                1.02,
                c,
                f"{counts[row, c]}{role}",
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=_SMALL_PT,
                fontweight="bold" if role else "normal",
                color=colour,
            )
        axes.set_xlim(0, spikes.steps * dt_s * 1e3)
        axes.set_ylim(spikes.size - 0.4, -0.6)
        axes.set_yticks(list(classes))
        _style(axes)
        axes.set_title(title, loc="left", fontsize=_FONT_PT, color=_INK)
        axes.annotate(
            "spikes",
            (1.02, 1.0),
            xycoords="axes fraction",
            xytext=(0, 6),
            textcoords="offset points",
            fontsize=_SMALL_PT,
            color=_MUTED,
        )
        axes.set_ylabel("class", fontsize=_FONT_PT, color=_INK)
    panels[-1].set_xlabel("time (ms)", fontsize=_FONT_PT, color=_INK)
    return figure


def inline_svg(figure: Figure, alt: str, name: str) -> str:
    """Return a figure as an ``<svg>`` element for an HTML page; the same bytes every time.

    Ink and lines take their colours from CSS variables where the page defines them, so that
    they stay readable on a dark background.

    Parameters
    ----------
    figure : Figure
        Its background is left out.
    alt : str
        What the picture shows, in words.
    name : str
        Unlike that of any other figure of the page: the identifiers in the SVG derive from it.
    """
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        # Pixels at twice the 72 to the inch that an SVG counts in, for sharp screens.
        figure.savefig(file, format="svg", dpi=144, transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    # Groups are numbered from 1 in every figure, and a page may use an identifier only once.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for colour, variable in _CSS_VARIABLES.items():
        svg = svg.replace(colour, f"var({variable}, {colour})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)


def _window_outline(window: Window) -> Rectangle:
    # Pixel centres have whole coordinates.
    corner = (window.left - 0.5, window.top - 0.5)
    return Rectangle(corner, window.size, window.size, fill=False, edgecolor=_WINDOW, linewidth=1.6)


def _style(axes: Axes) -> None:
    axes.tick_params(labelsize=_SMALL_PT, labelcolor=_MUTED, color=_LINE, length=3)
    for side in axes.spines.values():
        side.set_color(_LINE)


def _iterations_figure(height_in: float) -> tuple[Figure, Axes]:
    """Return a figure with axes whose sides stand where those of the others stand."""
    figure = Figure(figsize=(_WIDTH_IN, height_in))
    return figure, figure.add_axes((0.11, 0.47 / height_in, 0.705, 1 - 0.75 / height_in))


def _marker_spacing(search: Search) -> int:
    """Return every how many iterations a marker stands, so that the line under them shows."""
    return 1 + len(search.trace) // 40


def _style_iterations(axes: Axes, search: Search) -> None:
    """Style axes whose x is the iteration, and mark the best one."""
    _style(axes)
    axes.spines[["top", "right"]].set_visible(False)
    last, best = len(search.trace) - 1, search.best_iteration
    # A search of one iteration has no extent.
    axes.set_xlim(0, last or 1)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("iteration", fontsize=_FONT_PT, color=_INK)
    axes.grid(axis="y", color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.axvline(best, color=_MUTED, linewidth=1.2, linestyle=":", clip_on=False)
    side = "left" if best < 0.25 * last else "right" if best > 0.75 * last else "center"
    axes.annotate(
        f"best: iteration {best}",
        (best, 1.0),
        xycoords=axes.get_xaxis_transform(),
        xytext=(0, 4),
        textcoords="offset points",
        ha=side if last else "left",
        fontsize=_SMALL_PT,
        color=_MUTED,
    )


def _label_line_ends(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write (value, text, colour) labels right of the axes, apart where the values are not."""
    low, high = axes.get_ylim()
    ordered = sorted(labels)
    values = _spread(np.array([value for value, *_ in ordered]), 0.075 * (high - low), high)
    for value, (_, text, colour) in zip(values, ordered, strict=True):
        axes.text(
            1.03,
            value,
            text,
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=_SMALL_PT,
            fontweight="normal" if colour == _MUTED else "bold",
            color=colour,
        )


def _spread(values: NDArray[np.float64], gap: float, top: float) -> NDArray[np.float64]:
    """Move ascending values apart by at least `gap`, none above `top`."""
    spread: NDArray[np.float64] = values.copy()
    for i in range(1, len(spread)):
        spread[i] = max(spread[i], spread[i - 1] + gap)
    for i in reversed(range(len(spread))):
        spread[i] = min(spread[i], top - gap * (len(spread) - 1 - i))
    return spread
