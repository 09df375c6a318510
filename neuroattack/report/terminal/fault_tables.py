"""Tables of networks with faults in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuroattack.report.faults.tables import accuracy_rows, flip_rows
from neuroattack.report.terminal import console

__all__ = ["print_faults", "print_flips"]


def print_faults(figures: Mapping[str, Any]) -> None:
    """Print accuracy against the rate of faults, from its JSON."""
    title, header, rows = accuracy_rows(figures)
    console.print_rows(title, header, rows)
    for name, chip in figures["profiles"].items():
        if not chip["fits"]:
            console.note(f"{name}: {chip['refused']}")


def print_flips(figures: Mapping[str, Any]) -> None:
    """Print accuracy against the number of flipped bits, from its JSON."""
    console.print_rows(*flip_rows(figures))
