"""Figures of an attack, and their conversion to SVG for a report."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Sequence
from typing import Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.result import SearchResult
from neuroattack.encoding.images import planes_of
from neuroattack.encoding.readout import UNDECIDED
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.experiments.attack import AttackedImage

__all__ = [
    "comparison_figure",
    "gallery_figure",
    "history_figure",
    "images_figure",
    "inline_svg",
    "picture",
    "raster_figure",
]

# Okabe and Ito's palette for color-blind readers. A page may set the CSS variables to colors for
# a dark background.
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
_FONT_PT = 9.5
_SMALL_PT = 8.5
_WIDTH_IN = 4.8
# Smallest height of a panel relative to its width, for its labels.
_LEAST_HEIGHT = 0.6


def images_figure(search: SearchResult) -> Figure:
    """Draw the clean image, the adversarial image and their difference.

    Parameters
    ----------
    search : SearchResult
        Result with images of any shape and intensities in [0, 1]; see :func:`picture`.
    """
    return comparison_figure(search.original, search.adversarial)


def comparison_figure(
    original: NDArray[np.float64], adversarial: NDArray[np.float64] | None = None
) -> Figure:
    """Draw an image; or a clean image, an adversarial image and their difference."""
    shape = original.shape
    if adversarial is None:
        pixels = picture(original)
        figure = Figure(figsize=(2.4, 2.4 * _height(pixels)), layout="constrained")
        _draw_image(figure.subplots(), pixels, shape, "gray", 0.0, 1.0)
        return figure
    difference = picture(adversarial - original, signed=True)
    # The difference may be zero everywhere, and a color scale needs an extent.
    limit = float(np.nanmax(np.abs(difference))) or 1.0
    figure = Figure(figsize=(5.4, 1.4 * _height(difference) + 0.75), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, title, pixels, colors, low in (
        (panels[0], "Clean image", picture(original), "gray", 0.0),
        (panels[1], "Adversarial image", picture(adversarial), "gray", 0.0),
        (panels[2], "Difference", difference, "RdBu_r", -limit),
    ):
        shown = _draw_image(axes, pixels, shape, colors, low, limit if low else 1.0)
        axes.set_title(title, fontsize=_FONT_PT, color=_INK)
    for axes in panels[1:]:
        axes.set_ylabel("")
    scale = figure.colorbar(shown, cax=panels[2].inset_axes((1.05, 0.0, 0.07, 1.0)))
    scale.set_label("Change of intensity", fontsize=_SMALL_PT, color=_MUTED)
    scale.set_ticks([-limit, 0.0, limit], labels=[f"\u2212{limit:.2g}", "0", f"+{limit:.2g}"])
    scale.outline.set_visible(False)
    _style(scale.ax)
    return figure


def _draw_image(
    axes: Axes,
    pixels: NDArray[np.float64],
    shape: tuple[int, ...],
    colors: str,
    low: float,
    high: float,
) -> AxesImage:
    """Draw a picture of an image of this shape, and name its axes."""
    shown = axes.imshow(
        pixels, cmap=colors, vmin=low, vmax=high, interpolation="nearest", aspect=_aspect(pixels)
    )
    _style(axes)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    _name_columns(axes, shape)
    if len(shape) > 1:
        axes.set_ylabel("Row (pixels)", fontsize=_SMALL_PT, color=_MUTED)
    return shown


def picture(image: NDArray[np.float64], *, signed: bool = False) -> NDArray[np.float64]:
    """Return an image of any shape as rows and columns to draw.

    Three channels are red, green and blue, shape (height, width, 3); of a `signed` difference, the
    largest change over the channels is drawn. Other numbers of channels are side by side, separated
    by a column of NaN. A vector is a single row.
    """
    planes = planes_of(image)
    if len(planes) == 1:
        return np.asarray(planes[0])
    if len(planes) == 3:
        if not signed:
            return np.moveaxis(planes, 0, -1)
        largest = np.abs(planes).argmax(axis=0)[None]
        return np.asarray(np.take_along_axis(planes, largest, axis=0)[0])
    channels, height, width = planes.shape
    apart = np.full((height, channels, width + 1), np.nan)
    apart[:, :, :width] = planes.transpose(1, 0, 2)
    return apart.reshape(height, -1)[:, :-1]


def _height(pixels: NDArray[np.float64]) -> float:
    """Return the height of the panel of a picture relative to its width."""
    rows, columns = pixels.shape[:2]
    return max(float(rows / columns), _LEAST_HEIGHT)


def _aspect(pixels: NDArray[np.float64]) -> Literal["auto", "equal"]:
    # A single row is stretched to a strip.
    return "auto" if len(pixels) == 1 else "equal"


def _name_columns(axes: Axes, shape: tuple[int, ...]) -> None:
    """Name the columns of a picture, which are of several channels, or values of a vector."""
    name = "Column (pixels)" if len(shape) > 1 else "Value"
    channels = math.prod(shape[:-2])
    if len(shape) == 1 or shape[-2] == 1:
        axes.set_yticks([])
    if channels not in (1, 3):
        name = f"Channels 0 to {channels - 1}"
        axes.set_xticks([])
    axes.set_xlabel(name, fontsize=_SMALL_PT, color=_MUTED)


def gallery_figure(attacked: Sequence[AttackedImage]) -> Figure:
    """Draw clean images, adversarial images and perturbations, one column per image.

    The title of an image shows the predicted class, in color where it is wrong, and the fraction of
    fresh trials that reach the goal of the attack. Perturbations share one color scale.

    Parameters
    ----------
    attacked : sequence of AttackedImage
        At least one.
    """
    changes = [
        picture(each.search.adversarial - each.search.original, signed=True) for each in attacked
    ]
    limit = max(float(np.nanmax(np.abs(change))) for change in changes) or 1.0
    side = 1.15 * _height(changes[0])
    size = (1.15 * max(len(attacked), 3) + 0.4, 3 * side + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    columns = figure.subplots(3, len(attacked), squeeze=False).T
    for axes, each, change in zip(columns, attacked, changes, strict=True):
        for panel, pixels, colors, low, high in (
            (axes[0], picture(each.search.original), "gray", 0.0, 1.0),
            (axes[1], picture(each.search.adversarial), "gray", 0.0, 1.0),
            (axes[2], change, "RdBu_r", -limit, limit),
        ):
            panel.imshow(
                pixels,
                cmap=colors,
                vmin=low,
                vmax=high,
                interpolation="nearest",
                aspect=_aspect(pixels),
            )
            panel.set_xticks([])
            panel.set_yticks([])
        for panel, verified in ((axes[0], each.clean), (axes[1], each.success)):
            predicted, label = verified.predicted, each.search.goal.label
            panel.set_title(
                f"{'none' if predicted == UNDECIDED else predicted}  ({verified.rate:.0%})",
                fontsize=_FONT_PT,
                color=_INK if predicted == label else _TARGET,
            )
    for panel, name in zip(
        columns[0], ("Clean image", "Adversarial\nimage", "Perturbation"), strict=True
    ):
        panel.set_ylabel(name, fontsize=_SMALL_PT)
    return figure


def history_figure(found: SearchResult) -> Figure:
    """Draw the gap of the best image so far over the queries of a search.

    Parameters
    ----------
    found : SearchResult
        Result with the history to draw; gaps that are not finite are left out.
    """
    height_in = 1.95
    figure = Figure(figsize=(_WIDTH_IN, height_in))
    axes = figure.add_axes((0.13, 0.47 / height_in, 0.84, 1 - 0.62 / height_in))
    seen = [each for each in found.history if np.isfinite(each.gap)]
    queries = [each.queries for each in seen]
    best = np.maximum.accumulate([each.gap for each in seen]) if seen else np.zeros(0)
    axes.plot(
        [*queries, found.queries] if seen else [],
        [*best, best[-1]] if seen else [],
        color=_INK,
        linewidth=2,
        drawstyle="steps-post",
    )
    axes.axhline(0.0, color=_MUTED, linewidth=1.2, linestyle=(0, (5, 3)))
    _style(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(0, max(found.queries, 1))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y", color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("Search queries", fontsize=_FONT_PT, color=_INK)
    axes.set_ylabel("Gap", fontsize=_FONT_PT, color=_INK)
    return figure


def raster_figure(spikes: SpikeTrains, goal: Goal, dt_s: float) -> Figure:
    """Draw the output spikes of one trial of the clean and one of the adversarial image.

    Parameters
    ----------
    spikes : SpikeTrains
        Spikes of the readout: image 0 is the clean image, image 1 the adversarial one.
    goal : Goal
        True class and target class, which are emphasized.
    dt_s : float
        Time step in seconds.
    """
    figure = Figure(figsize=(_WIDTH_IN, 1.3 + 0.4 * spikes.size), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    classes = range(spikes.size)
    roles = {goal.label: (" true", _TRUE), goal.target_class: (" target", _TARGET)}
    image, step, neuron = spikes.events()
    counts = spikes.counts()
    for row, (axes, title) in enumerate(
        zip(panels, ("Clean image", "Adversarial image"), strict=True)
    ):
        times_ms = [step[(image == row) & (neuron == c)] * (dt_s * 1e3) for c in classes]
        axes.eventplot(
            times_ms,
            lineoffsets=list(classes),
            linelengths=0.72,
            linewidths=[1.5 if c in roles else 1.0 for c in classes],
            colors=[roles.get(c, ("", _MUTED))[1] for c in classes],
        )
        for c in classes:
            role, color = roles.get(c, ("", _MUTED))
            axes.text(
                1.02,
                c,
                f"{counts[row, c]}{role}",
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=_SMALL_PT,
                fontweight="bold" if role else "normal",
                color=color,
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
        axes.set_ylabel("Class", fontsize=_FONT_PT, color=_INK)
    panels[-1].set_xlabel("Time (ms)", fontsize=_FONT_PT, color=_INK)
    return figure


def inline_svg(figure: Figure, alt: str, name: str) -> str:
    """Return a figure as an ``<svg>`` element for an HTML page, deterministically.

    Colors of text and lines become CSS variables, so that a page can adapt them to a dark
    background.

    Parameters
    ----------
    figure : Figure
        Figure, drawn without its background.
    alt : str
        Text alternative of the figure.
    name : str
        Name that is unique on the page, from which identifiers in the SVG derive.
    """
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        # Twice the 72 dots per inch of SVG, for screens of high resolution.
        figure.savefig(file, format="svg", dpi=144, transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    # Figures number their groups from 1, and identifiers must be unique on a page.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for color, variable in _CSS_VARIABLES.items():
        svg = svg.replace(color, f"var({variable}, {color})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)


def _style(axes: Axes) -> None:
    axes.tick_params(labelsize=_SMALL_PT, labelcolor=_MUTED, color=_LINE, length=3)
    for side in axes.spines.values():
        side.set_color(_LINE)
