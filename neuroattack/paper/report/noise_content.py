"""Words and tables on noise: Table I, and what was tried where it differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.experiments.noise import NOISY
from neuroattack.paper.published import DNN_ACCURACY
from neuroattack.paper.report.noise_in_training import (
    on_collapse,
    on_noisy_training,
    on_retraining,
    on_small_noise,
)
from neuroattack.paper.report.noise_on_test import READINGS, RULES, on_clipping, on_test_noise
from neuroattack.paper.report.section import Section, Table
from neuroattack.paper.report.words import signed, times
from neuroattack.report.numbers import percent

__all__ = ["noise_kinds", "table_one_section"]

Figures = Mapping[str, Any]


def table_one_section(figures: Figures) -> Section:
    """Return Table I: every cell beside the paper's, and what was tried where they differ."""
    sentences = [
        _on_clean(figures),
        on_clipping(figures),
        *(on_test_noise(found) for found in figures["test_noise"]),
        *(on_small_noise(found) for found in figures["small_noise"]),
        on_noisy_training(figures["cells"]),
        on_collapse(figures["collapse"]),
        on_retraining(figures["collapse"]),
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
    """Return the kinds of noise in the order of the table."""
    return list(dict.fromkeys(cell["noise"] for cell in figures["cells"]))


def _on_clean(figures: Figures) -> str:
    """Say how accurate the networks are without noise, and what was chosen to make them so."""
    clean, dnn, readout = figures["clean"], figures["clean_dnn"], figures["readout"]
    return (
        f"Without noise the SDBN classifies {percent(clean['accuracy'], 2)} of {clean['images']:,} "
        f"test images as rates and {percent(clean['spiking_accuracy'], 2)} in spikes; the paper "
        f"has {percent(figures['paper_clean_accuracy'], 2)}. The DNN classifies "
        f"{percent(dnn['accuracy'], 2)}; the paper has {percent(DNN_ACCURACY / 100, 2)}. The paper "
        "does not print the constants of its SDBN's training: those used here were chosen among a "
        "handful so that noise on test images acts on the network as it does in the paper; that "
        "likeness alone therefore confirms nothing. In spikes, here and in all that follows, the "
        f"threshold of the output units is divided by {readout['gain']:g}: contrastive divergence "
        "was trained with another noise than the spiking network has, under which these units "
        "fire seldom. With the threshold as trained, accuracy in spikes is "
        f"{percent(readout['spiking_accuracy_as_trained'], 2)}."
    )


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
        cells = [found[kind, delta, mode] for mode in NOISY]
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
        f"{kind.capitalize()} noise, {RULES[figures['clipping'][kind]]}: accuracy in percent by "
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
            for reading, name in READINGS.items():
                rows.append(
                    [kind["noise"], RULES[rule["clipping"]], name, *map(_two, rule[reading])]
                )
        rows += [
            [
                kind["noise"],
                f"{RULES[kind['clipping']]}, seed {seed['seed']}",
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
