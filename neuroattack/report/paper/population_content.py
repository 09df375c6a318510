"""Words and tables on many attacks: populations, and time steps and repeats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.report.numbers import percent
from neuroattack.report.paper.section import Section, Table
from neuroattack.report.paper.style import network_name
from neuroattack.report.paper.words import listed, percent_ci95, points_ci95, sentence

__all__ = ["compared", "population_section", "sampling_section", "side_of_zero"]

Figures = Mapping[str, Any]

_PAIR = "five-three"
_PAIRS = {_PAIR: "five to three", "random": "random classes"}


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
        f"{figures['correct_by_all']:,} test images are classified correctly by all networks; of "
        f"them the groups are taken. An attack ends at D_max or after {figures['max_iterations']} "
        f"iterations; the image it found is then judged by {figures['draws']} fresh draws. "
        f"\u201csampled DNN\u201d answers with counts drawn from the DNN's probabilities, "
        f"{figures['sampled_spikes']:.1f} a query, as many as the SDBN has output spikes in the "
        "mean.",
    ]
    questions = list(
        dict.fromkeys((c["first"], c["second"], c["question"]) for c in figures["comparisons"])
    )
    sentences += [_on_pair(figures, *question) for question in questions]
    sentences.append(_on_falls(found))
    return Section(
        "population",
        "Population: the attack on many images",
        "Above, the share of images whose highest P(target) during the attack, one draw, is at or "
        "below a value (five to three). Below, success of the images found, on fresh draws, with "
        "95\u00a0% Wilson intervals over images; at the right the case of each point.",
        "Distributions of the highest P(target) by network for three window sizes, and success "
        "rates with intervals by network and case.",
        sentences,
        [_groups_table(groups), _comparisons_table(figures["comparisons"])],
    )


def _on_pair(figures: Figures, first: str, second: str, question: str) -> str:
    """Say by how much success on one network exceeds that on another, case by case."""
    comparisons = compared(figures, first, second)
    ordered = sorted(comparisons, key=lambda one: one["untargeted_difference"])
    said = dict.fromkeys(
        f"{points_ci95(one['untargeted_difference'], one['untargeted_ci95'])} in case "
        f"{one['case']} ({_PAIRS[one['pairs']]})"
        for one in (ordered[0], ordered[-1])
    )
    sides = [side_of_zero(one["untargeted_ci95"]) for one in comparisons]
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
        f"{sentence(names[0])} against {names[1]} ({question}): untargeted success differs by "
        f"{' to '.join(said)}; {verdict}."
    )


def _on_falls(found: Mapping[tuple[str, str, str], Figures]) -> str:
    shares: dict[str, list[float]] = {}
    for (network, _, _), group in found.items():
        shares.setdefault(network, []).append(group["non_monotonic_share"])
    said = [
        f"{network_name(network)} {_span(of_network)}" for network, of_network in shares.items()
    ]
    return f"P(target) fell from one iteration to the next in this share of them: {listed(said)}."


def _span(shares: Sequence[float]) -> str:
    low, high = f"{100 * min(shares):.1f}", percent(max(shares))
    return high if len(shares) == 1 else f"{low} to {high}"


def _groups_table(groups: Sequence[Figures]) -> Table:
    return Table(
        "Every group: success on fresh draws in percent with its 95\u00a0% interval over images; "
        "unattacked: the original images misclassified; median of the highest P(target); share "
        "of iterations in which P(target) fell; medians of iterations, queries and D.",
        [
            *("network", "case", "classes", "images", "targeted", "untargeted", "unattacked"),
            *("best P(target)", "P(target) fell", "iterations", "queries", "D"),
        ],
        [
            [
                network_name(group["network"]),
                group["case"],
                _PAIRS[group["pairs"]],
                f"{group['images']:,}",
                *_measured(group),
            ]
            for group in groups
        ],
        words=3,
    )


def _measured(group: Figures) -> list[str]:
    return [
        percent_ci95(group["targeted_success"], group["targeted_ci95"]),
        percent_ci95(group["untargeted_success"], group["untargeted_ci95"]),
        percent(group["clean_untargeted"]),
        percent(group["best_p_target"]["q50"]),
        percent(group["non_monotonic_share"]),
        f"{group['median_iterations']:g}",
        f"{group['median_queries']:,g}",
        f"{group['median_distance']:.2f}",
    ]


def _comparisons_table(comparisons: Sequence[Figures]) -> Table:
    return Table(
        "Success on the first network less that on the second, in points with its 95\u00a0% "
        "interval (Newcombe), on the same images and targets.",
        ["first", "second", "case", "classes", "images", "targeted", "untargeted"],
        [
            [
                network_name(found["first"]),
                network_name(found["second"]),
                found["case"],
                _PAIRS[found["pairs"]],
                str(found["images"]),
                _short(found["targeted_difference"], found["targeted_ci95"]),
                _short(found["untargeted_difference"], found["untargeted_ci95"]),
            ]
            for found in comparisons
        ],
        words=4,
    )


def _short(difference: float, ci95: Sequence[float]) -> str:
    return points_ci95(difference, ci95).replace("95\u00a0% interval ", "")


def sampling_section(figures: Figures) -> Section:
    """Return what T and repeats change: what is sampling noise, and what is the network."""
    groups = figures["groups"]
    swept = [group for group in groups if group["steps"] is not None]
    limits = [group for group in groups if group["steps"] is None]
    ordered = sorted(swept, key=lambda group: group["steps"] * group["repeats"])
    least, most = ordered[0], ordered[-1]
    sentences = [
        f"From {_shown(least)} to {_shown(most)}, P(target) falls in "
        f"{percent(least['non_monotonic_share'])} and {percent(most['non_monotonic_share'])} of "
        f"iterations, untargeted success is {_success(least)} and {_success(most)}, and the median "
        f"of the highest P(target) {percent(least['best_p_target']['q50'])} and "
        f"{percent(most['best_p_target']['q50'])}.",
        _alike(swept),
        *(
            f"{sentence(network_name(group['network']))}, which no sampling disturbs: "
            f"{percent(group['non_monotonic_share'])} of iterations, success "
            f"{_success(group)}, median {percent(group['best_p_target']['q50'])}."
            for group in limits
        ),
        _what_remains(most, limits),
    ]
    return Section(
        "sampling",
        "Sampling: time steps and repeats",
        f"Attack of case {figures['case']}, {_PAIRS[figures['pairs']]}: the SDBN in spikes for "
        "more time steps (left) and more draws added up a query (right). Bars: 95\u00a0% interval "
        "of success, middle half of the highest P(target). Lines across: networks whose answers "
        "have no sampling noise. Horizontal axes are logarithmic.",
        "Success, highest P(target) and share of falling iterations against time steps and "
        "repeats, with the limits of rates and of the DNN.",
        [sentence for sentence in sentences if sentence],
        [
            Table(
                "Every group; columns as for the population.",
                [
                    *("network", "T", "draws a query", "images", "targeted", "untargeted"),
                    *("unattacked", "best P(target)", "P(target) fell", "iterations", "queries"),
                    "D",
                ],
                [
                    [
                        network_name(group["network"]),
                        "" if group["steps"] is None else f"{group['steps']:,}",
                        "" if group["steps"] is None else str(group["repeats"]),
                        str(group["images"]),
                        *_measured(group),
                    ]
                    for group in groups
                ],
            )
        ],
    )


def _alike(swept: Sequence[Figures]) -> str:
    """Say which numbers of steps give the very same figures."""
    alike: dict[str, list[int]] = {}
    for group in swept:
        if group["repeats"] == 1:
            figures = {name: value for name, value in group.items() if name != "steps"}
            alike.setdefault(json.dumps(figures, sort_keys=True), []).append(group["steps"])
    said = [
        f"T = {listed(f'{steps:,}' for steps in sorted(of_one))}"
        for of_one in alike.values()
        if len(of_one) > 1
    ]
    if not said:
        return ""
    return (
        f"All figures are equal at {'; and at '.join(said)}: what the network answers in the later "
        "steps changes nothing."
    )


def _shown(group: Figures) -> str:
    draws = "1 draw" if group["repeats"] == 1 else f"{group['repeats']} draws"
    return f"T = {group['steps']:,} with {draws} a query"


def _success(group: Figures) -> str:
    return percent_ci95(group["untargeted_success"], group["untargeted_ci95"])


def _what_remains(most: Figures, limits: Sequence[Figures]) -> str:
    """Say whether success with the most spikes is told apart from that of the limits."""
    said = []
    for group in limits:
        apart = (
            most["untargeted_ci95"][1] < group["untargeted_ci95"][0]
            or group["untargeted_ci95"][1] < most["untargeted_ci95"][0]
        )
        name = network_name(group["network"])
        said.append(f"that of the {name} {'does not overlap it' if apart else 'overlaps it'}")
    if not said:
        return ""
    return f"With the most spikes, the interval of success is {_ends(most)}: {listed(said)}."


def _ends(group: Figures) -> str:
    low, high = group["untargeted_ci95"]
    return f"{100 * low:.1f} to {percent(high)}"
