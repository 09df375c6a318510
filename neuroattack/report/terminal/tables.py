"""Tables of conversions, evaluations, comparisons and attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuroattack.report.numbers import bound_text, budget_text, throughput
from neuroattack.report.terminal import console

__all__ = [
    "print_attacks",
    "print_comparison",
    "print_conversion",
    "print_evaluation",
    "print_events",
    "print_sample",
]


def _percent(fraction: float, interval: Sequence[float] | None = None) -> str:
    shown = f"{100 * fraction:.2f} %"
    if interval is not None:
        shown += f" ({100 * interval[0]:.2f} to {100 * interval[1]:.2f} %)"
    return shown


def _encoder(figures: Mapping[str, Any]) -> str:
    rate_hz = figures["input_rate_hz"]
    if rate_hz is None:
        return str(figures["encoder"])
    return f"{figures['encoder']}, {rate_hz:g} Hz at full intensity"


def print_conversion(figures: Mapping[str, Any], pixels: int) -> None:
    """Print the results of a conversion, from its JSON."""
    console.print_figures(
        "Converted network",
        {
            "populations": "-".join(map(str, [pixels, *figures["populations"].values()])),
            "time step": f"{1e3 * figures['dt_s']:g} ms",
            "input": _encoder(figures),
            "largest rounding error of a weight": f"{figures['largest_rounding_v']:.2g} V "
            f"({figures['largest_relative_rounding']:.2g} of the largest weight)",
            "network": figures["network"],
        },
    )


def print_events(figures: Mapping[str, Any]) -> None:
    """Print the numbers of recordings and events of a converted data set, from its JSON."""
    splits = list(figures["splits"].values())
    classes = [
        [f"recordings of class {name}", *(f"{split['recordings'][label]:,}" for split in splits)]
        for label, name in enumerate(figures["classes"])
    ]
    events = [
        [name, *(f"{split[key]:,}" for split in splits)]
        for name, key in (
            ("recordings without events", "empty"),
            ("events", "events"),
            ("events merged with an earlier one", "merged"),
            ("events after the last time step", "late"),
        )
    ]
    console.print_rows("Converted recordings", ["", *figures["splits"]], [*classes, *events])
    console.print_figures(
        "Data set",
        {
            "format": figures["format"],
            "sample": "x".join(map(str, figures["shape"])),
            "time step": f"{1e3 * figures['dt_s']:g} ms",
            "data set": figures["dataset"],
        },
    )


def print_import(figures: Mapping[str, Any]) -> None:
    """Print an imported network, from its JSON."""
    sizes = map(str, figures["populations"].values())
    shown = {
        "populations": f"{'x'.join(map(str, figures['input_shape']))}-{'-'.join(sizes)}",
        "connections": f"{figures['connections']:,}",
        "time step": f"{1e3 * figures['dt_s']:g} ms",
        "input": _encoder(figures),
        "settings": "\n".join(
            f"{name}: {value:g} ({source})"
            if isinstance(value, float)
            else f"{name}: {value} ({source})"
            for name, value, source in (
                (name, each["value"], each["source"]) for name, each in figures["settings"].items()
            )
        ),
        "shortest delay from input to readout": f"{figures['lag_steps']} time steps",
        "largest rounding error of a weight": f"{figures['largest_relative_rounding']:.2g} of the "
        "largest weight of its projection",
        "network": figures["network"],
    }
    if figures["notes"]:
        shown["notes"] = "\n".join(figures["notes"])
    shown["losses"] = "\n".join(figures["losses"]) or "none"
    console.print_figures("Imported network", shown)


def print_export(path: Path, file_format: str, losses: Sequence[str]) -> None:
    """Print the path, the format and the losses of an exported network."""
    console.print_figures(
        "Exported network",
        {"file": str(path), "format": file_format, "losses": "\n".join(losses) or "none"},
    )


def print_evaluation(figures: Mapping[str, Any], rate_accuracy: float | None) -> None:
    """Print an evaluation, from its JSON, and the accuracy of the rate network if known."""
    shown = (
        {} if rate_accuracy is None else {"accuracy of the rate network": _percent(rate_accuracy)}
    )
    shown["spiking accuracy (95 % interval)"] = _percent(
        figures["accuracy"], figures["accuracy_ci95"]
    )
    shown["images"] = (
        f"{figures['images']}, {_percent(figures['silent_fraction'])} silent, "
        f"{_percent(figures['undecided_fraction'])} silent or tied"
    )
    if figures["decision_steps"] is not None:
        shown["early exit"] = figures["exit"]
        times = figures["decision_steps"]
        shown["time to decision"] = (
            f"mean {times['mean']:.1f}, median {times['median']:g}, 95th percentile "
            f"{times['percentile_95']:g} time steps"
        )
    shown["spikes per image"] = ", ".join(
        f"{name} {count:.1f}" for name, count in figures["spikes_per_image"].items()
    )
    shown["synaptic operations per image"] = f"{figures['synaptic_operations_per_image']:,.0f}"
    shown["backend"] = (
        f"{figures['backend']}, {figures['precision']} point, {figures['steps']} time steps, "
        f"{figures['images_per_s']:.0f} images/s"
    )
    console.print_figures("Evaluation", shown)


def print_sample(figures: Mapping[str, Any]) -> None:
    """Print a sample and its pictures, from its JSON."""
    shown = {"shape": "x".join(map(str, figures["shape"]))}
    if figures["label"] is not None:
        shown["true class"] = str(figures["label"])
    if figures.get("duration_s") is not None:
        shown["duration"] = f"{1e3 * figures['duration_s']:g} ms"
    for name, events in figures.get("events", {}).items():
        if events is not None:
            total, *polarities = (f"{count:,} {kind}" for kind, count in events.items())
            shown[f"events, {name}"] = ", ".join([total.removesuffix(" total"), *polarities])
    for name, distance in (figures["distances"] or {}).items():
        if distance is not None:
            shown[f"distance, {name}"] = f"{distance:.3g}"
    shown["files"] = "\n".join(figures["files"].values())
    console.print_figures(f"{figures['source']}, index {figures['index']}", shown)


def print_comparison(figures: Mapping[str, Any]) -> None:
    """Print a comparison of backends, from its JSON."""
    has_potentials = any(
        found["differing_potentials"] is not None for found in figures["backends"].values()
    )
    console.print_rows(
        f"{figures['images']:,} images of {figures['steps']} time steps, compared with the "
        "reference dynamics",
        [
            "backend",
            "differing spikes",
            "differing counts",
            *(["differing potentials"] if has_potentials else []),
            "same class",
            "accuracy",
            "images/s",
            "start-up (s)",
            "memory (MiB)",
        ],
        [
            [
                name,
                _located(found["differing_spikes"], found["first_difference"]),
                str(found["differing_counts"]),
                *([str(found["differing_potentials"])] if has_potentials else []),
                _percent(found["class_agreement"]),
                _percent(found["accuracy"]),
                throughput(found["images_per_s"]),
                f"{found['setup_s']:.1f}",
                f"{found['peak_rss_mib']:.0f}",
            ]
            for name, found in figures["backends"].items()
        ],
    )
    for name, reason in figures["refused"].items():
        console.note(f"Skipped: {name}: {reason}")
    for name, reason in figures["failed"].items():
        console.note(f"Failed: {name}: {reason}")
    if figures["fixed_point"]:
        _print_fixed_point(figures["fixed_point"])


def _located(differing: int, first: Mapping[str, Any] | None) -> str:
    if first is None:
        return str(differing)
    return (
        f"{differing}, first: {first['population']}, image {first['image']}, "
        f"step {first['step']}, neuron {first['neuron']}"
    )


def _print_fixed_point(figures: Mapping[str, Any]) -> None:
    correlation = figures["count_correlation"]
    shown = {
        "accuracy, floating point": _percent(figures["accuracy_floating"]),
        "accuracy, quantized": _percent(figures["accuracy_fixed"]),
        "decrease in accuracy": f"{100 * figures['accuracy_drop']:.2f} percentage points",
        "same class": _percent(figures["class_agreement"]),
        "equal output counts": _percent(figures["equal_counts"]),
        "correlation of output counts": "none" if correlation is None else f"{correlation:.4f}",
    }
    for each in figures["populations"]:
        shown[f"time constant of {each['name']}"] = (
            f"{_seconds(each['effective_tau_m_s'])} instead of {_seconds(each['tau_m_s'])}"
        )
    for each in figures["projections"]:
        shown[f"weights from {each['source']} to {each['target']}"] = (
            f"{_percent(each['lost_fraction'])} rounded to 0, largest error "
            f"{each['largest_error_v']:.2g} V"
        )
    console.print_figures(f"Floating point and {figures['numbers']}", shown)


def _seconds(value: float | None) -> str:
    return "no leak" if value is None else f"{value:.3g} s"


def print_transfer(figures: Mapping[str, Any]) -> None:
    """Print the matrix of a transfer study, from its JSON."""
    names = figures["columns"]
    console.print_rows(
        "Success rates on fresh trials, with 95 % intervals over images, by deployment tested on",
        ("generated on", *names),
        [
            (
                name,
                *(
                    f"{100 * rate:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"
                    for rate, (low, high) in zip(rates, intervals, strict=True)
                ),
            )
            for name, rates, intervals in zip(
                figures["rows"], figures["success"], figures["ci95"], strict=True
            )
        ],
    )


def print_attacks(results: Sequence[Mapping[str, Any]]) -> None:
    """Print a table of attacks and one of their images, from their JSON."""
    console.print_rows(
        "Success rates on fresh trials, with 95 % intervals over images",
        [
            "attack",
            "threat model",
            "bound",
            "query budget",
            "images",
            "success rate",
            "clean error rate",
        ],
        [
            [
                found["attack"],
                found["threat_model"],
                bound_text(found["norm"], found["bound"], found["bound_options"]),
                budget_text(found["queries"], found["threat_model"]),
                str(len(found["images"])),
                _percent(found["success_rate"], found["success_ci95"]),
                _percent(found["clean_error_rate"]),
            ]
            for found in results
        ],
    )
    _print_increases(results)
    console.print_rows(
        "Images, with 95 % intervals over trials",
        [
            "attack",
            "image",
            "true class",
            "target class",
            "success rate",
            "clean error rate",
            "distance",
            "queries",
            "verification trials",
            "change of synaptic operations",
        ],
        [
            [
                found["attack"],
                str(each["index"]),
                str(each["label"]),
                "any" if each["target_class"] is None else str(each["target_class"]),
                _percent(each["success_rate"], each["success_ci95"]),
                _percent(each["clean_error_rate"]),
                f"{each['distance']:.2f}",
                f"{each['search_queries']:,}",
                f"{each['verification_queries']:,}",
                _operations(each.get("cost")),
            ]
            for found in results
            for each in found["images"]
        ],
    )


def _print_increases(results: Sequence[Mapping[str, Any]]) -> None:
    """Print the increases of attacks whose goal is a quantity."""
    found = [each for each in results if each["goal"] not in ("untargeted", "targeted")]
    if not found:
        return
    console.print_rows(
        "Median increases over images, with 95 % intervals; success: the class is kept",
        ["attack", "goal", "quantity", "increase"],
        [
            [each["attack"], each["goal"], name.replace("_", " "), _increase(values)]
            for each in found
            for name, values in each["increases"].items()
        ],
    )


def _increase(values: Mapping[str, Any]) -> str:
    text = f"{100 * values['median']:+.1f} %"
    if values["ci95"] is not None:
        low, high = (100 * end for end in values["ci95"])
        text += f" ({low:+.1f} to {high:+.1f} %)"
    return text


def _operations(cost: Mapping[str, Any] | None) -> str:
    """Return the relative change of synaptic operations under attack."""
    ratio = None if cost is None else cost["synaptic_operations"]["ratio"]
    return "" if ratio is None else f"{100 * (ratio - 1):+.1f} %"
