"""Pictures of adversarial images afterwards: which transformations they outlive, how visible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuroattack.paper.published import ATTACK_CASES
from neuroattack.paper.report.words import transformation_name
from neuroattack.report.style import (
    INK,
    LINE,
    MUTED,
    SMALL_PT,
    key,
    key_below,
    name_axes,
    network_look,
    network_name,
    network_place,
    style,
)

__all__ = ["METRICS", "distances_figure", "gap_and_survival", "survival_figure"]

Figures = Mapping[str, Any]

_PAIR = "five-three"

METRICS = {
    "distance": "D of Eq. 2 (no unit)",
    "l0": "L0 (pixels)",
    "l1": "L1 (intensity)",
    "l2": "L2 (intensity)",
    "linf": "L∞ (intensity)",
    "ssim": "SSIM (1: equal)",
    "local_sd_distance": "local-SD distance",
    "floored_local_sd_distance": "the same, SD ≥ 0.05",
}
"""Distances by what an axis calls them; intensity is in [0, 1]."""


def survival_figure(figures: Figures) -> Figure:
    """Draw how many images outlive each transformation, and that against the gap reached."""
    networks = figures["networks"]
    names = [
        transformation_name(found) for found in next(iter(networks.values()))["transformations"]
    ]
    figure = Figure(figsize=(8.2, 1.6 + 0.3 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    style(left, grid="x")
    style(right)
    for place, (network, study) in enumerate(networks.items()):
        look = network_look(network)
        shift = 0.22 * (place - (len(networks) - 1) / 2)
        for row, found in enumerate(study["transformations"]):
            _survived(left, found["untargeted"], row + shift, look)
        gaps, rates = gap_and_survival(study)
        right.plot(
            gaps,
            rates,
            linestyle="none",
            marker=look.marker,
            markersize=4,
            color=look.colour,
            alpha=0.75,
        )
    left.set_yticks(range(len(names)), names, fontsize=SMALL_PT)
    left.set_ylim(len(names) - 0.4, -0.6)
    left.set_xlim(-2, 102)
    right.set_ylim(-2, 102)
    name_axes(
        left, "images, or draws of originals (%)", title="still misclassified, of those that were"
    )
    name_axes(
        right,
        "gap on fresh draws (\u22121 to 1)",
        "mean over transformations (%)",
        "misclassified draws of each image",
    )
    handles = [key(network_name(name), network_look(name), linestyle="none") for name in networks]
    handles.append(
        key(
            "the original, transformed: draws misclassified",
            color=INK,
            linestyle="none",
            marker="|",
            markersize=8,
        )
    )
    key_below(figure, handles, 2)
    return figure


def _survived(axes: Axes, found: Figures | None, y: float, look: Any) -> None:
    if found is None:
        return
    axes.plot(
        100 * found["original"]["rate"],
        y,
        marker="|",
        markersize=7,
        color=look.colour,
        markeredgewidth=1.6,
    )
    survived = found["survived"]
    if survived is None:
        return
    rate = 100 * survived["rate"]
    low, high = (100 * end for end in survived["ci95"])
    axes.errorbar(
        rate,
        y,
        xerr=[[max(rate - low, 0)], [max(high - rate, 0)]],
        color=look.colour,
        marker=look.marker,
        markersize=4.5,
        linestyle="none",
        elinewidth=1,
        capsize=1.5,
    )


def gap_and_survival(study: Figures) -> tuple[list[float], list[float]]:
    """Return of every image its gap, and the mean percentage of draws still misclassified.

    The mean is over all transformations but the control.
    """
    done = [found for found in study["transformations"] if found["family"] != "none"]
    if not done:
        return [], []
    gaps = [image["gap"] for image in done[0]["images"]]
    rates = [
        [image["adversarial"]["untargeted"]["rate"] for image in found["images"]] for found in done
    ]
    return gaps, (100 * np.mean(rates, axis=0)).tolist()


def distances_figure(figures: Figures) -> Figure:
    """Draw quantiles of every distance, a row a network and case."""
    groups = sorted(
        (group for group in figures["groups"] if group["pairs"] == _PAIR),
        key=lambda group: (network_place(group["network"]), group["case"] not in ATTACK_CASES),
    )
    rows = [f"{network_name(group['network'])}, {group['case']}" for group in groups]
    figure = Figure(figsize=(8.4, 2.2 + 0.34 * len(rows)), layout="constrained")
    panels = figure.subplots(2, 4, sharey=True)
    for axes, (metric, label) in zip(panels.flat, METRICS.items(), strict=True):
        style(axes, grid="x")
        for row, group in enumerate(groups):
            _quantiles(axes, group, metric, row)
        axes.set_xlabel(label, fontsize=SMALL_PT, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_ylim(len(rows) - 0.4, -0.6)
    for axes in panels[:, 0]:
        axes.set_yticks(range(len(rows)), rows, fontsize=7.5)
    handles = [
        key("median, all images", color=INK, marker="o", markersize=4.5, linestyle="none"),
        key("25 to 75 %", color=INK, linewidth=3),
        key("5 to 95 %", color=INK, linewidth=1),
        key("median, misclassified ones", color=INK, marker="x", markersize=5, linestyle="none"),
    ]
    key_below(figure, handles, 4)
    return figure


def _quantiles(axes: Axes, group: Figures, metric: str, row: int) -> None:
    look = network_look(group["network"])
    found = group["all"][metric]
    if found is None:
        axes.annotate(
            "infinite for some",
            (0.5, row),
            xycoords=axes.get_yaxis_transform(),
            ha="center",
            va="center",
            fontsize=6.5,
            color=MUTED,
        )
        return
    axes.plot([found["q05"], found["q95"]], [row, row], color=look.colour, linewidth=1)
    axes.plot([found["q25"], found["q75"]], [row, row], color=look.colour, linewidth=3)
    axes.plot(
        found["q50"],
        row,
        marker=look.marker,
        markersize=4.5,
        color=look.colour,
        markeredgecolor=LINE,
        markeredgewidth=0.5,
    )
    fooled = (group["successful_only"] or {}).get(metric)
    if fooled is not None:
        axes.plot(fooled["q50"], row + 0.3, marker="x", markersize=4.5, color=look.colour)
