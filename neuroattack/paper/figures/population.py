"""Figures of the attack on many images, sampling noise, transformations, imperceptibility."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuroattack.paper.figures import LOOKS, network_keys
from neuroattack.paper.networks import DNN, NAMES
from neuroattack.paper.population import PAIR
from neuroattack.paper.settings import Figures, Images
from neuroattack.report import style as st
from neuroattack.report.style import estimates, hollow, key, panels

__all__ = ["distances", "population", "sampling", "survival"]

METRICS = {
    "distance": "D of Eq. 2 (no unit)",
    "l0": "L0 (pixels)",
    "l1": "L1 (intensity)",
    "l2": "L2 (intensity)",
    "linf": "L\u221e (intensity)",
    "ssim": "SSIM (1: equal)",
    "local_sd_distance": "local-SD distance",
    "floored_local_sd_distance": "floored local-SD distance",
}
"""Axis labels of the distances, with units; intensities are in [0, 1]."""

_STROKE: dict[str, Any] = {"color": st.INK, "linestyle": "none", "marker": "|", "markersize": 7}


def population(figures: Figures, _: Images) -> Figure:
    """Draw the distribution of the highest P(target), and success rates with intervals."""
    groups, cases = figures["groups"], figures["cases"]
    networks = list(dict.fromkeys(group["network"] for group in groups))
    figure = Figure(figsize=(8.2, 3.0 + 0.62 * len(networks)), layout="constrained")
    heights = (2.7, 0.55 * len(networks) + 0.6)
    above, below = np.asarray(figure.subfigures(2, 1, height_ratios=heights))
    top = above.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    for axes, (case, side) in zip(top, cases.items(), strict=True):
        st.style(axes, grid="both")
        for group in groups:
            if (group["case"], group["pairs"]) == (case, PAIR):
                look = LOOKS[group["network"]]
                best = 100 * np.array(group["best_p_target_values"])
                axes.ecdf(best, color=look.color, linestyle=look.dashes, linewidth=1.6)
        axes.set_xlim(-2, 102)
        axes.set_yticks(np.arange(0, 1.1, 0.2), range(0, 101, 20))
        st.name_axes(axes, "highest P(target) (%)", title=f"{case}: {side} \u00d7 {side} pixels")
    top[0].set_ylabel("images at or below (%)", color=st.INK)
    bottom = below.subplots(1, 2, sharey=True)
    for axes, criterion in zip(bottom, ("targeted", "untargeted"), strict=True):
        st.style(axes, grid="x")
        for group in groups:
            offset = list(cases).index(group["case"]) - (len(cases) - 1) / 2
            hollowed = group["pairs"] != PAIR
            y = networks.index(group["network"]) + 0.27 * offset + 0.1 * hollowed
            look = LOOKS[group["network"]]
            drawn = hollow(look.color, look.marker, 5) if hollowed else {"linestyle": "none"}
            rate = 100 * group[f"{criterion}_success"]
            ends = 100 * np.array([group[f"{criterion}_ci95"]])
            estimates(axes, [rate], [y], look, ends, across=True, **drawn)
            axes.plot(100 * group[f"clean_{criterion}"], y, **_STROKE)
            if axes is bottom[-1] and not hollowed:
                axes.text(104, y, group["case"], va="center", fontsize=6.5, color=st.INK)
        axes.set_ylim(len(networks) - 0.45, -0.55)
        axes.set_xlim(-2, 102)
        st.name_axes(axes, "success on fresh trials (%)", title=f"{criterion}, 95 % interval")
    names = [NAMES[name] for name in networks]
    bottom[0].set_yticks(range(len(networks)), names, fontsize=st.SMALL_PT)
    handles = [
        *network_keys(networks),
        key("filled: five to three", color=st.INK, linestyle="none", marker="o", markersize=5),
        key("hollow: random classes", **hollow(st.INK, "o", 5)),
        key("stroke: clean images", **_STROKE),
    ]
    st.key_below(figure, handles, 3)
    return figure


_ROWS: tuple[tuple[str, Callable[[Figures], Any], Callable[[Figures], Any] | None], ...] = (
    (
        "untargeted\ngain (points)",
        lambda g: g["untargeted_gain"],
        lambda g: g["untargeted_gain_ci95"],
    ),
    (
        "highest P(target),\nmedian (%)",
        lambda g: g["best_p_target"]["q50"],
        lambda g: [g["best_p_target"]["q25"], g["best_p_target"]["q75"]],
    ),
    ("iterations in which\nP(target) fell (%)", lambda g: g["falling_fraction"], None),
    ("output spikes\nper query", lambda g: (g["clean_spikes"] or np.nan) / 100, None),
)


def sampling(figures: Figures, _: Images) -> Figure:
    """Draw gain, highest P(target), its falls, and spikes against T, with a column per network."""
    noiseless = [group for group in figures["groups"] if group["steps"] is None]
    swept = [group for group in figures["groups"] if group["steps"] is not None]
    swept.sort(key=lambda group: group["steps"])
    networks = list(dict.fromkeys(group["network"] for group in swept))
    figure, grid = panels(len(_ROWS), len(networks), (7.6, 8.2), sharex=True, sharey="row")
    for row, (label, value, ends) in zip(grid, _ROWS, strict=True):
        for axes, network in zip(row, networks, strict=True):
            look = LOOKS[network]
            mine = [group for group in swept if group["network"] == network]
            for several, drawn in ((False, {}), (True, hollow(look.color, look.marker, 7))):
                shown = [group for group in mine if (group["repeats"] > 1) == several]
                spread = [100 * np.array(ends(group)) for group in shown] if ends else None
                middle = [100 * value(group) for group in shown]
                if shown:
                    steps = [group["steps"] for group in shown]
                    estimates(axes, steps, middle, look, spread, **drawn)
            for group in noiseless:
                if group["network"] in (DNN, f"{network}-exact"):
                    line = LOOKS[group["network"]]
                    y = 100 * value(group)
                    axes.axhline(y, color=line.color, linestyle=line.dashes, linewidth=1.5)
            axes.margins(y=0.08)
            st.ticks(axes, [group["steps"] for group in mine])
        row[0].set_ylabel(label, color=st.INK)
    for axes, network in zip(grid[0], networks, strict=True):
        st.name_axes(axes, title=NAMES[network])
    for axes in grid[-1]:
        axes.set_xlabel("time steps T per trial", color=st.INK)
    repeats = max(group["repeats"] for group in swept)
    handles = [
        *network_keys(networks),
        key(f"hollow: {repeats} trials per query", **hollow(st.INK, "o", 6)),
        *network_keys([group["network"] for group in noiseless], marker=""),
    ]
    st.key_below(figure, handles, 3)
    return figure


def survival(figures: Figures, _: Images) -> Figure:
    """Draw survival by transformation, and misclassified trials against the gap."""
    networks = figures["networks"]
    kinds = next(iter(networks.values()))["transformations"]
    size = (8.2, 1.6 + 0.3 * len(kinds))
    figure, ((left, right),) = panels(1, 2, size, width_ratios=(3, 2))
    st.style(left, grid="x")
    st.style(right)
    for number, (network, study) in enumerate(networks.items()):
        look = LOOKS[network]
        for row, found in enumerate(study["transformations"]):
            y = row + 0.22 * (number - (len(networks) - 1) / 2)
            of = found["untargeted"]
            left.plot(100 * of["original"]["rate"], y, **{**_STROKE, "color": look.color})
            if of["survived"] is not None:
                ends = 100 * np.array([of["survived"]["ci95"]])
                rate = [100 * of["survived"]["rate"]]
                estimates(left, rate, [y], look, ends, across=True, linestyle="none")
        images = [one["images"] for one in study["transformations"] if one["family"] != "none"]
        gaps = [image["gap"] for image in images[0]]
        rates = [[image["adversarial"]["untargeted"]["rate"] for image in one] for one in images]
        drawn: dict[str, Any] = {"linestyle": "none", "markersize": 4, "alpha": 0.75}
        estimates(right, gaps, (100 * np.mean(rates, axis=0)).tolist(), look, **drawn)
    left.set_yticks(range(len(kinds)), [one["name"] for one in kinds], fontsize=st.SMALL_PT)
    left.set_ylim(len(kinds) - 0.4, -0.6)
    left.set_xlim(-2, 102)
    right.set_ylim(-2, 102)
    title = "still misclassified, of those misclassified before"
    st.name_axes(left, "images, or trials of clean images (%)", title=title)
    title = "misclassified trials of each image"
    st.name_axes(
        right, "gap on fresh trials (\u22121 to 1)", "mean over transformations (%)", title
    )
    clean = key("clean images, transformed: trials misclassified", **_STROKE)
    st.key_below(figure, [*network_keys(networks, linestyle="none"), clean], 2)
    return figure


def distances(figures: Figures, _: Images) -> Figure:
    """Draw quantiles of every distance, with a row per network and case."""
    order = list(NAMES)
    groups = [group for group in figures["groups"] if group["pairs"] == PAIR]
    groups.sort(key=lambda group: order.index(group["network"]))
    size = (8.4, 2.2 + 0.34 * len(groups))
    figure, grid = panels(2, 4, size, sharey=True)
    for axes, (metric, label) in zip(grid.flat, METRICS.items(), strict=True):
        st.style(axes, grid="x")
        for row, group in enumerate(groups):
            _quantiles(axes, group, metric, row)
        axes.set_xlabel(label, fontsize=st.SMALL_PT, color=st.INK)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_ylim(len(groups) - 0.4, -0.6)
    rows = [f"{NAMES[group['network']]}, {group['case']}" for group in groups]
    for axes in grid[:, 0]:
        axes.set_yticks(range(len(rows)), rows, fontsize=7.5)
    handles = [
        key("median, all images", color=st.INK, marker="o", markersize=4.5, linestyle="none"),
        key("25 to 75 %", color=st.INK, linewidth=3),
        key("5 to 95 %", color=st.INK, linewidth=1),
        key(
            "median, misclassified images", color=st.INK, marker="x", markersize=5, linestyle="none"
        ),
    ]
    st.key_below(figure, handles, 4)
    return figure


def _quantiles(axes: Axes, group: Figures, metric: str, row: int) -> None:
    look, found = LOOKS[group["network"]], group["all"][metric]
    if found is None:
        where: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "color": st.MUTED}
        axes.text(0.5, row, "infinite for some", **where, ha="center", va="center", fontsize=6.5)
        return
    for low, high, width in (("q05", "q95", 1), ("q25", "q75", 3)):
        axes.plot([found[low], found[high]], [row, row], color=look.color, linewidth=width)
    axes.plot(found["q50"], row, marker=look.marker, markersize=4.5, color=look.color)
    fooled = (group["successful_only"] or {}).get(metric)
    if fooled is not None:
        axes.plot(fooled["q50"], row + 0.3, marker="x", markersize=4.5, color=look.color)
