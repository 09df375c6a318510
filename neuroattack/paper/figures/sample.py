"""Figures of the attack on one image: Tables II and III, Figures 6 to 9."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neuroattack.paper.figures import LOOKS, paper_points
from neuroattack.paper.networks import NAMES
from neuroattack.paper.settings import MAX_DISTANCE, SOURCE, TARGET, Figures, Images
from neuroattack.report import style as st
from neuroattack.report.style import Look, estimates, hollow, key, panels

__all__ = ["history", "images", "show_image", "spike_fractions", "stages", "windows"]

_TRUE, _TARGET = Look(st.BLUE, "o"), Look(st.VERMILION, "s", (0, (4, 1.5)))
_DISTANCE = Look(st.INK, "D")
_MAXIMUM: dict[str, Any] = {"color": st.MUTED, "linewidth": 1.2, "linestyle": (0, (5, 3))}
_STAGES = {
    "initial": (st.BLUE, "", "o"),
    "intermediate": (st.SKY, "///", "s"),
    "final": (st.VERMILION, "xxx", "^"),
}


def history(figures: Figures, _: Images) -> Figure:
    """Draw Table II or III: P of both classes, and D, at every iteration of both cases."""
    cases = figures["cases"]
    others = figures.get("other_networks", {})
    exact = {name: other for name, other in others.items() if name.endswith("-exact")}
    options = {"sharex": "col", "sharey": "row", "height_ratios": (3, 2)}
    figure, grid = panels(2, len(cases), (7.6, 5.2), **options)
    for (fractions, distances), (case, found) in zip(grid.T, cases.items(), strict=True):
        for name, other in exact.items():
            _history(fractions, other["rows"], case, "p_target", LOOKS[name], markersize=3)
        for axes, what, look in (
            (fractions, "p_max_class", _TRUE),
            (fractions, "p_target", _TARGET),
            (distances, "distance", _DISTANCE),
        ):
            _history(axes, figures["rows"], case, what, look, markersize=4)
            paper_points(axes, *_points(figures["paper_rows"], case, what), look)
        distances.axhline(MAX_DISTANCE, **_MAXIMUM)
        for axes in (fractions, distances):
            st.style(axes)
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        fractions.set_ylim(-2, 102)
        distances.set_ylim(0, None)
        side = found["window"]["size"]
        st.name_axes(fractions, title=f"case {case}: window of {side} \u00d7 {side} pixels")
        st.name_axes(distances, "iteration")
    what = "probability" if figures["network"] == "dnn" else "output spike fraction"
    grid[0][0].set_ylabel(f"{what} (%)", color=st.INK)
    grid[1][0].set_ylabel("distance D (no unit)", color=st.INK)
    handles = [
        key(f"{figures['label']}, true class", _TRUE),
        key(f"{figures['target_class']}, target class", _TARGET),
        key("distance D", _DISTANCE),
        key("the paper's rows", **hollow(st.INK, "o")),
        key(f"D_max = {MAX_DISTANCE:g}", **_MAXIMUM),
        *(key(f"{NAMES[name]}: target class", LOOKS[name], markersize=3) for name in exact),
    ]
    st.key_below(figure, handles, 3)
    return figure


def _points(rows: Any, case: str, what: str) -> tuple[list[float], list[float]]:
    scale = 1 if what == "distance" else 100
    mine = [row for row in rows if row["case"] == case]
    return [row["iteration"] for row in mine], [scale * row[what] for row in mine]


def _history(axes: Axes, rows: Any, case: str, what: str, look: Look, **drawn: Any) -> None:
    estimates(axes, *_points(rows, case, what), look, **drawn)


def stages(figures: Figures, _: Images) -> Figure:
    """Draw Figure 7: probabilities of the DNN for all classes at three stages of both cases."""
    cases = figures["cases"]
    width = 0.27
    figure, grid = panels(len(cases), 1, (7.6, 5.4), sharex=True)
    for axes, letter, (case, stages) in zip(grid[:, 0], "ab", cases.items(), strict=True):
        for place, (stage, probabilities) in enumerate(stages.items()):
            color, hatch, marker = _STAGES[stage]
            at = np.arange(len(probabilities)) + (place - 1) * width
            bars = {"color": color, "hatch": hatch, "edgecolor": "white", "linewidth": 0.4}
            axes.bar(at, 100 * np.array(probabilities), width, **bars)
            _paper_bars(axes, at, figures["paper"][case][stage], marker, 6.5)
        _finish_bars(axes, len(probabilities))
        st.name_axes(axes, title=f"({letter}) case {case}", y="probability (%)")
    grid[-1][0].set_xlabel("class", color=st.INK)
    handles: list[Any] = [
        Patch(facecolor=color, edgecolor="white", hatch=hatch, label=stage)
        for stage, (color, hatch, _) in _STAGES.items()
    ]
    handles += [
        key(f"the paper, {stage}", **hollow(marker=marker, size=6.5, **st.ON_BARS))
        for stage, (_, _, marker) in _STAGES.items()
    ]
    st.key_below(figure, handles, 3)
    return figure


def _paper_bars(axes: Axes, at: Any, paper: Figures, marker: str, size: float) -> None:
    values = [100 * paper["p_max_class"], 100 * paper["p_target"]]
    drawn = hollow(marker=marker, size=size, **st.ON_BARS)
    axes.plot([at[SOURCE], at[TARGET]], values, **drawn, zorder=4)


def _finish_bars(axes: Axes, classes: int) -> None:
    st.style(axes)
    axes.set_xticks(range(classes))
    axes.set_ylim(0, 108)


def spike_fractions(figures: Figures, _: Images) -> Figure:
    """Draw Figure 9: clean output spike fractions of the SDBN for the attacked image."""
    percentages = 100 * np.array(figures["spike_fractions"])
    figure, ((axes,),) = panels(1, 1, (6.2, 3.4))
    colors = [st.OTHERS] * len(percentages)
    colors[SOURCE], colors[TARGET] = st.BLUE, st.VERMILION
    axes.bar_label(
        axes.bar(range(len(percentages)), percentages, 0.62, color=colors),
        fmt="%.1f",
        padding=8,
    )
    _paper_bars(axes, range(len(percentages)), figures["paper"], "o", 7.5)
    _finish_bars(axes, len(percentages))
    st.name_axes(axes, "class", "output spike fraction (%)")
    handles: list[Any] = [
        Patch(color=st.BLUE, label=f"{SOURCE}, true class"),
        Patch(color=st.VERMILION, label=f"{TARGET}, target class"),
        Patch(color=st.OTHERS, label="other classes"),
        key("the paper", **hollow(marker="o", **st.ON_BARS)),
    ]
    st.key_below(figure, handles, 4)
    return figure


def show_image(axes: Axes, pixels: NDArray[Any], title: str) -> None:
    """Draw an image on axes in pixels."""
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    st.style(axes, grid=None)
    axes.set_title(title, fontsize=st.FONT_PT, color=st.INK)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("column (pixels)", fontsize=st.SMALL_PT, color=st.MUTED)
    axes.set_ylabel("row (pixels)", fontsize=st.SMALL_PT, color=st.MUTED)
    axes.label_outer()


def windows(figures: Figures, images: Images) -> Figure:
    """Draw Figure 6: the attacked image, with the window of each case."""
    windows = figures["windows"]
    figure, grid = panels(1, len(windows), (4.6, 2.75), sharex=True, sharey=True)
    for axes, letter, (case, window) in zip(grid[0], "ab", windows.items(), strict=True):
        side = window["size"]
        show_image(axes, images["sample"], f"({letter}) case {case}: {side} \u00d7 {side} pixels")
        # Pixel centers have integer coordinates. Dashes over white are visible on any gray.
        corner = (window["left"] - 0.5, window["top"] - 0.5)
        for color, dashes in (("white", "-"), (st.GREEN, "--")):
            outline: dict[str, Any] = {"edgecolor": color, "linestyle": dashes, "linewidth": 1.8}
            axes.add_patch(Rectangle(corner, side, side, fill=False, **outline))
    return figure


def images(figures: Figures, images: Images) -> Figure:
    """Draw Figure 8: adversarial images of the DNN at three stages of both cases."""
    cases = figures["cases"]
    size = (6.7, 2.45 * len(cases) + 0.3)
    figure, grid = panels(len(cases), len(_STAGES), size, sharex=True, sharey=True)
    for row, (case, stages) in zip(grid, cases.items(), strict=True):
        for axes, (stage, found) in zip(row, stages.items(), strict=True):
            at = f"iteration {found['iteration']}, D = {found['distance']:.2f}"
            show_image(axes, images[f"{case}-{stage}"], f"case {case}, {stage}\n{at}")
    return figure
