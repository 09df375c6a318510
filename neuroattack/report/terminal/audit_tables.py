"""A robustness card as tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuroattack.report.terminal import console

__all__ = ["print_card"]


def print_card(card: Mapping[str, Any]) -> None:
    """Print the figures of a card, from its JSON, and its verdict."""
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
        ["figure", "value", "95 % interval (%)", "clean", "better"],
        rows,
    )
    console.note(card["headline"]["sentence"])
