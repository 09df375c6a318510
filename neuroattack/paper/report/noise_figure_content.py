"""Words and tables on pictures of noise: Figures 2 to 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.experiments.noise import NOISY
from neuroattack.paper.report.noise_content import noise_kinds
from neuroattack.paper.report.noise_in_training import noisy_images
from neuroattack.paper.report.noise_on_test import RULES
from neuroattack.paper.report.section import Section, Table
from neuroattack.paper.report.words import listed, percent_ci95, points, times
from neuroattack.report.numbers import percent

__all__ = ["falls", "noisy_section", "table_picture_section", "window_section", "window_verdict"]

Figures = Mapping[str, Any]


def table_picture_section(figures: Figures) -> Section:
    """Return Figure 2: how near each column is, and whether normal noise is the stronger."""
    cells = figures["cells"]
    columns = []
    for kind in noise_kinds(figures):
        for mode in NOISY:
            apart = [
                abs(cell["accuracy"] - cell["paper_accuracy"])
                for cell in cells
                if (cell["noise"], cell["mode"]) == (kind, mode)
            ]
            columns.append(
                f"{100 * sum(apart) / len(apart):.1f} ({kind}, {noisy_images(mode)}; at most "
                f"{100 * max(apart):.1f})"
            )

    spiking = [
        cell["spiking_accuracy"] - cell["accuracy"]
        for cell in cells
        if cell["spiking_accuracy"] is not None
    ]
    sentences = [
        f"The mean absolute difference from the paper, in points, is {listed(columns)}.",
        _on_the_stronger(figures["test_noise"]),
    ]
    if spiking:
        sentences.append(
            f"In spikes accuracy differs from that as rates by {points(min(spiking))} to "
            f"{points(max(spiking))}."
        )
    return Section(
        "figure2",
        "Figure 2: accuracy against noise magnitude",
        "Accuracy of the SDBN as rates (solid, filled) and in spikes (dashed, small), and the "
        "paper's (hollow). The horizontal axis is logarithmic.",
        "Accuracy against noise magnitude for normal and uniform noise, on training images, test "
        "images and both, with the paper's points.",
        sentences,
    )


def _on_the_stronger(found: Sequence[Figures]) -> str:
    """Say how often normal noise harms more than uniform noise that is clipped alike."""
    of_kind = {one["noise"]: one for one in found}
    normal, uniform = of_kind["normal"], of_kind["uniform"]

    def harms_more(one: Sequence[float], other: Sequence[float]) -> int:
        return sum(mine < its for mine, its in zip(one, other, strict=True))

    of = len(normal["deltas"])
    rates = {
        kind: {rule["clipping"]: rule["rates"] for rule in one["rules"]}
        for kind, one in of_kind.items()
    }
    said = [
        f"{times(harms_more(rates['normal'][rule], rates['uniform'][rule]), of)} {name}"
        for rule, name in RULES.items()
    ]
    return (
        "On test images, both noises under the same clipping rule and as rates, normal noise "
        f"lowers accuracy more than uniform noise at {listed(said)}, of the magnitudes; in the "
        f"paper at {times(harms_more(normal['paper'], uniform['paper']), of)}, whichever its rule."
    )


def falls(figures: Figures, network: str = "sdbn") -> dict[str, Figures]:
    """Return for each window of Figure 3 the cell with the lowest accuracy as rates."""
    found: dict[str, Figures] = {}
    for curve in figures["curves"]:
        place = curve["place"]
        if curve["network"] == network and place is not None:
            lowest = found.get(place)
            if lowest is None or curve["accuracy"] < lowest["accuracy"]:
                found[place] = curve
    return found


def window_verdict(figures: Figures) -> str:
    """Return whether noise in the middle harms the SDBN more than noise in the corner.

    By the intervals of the lowest accuracies in both places.
    """
    lowest = falls(figures)
    middle, corner = (lowest[place]["accuracy_ci95"] for place in ("middle", "corner"))
    if middle[1] < corner[0]:
        return "shown"
    return "refuted" if corner[1] < middle[0] else "undecided"


def window_section(figures: Figures) -> Section:
    """Return Figure 3: how far accuracy falls with noise in the corner and in the middle."""
    sentences = []
    for network in dict.fromkeys(curve["network"] for curve in figures["curves"]):
        clean = next(
            curve
            for curve in figures["curves"]
            if curve["network"] == network and curve["place"] is None
        )
        said = [
            f"{points(lowest['accuracy'] - clean['accuracy'])} in the {_place(place)} "
            f"(delta {lowest['delta']:g})"
            for place, lowest in falls(figures, network).items()
        ]
        sentences.append(
            f"{network.upper()}, as {'rates' if network == 'sdbn' else 'probabilities'}: from "
            f"{percent(clean['accuracy'], 2)} without noise, accuracy changes at its lowest by "
            f"{listed(said)}."
        )
    sentences.append(
        {
            "shown": "The intervals at the lowest points of the SDBN do not overlap: noise in the "
            "middle harms more, as the paper finds.",
            "refuted": "The intervals at the lowest points of the SDBN do not overlap: noise in "
            "the corner harms more, against the paper.",
            "undecided": "The intervals at the lowest points of the SDBN overlap: a difference "
            "between the two places is not shown.",
        }[window_verdict(figures)]
    )
    rows = [
        [
            curve["network"].upper(),
            _place(curve["place"]) if curve["place"] else "no noise",
            f"{curve['delta']:g}",
            percent_ci95(curve["accuracy"], curve["accuracy_ci95"], 2),
            ""
            if curve["spiking_accuracy"] is None
            else percent_ci95(curve["spiking_accuracy"], curve["spiking_ci95"], 2),
        ]
        for curve in figures["curves"]
    ]
    return Section(
        "figure3",
        "Figure 3: noise in a window",
        "Accuracy with normal noise on 20 pixels of the test images. The paper shows its curves "
        "without numbers: almost level for the corner, falling for the middle. Its coordinates of "
        "the middle, (x, y) = ([14 17], [10 14]), are read with x as the column and, as a "
        "check, as the row.",
        "Accuracy against noise magnitude for windows in the corner and in the middle, of the "
        "SDBN and of the DNN.",
        sentences,
        [
            Table(
                "Accuracy with its 95\u00a0% interval.",
                ["network", "window", "delta", "as rates, or probabilities", "in spikes"],
                rows,
                words=2,
            )
        ],
    )


def _place(place: str) -> str:
    return {"middle, x as row": "middle with x as the row"}.get(place, place)


def noisy_section(figures: Figures) -> Section:
    """Return Figure 4."""
    return Section(
        "figure4",
        "Figure 4: noisy images",
        f"A test \u201cfive\u201d (a) without noise, (b) with {figures['noise']} noise of "
        f"magnitude {figures['delta']:g} on 20 pixels at the top left, (c) with the same in the "
        "middle. Black is 0, white is full intensity.",
        "Three images of a five: clean, with bright pixels in the top left corner, and with "
        "changed pixels in the middle.",
        [
            f"The full range of scaled intensities is 0.2: the SD of this noise is "
            f"{figures['delta'] / 0.2:g} times that."
        ],
    )
