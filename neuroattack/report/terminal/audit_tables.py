"""Results of an audit as a table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuroattack.report.terminal import console

__all__ = ["print_card"]


def print_card(card: Mapping[str, Any]) -> None:
    """Print the results and the verdict of an audit, from its JSON."""
    rows = []
    for section in card["sections"].values():
        for figure in section["figures"]:
            written = "{:.1f} %" if figure["unit"] == "fraction" else "{:+.1f} %"
            interval, clean_error_rate = figure["ci95"], figure["clean_error_rate"]
            rows.append(
                [
                    figure["key"],
                    written.format(100 * figure["value"]),
                    "" if interval is None else " to ".join(f"{100 * end:.1f}" for end in interval),
                    "" if clean_error_rate is None else written.format(100 * clean_error_rate),
                    figure["better"],
                ]
            )
    console.print_rows(
        f"Verdict: {card['verdict']}",
        ["result", "value", "95 % interval (%)", "clean error rate", "better"],
        rows,
    )
    console.note(card["headline"]["sentence"])
