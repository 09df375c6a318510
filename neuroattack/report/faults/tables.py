"""Rows of tables of networks with faults in memory, from their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["accuracy_rows", "flip_rows", "word_rows"]

Table = tuple[str, list[str], list[list[str]]]


def accuracy_rows(figures: Mapping[str, Any]) -> Table:
    """Return title, header and rows: mean accuracy by profile and rate, with 95 % intervals."""
    protection = "" if figures["protection"] == "none" else f", protection {figures['protection']}"
    title = (
        f"Accuracy (%) against the rate of faults ({figures['kind']}, bits: {figures['bits']}"
        f"{protection}): {figures['images']:,} images of {figures['steps']} time steps, "
        f"{figures['maps']} fault maps per rate"
    )
    header = ["profile", "stored bits", "0", *(f"{rate:g}" for rate in figures["rates"])]
    rows = [
        [
            name,
            f"{chip['stored_bits']:,}",
            f"{100 * chip['clean_accuracy']:.2f}",
            *(_mean(point) for point in chip["points"]),
        ]
        for name, chip in figures["profiles"].items()
        if chip["fits"]
    ]
    return title, header, rows


def flip_rows(figures: Mapping[str, Any]) -> Table:
    """Return title, header and rows: accuracy by number of flips and choice of the bits."""
    protection = "" if figures["protection"] == "none" else f", protection {figures['protection']}"
    title = (
        f"Accuracy (%) against flips of {figures['stored_bits']:,} bits: {figures['profile']}"
        f"{protection}, {figures['images']:,} images of {figures['steps']} time steps"
    )
    methods = figures["methods"]
    shown: dict[int, dict[str, str]] = {}
    for method, found in methods.items():
        for point in found["points"]:
            shown.setdefault(point["flips"], {})[method] = _mean(point)
    rows = [
        [f"{flips:,}", *(of.get(method, "not found") for method in methods)]
        for flips, of in sorted(shown.items())
    ]
    return title, ["flips", *methods], rows


def word_rows(figures: Mapping[str, Any]) -> Table:
    """Return title, header and rows: the stored words by profile."""
    header = ["profile", "parameter", "part", "code", "bits", "words"]
    rows = [
        [
            name,
            word["parameter"],
            word["part"],
            word["layout"].replace("_", " "),
            str(word["bits"]),
            f"{word['words']:,}",
        ]
        for name, chip in figures["profiles"].items()
        if chip["fits"]
        for word in chip["words"]
    ]
    return "Stored words", header, rows


def _mean(point: Mapping[str, Any]) -> str:
    mean = f"{100 * point['accuracy']:.2f}"
    if point["accuracy_ci95"] is None:
        return mean
    low, high = point["accuracy_ci95"]
    return f"{mean} ({100 * low:.2f} to {100 * high:.2f})"
