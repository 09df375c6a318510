"""Output folder of a transfer study: results as JSON and CSV, and the matrix as a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from neuroattack.experiments.transfer import Transfer
from neuroattack.files import atomic_path, write_json, write_text
from neuroattack.report.numbers import bound_text

__all__ = ["FIGURES", "matrix_figure", "save_transfer"]

FIGURES, TABLE, PICTURE = "transfer.json", "transfer.csv", "transfer.png"
"""Names of the files in the folder."""

_DPI = 160
_INK, _PALE = "#1f1f1f", "#ffffff"


def matrix_figure(found: Transfer) -> Figure:
    """Draw success rates by the deployments that images were generated and tested on.

    Each cell contains the success rate and, below it, its 95 % interval.
    """
    names, bound = found.names, found.settings.bound
    many = len(names)
    success = np.array(
        [[found.success(row, column) for column in range(many)] for row in range(many)]
    )
    figure = Figure(figsize=(2.6 + 1.15 * many, 1.9 + 0.75 * many), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(100 * success, vmin=0, vmax=100, cmap="cividis_r", aspect="auto")
    for row in range(many):
        for column in range(many):
            low, high = found.ci95(row, column)
            dark = success[row, column] > 0.55
            axes.text(
                column,
                row,
                f"{100 * success[row, column]:.0f} %\n{100 * low:.0f} to {100 * high:.0f}",
                ha="center",
                va="center",
                fontsize=8.5,
                color=_PALE if dark else _INK,
            )
    wrapped = [name.replace(",", ",\n") for name in names]
    axes.set_xticks(range(many), wrapped, fontsize=8.5)
    axes.set_yticks(range(many), wrapped, fontsize=8.5)
    axes.set_xlabel("Tested on", color=_INK)
    axes.set_ylabel("Generated on", color=_INK)
    axes.set_title(
        f"{found.settings.attack}, {bound_text(bound.norm, bound.maximum, bound.options)}\n"
        f"query budget {found.settings.queries:,}, {len(found.image_goals)} images",
        fontsize=9.5,
        color=_INK,
        loc="left",
    )
    figure.colorbar(shown, ax=axes, label="Success rate on fresh trials (%)")
    for side in axes.spines.values():
        side.set_visible(False)
    return figure


def save_transfer(out: Path, found: Transfer, provenance: Mapping[str, Any]) -> dict[str, Path]:
    """Write results, table and figure into a folder; return their paths."""
    write_json(out / FIGURES, found.as_json() | {"provenance": dict(provenance)})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["made_on", "tested_on", "success", "ci95_low", "ci95_high", "clean_error_rate"]
    )
    for row, made in enumerate(found.names):
        for column, shown in enumerate(found.names):
            clean_error_rate = float(np.mean(found.clean_error_rates[column]))
            success = found.success(row, column)
            writer.writerow([made, shown, success, *found.ci95(row, column), clean_error_rate])
    write_text(out / TABLE, text.getvalue())
    with atomic_path(out / PICTURE) as path:
        matrix_figure(found).savefig(path, format="png", dpi=_DPI)
    return {"figures": out / FIGURES, "table": out / TABLE, "picture": out / PICTURE}
