"""Tables of the diagnosis of two simulations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.report.terminal import console

__all__ = ["print_diagnosis"]


def print_diagnosis(figures: Mapping[str, Any]) -> None:
    """Print a diagnosis, from its JSON."""
    one, other = figures["sides"]
    names = f"{one['name']} and {other['name']}"
    shown = {
        f"differing spikes of {name}": f"{count:,}"
        for name, count in figures["differing_spikes"].items()
    }
    if figures["differing_potentials"] is not None:
        shown["differing output potentials"] = f"{figures['differing_potentials']:,}"
    if figures["class_agreement"] is not None:
        shown["same class"] = f"{100 * figures['class_agreement']:.1f} %"
    console.print_figures(
        f"{names}: {figures['images']:,} images of {figures['steps']:,} time steps", shown
    )
    first = figures["first_difference"]
    if first is None:
        return
    console.print_figures(
        "First differing spike",
        {
            "cause": ", ".join(map(_words, figures["causes"])),
            "population": first["population"],
            "image": f"{first['image']:,}",
            "time step": f"{first['step']:,}",
            "neuron": f"{first['neuron']:,}",
            "spike in": first["only_in"],
            **{
                f"potential minus threshold, {side['name']}": _distance(distance, side)
                for side, distance in zip(
                    (one, other), first["distances_to_threshold"], strict=True
                )
                if distance is not None
            },
            "differing spikes without an earlier one": f"{sum(figures['origins'].values()):,}",
        },
    )
    for side in (one, other):
        if side["course"] is not None:
            _print_course(side["name"], side["course"])
    rows = [row for side in (one, other) for row in _rows(side)]
    if rows:
        console.print_rows(
            "Spikes that the reference dynamics do not predict",
            ["side", "populations", "spikes", "unexplained", "cause", "variation", "alternatives"],
            rows,
        )
    if figures["replacements"]:
        _print_replacements(figures["replacements"])


def _distance(distance: float, side: Mapping[str, Any]) -> str:
    threshold = side["course"]["threshold"]
    relative = f" ({100 * distance / threshold:.3g} %)" if threshold > 0 else ""
    return f"{distance:.6g}{relative}"


def _print_course(name: str, course: Mapping[str, Any]) -> None:
    threshold = "infinite" if course["threshold"] is None else f"{course['threshold']:.6g}"
    console.print_rows(
        f"Neuron in {name}: {course['source']} potential, threshold {threshold}",
        ["time step", "input", "potential", "spike"],
        [
            [str(step), f"{value:.6g}", f"{potential:.6g}", "yes" if spike else ""]
            for step, value, potential, spike in zip(
                course["steps"],
                course["inputs"],
                course["potentials"],
                course["spikes"],
                strict=True,
            )
        ],
    )


def _rows(side: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            side["name"],
            ", ".join(each["populations"]),
            f"{each['mismatches']:,}",
            f"{each['unexplained']:,}",
            ", ".join(map(_words, each["causes"])),
            _variation(each),
            ", ".join(map(_words, each["alternatives"])),
        ]
        for each in side["explanations"]
    ]


def _variation(explanation: Mapping[str, Any]) -> str:
    changes = dict(explanation["variation"])
    if explanation["weight_error"] is not None:
        changes["weight error at least"] = explanation["weight_error"]
    return "; ".join(f"{_words(name)}: {_value(name, value)}" for name, value in changes.items())


def _value(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(part)} {_value(part, each)}" for part, each in value.items())
    if isinstance(value, tuple):
        return " ".join(_value(name, each) for each in value)
    if isinstance(value, float):
        return f"{value:.3g}"
    # Added steps have a sign.
    return f"{value:+d}" if name.endswith("_steps") else _words(str(value)).lower()


def _print_replacements(replacements: Sequence[Mapping[str, Any]]) -> None:
    populations = list(replacements[0]["explained"])
    console.print_rows(
        "Differing predictions explained by each part of the network",
        ["part", *populations],
        [
            [each["part"], *(f"{each['explained'][name]:,}" for name in populations)]
            for each in replacements
        ],
    )


def _words(name: str) -> str:
    return name.replace("_", " ")
