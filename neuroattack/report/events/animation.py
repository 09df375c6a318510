"""Animated GIF of an event sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from neuroattack.files import atomic_path
from neuroattack.report.events.frames import (
    blend,
    draw_change,
    largest_count,
    polarity_keys,
    prepare,
)
from neuroattack.report.events.marks import Pair, change_keys, legend_below
from neuroattack.report.style import FONT_PT, INK, MUTED

__all__ = ["save_animation"]

_FRAMES = 30
_FRAME_MS = 120
_PANEL_IN = 2.2
_DPI = 110


def save_animation(path: Path, pair: Pair, frames: int = _FRAMES) -> int:
    """Write the frames of a sample as a GIF that repeats, and return their number.

    With an adversarial sample, the panels are the clean sample, the adversarial sample and their
    difference.
    """
    windows = pair.windows(frames)
    pictures = _pictures(pair, windows)
    with atomic_path(path) as target:
        pictures[0].save(
            target,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=_FRAME_MS,
            loop=0,
        )
    return len(pictures)


def _pictures(pair: Pair, windows: list[slice]) -> list[Image.Image]:
    names = [name for name, _ in pair.samples]
    names += [] if pair.attacked is None else ["Difference"]
    figure = Figure(figsize=(_PANEL_IN * len(names) + 0.2, _PANEL_IN * pair.height + 0.8), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    grid = figure.subplots(1, len(names), squeeze=False)[0]
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        *(0.1 / width, 0.33 / height, 1 - 0.1 / width, 1 - 0.47 / height), wspace=0.06
    )
    for axes, name in zip(grid, names, strict=True):
        prepare(axes)
        axes.set_title(name, fontsize=FONT_PT, color=INK)
    clock = figure.text(0.5, 1 - 0.17 / height, "", ha="center", fontsize=FONT_PT, color=MUTED)
    most = largest_count(pair, windows)
    keys = [*polarity_keys(pair, most), *(change_keys() if len(names) > 1 else [])]
    legend_below(figure, keys, "lower center")
    pictures = []
    for window in windows:
        clock.set_text(pair.span(window))
        drawn = []
        for axes, (_, sample) in zip(grid, pair.samples, strict=False):
            pixels = blend(pair, sample[window], most)
            drawn.append(axes.imshow(pixels, interpolation="nearest", aspect=pair.aspect))
        if pair.attacked is not None:
            drawn += draw_change(grid[-1], pair, window, 72 * _PANEL_IN)
        canvas.draw()  # type: ignore[no-untyped-call]
        rgba = np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        shown = Image.fromarray(rgba).convert("RGB")
        pictures.append(shown.quantize(64, dither=Image.Dither.NONE))
        for each in drawn:
            each.remove()
    return pictures
