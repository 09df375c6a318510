"""Words and tables on noise: Table I, and what was tried where it differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.report.numbers import percent
from neuroattack.report.paper.section import Section, Table
from neuroattack.report.paper.words import (
    deltas_text,
    listed,
    points,
    points_ci95,
    signed,
    times,
)
from neuroattack.studies.paper.published import DNN_ACCURACY

__all__ = ["small_noise_verdict", "table_one_section"]

Figures = Mapping[str, Any]

WITHIN = 0.06
"""Difference of accuracies that counts as near the paper's."""

_RULES = {
    "range": "clipped to [0, 0.2]",
    "zero": "clipped at 0 only",
    "none": "not clipped",
}
_READINGS = {"rates": "as rates", "spiking": "in spikes"}
MODES = ("train", "test", "train+test")


def table_one_section(figures: Figures) -> Section:
    """Return Table I: every cell beside the paper's, and what was tried where they differ."""
    clean, dnn = figures["clean"], figures["clean_dnn"]
    sentences = [
        f"Without noise the SDBN classifies {percent(clean['accuracy'], 2)} of {clean['images']:,} "
        f"test images as rates and {percent(clean['spiking_accuracy'], 2)} in spikes; the paper "
        f"has {percent(figures['paper_clean_accuracy'], 2)}. The DNN classifies "
        f"{percent(dnn['accuracy'], 2)}; the paper has {percent(DNN_ACCURACY / 100, 2)}.",
        *(_on_test_noise(found) for found in figures["test_noise"]),
        *(_on_small_noise(found) for found in figures["small_noise"]),
        _on_noisy_training(figures["cells"]),
        _on_collapse(figures["collapse"]),
        _on_dnn(figures["cells"]),
    ]
    return Section(
        "table1",
        "Table I: accuracy of the SDBN under noise",
        "Accuracy under test noise by clipping rule, as rates (solid) and in spikes (dashed), for "
        "further trainings as rates under the first rule (broad grey), for the DNN (dotted), and "
        "the paper's (hollow diamonds). Noise is added to intensities scaled to [0, 0.2].",
        "Two panels of accuracy against noise magnitude, one for normal and one for uniform noise "
        "on test images, with lines for three clipping rules and the paper's points.",
        sentences,
        [
            *(_cells_table(figures, kind) for kind in noise_kinds(figures)),
            _small_noise_table(figures["small_noise"]),
            _rules_table(figures["test_noise"]),
        ],
    )


def noise_kinds(figures: Figures) -> list[str]:
    return list(dict.fromkeys(cell["noise"] for cell in figures["cells"]))


def _on_test_noise(found: Figures) -> str:
    near, far = found["within_6_points"], found["beyond_6_points"]
    kind = found["noise"].capitalize()
    text = f"{kind} test noise, {_RULES[found['clipping']]} and as rates, is within 6 points "
    if not far:
        text += f"of the paper at every delta from {min(near):g} to {max(near):g}; "
    elif near:
        text += f"of the paper at delta {deltas_text(near)}, and beyond at {deltas_text(far)}; "
    else:
        text += f"of the paper at no delta from {min(far):g} to {max(far):g}; "
    text += (
        f"it is farthest at {found['farthest_delta']:g}, by {points(found['farthest'])}. "
        f"{_best_reading(found)}"
    )
    return f"{text} {_on_rules(found)} {_on_seeds(found)}" if far else text


def _readings(found: Figures) -> list[tuple[float, str, int, int]]:
    """Return every rule and reading with its farthest difference from the paper above 0.08.

    The count is of magnitudes within 6 points, and of all.
    """
    readings = []
    for rule in found["rules"]:
        for reading, name in _READINGS.items():
            apart = [
                abs(value - paper)
                for delta, value, paper in zip(
                    found["deltas"], rule[reading], found["paper"], strict=True
                )
                if delta >= 0.08 and value is not None
            ]
            if apart:
                within = sum(value <= WITHIN for value in apart)
                name_of_rule = f"{_RULES[rule['clipping']]}, {name}"
                readings.append((max(apart), name_of_rule, within, len(apart)))
    return sorted(readings)


def _best_reading(found: Figures) -> str:
    readings = _readings(found)
    farthest, name, within, of = readings[0]
    return (
        f"Of the {len(readings)} readings tried, the one nearest throughout is {name}: at most "
        f"{100 * farthest:.1f} points away, within 6 at {times(within, of)}; the one farthest away "
        f"is {readings[-1][1]}, by up to {100 * readings[-1][0]:.1f} points."
    )


