"""Output folder of a diagnosis: results, recorded spikes, and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroattack.deployment.spike_files import save_spikes
from neuroattack.experiments.divergence.diagnosis import Course, Diagnosis
from neuroattack.experiments.divergence.sides import Recorded
from neuroattack.report.studies import save_study
from neuroattack.report.style import INK, MUTED, PALETTE, name_axes, style

__all__ = ["FIGURES", "course_figure", "save_diagnosis"]

FIGURES = "diagnosis.json"
"""Name of the results in the folder."""


def course_figure(diagnosis: Diagnosis) -> Figure:
    """Draw the potential of the first differing neuron on both sides, and the input below it.

    Potentials and inputs are in units of the threshold, because the sides may have other units.
    """
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    drawn = [side for side in diagnosis.sides if side.course is not None]
    for position, side in enumerate(drawn):
        if side.course is not None:
            _draw(upper, lower, side.course, side.name, position)
    upper.axhline(1.0, color=MUTED, linewidth=1, linestyle=":", label="threshold")
    if diagnosis.first is not None:
        population, image, step, neuron = diagnosis.first
        for axes in (upper, lower):
            axes.axvline(step, color=MUTED, linewidth=8, alpha=0.15, zorder=0)
        figure.suptitle(
            f"First differing spike: {population}, neuron {neuron}, image {image}, step {step}",
            fontsize=9.5,
            color=INK,
        )
    upper.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8.5)
    name_axes(upper, "", "Potential / threshold")
    name_axes(lower, "Time step", "Input / threshold")
    for axes in (upper, lower):
        style(axes, "y")
    return figure


def _draw(upper: Axes, lower: Axes, course: Course, name: str, position: int) -> None:
    unit = course.threshold if np.isfinite(course.threshold) and course.threshold > 0 else 1.0
    color, marker, dashes = PALETTE[position], "os"[position], ("-", "--")[position]
    potentials = course.potentials / unit
    label = f"{name} ({course.source})"
    upper.plot(course.steps, potentials, dashes, marker=marker, color=color, ms=4, label=label)
    fired = course.spikes
    if fired.any():
        size = 13 - 4 * position
        label = f"{name}: spikes"
        upper.plot(course.steps[fired], potentials[fired], "*", color=color, ms=size, label=label)
    width = 0.35
    shift = (position - 0.5) * width
    lower.bar(course.steps + shift, course.inputs / unit, width, color=color)


def save_diagnosis(
    out: Path,
    diagnosis: Diagnosis,
    recorded: tuple[Recorded, Recorded],
    figures: Mapping[str, Any],
) -> list[Path]:
    """Write the results, the figure and the spikes of both sides; return the paths."""
    pictures = {} if diagnosis.agree else {"first-difference": course_figure(diagnosis)}
    paths = save_study(out / FIGURES, figures, pictures)
    for name, side in zip(("a", "b"), recorded, strict=True):
        paths.append(out / f"{name}.npz")
        save_spikes(paths[-1], side.recorded)
    return paths
