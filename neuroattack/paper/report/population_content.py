"""Words and tables on the attack over populations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.paper.population_tables import PAIR, RANDOM
from neuroattack.paper.report.section import Section, Table
from neuroattack.paper.report.words import listed, percent_ci95, points_ci95, sentence
from neuroattack.report.numbers import percent
from neuroattack.report.style import is_noiseless, network_name

__all__ = [
    "FALLS",
    "MEASURES",
    "PAIRS",
    "compared",
    "gain_text",
    "measured",
    "population_section",
    "short_points",
    "side_of_zero",
    "stopped_at_cap",
]

Figures = Mapping[str, Any]

PAIRS = {PAIR: "five to three", RANDOM: "random classes"}
"""Source and target classes in words."""

FALLS = (
    "An equal P(target) is no fall, and a P(target) of 0 cannot fall: the fewer the output spikes, "
    "the more often it is either, so a low share is no proof of an undisturbed search."
)
"""On the share of iterations in which P(target) fell."""

MEASURES = (
    *("targeted", "untargeted", "unattacked", "gain", "best P(target)", "P(target) fell"),
    *("iterations", "at the cap", "queries", "D", "output spikes"),
)
"""Heads of the columns of :func:`measured`."""

# Share of a group's searches, above which it is said that they did not reach D_max.
_MANY = 0.1


def compared(figures: Figures, first: str, second: str) -> list[Figures]:
    """Return the comparisons of two networks, a case and kind of pairs each."""
    return [
        found
        for found in figures["comparisons"]
        if (found["first"], found["second"]) == (first, second)
    ]


def side_of_zero(ci95: Sequence[float]) -> int:
    """Return 1 or -1 if an interval lies above or below 0, and 0 if it holds it."""
    return int(ci95[0] > 0) - int(ci95[1] < 0)


def population_section(figures: Figures) -> Section:
    """Return the attack over populations: the paper's question with intervals."""
    groups = figures["groups"]
    found = {(g["network"], g["case"], g["pairs"]): g for g in groups}
    sentences = [
        f"{figures['correct_by_all']:,} test images are classified correctly by all networks; from "
        f"them the groups are drawn. An attack ends at D_max or after {figures['max_iterations']} "
        f"iterations; the image it found is then judged by {figures['draws']} fresh draws"
        f"{_drawn_once(groups)}. Every search is for the target class; untargeted success is that "
        "of its image being taken for any wrong one. A noisy answer is wrong at times without any "
        "attack: gain is success less that of the originals on as many draws. "
        f"\u201csampled DNN\u201d answers with counts drawn from the DNN's probabilities, "
        f"{figures['sampled_spikes']:.1f} a query, as many as the SDBN has output spikes in the "
        "mean.",
    ]
    questions = list(
        dict.fromkeys((c["first"], c["second"], c["question"]) for c in figures["comparisons"])
    )
    sentences += [_on_pair(figures, *question) for question in questions]
    sentences += [_on_falls(found), stopped_at_cap(groups, figures["max_iterations"])]
    return Section(
        "population",
        "Population: the attack on many images",
        "Above, the share of images whose highest P(target) during the attack, one draw, is at or "
        "below a value (five to three). Below, success of the images found, on fresh draws, with "
        "95\u00a0% Wilson intervals over images, and the originals' success as a stroke; at the "
        "right the case of each point.",
        "Distributions of the highest P(target) by network for three window sizes, and success "
        "rates with intervals by network and case.",
        [text for text in sentences if text],
        [_groups_table(groups), _comparisons_table(figures["comparisons"])],
    )


def _on_pair(figures: Figures, first: str, second: str, question: str) -> str:
    """Say by how much the attack gains more on one network than on another, case by case."""
    comparisons = compared(figures, first, second)
    ordered = sorted(comparisons, key=lambda one: one["untargeted_gain_difference"])
    said = dict.fromkeys(
        f"{points_ci95(one['untargeted_gain_difference'], one['untargeted_gain_ci95'])} in case "
        f"{one['case']} ({PAIRS[one['pairs']]})"
        for one in (ordered[0], ordered[-1])
    )
    sides = [side_of_zero(one["untargeted_gain_ci95"]) for one in comparisons]
    names = network_name(first), network_name(second)
    if all(side < 0 for side in sides):
        verdict = f"the attack succeeds less on the {names[0]} in every group"
    elif all(side > 0 for side in sides):
        verdict = f"the attack succeeds more on the {names[0]} in every group"
    elif not any(sides):
        verdict = "no interval excludes 0, so no difference is shown"
    else:
        verdict = (
            f"less on the {names[0]} in {sides.count(-1)}, more in {sides.count(1)}, undecided in "
            f"{sides.count(0)} of {len(sides)} groups"
        )
    return (
        f"{sentence(names[0])} against {names[1]} ({question}): image by image, the untargeted "
        f"gain differs by {' to '.join(said)}; {verdict}."
    )


