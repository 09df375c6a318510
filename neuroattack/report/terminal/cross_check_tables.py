"""Tables of a cross-check of an energy estimate with another tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuroattack.report.numbers import energy_text
from neuroattack.report.terminal import console

__all__ = ["print_cross_check"]

_DIFFERENCES = (
    "difference_pj",
    "from_counts_pj",
    "from_coefficients_pj",
    "one_side_only_pj",
)
_TIMED = frozenset({"static_chip"})


def print_cross_check(profile: str, figures: Mapping[str, Any]) -> None:
    """Print both estimates under a profile and their differences, from the JSON."""
    tool = figures["tool"]
    console.print_rows(
        f"{profile}: cross-check with {tool} {figures['version']} ({figures['chip']}), "
        f"{figures['images']:,} images, per image",
        ["population", "spikes", f"spikes, {tool}", "differing neurons and steps, all images"],
        [
            [name, f"{each['ours']:,.1f}", f"{each['other']:,.1f}", f"{each['differing']:,}"]
            for name, each in figures["spikes"].items()
        ],
    )
    total, time = figures["total"], figures["time_ms"]
    console.print_rows(
        f"{profile}: terms",
        ["term", "events", f"events, {tool}", "pJ per event", f"pJ per event, {tool}", "energy",
         f"energy, {tool}"],
        [
            *([_name(term), *_sides(values)] for term, values in figures["terms"].items()),
            ["total", "", "", "", "", _energies(total["ours"]), energy_text(total["other"])],
        ],
    )  # fmt: skip
    console.print_rows(
        f"{profile}: difference, {tool} minus this estimate",
        ["term", "difference", "from counts", "from coefficients", "in one estimate only"],
        [
            [name.replace("_", " "), *(_energies(values[key]) for key in _DIFFERENCES)]
            for name, values in (*figures["terms"].items(), ("total", total))
        ],
    )
    console.print_figures(
        f"{profile}: run time per image",
        {
            "this estimate": _milliseconds(time["ours"]),
            tool: f"{time['other']:.3g} ms",
            f"this estimate with the times of {tool}": _milliseconds(
                time["ours_with_times_of_other"]
            ),
        },
    )


def _name(term: str) -> str:
    return term.replace("_", " ") + (" (seconds)" if term in _TIMED else "")


def _sides(values: Mapping[str, Any]) -> list[str]:
    """Return the cells of a term: events, coefficients and energies of both estimates."""
    ours, other = values["ours"], values["other"]
    cells = ["", "", "", "", "", ""]
    if ours is not None:
        each = ours["coefficient_pj"]
        cells[0] = _range(ours["count"])
        cells[2] = "none" if each is None else f"{each:.4g}"
        cells[4] = "" if ours["energy_pj"] is None else _energies(ours["energy_pj"])
    if other is not None:
        each = other["coefficient_pj"]
        cells[1] = f"{other['count']:,.5g}" if other["count"] < 1 else f"{other['count']:,.0f}"
        cells[3] = "" if each is None else f"{each:.4g}"
        cells[5] = energy_text(other["energy_pj"])
    return cells


def _range(ends: Mapping[str, float]) -> str:
    texts = (f"{end:,.3g}" if end < 1 else f"{end:,.0f}" for end in _both(ends))
    return " to ".join(dict.fromkeys(texts))


def _energies(ends: Mapping[str, float]) -> str:
    return " to ".join(dict.fromkeys(_signed(end) for end in _both(ends)))


def _signed(energy_pj: float) -> str:
    return energy_text(energy_pj) if energy_pj >= 0 else f"\u2212{energy_text(-energy_pj)}"


def _milliseconds(ends: Mapping[str, float] | None) -> str:
    if ends is None:
        return "unknown"
    return " to ".join(dict.fromkeys(f"{end:.3g}" for end in _both(ends))) + " ms"


def _both(ends: Mapping[str, float]) -> tuple[float, float]:
    return ends["lower"], ends["upper"]
