"""What a comparison of backends leaves in a folder: figures as JSON, and two pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from neuroattack.experiments.comparison import Comparison
from neuroattack.files import atomic_path, write_json
from neuroattack.provenance import Provenance
from neuroattack.report.numbers import throughput

__all__ = ["FIGURES", "rasters_figure", "save_comparison", "throughput_figure"]

FIGURES = "result.json"
"""Name of the figures in the folder."""

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_INK, _TRUTH, _GRID = "#1f2328", "#c4cad1", "#d1d7de"
_SHOWN_STEPS, _SHOWN_NEURONS = 50, 32
_DPI = 150


def rasters_figure(comparison: Comparison, dt_s: float) -> Figure:
    """Draw the spikes of every backend over those of the plain dynamics, for one image.

    A spike of the plain dynamics is a grey cell, and each backend marks it with a stroke at a
    height of its own: a stroke without a cell, or a cell without a stroke, is a difference. To be
    readable it shows the steps and the neurons where most happens.

    Parameters
    ----------
    comparison : Comparison
        With the rasters of one population.
    dt_s : float
        Length of a step in seconds.
    """
    truths = [name for name in comparison.rasters if name.startswith("dynamics")]
    figure = Figure(figsize=(10, 0.8 + 4.4 * len(truths)), layout="constrained")
    for axes, truth in zip(np.atleast_1d(figure.subplots(len(truths), 1)), truths, strict=True):
        shown = _busiest(comparison.rasters[truth].to_dense()[0])
        _draw_raster(axes, comparison, truth, shown, dt_s)
        numbers = truth.removeprefix("dynamics")
        title = {"": "floating point", "-fixed": "fixed point"}.get(numbers, numbers[1:])
        axes.set_title(title, fontsize=10, color=_INK)
    figure.suptitle(
        f"Spikes of population {comparison.raster_population} on the first image; the key says "
        "what differs over all images and populations",
        fontsize=9.5,
        color=_INK,
    )
    return figure


def _busiest(raster: NDArray[np.bool_]) -> tuple[range, NDArray[np.intp]]:
    """Return the steps, one after the other, and the neurons that spike most."""
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
    handles: list[Artist] = [Patch(color=_TRUTH, label="plain dynamics")]
    for place, name in enumerate(names):
        step, row = spikes(name)
        colour = _COLOURS[place % len(_COLOURS)]
        height = row + (place + 1) / (len(names) + 1)
        axes.hlines(height, step + 0.15, step + 0.85, color=colour, linewidth=1.6)
        found = comparison.backends[name]
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                label=f"{name}: {found.differing_spikes} spikes, {found.differing_counts} counts "
                "differ",
            )
        )
    axes.set_xlim(0, len(steps))
    axes.set_ylim(0, max(len(neurons), 1))
    ticks = np.arange(0, len(steps), 5)
    axes.set_xticks(ticks + 0.5, [f"{1e3 * dt_s * (steps.start + k):g}" for k in ticks])
    rows = np.arange(0, len(neurons), 4)
    axes.set_yticks(rows + 0.5, [str(neurons[n]) for n in rows], fontsize=7.5)
    axes.set_xlabel("time (ms)", color=_INK)
    axes.set_ylabel("neuron", color=_INK)
    axes.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8.5
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def throughput_figure(comparison: Comparison) -> Figure:
    """Draw images per second of every backend as a point on a logarithmic axis."""
    names = sorted(comparison.backends, key=lambda name: comparison.backends[name].images_per_s)
    rates = [comparison.backends[name].images_per_s for name in names]
    figure = Figure(figsize=(6.4, 0.9 + 0.42 * len(names)), layout="constrained")
    axes = figure.subplots()
    for row, (name, rate) in enumerate(zip(names, rates, strict=True)):
        fixed = comparison.backends[name].precision == "fixed"
        axes.plot(rate, row, marker="s" if fixed else "o", color=_COLOURS[fixed], markersize=7)
        axes.annotate(
            throughput(rate),
            (rate, row),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=_INK,
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 2, max(rates) * 4)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(
        f"images/s, {comparison.images} images of {comparison.steps} steps, encoding included",
        color=_INK,
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def save_comparison(
    out: Path,
    comparison: Comparison,
    provenance: Provenance,
    hardware: Mapping[str, Any] | None = None,
) -> Mapping[str, Path]:
    """Write ``result.json``, ``rasters.png`` and ``throughput.png``; return their paths.

    Parameters
    ----------
    out : Path
        Folder.
    comparison : Comparison
        What was found.
    provenance : Provenance
        Where it comes from.
    hardware : mapping, optional
        How a chip holds the network, for the JSON.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    paths = {"figures": out / FIGURES}
    write_json(
        paths["figures"],
        comparison.as_json() | dict(hardware or {}) | {"provenance": asdict(provenance)},
    )
    pictures = {
        "rasters": rasters_figure(comparison, provenance.dt_s),
        "throughput": throughput_figure(comparison),
    }
    for name, figure in pictures.items():
        paths[name] = out / f"{name}.png"
        with atomic_path(paths[name]) as path:
            figure.savefig(path, format="png", dpi=_DPI)
    return paths
