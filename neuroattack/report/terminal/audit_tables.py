"""Print an audit as tables in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.report.terminal import console

__all__ = ["print_bracket", "print_card"]


def print_card(card: Mapping[str, Any]) -> None:
    """Print the verdict and figures of a card, and its comparison if any, from its JSON."""
    rows = []
    for section in card["sections"].values():
        for figure in section["figures"]:
            number = "{:.1f} %" if figure["unit"] == "fraction" else "{:+.1f} %"
            clean_error_rate = figure["clean_error_rate"]
            rows.append(
                [
                    figure["key"],
                    number.format(100 * figure["value"]),
                    _interval(figure["ci95"]),
                    "" if clean_error_rate is None else number.format(100 * clean_error_rate),
                    figure["better"],
                ]
            )
    console.print_rows(
        f"Verdict: {card['verdict']}",
        ["result", "value", "95 % interval (%)", "clean error rate", "better"],
        rows,
    )
    print_bracket(card["bracket"])
    if card["against"] is not None:
        _print_comparison(card["against"], card["regressions"])


def print_bracket(bracket: Mapping[str, Any]) -> None:
    """Print a robustness bracket, from its JSON."""
    from neuroattack.report.templates import render

    levels = bracket["levels"]
    columns = {
        "deployment": [level["deployment"] for level in levels],
        "goal": ["targeted" if level["targeted"] else "untargeted" for level in levels],
        "bound": [level["bound"] for level in levels],
        "query budget": [f"{level['budget']:,}" for level in levels],
        "clean error (%)": [_estimate(level["clean_error"]) for level in levels],
        "black-box (%)": [_estimate(level["black_box"]) for level in levels],
        "strongest attack": [f"{level['attack']} ({level['threat_model']})" for level in levels],
        "white-box (%)": [_estimate(level["white_box"]) for level in levels],
        "efficiency (%)": [_estimate(level["efficiency"]) for level in levels],
        "verdict": [level["verdict"] for level in levels],
    }
    for name in ("deployment", "goal"):
        if len(set(columns[name])) == 1:
            del columns[name]
    console.print_rows(
        f"Robustness bracket: {bracket['verdict']}",
        list(columns),
        [list(row) for row in zip(*columns.values(), strict=True)],
    )
    for name, reason in bracket["missing"].items():
        console.note(f"Missing: {name}: {reason}")
    console.note(render("report/bracket.html.jinja", verdict=bracket["verdict"]).strip())


def _estimate(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return "none"
    return f"{100 * estimate['value']:.1f} ({_interval(estimate['ci95'])})"


def _print_comparison(against: Mapping[str, Any], regressions: Sequence[Mapping[str, Any]]) -> None:
    supported = sum(each["supported"] is True for each in regressions)
    console.print_figures(
        "Comparison",
        {
            "earlier audit": against["file"],
            "its verdict": against["verdict"],
            "margin": f"{100 * against['margin']:g} percentage points",
            "results compared": f"{against['compared']}",
            "not compared": ", ".join(against["not_compared"]) or "none",
            "regressions": f"{len(regressions)}",
            "supported regressions": f"{supported}",
        },
    )
    if regressions:
        console.print_rows(
            "Regressions",
            [
                "result",
                "before (%)",
                "now (%)",
                "decrease in robustness",
                "95 % interval",
                "supported",
            ],
            [
                [
                    each["key"],
                    f"{100 * each['before']:.1f}",
                    f"{100 * each['now']:.1f}",
                    f"{100 * each['fall']:.1f}",
                    _interval(each["fall_ci95"]),
                    {True: "yes", False: "no", None: "unknown"}[each["supported"]],
                ]
                for each in regressions
            ],
        )


def _interval(ci95: Sequence[float] | None) -> str:
    return "" if ci95 is None else " to ".join(f"{100 * end:.1f}" for end in ci95)
