"""Tables of networks under hardware profiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuroattack.report.numbers import energy_text
from neuroattack.report.terminal import console
from neuroattack.report.terminal.cross_check_tables import print_cross_check

__all__ = ["print_energy", "print_hardware", "print_latency", "print_losses", "print_precision"]


def print_hardware(figures: Mapping[str, Any]) -> None:
    """Print resources, energy and run time under a hardware profile, from its JSON."""
    cores = figures["cores_used"]
    shown = {"cores used": "unknown" if cores is None else str(cores)}
    for name, (used, available) in figures["utilization"].items():
        shown[name.replace("_", " ")] = f"{used:,} of {available:,}"
    if "unrolled_connections" in figures:
        shown["convolutions unrolled"] = f"{figures['unrolled_connections']:,} connections"
    shown["energy per image"] = _energy(figures)
    shown["run time per image"] = _latency(figures["latency_ms"])
    for name, term in figures["terms"].items():
        shown[name.replace("_", " ")] = _term(term)
    if figures["basis"]:
        shown["weakest basis"] = figures["basis"]
    console.print_figures(f"Hardware profile {figures['profile']}", shown)
    print_losses(figures)
    for caveat in figures["caveats"]:
        console.note(caveat)


def print_losses(figures: Mapping[str, Any]) -> None:
    """Print quantization errors, dropped features and unchecked limits."""
    shown = {}
    for each in figures["populations"]:
        shown[f"time constant of {each['name']}"] = (
            f"{_seconds(each['effective_tau_m_s'])} instead of {_seconds(each['tau_m_s'])}"
        )
        if "tau_syn_s" in each:
            shown[f"synaptic time constant of {each['name']}"] = (
                f"{_seconds(each['effective_tau_syn_s'])} instead of {_seconds(each['tau_syn_s'])}"
            )
    for each in figures["projections"]:
        shown[f"weights from {each['source']} to {each['target']}"] = (
            f"{each['signs'].replace('_', ' ')}, RMS error {each['rms_error_v']:.2g} V, "
            f"largest error {each['largest_error_v']:.2g} V; "
            f"{_percent(each['lost_fraction'])} rounded to 0, "
            f"{_percent(each['saturated_fraction'])} clipped"
        )
    console.print_figures(f"Quantization to {figures['profile']}", shown)
    _note("Dropped features", figures["dropped"], "; ")
    _note("Limits not checked, because the profile does not define them", figures["unchecked"])


def print_energy(figures: Mapping[str, Any]) -> None:
    """Print a comparison of hardware profiles, from its JSON."""
    rows = []
    for name, chip in figures["profiles"].items():
        cells = ["no", *[""] * 7]
        if chip["fits"]:
            cells = [
                "yes",
                "unknown" if chip["cores_used"] is None else str(chip["cores_used"]),
                _percent(chip["accuracy"]),
                f"{sum(chip['spikes_per_image'].values()):,.0f}",
                f"{chip['synaptic_operations_per_image']:,.0f}",
                _energy(chip),
                _latency(chip["latency_ms"]),
                chip["basis"] or "",
            ]
        rows.append([name, *cells])
    console.print_rows(
        f"{figures['images']:,} images of {figures['steps']} time steps, per image; accuracy in "
        f"floating point {_percent(figures['reference']['accuracy'])}",
        ["profile", "fits", "cores", "accuracy", "spikes", "synaptic operations", "energy",
         "run time", "weakest basis"],
        rows,
    )  # fmt: skip
    for name, chip in figures["profiles"].items():
        if not chip["fits"]:
            console.note(f"{name}: {chip['refused']}")
            continue
        _note(f"{name}: no published coefficient", chip["without_coefficient"])
        _note(f"{name}: dropped", chip["dropped"], "; ")
        if "unrolled_connections" in chip:
            connections = f"{chip['unrolled_connections']:,} connections"
            console.note(f"{name}: convolutions unrolled: {connections}")
        _note(f"{name}: limits not checked", chip["unchecked"])
        for caveat in chip["caveats"]:
            console.note(f"{name}: {caveat}")
        if "cross_check" in chip:
            print_cross_check(name, chip["cross_check"])
    conventional = figures["conventional"]
    console.print_rows(
        "Energy per image by published costs of 45 nm operations",
        ["network", "operations only", "with memory accesses"],
        [
            [f"{name}, {precision}", *(energy_text(energy[part]) for part in _PARTS)]
            for name, side in (("conventional", "conventional"), ("this network", "spiking"))
            for precision, energy in conventional[side].items()
        ],
    )
    for caveat in conventional["caveats"]:
        console.note(caveat)


_PARTS = ("operations_pj", "with_memory_pj")


def print_precision(figures: Mapping[str, Any]) -> None:
    """Print accuracy against bits per weight and time steps, from its JSON."""
    by_bits: dict[int, dict[str, str]] = {}
    for point in figures["bits"]:
        series = point["signs"] + (
            ", largest weights clipped" if point["clipping"] != "none" else ""
        )
        by_bits.setdefault(point["bits"], {})[series] = (
            "not supported" if point["accuracy"] is None else _percent(point["accuracy"])
        )
    signs = list(next(iter(by_bits.values())))
    console.print_rows(
        f"Accuracy against bits per weight: {figures['format']}, {figures['images']:,} images of "
        f"{figures['steps']} time steps",
        ["bits", *(name.replace("_", " ") for name in signs)],
        [[str(bits), *(shown[name] for name in signs)] for bits, shown in by_bits.items()],
    )
    console.print_rows(
        "Accuracy against time steps",
        ["time steps", "floating point", figures["format"]],
        [
            [str(a["steps"]), _percent(a["accuracy"]), _percent(b["accuracy"])]
            for a, b in zip(figures["floating"], figures["quantized"], strict=True)
        ],
    )


def print_latency(figures: Mapping[str, Any]) -> None:
    """Print accuracy and time to decision by margin, from its JSON."""
    points = figures["margins"]
    on_chip = any(point["time_s"] or point["subtotal_pj"] for point in points)
    rows = []
    for point in points:
        times, name = point["decision_steps"], str(point["margin"])
        row = [
            f"{name} (first spike)" if point["margin"] == 1 else name,
            _with_interval(point),
            *(f"{times[key]:.1f}" for key in ("mean", "median", "percentile_95")),
        ]
        if on_chip:
            seconds = point["time_s"]
            row.append(_latency(seconds and {end: 1e3 * each for end, each in seconds.items()}))
            row.append(_energy(point))
        rows.append(row)
    console.print_rows(
        f"Early exit: {figures['images']:,} images of at most {figures['steps']} time steps",
        ["margin", "accuracy (95 % interval)", "mean steps", "median", "95th percentile",
         *(["run time", "energy"] if on_chip else [])],
        rows,
    )  # fmt: skip
    console.print_rows(
        "Without early exit",
        ["time steps", "accuracy (95 % interval)"],
        [[str(point["steps"]), _with_interval(point)] for point in figures["fixed"]],
    )
    _note("No published coefficient", figures.get("without_coefficient", []))
    for caveat in figures.get("caveats", []):
        console.note(caveat)


def _with_interval(point: Mapping[str, Any]) -> str:
    low, high = point["accuracy_ci95"]
    return f"{_percent(point['accuracy'])} ({100 * low:.2f} to {100 * high:.2f} %)"


def _note(label: str, names: list[str], joint: str = ", ") -> None:
    if names:
        console.note(f"{label}: {joint.join(names)}")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def _seconds(value: float | None) -> str:
    """Return the text of a time constant, None for a population without leak."""
    return "no leak" if value is None else f"{value:.3g} s"


def _term(term: Mapping[str, Any]) -> str:
    count = term["count_per_image"]
    counted = "count unknown" if count is None else f"{_range(count, '{:,.4g}')} {term['unit']}"
    if term["covered_by"]:
        return f"{counted}, included in the coefficient of {term['covered_by'].replace('_', ' ')}"
    if term["energy_pj_per_image"] is None:
        return f"{counted}, no published coefficient"
    source = term["coefficient"]
    coefficient = f"{source['value']:g} {term['coefficient_unit']}, {source['basis']}"
    return f"{counted} at {coefficient}: {_spent(term['energy_pj_per_image'])}"


def _range(bounds: Mapping[str, float], style: str) -> str:
    return " to ".join(dict.fromkeys(style.format(bounds[end]) for end in ("lower", "upper")))


def _spent(bounds: Mapping[str, float]) -> str:
    return " to ".join(dict.fromkeys(energy_text(bounds[end]) for end in ("lower", "upper")))


def _energy(figures: Mapping[str, Any]) -> str:
    if figures["energy_pj_per_image"] is not None:
        return _spent(figures["energy_pj_per_image"])
    if figures["subtotal_pj"] is None:
        return "no published coefficient"
    return f"{_spent(figures['subtotal_pj'])} (subtotal)"


def _latency(bounds: Mapping[str, float] | None) -> str:
    return "unknown" if bounds is None else f"{_range(bounds, '{:.3g}')} ms"
