"""The tables of a report: what was measured, what that means, and the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from neuroattack.attacks.result import Search
from neuroattack.encoding.readout import UNDECIDED
from neuroattack.experiments.attack import AttackOutcome
from neuroattack.experiments.attack_cost import Change
from neuroattack.experiments.evaluation import Evaluation
from neuroattack.report.numbers import (
    NBSP,
    decimals_for,
    distance_text,
    energy_text,
    interval,
    percent,
    successes,
)

__all__ = ["Fact", "attack_facts", "changed_pixels", "lucky", "network_facts"]

_SEARCH_DRAWS = {"independent": "one an image", "common": "one an iteration"}

_STOPPED_BY = {
    "distance": "the limit of D",
    "iterations": "the limit of iterations",
    "budget": "the query budget",
    "no candidates": "no pixel left to move",
}


class Fact(NamedTuple):
    """A row of a table: what, in one line what that means, and a value for every column."""

    name: str
    meaning: str
    values: Sequence[str]


def attack_facts(outcomes: Sequence[AttackOutcome], max_distance: float) -> list[Fact]:
    """Return the table of all attacks, a column each."""
    searches = [outcome.search for outcome in outcomes]
    return [
        Fact(
            "Adversarial image fooled the network",
            "On fresh draws of input spikes: the search kept the luckiest of many draws, which "
            "says little about the next one.",
            [successes(outcome.success) for outcome in outcomes],
        ),
        Fact(
            "Unmodified image did the same",
            "Its share of errors of that kind without any attack.",
            [successes(outcome.clean_success) for outcome in outcomes],
        ),
        Fact(
            "Distance D",
            "How far each pixel moved over the contrast around it, summed: small is hard to see. "
            f"No unit; the limit is {max_distance:g}.",
            [distance_text(search.best.distance) for search in searches],
        ),
        Fact(
            "Pixels changed",
            "Of those in the window.",
            [f"{changed_pixels(search)} of {search.window.size**2}" for search in searches],
        ),
        Fact(
            "Best iteration",
            "Where the class aimed at was furthest ahead, or least behind, in a single draw.",
            [f"{search.best_iteration} of {len(search.trace) - 1}" for search in searches],
        ),
        Fact(
            "Iterations that reached the goal",
            "In one draw each, while searching; the original image is one of them.",
            [lucky(search) for search in searches],
        ),
        Fact(
            "Draws of the search",
            "Whether the images of an iteration had a draw each, as in the paper, or one together, "
            "as an attacker may arrange who owns the encoder.",
            [_SEARCH_DRAWS[outcome.settings["search_draws"]] for outcome in outcomes],
        ),
        Fact(
            "Search stopped by",
            "Limits are D, iterations and queries.",
            [_STOPPED_BY.get(search.stopped_by, search.stopped_by) for search in searches],
        ),
        Fact(
            "Queries, search",
            "Images shown to the network to find the adversarial one.",
            [f"{search.queries:,}" for search in searches],
        ),
        Fact(
            "Queries, verification",
            "Fresh draws for the verdict, both images together.",
            [f"{outcome.verification_queries:,}" for outcome in outcomes],
        ),
        *_cost_facts(outcomes),
    ]


def _cost_facts(outcomes: Sequence[AttackOutcome]) -> list[Fact]:
    """Return what the attacks make the network do."""
    costs = [outcome.cost for outcome in outcomes]
    facts = [
        Fact(
            name,
            f"Mean of {costs[0].draws if costs else 0} draws of the original and of the "
            f"adversarial image, the same for both, and their difference. {meaning}",
            [_change(cost.changes[key]) for cost in costs],
        )
        for name, key, meaning in (
            ("Cost in spikes", "spikes", "Of all populations but the input."),
            (
                "Cost in synaptic operations",
                "synaptic_operations",
                "Spikes times the synapses each one reaches, the input's too.",
            ),
        )
    ]
    if any(cost.query_energy_pj for cost in costs):
        unpriced = sorted({term for cost in costs for term in cost.unpriced})
        left_out = f" Without {', '.join(unpriced)}, which have no price." if unpriced else ""
        facts += [
            Fact(
                "Cost in energy",
                f"Lower and upper bound on the chip.{left_out}",
                [
                    f"{_energy(cost.changes['energy_pj_lower'])}; "
                    f"{_energy(cost.changes['energy_pj_upper'])}"
                    if cost.query_energy_pj
                    else "no price"
                    for cost in costs
                ],
            ),
            Fact(
                "Energy of a query",
                f"Mean of the search's queries, lower to upper bound.{left_out}",
                [
                    "no price"
                    if cost.query_energy_pj is None
                    else " to ".join(energy_text(bound) for bound in cost.query_energy_pj)
                    for cost in costs
                ],
            ),
            Fact(
                "What the energies rest on",
                " ".join(dict.fromkeys(text for cost in costs for text in cost.caveats)),
                [f"{cost.basis}, at the weakest" if cost.basis else "" for cost in costs],
            ),
        ]
    return facts


def _change(change: Change) -> str:
    return (
        f"{change.original:,.0f} to {change.adversarial:,.0f} "
        f"({_signed(change.difference, '{:+,.0f}')}{_ends(change, '{:+,.0f}')})"
    )


def _energy(change: Change) -> str:
    percentage = 100 * change.difference / change.original if change.original else 0.0
    interval = ""
    if change.difference_ci95 is not None and change.original:
        low, high = (100 * end / change.original for end in change.difference_ci95)
        interval = (
            f", 95{NBSP}% interval {_signed(low, '{:+.2f}')} to {_signed(high, '{:+.2f}')}{NBSP}%"
        )
    return (
        f"{energy_text(change.original)} to {energy_text(change.adversarial)} "
        f"({_signed(percentage, '{:+.2f}')}{NBSP}%{interval})"
    )


def _ends(change: Change, style: str) -> str:
    if change.difference_ci95 is None:
        return ""
    low, high = (_signed(end, style) for end in change.difference_ci95)
    return f", 95{NBSP}% interval {low} to {high}"


def _signed(value: float, style: str) -> str:
    return style.format(value).replace("-", "\u2212")


def network_facts(evaluation: Evaluation | None, rate_accuracy: float | None) -> list[Fact]:
    """Return the table of the network under attack; empty where nothing is known of it."""
    facts = []
    if rate_accuracy is not None:
        facts.append(
            Fact(
                "Accuracy, as rates",
                "Of the trained model before its conversion to spikes.",
                (percent(rate_accuracy),),
            )
        )
    if evaluation is not None:
        decimals = decimals_for(evaluation.images)
        facts += [
            Fact(
                "Accuracy, spiking",
                f"Of {evaluation.images:,} images; a tie or silence counts as wrong.",
                (
                    f"{percent(evaluation.accuracy, decimals)} "
                    f"({interval(evaluation.accuracy_ci95, decimals)})",
                ),
            ),
            Fact(
                "Silent images",
                "Without one output spike.",
                (percent(evaluation.silent_fraction, decimals),),
            ),
            Fact(
                "Undecided images",
                "Silent, or tied between classes.",
                (percent(evaluation.undecided_fraction, decimals),),
            ),
            Fact(
                "Spikes",
                "Of each population, per image.",
                (
                    ", ".join(
                        f"{name}{NBSP}{spikes:,.1f}"
                        for name, spikes in evaluation.spikes_per_image.items()
                    ),
                ),
            ),
            Fact(
                "Synaptic operations",
                "Spikes times the synapses each one reaches, per image.",
                (f"{evaluation.synaptic_operations_per_image:,.0f}",),
            ),
        ]
    return facts


def lucky(search: Search) -> str:
    """Say how often single draws reached the goal during the search."""
    goal, wrong = search.goal, {UNDECIDED, search.goal.label}
    reached = sum(
        step.predicted not in wrong
        if goal.target_class is None
        else step.predicted == goal.target_class
        for step in search.trace
    )
    return f"{reached} of {len(search.trace)}"


def changed_pixels(search: Search) -> int:
    """Return how many pixels of the adversarial image differ from the original's."""
    return int(np.count_nonzero(search.adversarial != search.original))
