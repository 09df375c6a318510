"""Words and tables on time steps and repeats: what is sampling noise, and what is the network."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.paper.report.population_content import (
    FALLS,
    MEASURES,
    PAIRS,
    gain_text,
    measured,
    short_points,
    side_of_zero,
    stopped_at_cap,
)
from neuroattack.paper.report.section import Section, Table
from neuroattack.paper.report.words import listed, points_ci95, sentence
from neuroattack.report.numbers import percent
from neuroattack.report.style import network_name

__all__ = ["sampling_section"]

Figures = Mapping[str, Any]

# Output spikes that grow by less, as a share of them, do not grow.
_MORE = 0.01


def sampling_section(figures: Figures) -> Section:
    """Return what T and repeats change."""
    groups = figures["groups"]
    swept = [group for group in groups if group["steps"] is not None]
    limits = [group for group in groups if group["steps"] is None]
    networks = dict.fromkeys(group["network"] for group in swept)
    sentences = [
        "Where a query adds up several showings, those who decide by it do too: search and verdict "
        "have the same T and repeats. Gain is untargeted success less the errors of the "
        "unattacked originals."
    ]
    for network in networks:
        of_network = [group for group in swept if group["network"] == network]
        by_steps = sorted(
            (group for group in of_network if group["repeats"] == 1), key=lambda one: one["steps"]
        )
        sentences += [
            _spikes(by_steps),
            _course(by_steps),
            _alike(by_steps),
            *(_compared(one) for one in figures["comparisons"] if one["first"] == network),
        ]
    sentences += [
        *(
            f"{sentence(network_name(group['network']))}, which no sampling disturbs: P(target) "
            f"falls in {percent(group['non_monotonic_share'])} of iterations, gain "
            f"{gain_text(group)}, median of the highest P(target) "
            f"{percent(group['best_p_target']['q50'])}."
            for group in limits
        ),
        FALLS,
        stopped_at_cap(groups, figures["max_iterations"]),
    ]
    return Section(
        "sampling",
        "Sampling: time steps and repeats",
        f"Attack of case {figures['case']}, {PAIRS[figures['pairs']]}: both SDBNs in spikes for "
        "more time steps; hollow, several showings added up a query. Bars: 95\u00a0% interval of "
        "the untargeted gain, middle half of the highest P(target). Lines across: networks whose "
        "answers have no sampling noise. Horizontal axes are logarithmic.",
        "Gain, highest P(target), share of falling iterations and output spikes against time "
        "steps, with the limits of rates and of the DNN.",
        [text for text in sentences if text],
        [_groups_table(groups), _comparisons_table(figures["comparisons"])],
    )


def _spikes(by_steps: Sequence[Figures]) -> str:
    """Say whether more steps brought more output spikes."""
    least, most = by_steps[0], by_steps[-1]
    spikes = [group["clean_spikes"] for group in by_steps]
    enough = next(group for group in by_steps if group["clean_spikes"] * (1 + _MORE) >= max(spikes))
    if enough is not most:
        verdict = (
            f"from T = {enough['steps']:,} on they grow by no more than {percent(_MORE, 0)}, so "
            "more steps average no noise"
        )
    elif all(more > (1 + _MORE) * fewer for fewer, more in itertools.pairwise(spikes)):
        verdict = "each step of T brings more"
    else:
        verdict = "not every step of T brings more"
    return (
        f"{sentence(network_name(least['network']))}: output spikes of a query of the originals "
        f"go from {least['clean_spikes']:.1f} at T = {least['steps']:,} to "
        f"{most['clean_spikes']:.1f} at T = {most['steps']:,}; {verdict}."
    )


def _course(by_steps: Sequence[Figures]) -> str:
    least, most = by_steps[0], by_steps[-1]
    return (
        f"From T = {least['steps']:,} to {most['steps']:,}, unattacked errors go from "
        f"{percent(least['clean_untargeted'])} to {percent(most['clean_untargeted'])}, the gain "
        f"from {gain_text(least)} to {gain_text(most)}, the share of iterations in which P(target) "
        f"falls from {percent(least['non_monotonic_share'])} to "
        f"{percent(most['non_monotonic_share'])}, and the median of the highest P(target) from "
        f"{percent(least['best_p_target']['q50'])} to {percent(most['best_p_target']['q50'])}."
    )


def _alike(by_steps: Sequence[Figures]) -> str:
    """Say which numbers of steps give the very same figures."""
    alike: dict[str, list[int]] = {}
    for group in by_steps:
        figures = {name: value for name, value in group.items() if name != "steps"}
        alike.setdefault(json.dumps(figures, sort_keys=True), []).append(group["steps"])
    said = [
        f"T = {listed(f'{steps:,}' for steps in of_one)}"
        for of_one in alike.values()
        if len(of_one) > 1
    ]
    if not said:
        return ""
    return (
        f"All figures are equal at {'; and at '.join(said)}: what the network answers in the later "
        "steps changes nothing."
    )


def _compared(found: Figures) -> str:
    """Say what a comparison shows, or how wide the interval is that shows nothing."""
    difference, ci95 = found["untargeted_gain_difference"], found["untargeted_gain_ci95"]
    side = side_of_zero(ci95)
    if side:
        verdict = f"the attack gains {'more' if side > 0 else 'less'} on the former"
    else:
        verdict = (
            f"the interval is {100 * (ci95[1] - ci95[0]):.1f} points wide with {found['images']} "
            "images, so nothing within it is shown or excluded"
        )
    return (
        f"{sentence(_shown(found, 'first'))} against {_shown(found, 'second')}, image by image: "
        f"the untargeted gain differs by {points_ci95(difference, ci95)}; {verdict}."
    )


def _shown(found: Figures, which: str) -> str:
    """Return one side of a comparison in words."""
    group = {name: found[f"{which}_{name}"] for name in ("steps", "repeats")}
    return f"the {network_name(found[which])} {_place(group)}"


def _place(group: Figures) -> str:
    if group["steps"] is None:
        return "without noise"
    showings = "" if group["repeats"] == 1 else f" with {group['repeats']} showings"
    return f"at T = {group['steps']:,}{showings}"


def _groups_table(groups: Sequence[Figures]) -> Table:
    return Table(
        "Every group; columns as for the population, output spikes being of all showings of a "
        "query.",
        ["network", "T", "showings a query", "images", *MEASURES],
        [
            [
                network_name(group["network"]),
                "" if group["steps"] is None else f"{group['steps']:,}",
                "" if group["steps"] is None else str(group["repeats"]),
                str(group["images"]),
                *measured(group),
            ]
            for group in groups
        ],
    )


def _comparisons_table(comparisons: Sequence[Figures]) -> Table:
    return Table(
        "First less second, image by image: gain in points with its 95\u00a0% interval (Student; "
        "where all images differ alike Newcombe).",
        ["first", "second", "images", "targeted gain", "untargeted gain"],
        [
            [
                _shown(found, "first").removeprefix("the "),
                _shown(found, "second").removeprefix("the "),
                str(found["images"]),
                *(
                    short_points(found[f"{what}_gain_difference"], found[f"{what}_gain_ci95"])
                    for what in ("targeted", "untargeted")
                ),
            ]
            for found in comparisons
        ],
        words=2,
    )
