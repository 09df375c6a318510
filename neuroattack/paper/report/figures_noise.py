"""Pictures of noise: Table I's tested explanations, Figures 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroattack.report.style import (
    BLUE,
    GREEN,
    INK,
    OTHERS,
    VERMILLION,
    Look,
    hollow,
    key,
    key_below,
    name_axes,
    style,
)

__all__ = ["rules_figure", "table_figure", "window_figure"]

Figures = Mapping[str, Any]

_MODES = {
    "train": ("training images", Look(BLUE, "o")),
    "test": ("test images", Look(VERMILLION, "s")),
    "train+test": ("training and test images", Look(GREEN, "^")),
}
_RULES = {
    "range": ("clipped to [0, 0.2]", Look(BLUE, "o")),
    "zero": ("clipped at 0 only", Look(VERMILLION, "s")),
    "none": ("not clipped", Look(GREEN, "^")),
}
_PLACES = {
    "corner": ("top-left corner", Look(BLUE, "o")),
    "middle": ("middle", Look(VERMILLION, "s")),
    "middle, x as row": ("middle, x read as the row", Look(GREEN, "^")),
}
_DELTA = "noise magnitude δ (intensity scaled to [0, 0.2])"
_ACCURACY = "accuracy (%)"
_SPIKING = (0, (3, 2))


def table_figure(figures: Figures) -> Figure:
    """Draw Figure 2: accuracy against delta, both noises, each kind of noisy images."""
    cells = figures["cells"]
    kinds = list(dict.fromkeys(cell["noise"] for cell in cells))
    figure, panels = _panels(len(kinds))
    for axes, kind in zip(panels, kinds, strict=True):
        for mode, (_, look) in _MODES.items():
            shown = [cell for cell in cells if (cell["noise"], cell["mode"]) == (kind, mode)]
            deltas = [cell["delta"] for cell in shown]
            _draw(axes, deltas, [cell["accuracy"] for cell in shown], look)
            _draw(axes, deltas, [cell["spiking_accuracy"] for cell in shown], look, spiking=True)
            paper = [100 * cell["paper_accuracy"] for cell in shown]
            axes.plot(deltas, paper, **hollow(look.colour, look.marker), zorder=4)
        _delta_axis(axes, [cell["delta"] for cell in cells])
        name_axes(axes, _DELTA, title=f"{kind} noise")
    panels[0].set_ylabel(_ACCURACY, color=INK)
    handles = [key(name, look) for name, look in _MODES.values()]
    handles += [
        key("as rates", color=INK),
        key("spiking", color=INK, linestyle=_SPIKING),
        key("the paper", **hollow(INK, "o")),
    ]
    key_below(figure, handles, 3)
    return figure


def rules_figure(figures: Figures) -> Figure:
    """Draw what test noise does under each clipping rule, to other trainings and to the DNN."""
    found = figures["test_noise"]
    figure, panels = _panels(len(found))
    for axes, of_kind in zip(panels, found, strict=True):
        deltas = of_kind["deltas"]
        for seed in of_kind["seeds"]:
            axes.plot(deltas, _percents(seed["rates"]), color=OTHERS, linewidth=3.5, alpha=0.6)
        for rule in of_kind["rules"]:
            look = _RULES[rule["clipping"]][1]
            _draw(axes, deltas, rule["rates"], look)
            _draw(axes, deltas, rule["spiking"], look, spiking=True)
        of_dnn = [
            cell
            for cell in figures["cells"]
            if (cell["noise"], cell["mode"]) == (of_kind["noise"], "test")
        ]
        axes.plot(
            [cell["delta"] for cell in of_dnn],
            _percents([cell["dnn_accuracy"] for cell in of_dnn]),
            color=INK,
            marker="x",
            markersize=5,
            linestyle=":",
            linewidth=1.2,
        )
        axes.plot(deltas, _percents(of_kind["paper"]), **hollow(INK, "D"), zorder=4)
        _delta_axis(axes, deltas)
        name_axes(axes, _DELTA, title=f"{of_kind['noise']} noise on test images")
    panels[0].set_ylabel(_ACCURACY, color=INK)
    handles = [key(name, look) for name, look in _RULES.values()]
    handles += [
        key("as rates", color=INK),
        key("spiking", color=INK, linestyle=_SPIKING),
        key("trainings of several seeds, as rates", color=OTHERS, linewidth=3.5, alpha=0.6),
        key("DNN", color=INK, marker="x", markersize=5, linestyle=":", linewidth=1.2),
        key("the paper", **hollow(INK, "D")),
    ]
    key_below(figure, handles, 3)
    return figure


def window_figure(figures: Figures) -> Figure:
    """Draw Figure 3: accuracy under normal noise on 20 pixels, of the SDBN and of the DNN."""
    curves = figures["curves"]
    networks = list(dict.fromkeys(curve["network"] for curve in curves))
    figure, panels = _panels(len(networks), share_y=True)
    for axes, network in zip(panels, networks, strict=True):
        mine = [curve for curve in curves if curve["network"] == network]
        for shift, (place, (_, look)) in zip((0.97, 1.0, 1.03), _PLACES.items(), strict=True):
            shown = [curve for curve in mine if curve["place"] == place]
            # Side by side, so that one interval does not hide another.
            deltas = [shift * curve["delta"] for curve in shown]
            _draw(axes, deltas, [curve["accuracy"] for curve in shown], look, shown)
            _draw(axes, deltas, [curve["spiking_accuracy"] for curve in shown], look, spiking=True)
        for curve in mine:
            if curve["place"] is None:
                axes.axhline(100 * curve["accuracy"], color=INK, linewidth=1, linestyle=":")
        _delta_axis(axes, [curve["delta"] for curve in mine if curve["place"]], whole=False)
        name_axes(axes, _DELTA, title=network.upper())
    panels[0].set_ylabel(_ACCURACY, color=INK)
    handles = [key(name, look) for name, look in _PLACES.values()]
    handles += [
        key("as rates; bars: 95 % interval", color=INK),
        key("spiking", color=INK, linestyle=_SPIKING),
        key("without noise, as rates", color=INK, linewidth=1, linestyle=":"),
    ]
    key_below(figure, handles, 3)
    return figure


def _panels(count: int, *, share_y: bool = True) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(7.6, 4.0), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, count, sharey=share_y)).tolist()


def _draw(
    axes: Axes,
    deltas: Sequence[float],
    values: Sequence[float | None],
    look: Look,
    with_intervals: Sequence[Figures] = (),
    *,
    spiking: bool = False,
) -> None:
    """Draw accuracies as rates, filled and solid, or in spikes, small and dashed."""
    percents = _percents(values)
    axes.plot(
        deltas,
        percents,
        color=look.colour,
        marker=look.marker,
        markersize=3 if spiking else 4.5,
        linewidth=1.1 if spiking else 1.6,
        linestyle=_SPIKING if spiking else "-",
    )
    if with_intervals:
        ends = 100 * np.array([curve["accuracy_ci95"] for curve in with_intervals]).T
        axes.errorbar(
            deltas,
            percents,
            yerr=np.abs(ends - percents),
            color=look.colour,
            linestyle="none",
            capsize=2,
            linewidth=1,
        )


def _percents(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else 100 * value for value in values]


def _delta_axis(axes: Axes, deltas: Sequence[float], *, whole: bool = True) -> None:
    """Give axes a logarithmic delta, for the paper's magnitudes crowd at the small end."""
    style(axes)
    ticks = sorted(set(deltas))
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=7)
    axes.minorticks_off()
    if whole:
        axes.set_ylim(0, 102)