def _on_rules(found: Figures) -> str:
    """Say which rules and readings are near the paper where the first is not."""
    said, without = [], []
    for delta in found["beyond_6_points"]:
        place = found["deltas"].index(delta)
        near = [
            f"{_RULES[rule['clipping']]} {name}"
            for rule in found["rules"]
            for reading, name in _READINGS.items()
            if rule[reading][place] is not None
            and abs(rule[reading][place] - found["paper"][place]) <= WITHIN
        ]
        if near:
            said.append(f"at {delta:g} {listed(near)}")
        else:
            without.append(delta)
    if without:
        said.append(f"none at {deltas_text(without)}")
    return f"Readings within 6 points there: {'; '.join(said)}."


def _on_seeds(found: Figures) -> str:
    """Say whether another training would be nearer at the magnitudes that are beyond."""
    said = []
    for delta in found["beyond_6_points"]:
        place = found["deltas"].index(delta)
        apart = [seed["rates"][place] - found["paper"][place] for seed in found["seeds"]]
        said.append(f"{signed(100 * min(apart))} to {signed(100 * max(apart))} at {delta:g}")
        if any(abs(value) <= WITHIN for value in apart):
            said[-1] += " (within 6 for some)"
    return f"{len(found['seeds'])} trainings differ from the paper by {listed(said)}, in points."


def small_noise_verdict(found: Figures) -> str:
    """Return whether small training noise raises accuracy, by the interval over trainings."""
    ci95 = found["difference_ci95"]
    if ci95 is None:
        return "undecided"
    if ci95[0] > 0:
        return "shown"
    return "refuted" if ci95[1] < 0 else "undecided"


def _on_small_noise(found: Figures) -> str:
    verdict = {
        "shown": "The gain that the paper reports is there.",
        "refuted": "It is a loss, against the paper.",
        "undecided": "The interval holds 0: neither a gain nor a loss is shown.",
    }[small_noise_verdict(found)]
    ci95 = found["difference_ci95"]
    in_spikes = points_ci95(found["spiking_difference"], found["spiking_difference_ci95"], 2)
    if ci95 is not None and not ci95[0] <= found["paper_difference"] <= ci95[1]:
        verdict += " The paper's difference lies outside the interval."
    return (
        f"Training on {found['noise']} noise of {found['delta']:g} changes accuracy by "
        f"{points_ci95(found['difference'], ci95, 2)} as rates over {len(found['seeds'])} "
        f"trainings, and by {in_spikes} "
        f"in spikes; the paper has {points(found['paper_difference'], 2)} in one training. "
        f"{verdict}"
    )


def _on_noisy_training(cells: Sequence[Figures]) -> str:
    """Say which cells with noisy training are far from the paper, and whether spikes tell why."""
    trained = [cell for cell in cells if cell["mode"] != "test"]
    far = [cell for cell in trained if abs(cell["accuracy"] - cell["paper_accuracy"]) > WITHIN]
    text = (
        f"Of the {len(trained)} cells with noise on training images, {len(trained) - len(far)} are "
        "within 6 points of the paper as rates"
    )
    if not far:
        return f"{text}."
    columns: dict[str, list[Figures]] = {}
    for cell in far:
        columns.setdefault(f"{cell['noise']} on {noisy_images(cell['mode'])}", []).append(cell)
    said = [
        f"{column} at {deltas_text([cell['delta'] for cell in of_column])} (by "
        f"{points(max((c['accuracy'] - c['paper_accuracy'] for c in of_column), key=abs))}"
        f"{' at most' if len(of_column) > 1 else ''})"
        for column, of_column in columns.items()
    ]
    nearer = sum(
        cell["spiking_accuracy"] is not None
        and abs(cell["spiking_accuracy"] - cell["paper_accuracy"]) <= WITHIN
        for cell in far
    )
    return (
        f"{text}; beyond: {listed(said)}. In spikes {times(nearer, len(far))} "
        "of these are within 6 points."
    )


def _on_collapse(found: Figures) -> str:
    def where(delta: float | None) -> str:
        return "at no delta" if delta is None else f"at {delta:g}"

    columns = [
        f"{column['noise']} noise on {noisy_images(column['mode'])} {where(column['delta'])} "
        f"(the paper {where(column['paper_delta'])})"
        for column in found["columns"]
    ]
    retried = found["retried"]
    text = f"Accuracy first falls below {percent(found['below'], 0)} under {listed(columns)}."
    if not retried:
        return text
    first = retried[0]
    each = [f"{percent(one['accuracy'])} {_RULES[one['clipping']]}" for one in retried]
    spread = max(one["accuracy"] for one in retried) - min(one["accuracy"] for one in retried)
    fallen = {one["accuracy"] < found["below"] for one in retried}
    depends = (
        "so the clipping rule decides whether training collapses there"
        if len(fallen) == 2
        else f"{100 * spread:.1f} points apart, so the clipping rule does not decide whether "
        "training collapses there"
    )
    return (
        f"{text} Trained on {first['noise']} noise of {first['delta']:g} under each rule, accuracy "
        f"is {listed(each)}: {depends}."
    )


