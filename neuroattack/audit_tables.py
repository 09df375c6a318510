"""A robustness card as tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuroattack import console

__all__ = ["print_card"]


def print_card(card: Mapping[str, Any]) -> None:
    """Print the figures of a card, from its JSON, and its verdict."""
    rows = []
    for section in card["sections"].values():
        for figure in section["figures"]:
            interval = figure["ci95"]
            unattacked = figure["unattacked"]
            rows.append(
                [
                    figure["key"],
                    _percent(figure["value"]),
                    "" if interval is None else " to ".join(map(_percent, interval)),
                    "" if unattacked is None else _percent(unattacked),
                    figure["better"],
                ]
            )
    console.print_rows(
        f"Verdict: {card['verdict']}",
        ["figure", "value", "95 % interval", "unattacked", "better"],
        rows,
    )
    console.note(card["headline"]["sentence"])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
