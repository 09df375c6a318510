"""The report of attacks: one HTML file that needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.figure import Figure

from neuroattack.attacks.result import Goal, Search, Step
from neuroattack.encoding.readout import UNDECIDED
from neuroattack.experiments.attack import AttackOutcome
from neuroattack.experiments.evaluation import Evaluation
from neuroattack.provenance import Provenance
from neuroattack.report import plots
from neuroattack.report.facts import attack_facts, changed_pixels, lucky, network_facts
from neuroattack.report.numbers import NBSP, distance_text, percent, proportion
from neuroattack.report.templates import render

__all__ = ["provenance_rows", "render_report"]


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
    dropped: Sequence[str] = (),
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
    dropped : sequence of str, optional
        What the chip lacks and the network was run without.

    Returns
    -------
    str
        The page; the same arguments give the same text.
    """
    return render(
        "report/report.html.jinja",
        title=title,
        attacks=[
            _attack(outcome, f"attack-{number}", dt_s, max_distance)
            for number, outcome in enumerate(outcomes, start=1)
        ],
        attack_facts=attack_facts(outcomes, max_distance),
        network_facts=network_facts(evaluation, rate_accuracy),
        provenance=[
            *_settings_rows(outcomes),
            *provenance_rows(provenance),
            *(("Dropped for the chip", sentence) for sentence in dropped),
        ],
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
        lucky=lucky(search),
        images=svg(
            plots.images_figure(search),
            "images",
            f"The original image, the adversarial image and their difference; "
            f"{changed_pixels(search)} pixels of the window differ.",
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


def _settings_rows(outcomes: Sequence[AttackOutcome]) -> list[tuple[str, str]]:
    settings = [
        ", ".join(f"{name} {value}" for name, value in outcome.settings.items())
        for outcome in outcomes
    ]
    if len(set(settings)) == 1:
        return [("Attack", settings[0])]
    return [(f"Attack {number}", text) for number, text in enumerate(settings, 1)]


def provenance_rows(provenance: Provenance) -> list[tuple[str, str]]:
    """Return where results come from, as names and values for a page."""
    chip = [
        ("Chip", provenance.profile),
        ("Chip's profile, SHA-256", provenance.profile_checksum),
    ]
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
        *(chip if provenance.profile else ()),
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
