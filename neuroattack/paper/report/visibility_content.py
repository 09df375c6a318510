"""Words and tables on adversarial images afterwards: transformations and distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.paper.report.section import Section, Table
from neuroattack.paper.report.words import (
    listed,
    number,
    percent_ci95,
    sentence,
    signed,
    times,
    transformation_name,
)
from neuroattack.report.numbers import percent
from neuroattack.report.style import network_name

__all__ = ["distances_section", "survival_section"]

Figures = Mapping[str, Any]

_PAIRS = {"five-three": "five to three", "random": "random classes"}

_SHORT = {
    "distance": "D",
    "l0": "L0",
    "l1": "L1",
    "l2": "L2",
    "linf": "L\u221e",
    "ssim": "SSIM",
    "local_sd_distance": "local-SD",
    "floored_local_sd_distance": "local-SD, floored",
}


def survival_section(figures: Figures) -> Section:
    """Return which transformations adversarial images outlive, against the gap reached."""
    return Section(
        "transformations",
        "Transformations: what adversarial images outlive",
        "Left, of the images that were misclassified in most draws before a transformation, those "
        "that still are after it, with the 95\u00a0% interval; upright strokes: draws "
        "misclassified of the originals, transformed alike. Right, each image's share of "
        "misclassified draws in the mean over all transformations, against the gap that its attack "
        "reached on fresh draws. "
        "A network without points on the left had no image to count.",
        "Survival of misclassification by transformation and network, and against the gap.",
        [_on_network(name, study) for name, study in figures["networks"].items()],
        [_survival_table(figures["networks"]), _gap_table(figures["networks"])],
    )


def _on_network(name: str, study: Figures) -> str:
    found = [one for one in study["transformations"] if one["untargeted"] is not None]
    control = next((one for one in found if one["family"] == "none"), None)
    done = [one for one in found if one["family"] != "none" and one["untargeted"]["survived"]]
    images = len(found[0]["images"]) if found else 0
    title = f"{sentence(network_name(name))}, {images} images"
    if not done:
        return f"{title}: none was misclassified in most draws, so there is nothing to outlive."
    rate = {transformation_name(one): one["untargeted"]["survived"]["rate"] for one in done}
    worst, best = min(rate, key=rate.__getitem__), max(rate, key=rate.__getitem__)
    text = (
        f"{title}, of which {done[0]['untargeted']['survived']['draws']} were misclassified in "
        f"most draws: {best} is outlived by the most of them ({percent(rate[best], 0)}), "
        f"{worst} by the fewest ({percent(rate[worst], 0)})"
    )
    if control is not None and control["untargeted"]["survived"] is not None:
        text += f"; of new draws alone, {percent(control['untargeted']['survived']['rate'], 0)}"
    correlated = [
        one["untargeted"]["gap_correlation"]
        for one in done
        if one["untargeted"]["gap_correlation"] is not None
    ]
    if not correlated:
        return f"{text}. The gaps or the rates are all equal, so none tells of the other."
    positive = sum(one["rho"] > 0 and one["p_value"] < 0.05 for one in correlated)
    rhos = [one["rho"] for one in correlated]
    return (
        f"{text}. The gap and the share of misclassified draws are correlated positively, with p "
        f"below 0.05, under {times(positive, len(correlated))} transformations (Spearman's rho "
        f"{signed(min(rhos), 2)} to {signed(max(rhos), 2)})."
    )


def _survival_table(networks: Mapping[str, Figures]) -> Table:
    rows = []
    for name, study in networks.items():
        for one in study["transformations"]:
            found = one["untargeted"]
            if found is not None:
                survived, correlation = found["survived"], found["gap_correlation"]
                rows.append(
                    [
                        network_name(name),
                        transformation_name(one),
                        "" if survived is None else f"{survived['successes']}/{survived['draws']}",
                        ""
                        if survived is None
                        else percent_ci95(survived["rate"], survived["ci95"], 0),
                        percent(found["adversarial"]["rate"]),
                        percent(found["original"]["rate"]),
                        "" if correlation is None else signed(correlation["rho"], 2),
                        "" if correlation is None else _p_value(correlation["p_value"]),
                    ]
                )
    return Table(
        "Any wrong class. Images still misclassified in most draws, of those that were; all draws "
        "of transformed adversarial images, and of transformed originals, misclassified; "
        "Spearman's correlation of the gap with an image's misclassified draws.",
        [
            *("network", "transformation", "images", "still misclassified"),
            *("adversarial", "original", "rho", "p"),
        ],
        rows,
        words=2,
    )


def _p_value(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _gap_table(networks: Mapping[str, Figures]) -> Table:
    """Return misclassified draws by groups of rising gap, all transformations together."""
    rows = []
    for name, study in networks.items():
        done = [
            one["untargeted"]
            for one in study["transformations"]
            if one["family"] != "none" and one["untargeted"] is not None
        ]
        for groups in zip(*(found["gap_groups"] for found in done), strict=True):
            first = groups[0]
            successes = sum(group["adversarial"]["successes"] for group in groups)
            draws = sum(group["adversarial"]["draws"] for group in groups)
            rows.append(
                [
                    network_name(name),
                    f"{signed(first['low'], 3)} to {signed(first['high'], 3)}",
                    str(first["images"]),
                    percent(successes / draws),
                ]
            )
    return Table(
        "Images by the gap that their attack reached: draws misclassified after a transformation, "
        "in the mean over all.",
        ["network", "gap", "images", "misclassified"],
        rows,
        words=2,
    )


def distances_section(figures: Figures) -> Section:
    """Return how visible adversarial images are, by the paper's distance and by others."""
    groups = figures["groups"]
    sentences = [
        f"{sentence(network_name(group['network']))}, case {group['case']}, medians: "
        f"{listed(_medians(group))}."
        for group in groups
        if group["pairs"] == "five-three" and group["network"] in ("sdbn", "dnn")
    ]
    infinite = sum(group["all"]["local_sd_distance"] is None for group in groups)
    if infinite:
        sentences.append(
            f"The local-SD distance is infinite for some image in {times(infinite, len(groups))} "
            "groups: a pixel moved whose neighbours are all as it is. With no SD below 0.05 it is "
            "finite."
        )
    return Section(
        "imperceptibility",
        "Imperceptibility: how visible the images are",
        "Quantiles over the adversarial images, five to three: broad line 25 to 75\u00a0%, thin "
        "line 5 to 95\u00a0%, marker the median; cross: the median of those misclassified in most "
        "fresh draws. Intensity is in [0, 1]. D depends on the window, the local-SD distance (Luo "
        "et al. 2018) on the 3 \u00d7 3 neighbourhood of each pixel.",
        "Quantiles of eight distances by network and case.",
        sentences,
        [
            Table(
                "Medians over all images of a group, and over those misclassified in most fresh "
                "draws. L1, L2 and L\u221e in intensities of [0, 1], L0 in pixels, others without "
                "unit; infinite: for at least one image.",
                ["network", "case", "classes", "over", "images", *_SHORT.values()],
                [row for group in groups for row in _distance_rows(group)],
                words=4,
            )
        ],
    )


def _medians(group: Figures) -> list[str]:
    shown = ("distance", "l0", "linf", "ssim")
    return [
        f"{_SHORT[metric]} {number(group['all'][metric]['q50'])}"
        for metric in shown
        if group["all"][metric] is not None
    ]


def _distance_rows(group: Figures) -> Sequence[list[str]]:
    about = [network_name(group["network"]), group["case"], _PAIRS[group["pairs"]]]
    rows = [[*about, "all", str(group["images"]), *_quantile_cells(group["all"])]]
    if group["successful_only"] is not None:
        cells = _quantile_cells(group["successful_only"])
        rows.append([*about, "misclassified", str(group["successful"]), *cells])
    return rows


def _quantile_cells(found: Figures) -> list[str]:
    return [
        "infinite" if found[metric] is None else number(found[metric]["q50"]) for metric in _SHORT
    ]
