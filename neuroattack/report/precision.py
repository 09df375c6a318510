"""What a study of precision leaves in a folder: figures as JSON, and its curves."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuroattack.experiments.precision import CLIPPINGS, SIGNS, PrecisionCurves
from neuroattack.files import atomic_path, write_json
from neuroattack.provenance import Provenance

__all__ = ["FIGURES", "curves_figure", "save_precision"]

FIGURES = "precision.json"
"""Name of the figures in the folder."""

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = {"mixed": "#0072b2", "split": "#d55e00", "per_source": "#009e73"}
_MARKERS = {"mixed": "o", "split": "s", "per_source": "^"}
_NAMES = {
    "mixed": "signed weights",
    "split": "a projection for each sign",
    "per_source": "one sign a source neuron",
}
_INK, _GRID = "#1f2328", "#d1d7de"
_DPI = 150
_ERRORS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_LEAST_ERROR = 0.05


def curves_figure(curves: PrecisionCurves) -> Figure:
    """Draw accuracy against the bits of a weight, and against time steps, with 95 % intervals."""
    figure = Figure(figsize=(10.4, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for signs, clipping in itertools.product(SIGNS, CLIPPINGS):
        held = [
            (point.bits, point.accuracy, point.accuracy_ci95)
            for point in curves.bits
            if (point.signs, point.clipping) == (signs, clipping)
            and point.accuracy is not None
            and point.accuracy_ci95 is not None
        ]
        if held:
            clipped = clipping != "none"
            name = _NAMES[signs] + (", largest clipped" if clipped else "")
            _draw(left, held, (name, _COLOURS[signs], _MARKERS[signs]), dashed=clipped)
    full = curves.floating[-1].accuracy
    best = max(
        full,
        *(point.accuracy for point in (*curves.floating, *curves.quantized)),
        *(point.accuracy or 0.0 for point in curves.bits),
    )
    left.axhline(_error(full), color=_INK, linewidth=1, linestyle=":", label="floating point")
    left.set_xlabel("bits a weight", color=_INK)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_title(f"{curves.format}, {curves.steps} steps", fontsize=10, color=_INK)
    for name, points, colour, marker in (
        ("floating point", curves.floating, _COLOURS["mixed"], "o"),
        (curves.format, curves.quantized, _COLOURS["split"], "s"),
    ):
        _draw(
            right,
            [(point.steps, point.accuracy, point.accuracy_ci95) for point in points],
            (name, colour, marker),
        )
    right.set_xscale("log")
    moments = [point.steps for point in curves.floating]
    right.set_xticks(moments, [str(steps) for steps in moments], fontsize=8)
    right.set_xlabel("time steps", color=_INK)
    right.set_title("accuracy as time passes", fontsize=10, color=_INK)
    for axes in (left, right):
        # Errors on a logarithmic scale: 98 and 99 % differ as much as 80 and 90 %.
        axes.set_yscale("log")
        axes.set_ylim(130, 0.5 * _error(best))
        axes.set_yticks(_ERRORS, [f"{100 - error:g}" for error in _ERRORS])
        axes.minorticks_off()
        axes.set_ylabel(f"accuracy (%), {curves.images:,} images", color=_INK)
        axes.grid(color=_GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(
            frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2
        )
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure


def _draw(
    axes: Axes,
    points: list[tuple[int, float, tuple[float, float]]],
    look: tuple[str, str, str],
    *,
    dashed: bool = False,
) -> None:
    """Draw points of x, accuracy and its interval, with a label, a colour and a marker."""
    label, colour, marker = look
    errors = np.array([_error(value) for _, value, _ in points])
    ends = np.array([[_error(end) for end in ends[::-1]] for _, _, ends in points])
    axes.errorbar(
        [x for x, _, _ in points],
        errors,
        yerr=np.abs(ends.T - errors),
        label=label,
        color=colour,
        marker=marker,
        markersize=5,
        linewidth=1.5,
        linestyle="--" if dashed else "-",
        capsize=2,
    )


def _error(accuracy: float) -> float:
    """Return the share of errors in percent; no less than what a logarithm shows."""
    return max(100 * (1 - accuracy), _LEAST_ERROR)


def save_precision(
    out: Path, curves: PrecisionCurves, provenance: Provenance
) -> Mapping[str, Path]:
    """Write ``precision.json`` and ``precision.png``; return their paths.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    paths = {"figures": out / FIGURES, "curves": out / "precision.png"}
    write_json(paths["figures"], curves.as_json() | {"provenance": asdict(provenance)})
    with atomic_path(paths["curves"]) as path:
        curves_figure(curves).savefig(path, format="png", dpi=_DPI)
    return paths