def noisy_images(mode: str) -> str:
    return {
        "train": "training images",
        "test": "test images",
        "train+test": "training and test images",
    }[mode]


def _on_dnn(cells: Sequence[Figures]) -> str:
    both = [cell for cell in cells if cell["dnn_accuracy"] is not None]
    if not both:
        return "The DNN was not shown noise."
    better = sum(cell["dnn_accuracy"] > cell["accuracy"] for cell in both)
    widest = max(both, key=lambda cell: abs(cell["dnn_accuracy"] - cell["accuracy"]))
    return (
        f"Shown the same noisy test images, the DNN is more accurate than the SDBN in "
        f"{times(better, len(both))} cells; the two differ most under {widest['noise']} noise of "
        f"{widest['delta']:g}: DNN {percent(widest['dnn_accuracy'])}, SDBN "
        f"{percent(widest['accuracy'])}."
    )


def _cells_table(figures: Figures, kind: str) -> Table:
    rows, paper_rows = [], set()
    deltas = list(dict.fromkeys(cell["delta"] for cell in figures["cells"]))
    found = {(c["noise"], c["delta"], c["mode"]): c for c in figures["cells"]}
    for delta in deltas:
        cells = [found[kind, delta, mode] for mode in MODES]
        dnn = cells[1]["dnn_accuracy"]
        rows += [
            [
                f"{delta:g}",
                "as rates",
                *(_two(cell["accuracy"]) for cell in cells),
                *(signed(100 * (cell["accuracy"] - cell["paper_accuracy"])) for cell in cells),
                _two(dnn),
            ],
            ["", "in spikes", *(_two(cell["spiking_accuracy"]) for cell in cells), *[""] * 4],
            ["", "the paper", *(_two(cell["paper_accuracy"]) for cell in cells), *[""] * 4],
        ]
        paper_rows.add(len(rows) - 1)
    return Table(
        f"{kind.capitalize()} noise, {_RULES[figures['clipping'][kind]]}: accuracy in percent by "
        "which images are noisy, how far it is from the paper as rates in points, and the DNN's "
        "on the same noisy test images.",
        [
            "delta",
            "",
            "train",
            "test",
            "train+test",
            "\u0394 train",
            "\u0394 test",
            "\u0394 train+test",
            "DNN, test",
        ],
        rows,
        words=2,
        of_paper=frozenset(paper_rows),
    )


def _two(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{100 * accuracy:.2f}"


def _small_noise_table(found: Sequence[Figures]) -> Table:
    rows = [
        [one["noise"], str(seed), _two(clean), _two(noisy), signed(100 * (noisy - clean), 2)]
        for one in found
        for seed, clean, noisy in zip(one["seeds"], one["clean"], one["noisy"], strict=True)
    ]
    return Table(
        f"Training with noise of {found[0]['delta']:g} against none, as rates, in percent, and the "
        "difference in points.",
        ["noise", "seed", "clean training", "noisy training", "difference"],
        rows,
        words=2,
    )


def _rules_table(found: Sequence[Figures]) -> Table:
    rows, paper_rows = [], set()
    for kind in found:
        for rule in kind["rules"]:
            for reading, name in _READINGS.items():
                rows.append(
                    [kind["noise"], _RULES[rule["clipping"]], name, *map(_two, rule[reading])]
                )
        rows += [
            [
                kind["noise"],
                f"{_RULES[kind['clipping']]}, seed {seed['seed']}",
                "as rates",
                *map(_two, seed["rates"]),
            ]
            for seed in kind["seeds"]
        ]
        rows.append([kind["noise"], "the paper", "", *map(_two, kind["paper"])])
        paper_rows.add(len(rows) - 1)
    return Table(
        "Test noise under every clipping rule and for every training: accuracy in percent by "
        "delta.",
        ["noise", "clipping", "", *(f"{delta:g}" for delta in found[0]["deltas"])],
        rows,
        words=3,
        of_paper=frozenset(paper_rows),
    )