def _on_falls(found: Mapping[tuple[str, str, str], Figures]) -> str:
    shares: dict[str, list[float]] = {}
    for (network, _, _), group in found.items():
        shares.setdefault(network, []).append(group["non_monotonic_share"])
    said = [
        f"{network_name(network)} {_span(of_network)}" for network, of_network in shares.items()
    ]
    return (
        f"P(target) fell from one iteration to the next in this share of them: {listed(said)}. "
        f"{FALLS}"
    )


def _span(shares: Sequence[float]) -> str:
    low, high = f"{100 * min(shares):.1f}", percent(max(shares))
    return high if len(shares) == 1 else f"{low} to {high}"


def _groups_table(groups: Sequence[Figures]) -> Table:
    return Table(
        "Every group: success on fresh draws in percent with its 95\u00a0% interval over images; "
        "unattacked: the original images misclassified; gain: untargeted less unattacked, in "
        "points with its 95\u00a0% interval (Student; Wilson where all images gain alike); median "
        "of the highest P(target); share of iterations in which P(target) fell; median of "
        "iterations; share of searches that ended at the cap on them; medians of queries and D; "
        "mean output spikes of a query of the originals.",
        ["network", "case", "classes", "images", *MEASURES],
        [
            [
                network_name(group["network"]),
                group["case"],
                PAIRS[group["pairs"]],
                f"{group['images']:,}",
                *measured(group),
            ]
            for group in groups
        ],
        words=3,
    )


def measured(group: Figures) -> list[str]:
    """Return a group's figures for a table, in the order of :data:`MEASURES`."""
    return [
        percent_ci95(group["targeted_success"], group["targeted_ci95"]),
        percent_ci95(group["untargeted_success"], group["untargeted_ci95"]),
        percent(group["clean_untargeted"]),
        short_points(group["untargeted_gain"], group["untargeted_gain_ci95"]),
        percent(group["best_p_target"]["q50"]),
        percent(group["non_monotonic_share"]),
        f"{group['median_iterations']:g}",
        percent(group["capped_share"]),
        f"{group['median_queries']:,g}",
        f"{group['median_distance']:.2f}",
        "" if group["clean_spikes"] is None else f"{group['clean_spikes']:.1f}",
    ]


def _comparisons_table(comparisons: Sequence[Figures]) -> Table:
    return Table(
        "First network less second, on the same images and targets, in points with 95\u00a0% "
        "intervals. Gains are compared image by image (Student's interval; where all images "
        "differ alike Newcombe's). Newcombe's of success treats the groups as independent though "
        "the images are the same, and so errs towards wider.",
        [
            *("first", "second", "case", "classes", "images", "targeted gain", "untargeted gain"),
            *("targeted success", "untargeted success"),
        ],
        [
            [
                network_name(found["first"]),
                network_name(found["second"]),
                found["case"],
                PAIRS[found["pairs"]],
                str(found["images"]),
                *(
                    short_points(found[f"{what}{name}_difference"], found[f"{what}{name}_ci95"])
                    for name in ("_gain", "")
                    for what in ("targeted", "untargeted")
                ),
            ]
            for found in comparisons
        ],
        words=4,
    )


def short_points(difference: float, ci95: Sequence[float]) -> str:
    """Return a difference in points with its interval, short, for a table or a list."""
    return points_ci95(difference, ci95).replace("95\u00a0% interval ", "")


def gain_text(group: Figures) -> str:
    """Return a group's untargeted gain with its interval."""
    return points_ci95(group["untargeted_gain"], group["untargeted_gain_ci95"])


def stopped_at_cap(groups: Sequence[Figures], max_iterations: int) -> str:
    """Say how many searches ended at the cap on iterations; nothing where they are few."""
    said = []
    for network in dict.fromkeys(group["network"] for group in groups):
        shares = [group["capped_share"] for group in groups if group["network"] == network]
        many = [share for share in shares if share > _MANY]
        if many:
            said.append(
                f"{network_name(network)} {_span(many)} in {len(many)} of {len(shares)} groups"
            )
    if not said:
        return ""
    return (
        f"Searches that ended after {max_iterations} iterations and not at D_max, where more than "
        f"{percent(_MANY, 0)}: {listed(said)}. Whether more iterations would have found more is "
        "not known."
    )


def _drawn_once(groups: Sequence[Figures]) -> str:
    names = dict.fromkeys(group["network"] for group in groups)
    once = [network_name(name) for name in names if is_noiseless(name)]
    if not once:
        return ""
    return f", one alone on the {listed(once)}, where every draw is the same"
