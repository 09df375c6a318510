"""The report of attacks: one HTML file that needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from neuroattack.attack.result import Goal, Search, Step
from neuroattack.provenance import Provenance
from neuroattack.readout import UNDECIDED
from neuroattack.report import plots
from neuroattack.report.numbers import (
    NBSP,
    decimals_for,
    distance_text,
    interval,
    percent,
    proportion,
    successes,
)
from neuroattack.studies.attack import AttackOutcome
from neuroattack.studies.evaluation import Evaluation

__all__ = ["render_report"]

_SEARCH_DRAWS = {"independent": "one an image", "common": "one an iteration"}

_STOPPED_BY = {
    "distance": "the limit of D",
    "iterations": "the limit of iterations",
    "budget": "the query budget",
    "no candidates": "no pixel left to move",
}


class _Fact(NamedTuple):
    """A row of a table: what, in one line what that means, and a value for every column."""

    name: str
    meaning: str
    values: Sequence[str]


class _Row(NamedTuple):
    """A row of the table of iterations."""

    iteration: int
    best: bool
    predicted: str
    true_share: str
    rival_share: str
    gap: str
    distance: str
    moved: int
    queries: str


class _Attack(NamedTuple):
    """An attack as the template shows it."""

    anchor: str
    short: str
    heading: str
    status: str
    sentence: str
    true: str
    rival: str
    lucky: str
    images: Markup
    shares: Markup
    distance: Markup
    raster: Markup
    rows: list[_Row]


def render_report(
    outcomes: Sequence[AttackOutcome],
    *,
    title: str,
    provenance: Provenance,
    dt_s: float,
    max_distance: float,
    evaluation: Evaluation | None = None,
    rate_accuracy: float | None = None,
) -> str:
    """Return a report as one HTML page that loads nothing from anywhere and runs no script.

    Parameters
    ----------
    outcomes : sequence of AttackOutcome
        What became of the attacks, in the order to show them.
    title : str
        Of the page.
    provenance : Provenance
        Where the outcomes come from.
    dt_s : float
        Length of a time step in seconds.
    max_distance : float
        D_max of the attacks.
    evaluation : Evaluation, optional
        Figures of the network that was attacked.
    rate_accuracy : float, optional
        Share of images that the trained model classifies correctly as rates, before conversion.

    Returns
    -------
    str
        The page; the same arguments give the same text.
    """
    environment = Environment(
        loader=PackageLoader("neuroattack", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.jinja").render(
        title=title,
        attacks=[
            _attack(outcome, f"attack-{number}", dt_s, max_distance)
            for number, outcome in enumerate(outcomes, start=1)
        ],
        attack_facts=_attack_facts(outcomes, max_distance),
        network_facts=_network_facts(evaluation, rate_accuracy),
        provenance=[*_settings_rows(outcomes), *_provenance_rows(provenance)],
        max_distance=f"{max_distance:g}",
    )


def _attack(outcome: AttackOutcome, anchor: str, dt_s: float, max_distance: float) -> _Attack:
    search, goal = outcome.search, outcome.search.goal
    status, sentence = _verdict(outcome)
    wanted = "any other class" if goal.target_class is None else _a(goal.target_class)
    last = len(search.trace) - 1
    best = search.best
    spikes = outcome.readout_spikes.counts()

    def svg(figure: Figure, kind: str, alt: str) -> Markup:
        return Markup(plots.inline_svg(figure, alt, f"{anchor}-{kind}"))  # noqa: S704

    return _Attack(
        anchor=anchor,
        short=f"Image {outcome.index}, {_aim(goal)}",
        heading=f"Image {outcome.index}: {_a(goal.label)} to be taken for {wanted}",
        status=status,
        sentence=sentence,
        true=f"{goal.label} (true)",
        rival="best wrong class" if goal.target_class is None else f"{goal.target_class} (target)",
        lucky=_lucky(search),
        images=svg(
            plots.images_figure(search),
            "images",
            f"The original image, the adversarial image and their difference; "
            f"{_changed(search)} pixels of the window differ.",
        ),
        shares=svg(
            plots.shares_figure(search),
            "shares",
            f"Shares of the output spikes over iterations 0 to {last}. The true class "
            f"{goal.label} has {percent(search.trace[0].shares[goal.label])} at first and "
            f"{percent(best.shares[goal.label])} at the best iteration, {best.iteration}; "
            f"{_rival_name(goal)} has {_rival(search.trace[0], goal)} at first and "
            f"{_rival(best, goal)} at the best iteration.",
        ),
        distance=svg(
            plots.distance_figure(search, max_distance),
            "distance",
            f"Distance D over iterations 0 to {last}; {distance_text(best.distance)} at the best "
            f"iteration, with a limit of {max_distance:g}.",
        ),
        raster=svg(
            plots.raster_figure(outcome.readout_spikes, goal, dt_s),
            "raster",
            "Output spikes over time, a row a class. Spikes of classes 0 to "
            f"{spikes.shape[1] - 1}, original: {', '.join(map(str, spikes[0]))}; "
            f"adversarial: {', '.join(map(str, spikes[1]))}.",
        ),
        rows=[_row(step, search) for step in search.trace],
    )


def _verdict(outcome: AttackOutcome) -> tuple[str, str]:
    """Return a status of a few words, and the verdict in a sentence."""
    success, clean, goal = outcome.success, outcome.clean_success, outcome.search.goal
    wanted = "anything else" if goal.target_class is None else _a(goal.target_class)
    who = f"Image {outcome.index}, {_a(goal.label)} attacked to be taken for {wanted}:"
    compared = f"the unmodified image did in {clean.successes} of {clean.draws}."
    share = f"({proportion(success)})"
    if success.successes == 0:
        did = f"failed to fool the network in any of {success.draws} fresh draws {share};"
        return "Failed", f"{who} {did} {compared}"
    did = f"fooled the network in {success.successes} of {success.draws} fresh draws {share};"
    if success.ci95[0] <= clean.ci95[1]:
        doubt = "The intervals of the two overlap: no effect of the attack is shown."
        return "No effect shown", f"{who} {did} {compared} {doubt}"
    often = "Fooled mostly" if success.rate > 0.5 else "Fooled at times"
    return often, f"{who} {did} {compared}"


def _lucky(search: Search) -> str:
    """Say how often single draws reached the goal during the search."""
    goal, wrong = search.goal, {UNDECIDED, search.goal.label}
    reached = sum(
        step.predicted not in wrong
        if goal.target_class is None
        else step.predicted == goal.target_class
        for step in search.trace
    )
    return f"{reached} of {len(search.trace)}"


def _attack_facts(outcomes: Sequence[AttackOutcome], max_distance: float) -> list[_Fact]:
    """Return the table of all attacks, a column each."""
    searches = [outcome.search for outcome in outcomes]
    return [
        _Fact(
            "Adversarial image fooled the network",
            "On fresh draws of input spikes: the search kept the luckiest of many draws, which "
            "says little about the next one.",
            [successes(outcome.success) for outcome in outcomes],
        ),
        _Fact(
            "Unmodified image did the same",
            "Its share of errors of that kind without any attack.",
            [successes(outcome.clean_success) for outcome in outcomes],
        ),
        _Fact(
            "Distance D",
            "How far each pixel moved over the contrast around it, summed: small is hard to see. "
            f"No unit; the limit is {max_distance:g}.",
            [distance_text(search.best.distance) for search in searches],
        ),
        _Fact(
            "Pixels changed",
            "Of those in the window.",
            [f"{_changed(search)} of {search.window.size**2}" for search in searches],
        ),
        _Fact(
            "Best iteration",
            "Where the class aimed at was furthest ahead, or least behind, in a single draw.",
            [f"{search.best_iteration} of {len(search.trace) - 1}" for search in searches],
        ),
        _Fact(
            "Iterations that reached the goal",
            "In one draw each, while searching; the original image is one of them.",
            [_lucky(search) for search in searches],
        ),
        _Fact(
            "Draws of the search",
            "Whether the images of an iteration had a draw each, as in the paper, or one together, "
            "as an attacker may arrange who owns the encoder.",
            [_SEARCH_DRAWS[outcome.settings["search_draws"]] for outcome in outcomes],
        ),
        _Fact(
            "Search stopped by",
            "Limits are D, iterations and queries.",
            [_STOPPED_BY.get(search.stopped_by, search.stopped_by) for search in searches],
        ),
        _Fact(
            "Queries, search",
            "Images shown to the network to find the adversarial one.",
            [f"{search.queries:,}" for search in searches],
        ),
        _Fact(
            "Queries, verification",
            "Fresh draws for the verdict, both images together.",
            [f"{outcome.verification_queries:,}" for outcome in outcomes],
        ),
    ]


def _network_facts(evaluation: Evaluation | None, rate_accuracy: float | None) -> list[_Fact]:
    facts = []
    if rate_accuracy is not None:
        facts.append(
            _Fact(
                "Accuracy, as rates",
                "Of the trained model before its conversion to spikes.",
                (percent(rate_accuracy),),
            )
        )
    if evaluation is not None:
        decimals = decimals_for(evaluation.images)
        facts += [
            _Fact(
                "Accuracy, spiking",
                f"Of {evaluation.images:,} images; a tie or silence counts as wrong.",
                (
                    f"{percent(evaluation.accuracy, decimals)} "
                    f"({interval(evaluation.accuracy_ci95, decimals)})",
                ),
            ),
            _Fact(
                "Silent images",
                "Without one output spike.",
                (percent(evaluation.silent_fraction, decimals),),
            ),
            _Fact(
                "Undecided images",
                "Silent, or tied between classes.",
                (percent(evaluation.undecided_fraction, decimals),),
            ),
            _Fact(
                "Spikes",
                "Of each population, per image.",
                (
                    ", ".join(
                        f"{name}{NBSP}{spikes:,.1f}"
                        for name, spikes in evaluation.spikes_per_image.items()
                    ),
                ),
            ),
            _Fact(
                "Synaptic operations",
                "Spikes times the synapses each one reaches, per image.",
                (f"{evaluation.synaptic_operations_per_image:,.0f}",),
            ),
        ]
    return facts


def _settings_rows(outcomes: Sequence[AttackOutcome]) -> list[tuple[str, str]]:
    settings = [
        ", ".join(f"{name} {value}" for name, value in outcome.settings.items())
        for outcome in outcomes
    ]
    if len(set(settings)) == 1:
        return [("Attack", settings[0])]
    return [(f"Attack {number}", text) for number, text in enumerate(settings, 1)]


def _provenance_rows(provenance: Provenance) -> list[tuple[str, str]]:
    return [
        ("Command", provenance.command),
        ("Seed", str(provenance.seed)),
        ("Data set", provenance.dataset),
        ("Data set, SHA-256", provenance.dataset_checksum),
        ("Network, SHA-256", provenance.network_checksum),
        (
            "Backend",
            f"{provenance.backend} {provenance.backend_version}, {provenance.precision} point",
        ),
        (
            "Time",
            f"{provenance.steps:,} steps of {provenance.dt_s * 1e3:g}{NBSP}ms, "
            f"{provenance.steps * provenance.dt_s * 1e3:g}{NBSP}ms an image",
        ),
        ("Versions", provenance.versions),
        ("Machine", provenance.machine),
    ]


def _row(step: Step, search: Search) -> _Row:
    if step.predicted == UNDECIDED:
        predicted = f"undecided ({'tie' if any(step.shares) else 'silent'})"
    else:
        predicted = str(step.predicted)
    return _Row(
        iteration=step.iteration,
        best=step.iteration == search.best_iteration,
        predicted=predicted,
        true_share=percent(step.shares[search.goal.label]),
        rival_share=_rival(step, search.goal),
        gap=f"{step.gap:+.3f}".replace("-", "\u2212"),
        distance=distance_text(step.distance),
        moved=len(step.moved),
        queries=f"{step.queries:,}",
    )


def _rival_name(goal: Goal) -> str:
    return "the best wrong class" if goal.target_class is None else f"target {goal.target_class}"


def _rival(step: Step, goal: Goal) -> str:
    """Return the share of the target class, or of the best wrong class and which that is."""
    if goal.target_class is not None:
        return percent(step.shares[goal.target_class])
    share, best = max((share, -c) for c, share in enumerate(step.shares) if c != goal.label)
    return f"{percent(share)} ({-best})" if share else percent(share)


def _aim(goal: Goal) -> str:
    wanted = f"any{NBSP}other" if goal.target_class is None else str(goal.target_class)
    return f"{goal.label}{NBSP}\u2192{NBSP}{wanted}"


def _a(number: int) -> str:
    return f"{'an' if number in (8, 11, 18) else 'a'} {number}"


def _changed(search: Search) -> int:
    return int(np.count_nonzero(search.adversarial != search.original))
