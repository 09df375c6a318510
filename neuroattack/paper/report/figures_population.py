"""Pictures of many attacks: success and best P(target) over populations, and over T and repeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroattack.paper.population_tables import PAIR
from neuroattack.paper.settings import DNN
from neuroattack.report.style import (
    INK,
    SMALL_PT,
    Look,
    hollow,
    key,
    key_below,
    name_axes,
    network_look,
    network_name,
    style,
)

__all__ = ["population_figure", "sampling_figure"]

Figures = Mapping[str, Any]

_WANTED = ("targeted", "untargeted")


def population_figure(figures: Figures) -> Figure:
    """Draw the distribution of best P(target), and success with its intervals."""
    groups = figures["groups"]
    cases = [
        case
        for case in figures["cases"]
        if any((group["case"], group["pairs"]) == (case, PAIR) for group in groups)
    ]
    networks = list(dict.fromkeys(group["network"] for group in groups))
    figure = Figure(figsize=(8.2, 3.0 + 0.62 * len(networks)), layout="constrained")
    above, below = np.asarray(
        figure.subfigures(2, 1, height_ratios=(2.7, 0.55 * len(networks) + 0.6))
    ).tolist()
    panels = above.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    for axes, case in zip(panels, cases, strict=True):
        style(axes, grid="both")
        for group in groups:
            if (group["case"], group["pairs"]) == (case, PAIR):
                _distribution(axes, group)
        axes.set_xlim(-2, 102)
        axes.set_ylim(0, 102)
        side = figures["cases"][case]
        name_axes(axes, "best P(target) (%)", title=f"{case}: {side} \u00d7 {side} pixels")
    panels[0].set_ylabel("images at or below (%)", color=INK)
    panels = below.subplots(1, 2, sharey=True)
    for axes, what in zip(panels, _WANTED, strict=True):
        _success(axes, groups, networks, list(figures["cases"]), what)
    panels[0].set_yticks(
        range(len(networks)), [network_name(name) for name in networks], fontsize=SMALL_PT
    )
    handles = [key(network_name(name), network_look(name)) for name in networks]
    handles += [
        key("filled: five to three", color=INK, linestyle="none", marker="o", markersize=5),
        key("hollow: random classes", **hollow(INK, "o", 5)),
        key("stroke: the originals", color=INK, linestyle="none", marker="|", markersize=7),
    ]
    key_below(figure, handles, 3)
    return figure


def _distribution(axes: Axes, group: Figures) -> None:
    """Draw the share of images whose best P(target) is at or below a value."""
    look = network_look(group["network"])
    values = 100 * np.sort(np.array(group["best_p_target_values"]))
    at_or_below = 100 * np.arange(1, len(values) + 1) / len(values)
    axes.step(
        np.concatenate([[0], values, [100]]),
        np.concatenate([[0], at_or_below, [100]]),
        where="post",
        color=look.colour,
        linestyle=look.dashes,
        linewidth=1.6,
    )


def _success(
    axes: Axes, groups: Sequence[Figures], networks: Sequence[str], cases: Sequence[str], what: str
) -> None:
    """Draw one row a network; in it a point a case, from top to bottom."""
    style(axes, grid="x")
    pairs = list(dict.fromkeys(group["pairs"] for group in groups))
    for group in groups:
        place = cases.index(group["case"]) - (len(cases) - 1) / 2
        y = networks.index(group["network"]) + 0.27 * place + 0.1 * pairs.index(group["pairs"])
        look = network_look(group["network"])
        rate = 100 * group[f"{what}_success"]
        low, high = (100 * end for end in group[f"{what}_ci95"])
        drawn: dict[str, Any] = {"marker": look.marker, "markersize": 5, "linestyle": "none"}
        if group["pairs"] != PAIR:
            drawn = hollow(look.colour, look.marker, 5)
        axes.errorbar(
            rate,
            y,
            xerr=[[max(rate - low, 0)], [max(high - rate, 0)]],
            color=look.colour,
            elinewidth=1.1,
            capsize=1.5,
            **drawn,
        )
        axes.plot(
            100 * group[f"clean_{what}"], y, color=INK, marker="|", markersize=6, linestyle="none"
        )
        if what == _WANTED[-1] and group["pairs"] == PAIR:
            axes.annotate(
                group["case"],
                (1.01, y),
                xycoords=axes.get_yaxis_transform(),
                va="center",
                fontsize=6.5,
                color=INK,
            )
    axes.set_ylim(len(networks) - 0.45, -0.55)
    axes.set_xlim(-2, 102)
    name_axes(axes, "success on fresh draws (%)", title=f"{what}, 95 % interval")


def sampling_figure(figures: Figures) -> Figure:
    """Draw gain, best P(target), non-monotonic share and spikes against T, a column a network."""
    groups = figures["groups"]
    limits = [group for group in groups if group["steps"] is None]
    swept = [group for group in groups if group["steps"] is not None]
    networks = list(dict.fromkeys(group["network"] for group in swept))

    def spikes(group: Figures) -> float:
        return float(group["clean_spikes"])

    rows: list[tuple[str, Callable[[Figures], float], Callable[[Figures], Any] | None]] = [
        (
            "untargeted\ngain (points)",
            lambda g: 100 * float(g["untargeted_gain"]),
            lambda g: 100 * np.array(g["untargeted_gain_ci95"] or [g["untargeted_gain"]] * 2),
        ),
        (
            "best P(target),\nmedian (%)",
            lambda g: 100 * float(g["best_p_target"]["q50"]),
            lambda g: 100 * np.array([g["best_p_target"]["q25"], g["best_p_target"]["q75"]]),
        ),
        (
            "iterations in which\nP(target) fell (%)",
            lambda g: 100 * float(g["non_monotonic_share"]),
            None,
        ),
        ("output spikes\na query", spikes, None),
    ]
    figure = Figure(figsize=(7.6, 8.2), layout="constrained")
    panels = figure.subplots(len(rows), len(networks), sharex=True, sharey="row", squeeze=False)
    for y, (label, value, ends) in enumerate(rows):
        for axes, network in zip(panels[y], networks, strict=True):
            style(axes)
            axes.margins(y=0.08)
            shown = sorted(
                (group for group in swept if group["network"] == network),
                key=lambda group: group["steps"],
            )
            _sweep(axes, [group for group in shown if group["repeats"] == 1], value, ends)
            _sweep(axes, [group for group in shown if group["repeats"] > 1], value, ends)
            for group in limits:
                beside = group["network"] in (DNN, f"{network}-exact")
                if beside and value is not spikes:
                    look = network_look(group["network"])
                    axes.axhline(
                        value(group), color=look.colour, linestyle=look.dashes, linewidth=1.5
                    )
            axes.set_xscale("log")
            ticks = sorted({group["steps"] for group in shown})
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
            if y == 0:
                name_axes(axes, title=network_name(network))
            if y == len(rows) - 1:
                axes.set_xlabel("time steps T a showing", color=INK)
        panels[y][0].set_ylabel(label, color=INK)
    handles = [key(network_name(name), network_look(name)) for name in networks]
    handles += [
        key(f"hollow: {repeats} showings a query", **hollow(INK, "o", 6))
        for repeats in sorted({group["repeats"] for group in swept} - {1})
    ]
    handles += [
        key(f"{network_name(group['network'])}: limit", Look(look.colour, "", look.dashes))
        for group in limits
        for look in [network_look(group["network"])]
    ]
    key_below(figure, handles, 3)
    return figure


def _sweep(
    axes: Axes,
    groups: Sequence[Figures],
    value: Callable[[Figures], float],
    ends: Callable[[Figures], Any] | None,
) -> None:
    """Draw groups against T: of one showing a query joined, of several each hollow."""
    if not groups:
        return
    look = network_look(groups[0]["network"])
    middle = np.array([value(group) for group in groups])
    spread = None
    if ends is not None:
        limits = np.array([ends(group) for group in groups]).T
        spread = np.maximum([middle - limits[0], limits[1] - middle], 0)
    drawn: dict[str, Any] = {"marker": look.marker, "linestyle": look.dashes, "markersize": 5}
    if groups[0]["repeats"] > 1:
        drawn = hollow(look.colour, look.marker, 7)
    axes.errorbar(
        [group["steps"] for group in groups],
        middle,
        yerr=spread,
        color=look.colour,
        linewidth=1.6,
        elinewidth=1,
        capsize=2,
        **drawn,
    )
