"""The paper's claims and the figures to reach, each beside what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from neuroattack.paper.published import DNN_ACCURACY
from neuroattack.paper.report.attack_content import course_of
from neuroattack.paper.report.noise_figure_content import falls, window_verdict
from neuroattack.paper.report.noise_in_training import (
    collapse_verdict,
    noisy_images,
    small_noise_verdict,
)
from neuroattack.paper.report.population_content import (
    PAIRS,
    compared,
    short_points,
    side_of_zero,
)
from neuroattack.paper.report.section import SummaryRow
from neuroattack.paper.report.words import (
    deltas_text,
    listed,
    percent_ci95,
    points,
    points_ci95,
    times,
)
from neuroattack.paper.settings import SOURCE, TARGET
from neuroattack.report.numbers import percent
from neuroattack.report.style import network_name

__all__ = ["summary_rows"]

Figures = Mapping[str, Any]


def summary_rows(items: Mapping[str, Figures]) -> list[SummaryRow]:
    """Return the summary of the items there are."""
    return [row for item, figures in items.items() if item in _ROWS for row in _ROWS[item](figures)]


def _table_one(figures: Figures) -> Iterator[SummaryRow]:
    clean = figures["clean"]
    yield SummaryRow(
        "Clean accuracy, SDBN",
        percent(figures["paper_clean_accuracy"], 2),
        f"{percent_ci95(clean['accuracy'], clean['accuracy_ci95'], 2)} as rates; "
        f"{percent(clean['spiking_accuracy'], 2)} in spikes",
        _apart(clean["accuracy"] - figures["paper_clean_accuracy"]),
    )
    dnn = figures["clean_dnn"]
    yield SummaryRow(
        "Clean accuracy, DNN",
        percent(DNN_ACCURACY / 100, 2),
        percent_ci95(dnn["accuracy"], dnn["accuracy_ci95"], 2),
        "reached" if dnn["accuracy"] >= DNN_ACCURACY / 100 else "not reached",
    )
    for found in figures["test_noise"]:
        near, far = found["within_6_points"], found["beyond_6_points"]
        where = f"beyond at {deltas_text(far)}" if far else "beyond at none"
        yield SummaryRow(
            f"Test noise, {found['noise']}: within 6 points of the paper at 0.08 to 0.4",
            listed(
                f"{percent(value)} at {delta:g}"
                for delta, value in zip(found["deltas"], found["paper"], strict=True)
                if delta in (0.08, 0.4)
            ),
            f"within at {times(len(near), len(near) + len(far))}, {where}; farthest "
            f"{points(found['farthest'])} at {found['farthest_delta']:g}",
            "reached" if not far else "partly" if near else "not reached",
        )
    for found in figures["small_noise"]:
        yield SummaryRow(
            f"Training on {found['noise']} noise of {found['delta']:g} raises accuracy",
            points(found["paper_difference"], 2),
            f"{points_ci95(found['difference'], found['difference_ci95'], 2)}, "
            f"{len(found['seeds'])} trainings",
            small_noise_verdict(found),
        )
    for column in figures["collapse"]["columns"]:
        yield SummaryRow(
            f"Collapse below {percent(figures['collapse']['below'], 0)}, {column['noise']} noise "
            f"on {noisy_images(column['mode'])}",
            _collapse(column["paper_delta"], column["paper_lowest"]),
            _collapse(column["delta"], column["lowest"]),
            collapse_verdict(column),
        )


def _collapse(delta: float | None, lowest: float) -> str:
    start = "at no delta" if delta is None else f"from delta {delta:g}"
    return f"{start}; the lowest {percent(lowest)}"


def _apart(difference: float) -> str:
    return f"{points(difference, 2)} apart"


def _window(figures: Figures) -> Iterator[SummaryRow]:
    lowest = falls(figures)
    clean = figures["clean_accuracy"]
    middle, corner = lowest["middle"], lowest["corner"]
    yield SummaryRow(
        "Noise in a window: the middle harms more than the corner",
        "corner almost constant, middle falls (no numbers)",
        f"at the lowest, corner {points(corner['accuracy'] - clean)}, middle "
        f"{points(middle['accuracy'] - clean)}",
        window_verdict(figures),
    )


def _dnn_attack(figures: Figures) -> Iterator[SummaryRow]:
    yield from _attack(figures, "Table II", monotone=True)


def _sdbn_attack(figures: Figures) -> Iterator[SummaryRow]:
    yield from _attack(figures, "Table III", monotone=False)


def _attack(figures: Figures, title: str, *, monotone: bool) -> Iterator[SummaryRow]:
    """Yield a row a case.

    The paper's DNN ends in the target class by moves that never fall; its SDBN moves up and down.
    """
    for case in figures["cases"]:
        course = course_of(figures, case)
        paper = [row for row in figures["paper_rows"] if row["case"] == case]
        best = max(paper, key=lambda row: row["p_target"])
        if monotone:
            claim = f"P(target) rises to {percent(best['p_target'])} and wins"
            met = [course.wins, course.fell == 0]
        else:
            claim = f"P(target) up and down, at best {percent(best['p_target'])}"
            met = [course.fell > 0 and course.rose > 0, not course.wins]
        yield SummaryRow(
            f"{title}, case {case}, {network_name(figures['network'])}",
            claim,
            f"at best {percent(course.highest['p_target'])}, at the end "
            f"{percent(course.final['p_target'])} against {percent(course.final['p_max_class'])} "
            f"of the true class; fell in {times(course.fell, course.iterations)} iterations, "
            f"misclassified in {course.wrong}",
            "shown" if all(met) else "partly" if any(met) else "refuted",
        )


def _clean_shares(figures: Figures) -> Iterator[SummaryRow]:
    shares, paper = figures["shares"], figures["paper"]
    theirs = paper["p_max_class"], paper["p_target"]
    ours = shares[SOURCE], shares[TARGET]
    widest = max((mine - other for mine, other in zip(ours, theirs, strict=True)), key=abs)
    yield SummaryRow(
        f"Clean shares of the sample, {SOURCE} and {TARGET}",
        listed(percent(share) for share in theirs),
        listed(percent(share) for share in ours),
        f"at most {100 * abs(widest):.1f} points apart",
    )


def _population(figures: Figures) -> Iterator[SummaryRow]:
    for first, second, about in (
        ("sdbn", "dnn", "Is the SDBN more secure than the DNN?"),
        ("sdbn-exact", "dnn", "The same without sampling noise in either"),
        ("sdbn", "dnn-sampled", "The same with sampling noise in both"),
    ):
        comparisons = compared(figures, first, second)
        if comparisons:
            sides = [side_of_zero(one["untargeted_gain_ci95"]) for one in comparisons]
            yield SummaryRow(
                about,
                "yes, on one image" if (first, second) == ("sdbn", "dnn") else "left open",
                "targeted searches, misclassified as any class; gain over unattacked images: "
                + "; ".join(
                    f"case {one['case']}, {PAIRS[one['pairs']]} "
                    + short_points(one["untargeted_gain_difference"], one["untargeted_gain_ci95"])
                    for one in comparisons
                ),
                _secure(sides),
            )


def _secure(sides: list[int]) -> str:
    if all(side < 0 for side in sides):
        return "yes"
    if all(side > 0 for side in sides):
        return "no, less"
    if not any(sides):
        return "undecided"
    parts = [
        f"{word} in {sides.count(side)}"
        for side, word in ((-1, "yes"), (1, "no"), (0, "undecided"))
        if side in sides
    ]
    return f"{listed(parts)} of {len(sides)} groups"


_ROWS: dict[str, Callable[[Figures], Iterator[SummaryRow]]] = {
    "table1": _table_one,
    "figure3": _window,
    "table2": _dnn_attack,
    "table3": _sdbn_attack,
    "figure9": _clean_shares,
    "population": _population,
}
