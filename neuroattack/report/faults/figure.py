"""Figure of accuracy against the rate of faults in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from neuroattack.report.style import PALETTE, Look, estimates, key, key_below, name_axes, ticks

__all__ = ["faults_figure", "flips_figure"]

_MARKERS = "os^vDPX"
_DASHES = ("-", "--", ":")


def faults_figure(figures: Mapping[str, Any]) -> Figure:
    """Draw mean accuracy over fault maps against the rate of faults, with 95 % intervals.

    A line without markers is the accuracy without faults; dots are single fault maps.
    """
    figure = Figure(figsize=(6.8, 4.6), layout="constrained")
    axes = figure.subplots()
    handles = []
    supported = {name: chip for name, chip in figures["profiles"].items() if chip["fits"]}
    for place, (name, chip) in enumerate(supported.items()):
        look = Look(
            PALETTE[place % len(PALETTE)],
            _MARKERS[place % len(_MARKERS)],
            _DASHES[place // len(PALETTE) % len(_DASHES)],
        )
        points = [point for point in chip["points"] if point["rate"] > 0]
        rates = [point["rate"] for point in points]
        for point in points:
            axes.plot(
                [point["rate"]] * len(point["accuracies"]),
                [100 * each for each in point["accuracies"]],
                color=look.color,
                linestyle="none",
                marker=".",
                markersize=3,
                alpha=0.35,
            )
        estimates(
            axes,
            rates,
            [100 * point["accuracy"] for point in points],
            look,
            [
                [100 * end for end in point["accuracy_ci95"] or [point["accuracy"]] * 2]
                for point in points
            ],
        )
        handles.append(key(f"{name}, {chip['stored_bits']:,} bits", look))
    ticks(axes, (rate for rate in figures["rates"] if rate > 0))
    axes.set_ylim(0, 103)
    name_axes(
        axes,
        f"Rate of faults per bit ({figures['kind']}, bits: {figures['bits']})",
        f"Accuracy (%), {figures['images']:,} images",
        f"{figures['steps']} time steps, {figures['maps']} fault maps per rate",
    )
    key_below(figure, handles, 2)
    return figure


def flips_figure(figures: Mapping[str, Any]) -> Figure:
    """Draw accuracy against the number of flipped bits, by choice of the bits."""
    figure = Figure(figsize=(6.8, 4.6), layout="constrained")
    axes = figure.subplots()
    handles = []
    for place, (method, found) in enumerate(figures["methods"].items()):
        look = Look(PALETTE[place], _MARKERS[place])
        points = [point for point in found["points"] if point["flips"]]
        estimates(
            axes,
            [point["flips"] for point in points],
            [100 * point["accuracy"] for point in points],
            look,
            [[100 * end for end in point["accuracy_ci95"]] for point in points],
        )
        handles.append(key(method, look))
    counts = {point["flips"] for each in figures["methods"].values() for point in each["points"]}
    ticks(axes, counts - {0})
    axes.set_ylim(0, 103)
    name_axes(
        axes,
        f"Flipped bits of {figures['stored_bits']:,}",
        f"Accuracy (%), {figures['images']:,} images",
        f"{figures['profile']}, {figures['steps']} time steps",
    )
    key_below(figure, handles, 4)
    return figure
