"""What a comparison of backends leaves in a folder: figures as JSON, and two pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from neuroattack.files import atomic_path, write_json
from neuroattack.provenance import Provenance
from neuroattack.report.numbers import throughput
from neuroattack.studies.comparison import Comparison

__all__ = ["FIGURES", "rasters_figure", "save_comparison", "throughput_figure"]

FIGURES = "result.json"
"""Name of the figures in the folder."""

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_INK, _TRUTH = "#1f2328", "#a3abb4"
_DPI = 150


def rasters_figure(comparison: Comparison, dt_s: float) -> Figure:
    """Draw the spikes of every backend over those of the plain dynamics, for one image.

    The truth is a broad grey mark; a backend's spike is a thin one on it, so that a mark of one
    colour alone is a difference.

    Parameters
    ----------
    comparison : Comparison
        With the rasters of one population.
    dt_s : float
        Length of a step in seconds.
    """
    groups = {
        truth: [
            name
            for name in comparison.backends
            if name.endswith("-fixed") == truth.endswith("-fixed")
        ]
        for truth in comparison.rasters
        if truth.startswith("dynamics")
    }
    figure = Figure(figsize=(9, 0.6 + 3.2 * len(groups)), layout="constrained")
    for axes, (truth, names) in zip(
        np.atleast_1d(figure.subplots(len(groups), 1, sharex=True)), groups.items(), strict=True
    ):
        _, step, neuron = comparison.rasters[truth].events()
        axes.scatter(
            1e3 * dt_s * step, neuron, s=26, c=_TRUTH, marker="s", linewidths=0, label=truth
        )
        for place, name in enumerate(names):
            _, step, neuron = comparison.rasters[name].events()
            offset_s = dt_s * (place - (len(names) - 1) / 2) / max(len(names) + 1, 4)
            axes.scatter(
                1e3 * (dt_s * step + offset_s),
                neuron,
                s=9,
                c=_COLOURS[place % len(_COLOURS)],
                marker="|",
                linewidths=0.9,
                label=f"{name}: {comparison.backends[name].differing_spikes} differ",
            )
        axes.set_ylabel(f"neuron of {comparison.raster_population}", color=_INK)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8.5)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    axes.set_xlabel("time (ms)", color=_INK)
    figure.suptitle(
        "Spikes of the first image; counts in the key are over all images and populations",
        fontsize=9.5,
        color=_INK,
    )
    return figure


def throughput_figure(comparison: Comparison) -> Figure:
    """Draw images per second of every backend, on a logarithmic axis."""
    names = list(comparison.backends)
    rates = [comparison.backends[name].images_per_s for name in names]
    figure = Figure(figsize=(6.4, 0.8 + 0.42 * max(len(names), 1)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(names, rates, color=_COLOURS[0], height=0.6)
    axes.bar_label(bars, [throughput(rate) for rate in rates], padding=4, fontsize=8.5, color=_INK)
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 3, max(rates) * 4)
    axes.invert_yaxis()
    axes.set_xlabel(
        f"images/s, {comparison.images} images of {comparison.steps} steps, encoding included",
        color=_INK,
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def save_comparison(
    out: Path, comparison: Comparison, provenance: Provenance
) -> Mapping[str, Path]:
    """Write ``result.json``, ``rasters.png`` and ``throughput.png``; return their paths.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    paths = {"figures": out / FIGURES}
    write_json(paths["figures"], comparison.as_json() | {"provenance": asdict(provenance)})
    pictures = {"rasters": rasters_figure(comparison, provenance.dt_s)}
    if comparison.backends:
        pictures["throughput"] = throughput_figure(comparison)
    for name, figure in pictures.items():
        paths[name] = out / f"{name}.png"
        with atomic_path(paths[name]) as path:
            figure.savefig(path, format="png", dpi=_DPI)
    return paths
