"""Where the results come from: the only part of the report that depends on more than them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuroattack.report.numbers import NBSP

__all__ = ["provenance_rows"]


def provenance_rows(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is needed to make the results again, and what making them took."""
    settings = ", ".join(
        f"{name.replace('_', ' ')} {'all' if value is None else value}"
        for name, value in meta["settings"].items()
    )
    return [
        ("Command", str(meta["command"])),
        ("Seed", str(meta["seed"])),
        ("Data set", str(meta["dataset"])),
        ("Data set, SHA-256", str(meta["dataset_checksum"])),
        ("Settings", settings),
        ("Time of this run", _duration(float(meta["seconds"])) + _began(int(meta["done_before"]))),
        ("Versions", str(meta["versions"])),
        ("Machine", str(meta["machine"])),
    ]


def _began(done_before: int) -> str:
    if not done_before:
        return ", from nothing"
    return f", in a folder where {done_before} pieces of work had been done before"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}{NBSP}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{whole // 60}{NBSP}min {whole % 60}{NBSP}s"
    return f"{hours}{NBSP}h {minutes}{NBSP}min"
