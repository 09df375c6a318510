"""Pictures of the attack on one sample: Tables II and III, Figures 7 and 9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from neuroattack.report.style import (
    BLUE,
    INK,
    LINE,
    MUTED,
    ON_BARS,
    OTHERS,
    SKY,
    SMALL_PT,
    VERMILLION,
    Look,
    hollow,
    key,
    key_below,
    name_axes,
    network_look,
    network_name,
    style,
)

__all__ = ["clean_shares_figure", "course_figure", "stages_figure"]

Figures = Mapping[str, Any]

_TRUE, _TARGET = Look(BLUE, "o"), Look(VERMILLION, "s", (0, (4, 1.5)))
_DISTANCE = Look(INK, "D")
_STAGES = {"initial": (BLUE, ""), "intermediate": (SKY, "///"), "final": (VERMILLION, "xxx")}
_PAPER_STAGES = {"initial": "o", "intermediate": "s", "final": "^"}


def course_figure(figures: Figures, max_distance: float) -> Figure:
    """Draw Table II or III: shares of both classes and D at every iteration of both cases."""
    cases = list(figures["cases"])
    also = {
        name: other for name, other in figures.get("also", {}).items() if name.endswith("-exact")
    }
    figure = Figure(figsize=(7.6, 5.2), layout="constrained")
    panels = figure.subplots(
        2, len(cases), sharex="col", sharey="row", height_ratios=(3, 2), squeeze=False
    )
    for column, case in enumerate(cases):
        shares, distances = panels[0][column], panels[1][column]
        rows = [row for row in figures["rows"] if row["case"] == case]
        paper = [row for row in figures["paper_rows"] if row["case"] == case]
        for name, other in also.items():
            _course(shares, other, case, "p_target", network_look(name), markersize=3)
        for what, look in (("p_max_class", _TRUE), ("p_target", _TARGET)):
            _course(shares, figures, case, what, look)
            _paper_points(shares, paper, what, look)
        _course(distances, figures, case, "distance", _DISTANCE, scale=1)
        _paper_points(distances, paper, "distance", _DISTANCE, scale=1)
        distances.axhline(max_distance, color=MUTED, linewidth=1.2, linestyle=(0, (5, 3)))
        for axes in (shares, distances):
            style(axes)
            axes.set_xlim(-0.6, max(row["iteration"] for row in [*rows, *paper]) + 0.6)
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        shares.set_ylim(-2, 102)
        distances.set_ylim(0, None)
        side = figures["cases"][case]["window"]["size"]
        name_axes(shares, title=f"case {case}: window of {side} \u00d7 {side} pixels")
        name_axes(distances, "iteration")
    what = "probability" if figures["network"] == "dnn" else "share of output spikes"
    panels[0][0].set_ylabel(f"{what} (%)", color=INK)
    panels[1][0].set_ylabel("distance D (no unit)", color=INK)
    handles = [
        key(f"{figures['label']}, true class", _TRUE),
        key(f"{figures['target_class']}, target class", _TARGET),
        key("distance D", _DISTANCE),
        key("the paper's rows", **hollow(INK, "o")),
        key(f"limit of D, {max_distance:g}", color=MUTED, linestyle=(0, (5, 3))),
        *(
            key(f"{network_name(name)}: target class", network_look(name), markersize=3)
            for name in also
        ),
    ]
    key_below(figure, handles, 3)
    return figure


def stages_figure(figures: Figures, label: int, target_class: int) -> Figure:
    """Draw Figure 7: the DNN's probabilities of all classes at three stages of both cases."""
    cases = figures["cases"]
    figure = Figure(figsize=(7.6, 5.4), layout="constrained")
    panels = figure.subplots(len(cases), 1, sharex=True, squeeze=False)[:, 0]
    width = 0.27
    for axes, letter, (case, stages) in zip(panels, "abcdef", cases.items(), strict=False):
        style(axes)
        for place, (stage, probabilities) in enumerate(stages.items()):
            colour, hatch = _STAGES[stage]
            at = np.arange(len(probabilities)) + (place - 1) * width
            axes.bar(
                at,
                100 * np.array(probabilities),
                width,
                color=colour,
                edgecolor="white",
                hatch=hatch,
                linewidth=0.4,
            )
            paper = figures["paper"][case][stage]
            axes.plot(
                [at[label], at[target_class]],
                [100 * paper["p_max_class"], 100 * paper["p_target"]],
                **hollow(marker=_PAPER_STAGES[stage], size=6.5, **ON_BARS),
                zorder=4,
            )
        axes.set_ylim(0, 108)
        name_axes(axes, title=f"({letter}) case {case}", y="probability (%)")
    panels[-1].set_xticks(range(len(next(iter(cases.values()))["initial"])))
    panels[-1].set_xlabel("class", color=INK)
    handles: list[Any] = [
        Patch(facecolor=colour, edgecolor="white", hatch=hatch, label=stage)
        for stage, (colour, hatch) in _STAGES.items()
    ]
    handles += [
        key(f"the paper, {stage}", **hollow(marker=marker, size=6.5, **ON_BARS))
        for stage, marker in _PAPER_STAGES.items()
    ]
    key_below(figure, handles, 3)
    return figure


def clean_shares_figure(figures: Figures, label: int, target_class: int) -> Figure:
    """Draw Figure 9: the SDBN's shares of all classes for the sample without an attack."""
    percents = 100 * np.array(figures["shares"])
    figure = Figure(figsize=(6.2, 3.4), layout="constrained")
    axes = figure.subplots()
    style(axes)
    colours = [OTHERS] * len(percents)
    colours[label], colours[target_class] = BLUE, VERMILLION
    axes.bar(range(len(percents)), percents, 0.62, color=colours)
    for place, value in enumerate(percents):
        axes.annotate(
            f"{value:.1f}",
            (place, value),
            xytext=(-12 if place in (label, target_class) else 0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL_PT,
            color=MUTED,
        )
    paper = figures["paper"]
    axes.plot(
        [label, target_class],
        [100 * paper["p_max_class"], 100 * paper["p_target"]],
        **hollow(marker="o", **ON_BARS),
        zorder=4,
    )
    axes.set_xticks(range(len(percents)))
    axes.set_ylim(0, 108)
    name_axes(axes, "class", "share of output spikes (%)")
    handles: list[Any] = [
        Patch(color=BLUE, label=f"{label}, true class"),
        Patch(color=VERMILLION, label=f"{target_class}, target class"),
        Patch(color=OTHERS, label="other classes"),
        key("the paper", **hollow(marker="o", **ON_BARS)),
    ]
    key_below(figure, handles, 4)
    return figure


def _course(
    axes: Axes,
    figures: Figures,
    case: str,
    what: str,
    look: Look,
    *,
    scale: float = 100,
    markersize: float = 4,
) -> None:
    rows = [row for row in figures["rows"] if row["case"] == case and row[what] is not None]
    axes.plot(
        [row["iteration"] for row in rows],
        [scale * row[what] for row in rows],
        color=look.colour,
        marker=look.marker,
        markersize=markersize,
        linestyle=look.dashes,
        linewidth=1.5,
        markeredgecolor=LINE if look is _DISTANCE else look.colour,
    )


def _paper_points(
    axes: Axes, rows: list[Figures], what: str, look: Look, *, scale: float = 100
) -> None:
    axes.plot(
        [row["iteration"] for row in rows],
        [scale * row[what] for row in rows],
        **hollow(look.colour, look.marker, 8),
        zorder=4,
    )
