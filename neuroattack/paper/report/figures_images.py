"""Pictures that are images: Figures 4, 6 and 8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neuroattack.report.style import FONT_PT, INK, MUTED, SMALL_PT, style

__all__ = ["adversarial_figure", "noisy_figure", "window_images_figure"]

Figures = Mapping[str, Any]
Images = Mapping[str, NDArray[Any]]

# Green and dashed over white stays visible on black, white and grey alike, and in grey print.
_WINDOW = "#009e73"


def noisy_figure(images: Images) -> Figure:
    """Draw Figure 4: a "five" without noise, with noise in the corner and in the middle."""
    titles = {
        "clean": "(a) without noise",
        "corner": "(b) noise in the corner",
        "middle": "(c) noise in the middle",
    }
    figure, panels = _panels(1, len(titles))
    for axes, (name, title) in zip(panels[0], titles.items(), strict=True):
        _show(axes, images[name], title)
    _label_sides(panels)
    return figure


def window_images_figure(figures: Figures, images: Images) -> Figure:
    """Draw Figure 6: the sample, with the window of each case."""
    windows = figures["windows"]
    figure, panels = _panels(1, len(windows))
    for axes, letter, (case, window) in zip(panels[0], "abcdef", windows.items(), strict=False):
        side = window["size"]
        _show(axes, images["sample"], f"({letter}) case {case}: {side} \u00d7 {side} pixels")
        for colour, dashes in (("white", "-"), (_WINDOW, (0, (3, 2)))):
            # Pixel centres have whole coordinates.
            corner = (window["left"] - 0.5, window["top"] - 0.5)
            axes.add_patch(
                Rectangle(
                    corner,
                    side,
                    side,
                    fill=False,
                    edgecolor=colour,
                    linestyle=dashes,
                    linewidth=1.8,
                )
            )
    _label_sides(panels)
    return figure


def adversarial_figure(figures: Figures, images: Images) -> Figure:
    """Draw Figure 8: the DNN's adversarial images of both cases at each stage."""
    cases = figures["cases"]
    figure, panels = _panels(len(cases), 3)
    for row, (case, stages) in zip(panels, cases.items(), strict=True):
        for axes, (stage, found) in zip(row, stages.items(), strict=True):
            title = (
                f"case {case}, {stage}\niteration {found['iteration']}, D = {found['distance']:.2f}"
            )
            _show(axes, images[f"{case}-{stage}"], title)
    _label_sides(panels)
    return figure


def _panels(rows: int, columns: int) -> tuple[Figure, Sequence[Sequence[Axes]]]:
    figure = Figure(figsize=(2.1 * columns + 0.4, 2.45 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    return figure, np.asarray(panels).tolist()


def _show(axes: Axes, pixels: NDArray[Any], title: str) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    style(axes, grid=None)
    axes.set_title(title, fontsize=FONT_PT, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _label_sides(panels: Sequence[Sequence[Axes]]) -> None:
    for row in panels:
        row[0].set_ylabel("row (pixels)", fontsize=SMALL_PT, color=MUTED)
    for axes in panels[-1]:
        axes.set_xlabel("column (pixels)", fontsize=SMALL_PT, color=MUTED)
