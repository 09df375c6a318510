"""Figure of a campaign: success rate against query budget and against norm bound."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from neuroattack.errors import ValidationError
from neuroattack.experiments.campaign.bracket import is_of_classes
from neuroattack.files import atomic_path
from neuroattack.report.numbers import attack_text

__all__ = ["curves_figure", "save_curves"]

_DPI = 160
_INK, _GRID = "#1f2328", "#d1d7de"
# Okabe and Ito's palette for color-blind readers; more curves repeat it, dashed.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_STYLES = ("-", "--", ":")
_MARKERS = "os^vDPX*"
_COLUMNS = 3
_TITLE_WIDTH = 42
_BOUNDS = {
    "l0": "L0 bound (pixels)",
    "l2": "L2 bound",
    "linf": "L\u221e bound",
    "local_sd": "Local-SD bound",
    "events": "Changed events per clean event",
    "insertions": "Inserted events per clean event",
    "deletions": "Deleted events per clean event",
    "jitter": "Largest shift (time steps)",
    "shift": "Mean shift (time steps)",
    "moved": "Moved events per clean event",
}
# Shift between curves, relative to the axis, so that their intervals do not overlap.
_APART = 0.012
# Sizes of the legend, with its font.
_LEGEND_HANDLE_IN, _LEGEND_CHARACTER_IN, _LEGEND_ROW_IN = 0.6, 0.075, 0.2


@dataclass(frozen=True)
class _Panel:
    title: str
    x_label: str
    logarithmic: bool
    curves: Mapping[str, list[tuple[float, Mapping[str, Any]]]]


def curves_figure(attacks: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw success rates with 95 % intervals against query budget and against norm bound.

    Raises
    ------
    ValidationError
        If no attack has results for two budgets or two bounds.
    """
    panels = [*_against_queries(attacks), *_against_distance(attacks)]
    if not panels:
        raise ValidationError(
            "curves",
            "results for one query budget and one bound per norm",
            "two or more budgets or bounds, set by 'budgets' and 'bounds' in the campaign file",
        )
    names = sorted({name for panel in panels for name in panel.curves})
    columns = min(len(panels), _COLUMNS)
    rows = math.ceil(len(panels) / columns)
    width = 0.4 + 3.3 * columns
    longest = _LEGEND_HANDLE_IN + _LEGEND_CHARACTER_IN * max(map(len, names))
    legend_columns = max(1, min(len(names), 2 * columns, int(width / longest)))
    legend_rows = math.ceil(len(names) / legend_columns)
    figure = Figure(
        figsize=(max(width, longest), 2.7 * rows + _LEGEND_ROW_IN * (legend_rows + 2)),
        layout="constrained",
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel, names)
    handles = {
        handle.get_label(): handle
        for axes in grid.flat
        for handle in axes.get_legend_handles_labels()[0]
    }
    figure.legend(
        [handles[name] for name in names],
        names,
        loc="outside lower center",
        ncols=legend_columns,
        frameon=False,
        fontsize=8.5,
    )
    return figure


def _grouped(
    points: Iterable[tuple[tuple[Any, ...], float, Mapping[str, Any]]],
) -> dict[tuple[Any, ...], dict[str, list[tuple[float, Mapping[str, Any]]]]]:
    groups: dict[tuple[Any, ...], dict[str, list[tuple[float, Mapping[str, Any]]]]] = {}
    for key, x, row in points:
        groups.setdefault(key, {}).setdefault(
            attack_text(row["attack"], row["settings"]), []
        ).append((x, row))
    return {
        key: {name: sorted(points, key=lambda point: point[0]) for name, points in curves.items()}
        for key, curves in groups.items()
        if len({x for points in curves.values() for x, _ in points}) > 1
    }


def _title(deployment: str, targeted: bool, fixed: str) -> str:
    """Return the title of a panel, in lines that fit its width."""
    texts = (deployment, f"{'targeted' if targeted else 'untargeted'}, {fixed}")
    # Settings are joined by commas without spaces, at which lines would not break.
    spaced = (re.sub(",(?=[a-z])", ", ", text) for text in texts)
    return "\n".join(line for text in spaced for line in textwrap.wrap(text, _TITLE_WIDTH))


def _against_queries(attacks: Iterable[Mapping[str, Any]]) -> list[_Panel]:
    groups = _grouped(
        ((row["deployment"], row["targeted"], row["bound"]), row["budget"], row)
        for row in attacks
        if row["bound"] is not None and row["budget"] is not None and is_of_classes(row)
    )
    return [
        _Panel(_title(deployment, targeted, f"bound {bound}"), "Query budget", True, curves)
        for (deployment, targeted, bound), curves in groups.items()
    ]


def _against_distance(attacks: Iterable[Mapping[str, Any]]) -> list[_Panel]:
    groups = _grouped(
        ((row["deployment"], row["targeted"], row["budget"], measure, further), float(most), row)
        for row in attacks
        for measure, sign, rest in [(row["bound"] or "").partition("=")]
        for most, _, further in [rest.partition(",")]
        if sign and is_of_classes(row)
    )
    return [
        _Panel(
            _title(
                deployment,
                targeted,
                ("no queries" if budget is None else f"query budget {budget:,}")
                + (f", {further}" if further else ""),
            ),
            _BOUNDS[measure],
            False,
            curves,
        )
        for (deployment, targeted, budget, measure, further), curves in groups.items()
    ]


def _draw(axes: Axes, panel: _Panel, names: Sequence[str]) -> None:
    drawn = [name for name in names if name in panel.curves]
    values = sorted({x for points in panel.curves.values() for x, _ in points})
    width = math.log(values[-1] / values[0]) if panel.logarithmic else values[-1] - values[0]
    for place, name in enumerate(drawn):
        points = panel.curves[name]
        aside = (place - (len(drawn) - 1) / 2) * _APART * width
        at = [x * math.exp(aside) if panel.logarithmic else x + aside for x, _ in points]
        success = [100 * row["success"] for _, row in points]
        # With a success rate of 0, rounding can put the lower end of Wilson's interval above it.
        below = [max(0.0, 100 * (row["success"] - row["success_ci95"][0])) for _, row in points]
        above = [max(0.0, 100 * (row["success_ci95"][1] - row["success"])) for _, row in points]
        look = names.index(name)
        axes.errorbar(
            at,
            success,
            yerr=[below, above],
            label=name,
            color=_COLORS[look % len(_COLORS)],
            linestyle=_STYLES[look // len(_COLORS) % len(_STYLES)],
            marker=_MARKERS[look % len(_MARKERS)],
            markersize=4,
            linewidth=1.4,
            elinewidth=0.9,
        )
    if panel.logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(values, [f"{x:,g}" if x < 10_000 else f"{x / 1000:g}k" for x in values])
    axes.set_ylim(-3, 103)
    axes.set_title(panel.title, fontsize=9, color=_INK, loc="left")
    axes.set_xlabel(panel.x_label, fontsize=8.5)
    axes.set_ylabel("Success rate on\nfresh trials (%)", fontsize=8.5)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color=_GRID, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def save_curves(path: Path, attacks: Sequence[Mapping[str, Any]]) -> None:
    """Write the curves as PNG, atomically."""
    figure = curves_figure(attacks)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)
