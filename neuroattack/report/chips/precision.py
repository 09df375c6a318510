"""Figure of a precision study: accuracy against bits per weight and time steps."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuroattack.experiments.chips.precision import CLIPPINGS, SIGNS
from neuroattack.report.style import INK, PALETTE, name_axes, style

__all__ = ["curves_figure"]

_LOOKS = {
    "mixed": ("signed weights", PALETTE[0], "o"),
    "split": ("one projection per sign", PALETTE[1], "s"),
    "per_source": ("one sign per source neuron", PALETTE[2], "^"),
}
_ERRORS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_LEAST_ERROR = 0.05


def curves_figure(curves: Mapping[str, Any]) -> Figure:
    """Draw accuracy against bits per weight and against time steps, with 95 % intervals."""
    figure = Figure(figsize=(10.4, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    supported = [point for point in curves["bits"] if point["accuracy"] is not None]
    for signs, clipping in itertools.product(SIGNS, CLIPPINGS):
        points = [
            point for point in supported if (point["signs"], point["clipping"]) == (signs, clipping)
        ]
        if points:
            name, color, marker = _LOOKS[signs]
            clipped = clipping != "none"
            name += ", clipped" if clipped else ""
            _draw(left, "bits", points, (name, color, marker), dashed=clipped)
    floating, quantized = curves["floating"], curves["quantized"]
    full = _error(floating[-1]["accuracy"])
    left.axhline(full, color=INK, linewidth=1, linestyle=":", label="floating point")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    _draw(right, "steps", floating, ("floating point", PALETTE[0], "o"))
    _draw(right, "steps", quantized, (curves["format"], PALETTE[1], "s"))
    right.set_xscale("log")
    time_steps = [point["steps"] for point in floating]
    right.set_xticks(time_steps, [str(steps) for steps in time_steps])
    best = max(point["accuracy"] for point in (*floating, *quantized, *supported))
    y = f"Accuracy (%), {curves['images']:,} images"
    name_axes(
        left,
        "Bits per weight",
        y,
        f"{curves['format']}, {curves['steps']} time steps\n(clipped: largest weights saturate)",
    )
    name_axes(right, "Time steps", y, "Accuracy against time steps")
    for axes in (left, right):
        # The error rate is logarithmic: 98 and 99 % are as far apart as 80 and 90 %.
        axes.set_yscale("log")
        axes.set_ylim(130, 0.5 * _error(best))
        axes.set_yticks(_ERRORS, [f"{100 - error:g}" for error in _ERRORS])
        axes.minorticks_off()
        style(axes, "both")
        axes.legend(
            frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2
        )
    right.tick_params("x", labelsize=7)
    return figure


def _draw(
    axes: Axes,
    x: str,
    points: Sequence[Mapping[str, Any]],
    look: tuple[str, str, str],
    *,
    dashed: bool = False,
) -> None:
    label, color, marker = look
    errors = np.array([_error(point["accuracy"]) for point in points])
    ends = np.array([[_error(end) for end in point["accuracy_ci95"][::-1]] for point in points])
    axes.errorbar(
        [point[x] for point in points],
        errors,
        yerr=np.abs(ends.T - errors),
        label=label,
        color=color,
        marker=marker,
        markersize=5,
        linewidth=1.5,
        linestyle="--" if dashed else "-",
        capsize=2,
    )


def _error(accuracy: float) -> float:
    """Return the error rate in percent, at least the smallest one on the logarithmic axis."""
    return max(100 * (1 - accuracy), _LEAST_ERROR)
