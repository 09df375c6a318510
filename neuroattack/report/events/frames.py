"""Frames of event samples: the events of each pixel in a few time windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from neuroattack.encoding.readout import UNDECIDED
from neuroattack.experiments.attack import AttackedImage
from neuroattack.report.events.marks import Pair, change_keys, draw_marks, legend_below
from neuroattack.report.style import FONT_PT, INK, LINE, SMALL_PT, VERMILION

__all__ = [
    "blend",
    "draw_change",
    "frames_figure",
    "gallery_figure",
    "largest_count",
    "polarity_keys",
    "prepare",
]

_PANEL_IN = 1.45
# Coverage of a pixel with a single event, and of one with most events.
_FAINTEST, _STRONGEST = 0.45, 1.0
# Largest number of markers with numbers, which would otherwise cover each other.
_NUMBERED = 6
_UNCHANGED = {"faint": 0.10, "strong": 0.28}


def frames_figure(pair: Pair, windows: int = 3) -> Figure:
    """Draw the events of a sample in time windows, one column per window.

    With an adversarial sample, the rows are the clean sample, the adversarial sample and their
    difference, in which events of the clean sample are gray.
    """
    chosen = pair.windows(windows)
    rows = [*pair.samples, *([] if pair.attacked is None else [("Difference", None)])]
    side = _PANEL_IN * pair.height
    figure = Figure(
        figsize=(_PANEL_IN * len(chosen) + 0.55, side * len(rows) + 0.62), layout="constrained"
    )
    grid = figure.subplots(len(rows), len(chosen), squeeze=False)
    most = largest_count(pair, chosen)
    for line, (name, sample) in zip(grid, rows, strict=True):
        for axes, window in zip(line, chosen, strict=True):
            prepare(axes)
            if sample is None:
                draw_change(axes, pair, window, 72 * _PANEL_IN)
            else:
                _show(axes, pair, blend(pair, sample[window], most))
        # Low frames have no space for vertical text.
        upright = {"rotation": 0, "ha": "right", "va": "center"} if pair.height < 0.7 else {}
        line[0].set_ylabel(name, fontsize=FONT_PT, color=INK, **upright)
    for axes, window in zip(grid[0], chosen, strict=True):
        axes.set_title(pair.span(window), fontsize=FONT_PT, color=INK)
    legend_below(figure, [*polarity_keys(pair, most), *(change_keys() if len(rows) > 1 else [])])
    return figure


def gallery_figure(attacked: Sequence[AttackedImage]) -> Figure:
    """Draw clean samples, adversarial samples and differences, one column per sample.

    A frame shows all events of a sample, without polarity: over the whole time, most pixels have
    events of both. Titles are those of
    :func:`neuroattack.report.plots.gallery_figure`.
    """
    pairs = [_merged(Pair(each.search.original, each.search.adversarial)) for each in attacked]
    size = (1.3 * max(len(pairs), 3) + 0.4, 3 * 1.3 * pairs[0].height + 1.1)
    figure = Figure(figsize=size, layout="constrained")
    columns = figure.subplots(3, len(pairs), squeeze=False).T
    whole = slice(0, pairs[0].steps)
    most = max(largest_count(pair, [whole]) for pair in pairs)
    for axes, each, pair in zip(columns, attacked, pairs, strict=True):
        for panel in axes:
            prepare(panel)
        for panel, (_, sample), verified in zip(
            axes[:2], pair.samples, (each.clean, each.success), strict=True
        ):
            _show(panel, pair, blend(pair, sample, most))
            predicted = verified.predicted
            panel.set_title(
                f"{'none' if predicted == UNDECIDED else predicted}  ({verified.rate:.0%})",
                fontsize=FONT_PT,
                color=INK if predicted == each.search.goal.label else VERMILION,
            )
        draw_change(axes[2], pair, whole, 72 * 1.1)
    for panel, name in zip(columns[0], ("Clean", "Adversarial", "Difference"), strict=True):
        panel.set_ylabel(name, fontsize=SMALL_PT)
    legend_below(figure, [*polarity_keys(pairs[0], most), *change_keys()])
    return figure


def _merged(pair: Pair) -> Pair:
    """Return the samples with their channels one after the other in time."""
    frame = pair.clean.shape[-2:]
    original, *adversarial = (sample.reshape(-1, *frame) for _, sample in pair.samples)
    return Pair(original, adversarial[0] if adversarial else None)


def largest_count(pair: Pair, windows: Sequence[slice]) -> int:
    """Return the largest number of clean events of a pixel and polarity in a window, at least 1.

    An attack may insert many events at one pixel, next to which all others would be pale.
    """
    return max(1, *(int(_counts(pair, pair.clean[window]).max()) for window in windows))


def blend(pair: Pair, sample: NDArray[np.bool_], most: int) -> NDArray[np.float64]:
    """Return events as a picture, shape (rows, columns, 3), on white.

    Pixels with more events are darker, up to `most` events; those with events of both polarities
    are darkest.
    """
    found = np.ones((*sample.shape[-2:], 3))
    for counts, (_, color) in zip(_counts(pair, sample), pair.polarities, strict=True):
        found *= 1 - _coverage(counts, most, _FAINTEST, _STRONGEST) * (1 - np.array(to_rgb(color)))
    return found


def draw_change(axes: Axes, pair: Pair, window: slice, width_pt: float) -> list[Any]:
    """Draw inserted and deleted events on the gray frame of the clean sample.

    A number next to a marker is that of the events that it stands for, if there are several.

    Returns what was drawn, for an animation to remove. `width_pt` is the width of the axes.
    """
    counts = _counts(pair, pair.clean[window]).sum(axis=0)
    most = max(int(counts.max()), 1)
    gray = 1 - _coverage(counts, most, _UNCHANGED["faint"], _UNCHANGED["strong"])
    drawn: list[Any] = [_show(axes, pair, np.broadcast_to(gray, (*counts.shape, 3)))]
    pixel_pt = width_pt / counts.shape[1]
    size_pt = float(np.clip(0.75 * pixel_pt, 2.2, 5.0)) if pair.aspect == "equal" else 5.0
    for kind, changed in pair.changes(window).items():
        for counts, (_, color) in zip(_counts(pair, changed), pair.polarities, strict=True):
            row, column = np.nonzero(counts)
            drawn.append(draw_marks(axes, kind, column, row, color, size_pt))
            several = counts[row, column] > 1
            if several.sum() <= _NUMBERED:
                drawn += [
                    _number(axes, kind, int(counts[y, x]), (x, y), size_pt, color)
                    for y, x in zip(row[several], column[several], strict=True)
                ]
    return drawn


def _number(
    axes: Axes, kind: str, count: int, at: tuple[int, int], size_pt: float, color: str
) -> Any:
    # An inserted and a deleted event at the same pixel have numbers above each other.
    return axes.annotate(
        str(count),
        at,
        xytext=(size_pt / 2 + 1.5, 3.5 if kind == "inserted" else -3.5),
        textcoords="offset points",
        va="center",
        fontsize=7,
        color=color,
        annotation_clip=False,
    )


def prepare(axes: Axes) -> None:
    """Remove ticks and draw a thin frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(LINE)


def _show(axes: Axes, pair: Pair, pixels: NDArray[np.float64]) -> Any:
    return axes.imshow(pixels, interpolation="nearest", aspect=pair.aspect)


def _counts(pair: Pair, sample: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of events per polarity and pixel, shape (polarities, rows, columns)."""
    counts: NDArray[np.int64] = sample.sum(axis=0, dtype=np.int64)
    return counts if len(pair.polarities) == len(counts) else counts.sum(axis=0, keepdims=True)


def _coverage(
    counts: NDArray[np.int64], most: int, faintest: float, strongest: float
) -> NDArray[np.float64]:
    """Return how much of each pixel is colored, with a last axis for the colors."""
    rising = np.minimum((counts - 1) / (most - 1), 1) if most > 1 else np.ones(counts.shape)
    covered: NDArray[np.float64] = np.where(
        counts > 0, faintest + (strongest - faintest) * rising, 0.0
    )
    return covered[..., None]


def polarity_keys(pair: Pair, most: int) -> list[Patch]:
    """Return the entries of a legend for the polarities."""
    several = f" (1 to {most})" if most > 1 else ""
    return [Patch(facecolor=color, label=f"{name}{several}") for name, color in pair.polarities]
