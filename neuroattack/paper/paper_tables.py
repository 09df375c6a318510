"""What the commands on the paper print, from the JSON of their items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neuroattack.report.terminal import console

__all__ = ["print_item", "print_noise"]

Figures = Mapping[str, Any]


def print_item(item: str, figures: Figures) -> None:
    """Print an item of the paper; of one that is a picture only, what is in it."""
    _PRINTERS[item](figures)


def print_noise(cells: Sequence[Figures]) -> None:
    """Print accuracies under noise."""
    console.print_rows(
        "Accuracy under noise",
        ["network", "noise", "delta", "noisy images", "clipping", "seed", "accuracy", "in spikes"],
        [
            [
                cell["network"],
                cell["noise"] or "none",
                f"{cell['delta']:g}",
                cell["mode"] or "none",
                cell["clipping"] or "",
                str(cell["seed"]),
                _percent(cell["accuracy"], cell["accuracy_ci95"]),
                _percent(cell["spiking_accuracy"], cell["spiking_ci95"]),
            ]
            for cell in cells
        ],
    )


def _percent(value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return ""
    text = f"{100 * value:.2f} %"
    if interval is not None:
        text += f" ({100 * interval[0]:.2f} to {100 * interval[1]:.2f})"
    return text


def _points(value: float, interval: Sequence[float] | None = None) -> str:
    text = f"{100 * value:+.2f} points"
    if interval is not None:
        text += f" ({100 * interval[0]:+.2f} to {100 * interval[1]:+.2f})"
    return text


def _table_one(figures: Figures) -> None:
    _cells(figures, "Table I: accuracy of the SDBN under noise")
    for found in figures["small_noise"]:
        console.note(
            f"Training with {found['noise']} noise of {found['delta']:g} against none, seeds "
            f"{', '.join(map(str, found['seeds']))}: "
            f"{_points(found['difference'], found['difference_ci95'])}; the paper: "
            f"{_points(found['paper_difference'])}"
        )


def _cells(figures: Figures, title: str) -> None:
    console.print_rows(
        f"{title} (clean {_percent(figures['clean_accuracy'])}; "
        f"the paper {_percent(figures['paper_clean_accuracy'])})",
        ["noise", "delta", "noisy images", "as rates", "in spikes", "the paper", "difference"],
        [
            [
                cell["noise"],
                f"{cell['delta']:g}",
                cell["mode"],
                _percent(cell["accuracy"]),
                _percent(cell["spiking_accuracy"]),
                _percent(cell["paper_accuracy"]),
                _points(cell["accuracy"] - cell["paper_accuracy"]),
            ]
            for cell in figures["cells"]
        ],
    )


def _window(figures: Figures) -> None:
    console.print_rows(
        f"Figure 3: normal noise on 4 x 5 pixels (clean {_percent(figures['clean_accuracy'])})",
        ["network", "window", "delta", "accuracy", "in spikes"],
        [
            [
                cell["network"],
                cell["place"] or "none",
                f"{cell['delta']:g}",
                _percent(cell["accuracy"], cell["accuracy_ci95"]),
                _percent(cell["spiking_accuracy"], cell["spiking_ci95"]),
            ]
            for cell in figures["curves"]
        ],
    )


def _attack(figures: Figures) -> None:
    rows = [["ours", row] for row in figures["rows"]]
    rows += [["the paper", row] for row in figures["paper_rows"]]
    console.print_rows(
        f"Attack on {figures['network']}, test image {figures['sample_index']}, "
        f"{figures['label']} to {figures['target_class']}",
        ["", "case", "iteration", "P max class", "P target", "D"],
        [
            [
                who,
                row["case"],
                str(row["iteration"]),
                _percent(row["p_max_class"]),
                _percent(row["p_target"]),
                f"{row['distance']:.2f}",
            ]
            for who, row in rows
        ],
    )
    for case, found in figures["cases"].items():
        console.note(
            f"Case {case}, best image (iteration {found['best_iteration']}) in "
            f"{found['draws']} fresh draws: {found['targeted']} as the target, "
            f"{found['untargeted']} misclassified"
        )


def _groups(figures: Figures) -> None:
    console.print_rows(
        "The attack on populations, success on fresh draws",
        [
            *("network", "case", "classes", "T", "draws a query", "images"),
            *("targeted", "untargeted", "unattacked", "P(target) fell", "iterations", "queries"),
        ],
        [
            [
                group["network"],
                group["case"],
                group["pairs"],
                "" if group["steps"] is None else str(group["steps"]),
                str(group["repeats"]),
                str(group["images"]),
                _percent(group["targeted_success"], group["targeted_ci95"]),
                _percent(group["untargeted_success"], group["untargeted_ci95"]),
                _percent(group["clean_untargeted"]),
                _percent(group["non_monotonic_share"]),
                f"{group['median_iterations']:g}",
                f"{group['median_queries']:g}",
            ]
            for group in figures["groups"]
        ],
    )


def _population(figures: Figures) -> None:
    _groups(figures)
    console.print_rows(
        "Networks compared, image by image: gain over unattacked images, first less second",
        ["first", "second", "case", "classes", "targeted", "untargeted", ""],
        [
            [
                found["first"],
                found["second"],
                found["case"],
                found["pairs"],
                _points(found["targeted_gain_difference"], found["targeted_gain_ci95"]),
                _points(found["untargeted_gain_difference"], found["untargeted_gain_ci95"]),
                found["question"],
            ]
            for found in figures["comparisons"]
        ],
    )


def _transformations(figures: Figures) -> None:
    console.print_rows(
        "Images misclassified in most draws: of those misclassified before, after a transformation",
        ["network", "transformation", "still misclassified", "of", "unattacked, transformed"],
        [
            [
                network,
                found["name"],
                _survival(found["untargeted"]["survived"]),
                _of(found["untargeted"]["survived"]),
                _percent(found["untargeted"]["original"]["rate"]),
            ]
            for network, study in figures["networks"].items()
            for found in study["transformations"]
        ],
    )


def _survival(found: Figures | None) -> str:
    return "" if found is None else _percent(found["rate"], found["ci95"])


def _of(found: Figures | None) -> str:
    return "0" if found is None else str(found["draws"])


def _imperceptibility(figures: Figures) -> None:
    metrics = figures["metrics"]
    console.print_rows(
        "Distances of adversarial images, medians",
        ["network", "case", "classes", "images", *metrics],
        [
            [
                group["network"],
                group["case"],
                group["pairs"],
                str(group["images"]),
                *("" if not group["all"][m] else f"{group['all'][m]['q50']:.3g}" for m in metrics),
            ]
            for group in figures["groups"]
        ],
    )


def _picture(figures: Figures) -> None:
    console.note(f"{figures['item']}: see the report")


_PRINTERS: dict[str, Callable[[Figures], None]] = {
    "table1": _table_one,
    "figure2": lambda figures: _cells(figures, "Figure 2: accuracy under noise"),
    "figure3": _window,
    "figure4": _picture,
    "table2": _attack,
    "table3": _attack,
    "figure6": _picture,
    "figure7": _picture,
    "figure8": _picture,
    "figure9": _picture,
    "population": _population,
    "sampling": _groups,
    "transformations": _transformations,
    "imperceptibility": _imperceptibility,
}
