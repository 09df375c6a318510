"""What a study of chips leaves in a folder: figures as JSON, one plot, and where neurons lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from neuroattack.experiments.energy import EnergyStudy
from neuroattack.files import atomic_path, write_json
from neuroattack.provenance import Provenance
from neuroattack.report.placement import placement_figure

__all__ = ["FIGURES", "energy_figure", "save_energy"]

FIGURES = "energy.json"
"""Name of the figures in the folder."""

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_INK, _MUTED, _GRID = "#1f2328", "#59636e", "#d1d7de"
_DPI = 150
_PJ_PER_UJ = 1e6
_LEAST_REACH = 1.0


def energy_figure(study: EnergyStudy) -> Figure:
    """Draw energy per image against accuracy, a chip a mark, from lower to upper bound.

    A filled mark is a total; a hollow one is of the terms that have a price, and so a part of the
    total. Chips without any price, and those that cannot hold the network, are named below.
    """
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    axes = figure.subplots()
    priced = {
        name: chip
        for name, chip in study.chips.items()
        if chip.estimate is not None and chip.estimate.priced_subtotal_pj is not None
    }
    for place, (name, chip) in enumerate(priced.items()):
        estimate, evaluation = chip.estimate, chip.evaluation
        if estimate is None or evaluation is None or estimate.priced_subtotal_pj is None:
            continue
        lower, upper = (value / _PJ_PER_UJ for value in estimate.priced_subtotal_pj)
        colour, marker = _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]
        accuracy = 100 * evaluation.accuracy
        low, high = (100 * end for end in evaluation.accuracy_ci95)
        place_uj = (lower * upper) ** 0.5
        axes.plot([lower, upper], [accuracy, accuracy], color=colour, linewidth=3, alpha=0.5)
        axes.plot([place_uj, place_uj], [low, high], color=colour, linewidth=1)
        whole = not estimate.unpriced
        axes.plot(
            [place_uj],
            [accuracy],
            linestyle="none",
            marker=marker,
            markersize=8,
            color=colour,
            markerfacecolor=colour if whole else "white",
            label=f"{name}{'' if whole else ' (priced part)'}",
        )
    axes.axhline(100 * study.reference.accuracy, color=_INK, linewidth=1, linestyle=":")
    axes.annotate(
        "floating point, on no chip",
        (0.01, 100 * study.reference.accuracy),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
        color=_MUTED,
    )
    # Of differences smaller than chance no figure should make much.
    middle, reach = np.mean(axes.get_ylim()), max(np.ptp(axes.get_ylim()) * 0.6, _LEAST_REACH)
    axes.set_ylim(middle - reach, middle + reach)
    axes.set_xscale("log")
    axes.set_xlabel("energy per image (\u00b5J)", color=_INK)
    axes.set_ylabel(f"accuracy (%), {study.reference.images:,} images", color=_INK)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if priced:
        axes.legend(frameon=False, fontsize=8.5)
    without = [
        name
        for name, chip in study.chips.items()
        if chip.estimate is not None and name not in priced
    ]
    refused = [name for name, chip in study.chips.items() if chip.estimate is None]
    notes = []
    if without:
        notes.append(f"no price known: {', '.join(without)}")
    if refused:
        notes.append(f"network not held: {', '.join(refused)}")
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=8, color=_MUTED)
    return figure


def save_energy(out: Path, study: EnergyStudy, provenance: Provenance) -> Mapping[str, Path]:
    """Write ``energy.json``, ``energy.png`` and a picture of each placement; return their paths.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    paths = {"figures": out / FIGURES}
    write_json(paths["figures"], study.as_json() | {"provenance": asdict(provenance)})
    pictures = {"energy": energy_figure(study)}
    for name, chip in study.chips.items():
        if chip.fitted is not None and chip.fitted.placement.is_by_core:
            pictures[f"placement-{name}"] = placement_figure(chip.fitted.placement)
    for name, figure in pictures.items():
        paths[name] = out / f"{name}.png"
        with atomic_path(paths[name]) as path:
            figure.savefig(path, format="png", dpi=_DPI)
    return paths
