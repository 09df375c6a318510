"""Figure of a latency study: accuracy against time to decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from neuroattack.report.style import (
    BLUE,
    GREEN,
    INK,
    PURPLE,
    SMALL_PT,
    VERMILION,
    Look,
    estimates,
    name_axes,
    panels,
    percents,
    ticks,
)

__all__ = ["latency_figure"]

_TIMES = (
    ("mean", "mean", Look(VERMILION, "o")),
    ("median", "median", Look(GREEN, "s", "--")),
    ("percentile_95", "95th percentile", Look(PURPLE, "^", ":")),
)


def latency_figure(figures: Mapping[str, Any]) -> Figure:
    """Draw accuracy against mean time to decision, and time to decision against the margin."""
    figure, grid = panels(1, 2, (10.4, 4.4))
    left, right = grid[0]
    margins, fixed = figures["margins"], figures["fixed"]
    early = [point["decision_steps"]["mean"] for point in margins]
    _curve(left, early, margins, Look(VERMILION, "o"), "early exit, by margin")
    _curve(
        left,
        [point["steps"] for point in fixed],
        fixed,
        Look(BLUE, "s", "--"),
        "fixed number of time steps",
    )
    for x, point in zip(early, margins, strict=True):
        left.annotate(
            str(point["margin"]),
            (x, 100 * point["accuracy"]),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL_PT,
            color=INK,
        )
    ticks(left, [point["steps"] for point in fixed])
    name_axes(
        left,
        "Mean time to decision (time steps)",
        f"Accuracy (%), {figures['images']:,} images",
        figures["deployment"],
    )
    left.legend(frameon=False, fontsize=SMALL_PT, loc="lower right")
    for name, label, look in _TIMES:
        estimates(
            right,
            [point["margin"] for point in margins],
            [point["decision_steps"][name] for point in margins],
            look,
            label=label,
        )
    ticks(right, [point["margin"] for point in margins])
    right.set_ylim(0, 1.05 * figures["steps"])
    name_axes(right, "Margin (output spikes)", "Time to decision (time steps)")
    right.legend(frameon=False, fontsize=SMALL_PT, loc="upper left")
    return figure


def _curve(
    axes: Any, x: Sequence[float], points: Sequence[Mapping[str, Any]], look: Look, label: str
) -> None:
    estimates(
        axes,
        x,
        percents(point["accuracy"] for point in points),
        look,
        [percents(point["accuracy_ci95"]) for point in points],
        label=label,
    )
