"""Output folder of a comparison of backends: results as JSON, and two figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from neuroattack.experiments.comparison.comparison import Comparison
from neuroattack.provenance import Provenance
from neuroattack.report.numbers import throughput
from neuroattack.report.studies import save_study
from neuroattack.report.style import INK, PALETTE, key, name_axes, style

__all__ = ["FIGURES", "rasters_figure", "save_comparison", "throughput_figure"]

FIGURES = "result.json"
"""Name of the results in the folder."""

_TRUTH = "#c4cad1"
_SHOWN_STEPS, _SHOWN_NEURONS = 50, 32


def rasters_figure(comparison: Comparison, dt_s: float) -> Figure:
    """Draw the spikes of every backend over those of the reference dynamics, for one image.

    Reference spikes are gray cells; spikes of each backend are horizontal strokes at different
    heights. A stroke without a cell, or a cell without a stroke, is a difference. Only the time
    steps and neurons with the most spikes are shown.
    """
    truths = [name for name in comparison.rasters if name.startswith("dynamics")]
    figure = Figure(figsize=(10, 0.8 + 4.4 * len(truths)), layout="constrained")
    for axes, truth in zip(np.atleast_1d(figure.subplots(len(truths), 1)), truths, strict=True):
        shown = _busiest(comparison.rasters[truth].to_dense()[0])
        _draw_raster(axes, comparison, truth, shown, dt_s)
        numbers = truth.removeprefix("dynamics")
        title = {"": "Floating point", "-fixed": "Fixed point"}.get(numbers, numbers[1:])
        name_axes(axes, "Time (ms)", "Neuron", title)
    figure.suptitle(
        f"Spikes of population {comparison.raster_population} for the first image; the legend "
        "counts differences over all images and populations",
        fontsize=9.5,
        color=INK,
    )
    return figure


def _busiest(raster: NDArray[np.bool_]) -> tuple[range, NDArray[np.intp]]:
    """Return the consecutive time steps and the neurons with the most spikes."""
    per_step = raster.sum(axis=1)
    width = min(_SHOWN_STEPS, len(per_step))
    in_window = np.convolve(per_step, np.ones(width), "valid")
    first = int(in_window.argmax())
    most = np.argsort(-raster[first : first + width].sum(axis=0), kind="stable")
    return range(first, first + width), np.sort(most[:_SHOWN_NEURONS])


def _draw_raster(
    axes: Axes,
    comparison: Comparison,
    truth: str,
    shown: tuple[range, NDArray[np.intp]],
    dt_s: float,
) -> None:
    steps, neurons = shown
    numbers = truth.removeprefix("dynamics")
    names = [
        name for name, found in comparison.backends.items() if name == f"{found.backend}{numbers}"
    ]

    def spikes(name: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        window = comparison.rasters[name].to_dense()[0][steps.start : steps.stop, neurons]
        step, row = np.nonzero(window)
        return step, row

    step, row = spikes(truth)
    for k, n in zip(step, row, strict=True):
        axes.add_patch(Rectangle((k, n), 1, 1, color=_TRUTH, linewidth=0))
    handles: list[Artist] = [Patch(color=_TRUTH, label="reference dynamics")]
    for place, name in enumerate(names):
        step, row = spikes(name)
        color = PALETTE[place % len(PALETTE)]
        height = row + (place + 1) / (len(names) + 1)
        axes.hlines(height, step + 0.15, step + 0.85, color=color, linewidth=1.6)
        found = comparison.backends[name]
        differing = f"{found.differing_spikes} spikes and {found.differing_counts} counts differ"
        handles.append(key(f"{name}: {differing}", color=color))
    axes.set_xlim(0, len(steps))
    axes.set_ylim(0, max(len(neurons), 1))
    ticks = np.arange(0, len(steps), 5)
    axes.set_xticks(ticks + 0.5, [f"{1e3 * dt_s * (steps.start + k):g}" for k in ticks])
    rows = np.arange(0, len(neurons), 4)
    axes.set_yticks(rows + 0.5, [str(neurons[n]) for n in rows], fontsize=7.5)
    axes.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8.5
    )
    style(axes, None)


def throughput_figure(comparison: Comparison) -> Figure:
    """Draw images per second of every backend as a point on a logarithmic axis."""
    names = sorted(comparison.backends, key=lambda name: comparison.backends[name].images_per_s)
    rates = [comparison.backends[name].images_per_s for name in names]
    figure = Figure(figsize=(6.4, 0.9 + 0.42 * len(names)), layout="constrained")
    axes = figure.subplots()
    for row, (name, rate) in enumerate(zip(names, rates, strict=True)):
        fixed = comparison.backends[name].precision == "fixed"
        axes.plot(rate, row, marker="s" if fixed else "o", color=PALETTE[fixed], markersize=7)
        axes.annotate(
            throughput(rate),
            (rate, row),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=INK,
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 2, max(rates) * 4)
    style(axes, "x")
    name_axes(
        axes,
        f"Throughput (images/s): {comparison.images} images of {comparison.steps} time steps, "
        "including encoding",
    )
    return figure


def save_comparison(
    out: Path,
    comparison: Comparison,
    provenance: Provenance,
    hardware: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write ``result.json``, ``rasters.png`` and ``throughput.png``; return their paths."""
    figures = comparison.as_json() | dict(hardware or {}) | {"provenance": asdict(provenance)}
    pictures = {
        "rasters": rasters_figure(comparison, provenance.dt_s),
        "throughput": throughput_figure(comparison),
    }
    return save_study(out / FIGURES, figures, pictures)
