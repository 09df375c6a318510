"""A network on chips, as tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuroattack.report.numbers import energy_text
from neuroattack.report.terminal import console

__all__ = ["print_energy", "print_hardware", "print_losses", "print_precision"]


def print_hardware(figures: Mapping[str, Any]) -> None:
    """Print how a chip holds a network and what an image costs there, from its JSON."""
    shown = {
        "cores in use": "not known" if figures["cores_used"] is None else str(figures["cores_used"])
    }
    for name, (used, available) in figures["utilisation"].items():
        shown[name.replace("_", " ")] = f"{used:,} of {available:,}"
    shown["energy an image"] = _energy(figures)
    shown["time an image"] = _latency(figures["latency_ms"])
    for name, term in figures["terms"].items():
        shown[name.replace("_", " ")] = _term(term)
    if figures["basis"]:
        shown["weakest basis"] = figures["basis"]
    console.print_figures(f"On {figures['profile']}", shown)
    print_losses(figures)
    for caveat in figures["caveats"]:
        console.note(caveat)


def print_losses(figures: Mapping[str, Any]) -> None:
    """Print what rounding to a chip's numbers did, what was dropped, and what was not checked."""
    shown = {}
    for each in figures["populations"]:
        shown[f"time constant of {each['name']}"] = (
            f"{_seconds(each['effective_tau_m_s'])} for {_seconds(each['tau_m_s'])}"
        )
    for each in figures["projections"]:
        shown[f"weights from {each['source']} to {each['target']}"] = (
            f"{each['signs'].replace('_', ' ')}, off by {each['rms_error_v']:.2g} V (root mean "
            f"square), {each['largest_error_v']:.2g} V at most; "
            f"{100 * each['lost_fraction']:.2f} % became 0, "
            f"{100 * each['saturated_fraction']:.2f} % clipped"
        )
    console.print_figures(f"Rounded to the numbers of {figures['profile']}", shown)
    if figures["dropped"]:
        console.note(f"Dropped: {'; '.join(figures['dropped'])}")
    if figures["unchecked"]:
        console.note(f"Unchecked, for the profile does not know: {', '.join(figures['unchecked'])}")


def _seconds(value: float | None) -> str:
    """Return a time constant; None is that of a population without a leak."""
    return "no leak" if value is None else f"{value:.3g} s"


def _term(term: Mapping[str, Any]) -> str:
    count = term["count_per_image"]
    counted = "count not known" if count is None else f"{_range(count, '{:,.4g}')} {term['unit']}"
    if term["covered_by"]:
        return f"{counted}, in the price of {term['covered_by'].replace('_', ' ')}"
    if term["energy_pj_per_image"] is None:
        return f"{counted}, unpriced"
    price = f"{term['price']['value']:g} {term['price_unit']}, {term['price']['basis']}"
    return f"{counted} at {price}: {_spent(term['energy_pj_per_image'])}"


def _range(bounds: Mapping[str, float], style: str) -> str:
    lower, upper = style.format(bounds["lower"]), style.format(bounds["upper"])
    return lower if lower == upper else f"{lower} to {upper}"


def _spent(bounds: Mapping[str, float]) -> str:
    lower, upper = energy_text(bounds["lower"]), energy_text(bounds["upper"])
    return lower if lower == upper else f"{lower} to {upper}"


def _energy(figures: Mapping[str, Any]) -> str:
    if figures["energy_pj_per_image"] is not None:
        return _spent(figures["energy_pj_per_image"])
    if figures["priced_subtotal_pj"] is None:
        return "no price known"
    return f"{_spent(figures['priced_subtotal_pj'])} priced, total not known"


def _latency(bounds: Mapping[str, float] | None) -> str:
    return "not known" if bounds is None else f"{_range(bounds, '{:.3g}')} ms"


def print_energy(figures: Mapping[str, Any]) -> None:
    """Print a study of chips, from its JSON."""
    reference = figures["reference"]
    rows = []
    for name, chip in figures["profiles"].items():
        if not chip["fits"]:
            rows.append([name, "no", "", "", "", "", "", "", ""])
            continue
        rows.append(
            [
                name,
                "yes",
                "?" if chip["cores_used"] is None else str(chip["cores_used"]),
                f"{100 * chip['accuracy']:.2f} %",
                f"{sum(chip['spikes_per_image'].values()):,.0f}",
                f"{chip['synaptic_operations_per_image']:,.0f}",
                _energy(chip),
                _latency(chip["latency_ms"]),
                chip["basis"] or "",
            ]
        )
    console.print_rows(
        f"{figures['images']} images of {figures['steps']} steps; in floating point "
        f"{100 * reference['accuracy']:.2f} %",
        [
            "chip",
            "fits",
            "cores",
            "accuracy",
            "spikes",
            "synaptic operations",
            "energy an image",
            "time an image",
            "weakest basis",
        ],
        rows,
    )
    for name, chip in figures["profiles"].items():
        if not chip["fits"]:
            console.note(f"{name}: {chip['refused']}")
        else:
            _print_notes(name, chip)
    _print_conventional(figures["conventional"])


def _print_conventional(figures: Mapping[str, Any]) -> None:
    rows = []
    for name, side in (("conventional", "conventional"), ("this network", "spiking")):
        for precision, energy in figures[side].items():
            rows.append(
                [
                    f"{name}, {precision}",
                    energy_text(energy["operations_pj"]),
                    energy_text(energy["with_memory_pj"]),
                ]
            )
    console.print_rows(
        "A conventional network of the same sizes, at the operations of 45 nm, an image",
        ["network", "operations alone", "with memory accesses"],
        rows,
    )
    for caveat in figures["caveats"]:
        console.note(caveat)


def _print_notes(name: str, chip: Mapping[str, Any]) -> None:
    if chip["unpriced"]:
        console.note(f"{name}: unpriced: {', '.join(chip['unpriced'])}")
    if chip["dropped"]:
        console.note(f"{name}: dropped: {'; '.join(chip['dropped'])}")
    if chip["unchecked"]:
        console.note(f"{name}: unchecked: {', '.join(chip['unchecked'])}")
    for caveat in chip["caveats"]:
        console.note(f"{name}: {caveat}")


def print_precision(figures: Mapping[str, Any]) -> None:
    """Print curves of accuracy, from their JSON."""
    by_bits: dict[int, dict[str, str]] = {}
    for point in figures["bits"]:
        shown = "not held" if point["accuracy"] is None else f"{100 * point['accuracy']:.2f} %"
        series = point["signs"] + (", largest clipped" if point["clipping"] != "none" else "")
        by_bits.setdefault(point["bits"], {})[series] = shown
    signs = list(next(iter(by_bits.values())))
    console.print_rows(
        f"Accuracy by bits a weight: {figures['format']}, {figures['images']} images of "
        f"{figures['steps']} steps",
        ["bits", *(name.replace("_", " ") for name in signs)],
        [[str(bits), *(shown[name] for name in signs)] for bits, shown in by_bits.items()],
    )
    console.print_rows(
        "Accuracy by time steps",
        ["steps", "floating point", figures["format"]],
        [
            [str(a["steps"]), f"{100 * a['accuracy']:.2f} %", f"{100 * b['accuracy']:.2f} %"]
            for a, b in zip(figures["floating"], figures["quantised"], strict=True)
        ],
    )
