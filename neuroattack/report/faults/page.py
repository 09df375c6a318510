"""HTML page of networks with faults in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from neuroattack.report.faults.figure import faults_figure
from neuroattack.report.faults.tables import accuracy_rows, word_rows
from neuroattack.report.plots import inline_svg
from neuroattack.report.templates import render

__all__ = ["render_faults"]


def render_faults(figures: Mapping[str, Any]) -> str:
    """Return the results as one HTML page that loads no other files and runs no scripts."""
    supported = any(chip["fits"] for chip in figures["profiles"].values())
    plot = Markup()
    if supported:
        alt = "Accuracy against the rate of faults, by profile"
        plot = Markup(inline_svg(faults_figure(figures), alt, "faults"))  # noqa: S704
    return render(
        "report/faults.html.jinja",
        plot=plot,
        tables=[accuracy_rows(figures), word_rows(figures)] if supported else [],
        refused={
            name: chip["refused"] for name, chip in figures["profiles"].items() if chip["refused"]
        },
        command=figures["provenance"]["command"],
    )
