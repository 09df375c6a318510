"""Figures of the noise study: Table I, Figures 2, 3 and 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroattack.paper.figures import paper_points
from neuroattack.paper.figures.sample import show_image
from neuroattack.paper.settings import Figures, Images
from neuroattack.report import style as st
from neuroattack.report.style import Look, estimates, hollow, key, panels, percents

__all__ = ["curves", "images", "rules", "windows"]

_LOOKS = (Look(st.BLUE, "o"), Look(st.VERMILION, "s"), Look(st.GREEN, "^"))
_MODES = {
    "train": "training images",
    "test": "test images",
    "train+test": "training and test images",
}
_RULES = {"range": "clipped to [0, 0.2]", "zero": "clipped at 0 only", "none": "not clipped"}
_WINDOWS = {name: name for name in ("corner", "middle", "middle, x as row")}
_SPIKING: dict[str, Any] = {"linestyle": (0, (3, 2)), "markersize": 3, "linewidth": 1.1}
_DNN: dict[str, Any] = {"color": st.INK, "marker": "x", "markersize": 5, "linestyle": ":"}
_SEEDS: dict[str, Any] = {"color": st.OTHERS, "linewidth": 3.5, "alpha": 0.6}
_SIZE_IN = (7.6, 4.0)
_PAPER = Look(st.INK, "D")


def _lines(axes: Axes, deltas: Sequence[float], found: Figures, look: Look) -> None:
    """Draw accuracy as rates (solid), and spiking accuracy (dashed, with small markers)."""
    estimates(axes, deltas, percents(found["rates"]), look, markersize=4.5)
    estimates(axes, deltas, percents(found["spiking"]), look, **_SPIKING)


def _finish(axes: Axes, deltas: Sequence[float], title: str, top: float | None = 102) -> None:
    """Label the axes; the noise axis is logarithmic because most magnitudes are small."""
    st.ticks(axes, deltas, 7)
    if top is not None:
        axes.set_ylim(0, top)
    st.name_axes(axes, "noise magnitude \u03b4 (intensity scaled to [0, 0.2])", title=title)


def _legend(figure: Figure, grid: Any, names: Mapping[str, str], *further: Any) -> Figure:
    grid[0][0].set_ylabel("accuracy (%)", color=st.INK)
    series = [key(name, look) for name, look in zip(names.values(), _LOOKS, strict=True)]
    spiking = key("spiking", color=st.INK, linestyle=_SPIKING["linestyle"])
    st.key_below(figure, [*series, key("as rates", color=st.INK), spiking, *further], 3)
    return figure


def _columns(rows: Sequence[Figures]) -> dict[str, list[Any]]:
    names = {"rates": "accuracy", "spiking": "spiking_accuracy"}
    return {name: [row[of] for row in rows] for name, of in names.items()}


def curves(figures: Figures, _: Images) -> Figure:
    """Draw Figure 2: accuracy against noise magnitude for both kinds of noise and all modes."""
    cells = figures["cells"]
    kinds = list(dict.fromkeys(cell["noise"] for cell in cells))
    figure, grid = panels(1, len(kinds), _SIZE_IN, sharey=True)
    for axes, kind in zip(grid[0], kinds, strict=True):
        for mode, look in zip(_MODES, _LOOKS, strict=True):
            shown = [cell for cell in cells if (cell["noise"], cell["mode"]) == (kind, mode)]
            deltas = [cell["delta"] for cell in shown]
            _lines(axes, deltas, _columns(shown), look)
            paper_points(axes, deltas, percents(cell["paper_accuracy"] for cell in shown), look)
        _finish(axes, [cell["delta"] for cell in cells], f"{kind} noise")
    return _legend(figure, grid, _MODES, key("the paper", **hollow(st.INK, "o")))


def rules(figures: Figures, _: Images) -> Figure:
    """Draw Table I for test noise: every clipping rule, training seeds, and the DNN."""
    found = figures["test_noise"]
    figure, grid = panels(1, len(found), _SIZE_IN, sharey=True)
    for axes, of_kind in zip(grid[0], found, strict=True):
        deltas = of_kind["deltas"]
        for seed in of_kind["seeds"]:
            axes.plot(deltas, percents(seed["rates"]), **_SEEDS)
        for rule, look in zip(of_kind["rules"], _LOOKS, strict=True):
            _lines(axes, deltas, rule, look)
        dnn = [
            cell["dnn_accuracy"]
            for cell in figures["cells"]
            if (cell["noise"], cell["mode"]) == (of_kind["noise"], "test")
        ]
        axes.plot(deltas, percents(dnn), **_DNN)
        paper_points(axes, deltas, percents(of_kind["paper"]), _PAPER)
        _finish(axes, deltas, f"{of_kind['noise']} noise on test images")
    further = [key("trainings of several seeds, as rates", **_SEEDS), key("DNN", **_DNN)]
    return _legend(figure, grid, _RULES, *further, key("the paper", **hollow(st.INK, "D")))


def windows(figures: Figures, _: Images) -> Figure:
    """Draw Figure 3: accuracy of the SDBN and the DNN under normal noise on 20 pixels."""
    curves = figures["curves"]
    networks = list(dict.fromkeys(curve["network"] for curve in curves))
    clean: dict[str, Any] = {"color": st.INK, "linewidth": 1, "linestyle": ":"}
    figure, grid = panels(1, len(networks), _SIZE_IN, sharey=True)
    for axes, network in zip(grid[0], networks, strict=True):
        mine = [curve for curve in curves if curve["network"] == network]
        # Shifted so that the intervals do not overlap.
        for shift, window, look in zip((0.97, 1.0, 1.03), _WINDOWS, _LOOKS, strict=True):
            shown = [curve for curve in mine if curve["window"] == window]
            deltas = [shift * curve["delta"] for curve in shown]
            _lines(axes, deltas, _columns(shown), look)
            ends = [percents(curve["accuracy_ci95"]) for curve in shown]
            rates = percents(curve["accuracy"] for curve in shown)
            estimates(axes, deltas, rates, look, ends, linestyle="none", markersize=0)
        for curve in mine:
            if curve["window"] is None:
                axes.axhline(100 * curve["accuracy"], **clean)
        _finish(axes, [one["delta"] for one in mine if one["window"]], network.upper(), None)
    further = [key("bars: 95 % interval", color=st.INK), key("without noise, as rates", **clean)]
    return _legend(figure, grid, _WINDOWS, *further)


def images(_: Figures, images: Images) -> Figure:
    """Draw Figure 4: a "five" without noise, and with noise in the corner and in the middle."""
    titles = {"clean": "without noise", "corner": "noise in the corner"}
    titles["middle"] = "noise in the middle"
    figure, grid = panels(1, len(titles), (6.7, 2.75), sharex=True, sharey=True)
    for axes, letter, (name, title) in zip(grid[0], "abc", titles.items(), strict=True):
        show_image(axes, images[name], f"({letter}) {title}")
    return figure
