"""Words and tables on the attack of one sample: Tables II and III, Figures 6 to 9."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

from neuroattack.encoding.readout import UNDECIDED
from neuroattack.paper.report.section import Section, Table
from neuroattack.paper.report.words import listed, points, sentence, times
from neuroattack.paper.settings import MAX_DISTANCE, SOURCE, TARGET
from neuroattack.report.numbers import percent
from neuroattack.report.style import is_noiseless, network_name

__all__ = [
    "Course",
    "attack_section",
    "clean_shares_section",
    "course_of",
    "stage_images_section",
    "stages_section",
    "windows_section",
]

Figures = Mapping[str, Any]

_STOPPED_BY = {
    "distance": f"because the next image would exceed D = {MAX_DISTANCE:g}",
    "iterations": "at the limit of iterations",
    "budget": "at the query budget",
    "no candidates": "with no pixel left to move",
}
_TABLES = {"table2": ("Table II", "DNN"), "table3": ("Table III", "SDBN")}


class Course(NamedTuple):
    """How one attack went.

    Parameters
    ----------
    iterations : int
        How many there were.
    fell, rose : int
        In how many P(target) fell, and rose.
    as_target, wrong : int
        In how many the answer was the target class, and any wrong one; one draw each.
    wins : bool
        Whether the last answer was the target class.
    final : mapping
        Row of the last one.
    highest : mapping
        Row with the highest P(target).
    """

    iterations: int
    fell: int
    rose: int
    as_target: int
    wrong: int
    wins: bool
    final: Figures
    highest: Figures


def course_of(figures: Figures, case: str) -> Course:
    """Return how the attack of a case went."""
    rows = [row for row in figures["rows"] if row["case"] == case]
    answers = figures["cases"][case]["predicted"]
    predicted = answers[1:]
    targets = [row["p_target"] for row in rows]
    right = {figures["label"], UNDECIDED}
    return Course(
        len(rows) - 1,
        sum(after < before for before, after in itertools.pairwise(targets)),
        sum(after > before for before, after in itertools.pairwise(targets)),
        sum(answer == figures["target_class"] for answer in predicted),
        sum(answer not in right for answer in predicted),
        answers[-1] == figures["target_class"],
        rows[-1],
        max(rows, key=lambda row: row["p_target"]),
    )


def attack_section(item: str, figures: Figures) -> Section:
    """Return Table II or III: how both cases went, beside the paper's rows."""
    title, network = _TABLES[item]
    sentences = []
    for table in (figures, *figures.get("also", {}).values()):
        sentences += [_on_case(table, case) for case in table["cases"]]
    also = figures.get("also", {})
    rows, of_paper = [], set()
    for case in figures["cases"]:
        for row in [row for row in figures["rows"] if row["case"] == case]:
            answer = figures["cases"][case]["predicted"][row["iteration"]]
            rows.append(_row("ours", row, "none" if answer == UNDECIDED else str(answer)))
        for row in [row for row in figures["paper_rows"] if row["case"] == case]:
            of_paper.add(len(rows))
            rows.append(_row("the paper", row, ""))
    tables = [
        Table(
            f"{network}: every iteration, in percent; the paper's rows are marked. D has no "
            "unit; iteration 0 is the image before the attack.",
            ["", "case", "iteration", "answer", "P max class", "P target", "D"],
            rows,
            words=2,
            of_paper=frozenset(of_paper),
        ),
        _outcome_table(figures),
    ]
    drawn = "; thin: the same attack on the SDBN as rates, without sampling noise" if also else ""
    return Section(
        item,
        f"{title}: the attack on the {network}",
        f"Above, the true class (discs, solid) and the target class (squares, dashed) at every "
        f"iteration{drawn}; below, the distance D of Eq. 2 with its limit. Hollow: the rows that "
        f"the paper prints.",
        f"Shares of the true and the target class and the distance D against the iteration, for "
        f"windows of 5 by 5 and of 7 by 7 pixels, {network}.",
        sentences,
        tables,
    )


def _on_case(figures: Figures, case: str) -> str:
    course, found = course_of(figures, case), figures["cases"][case]
    paper = [row for row in figures["paper_rows"] if row["case"] == case][-1]
    text = (
        f"{sentence(network_name(figures['network']))}, case {case}: {course.iterations} "
        f"iterations, stopped {_STOPPED_BY.get(found['stopped_by'], found['stopped_by'])}. "
        f"P(target) reaches {percent(course.highest['p_target'])} at iteration "
        f"{course.highest['iteration']} and ends at {percent(course.final['p_target'])} with D = "
        f"{course.final['distance']:.2f}"
    )
    if figures["network"] in ("dnn", "sdbn"):
        text += (
            f" (the paper: {percent(paper['p_target'])}, D = {paper['distance']:.2f}, at iteration "
            f"{paper['iteration']})"
        )
    text += (
        f"; it falls in {times(course.fell, course.iterations)} iterations. The answer is the "
        f"target class in {course.as_target}, and any wrong class in {course.wrong}."
    )
    if is_noiseless(figures["network"]):
        return f"{text} Its answer has no noise: every draw is this one."
    return (
        f"{text} Of {found['draws']} fresh draws of the best image (iteration "
        f"{found['best_iteration']}), {found['targeted']} are taken for the target class and "
        f"{found['untargeted']} for any wrong one; of the unattacked image, "
        f"{found['clean']['targeted']} and {found['clean']['untargeted']}."
    )


def _row(who: str, row: Figures, answer: str) -> list[str]:
    return [
        who,
        row["case"],
        str(row["iteration"]),
        answer,
        _two(row["p_max_class"]),
        _two(row["p_target"]),
        f"{row['distance']:.2f}",
    ]


def _two(share: float) -> str:
    return f"{100 * share:.2f}"


def _outcome_table(figures: Figures) -> Table:
    """Return what became of both cases, for the network and for those beside it."""
    rows = []
    for table in (figures, *figures.get("also", {}).values()):
        for case, found in table["cases"].items():
            course = course_of(table, case)
            draws = found["draws"]
            rows.append(
                [
                    network_name(table["network"]),
                    case,
                    str(course.iterations),
                    f"{course.fell}",
                    f"{course.wrong}",
                    _two(course.highest["p_target"]),
                    f"{course.final['distance']:.2f}",
                    f"{found['queries']:,}",
                    times(found["targeted"], draws),
                    times(found["untargeted"], draws),
                    times(found["clean"]["untargeted"], found["clean"]["draws"]),
                ]
            )
    return Table(
        "Both cases: iterations, those in which P(target) fell and those misclassified; highest "
        "P(target) in percent; final D; queries; fresh draws of the best image taken for the "
        "target class, for any wrong one, and those of the unattacked image taken for a wrong one.",
        [
            *("network", "case", "iterations", "P(target) fell", "misclassified"),
            *("highest P(target)", "final D", "queries"),
            *("targeted", "untargeted", "unattacked"),
        ],
        rows,
        words=2,
    )


def windows_section(figures: Figures) -> Section:
    """Return Figure 6: the sample and its windows."""
    said = [
        f"case {case}: rows {window['top']} to {window['top'] + window['size'] - 1}, columns "
        f"{window['left']} to {window['left'] + window['size'] - 1}"
        for case, window in figures["windows"].items()
    ]
    return Section(
        "figure6",
        "Figure 6: the sample and its windows",
        "The image that is attacked, with the window in which pixels may move (dashed green on "
        "white).",
        "A test five with a square in its middle, of 5 by 5 pixels on the left and of 7 by 7 on "
        "the right.",
        [
            f"Test image {figures['sample_index']} is the correctly classified \u201cfive\u201d "
            "whose clean shares of five and of three, on both networks, are nearest the paper's; "
            f"how well an attack does on it plays no part. Counted from 0, {listed(said)}.",
        ],
    )


def stages_section(figures: Figures) -> Section:
    """Return Figure 7: the DNN's probabilities at each stage, with the paper's."""
    sentences = []
    for case, stages in figures["cases"].items():
        paper = figures["paper"][case]
        final, theirs = stages["final"], paper["final"]
        winner = max(range(len(final)), key=lambda number: final[number])
        became = "the target class" if winner == TARGET else f"class {winner}"
        sentences.append(
            f"Case {case}: the final image is taken for {became}. P({SOURCE}) goes from "
            f"{percent(stages['initial'][SOURCE], 2)} to {percent(final[SOURCE], 2)} (the paper: "
            f"{percent(paper['initial']['p_max_class'], 2)} to "
            f"{percent(theirs['p_max_class'], 2)}), P({TARGET}) from "
            f"{percent(stages['initial'][TARGET], 2)} to {percent(final[TARGET], 2)} (the paper: "
            f"{percent(paper['initial']['p_target'], 2)} to {percent(theirs['p_target'], 2)})."
        )
    rows = [
        [
            case,
            stage,
            *(_two(probability) for probability in probabilities),
            _two(figures["paper"][case][stage]["p_target"]),
            _two(figures["paper"][case][stage]["p_max_class"]),
        ]
        for case, stages in figures["cases"].items()
        for stage, probabilities in stages.items()
    ]
    classes = [str(number) for number in range(len(rows[0]) - 4)]
    return Section(
        "figure7",
        "Figure 7: probabilities of the DNN",
        "The DNN's probability of every class before the attack, one iteration before its end, and "
        "at its end. Hollow points are the values of Table II, which are all that the paper gives "
        "as numbers.",
        "Bars of class probabilities at three stages of the attack, for both cases, with the "
        "paper's values.",
        sentences,
        [
            Table(
                "Probabilities in percent by class, and the paper's.",
                ["case", "stage", *classes, f"paper, {TARGET}", f"paper, {SOURCE}"],
                rows,
                words=2,
            )
        ],
    )


def stage_images_section(figures: Figures) -> Section:
    """Return Figure 8: the DNN's adversarial images."""
    said = [
        f"case {case}: D = {stages['intermediate']['distance']:.2f} at iteration "
        f"{stages['intermediate']['iteration']} and {stages['final']['distance']:.2f} at "
        f"{stages['final']['iteration']}"
        for case, stages in figures["cases"].items()
    ]
    return Section(
        "figure8",
        "Figure 8: adversarial images of the DNN",
        "The sample before the attack, one iteration before its end, and at its end. Black is 0, "
        "white is 1.",
        "Images of the five at three stages of the attack on the DNN, for both cases.",
        [f"Test image {figures['sample_index']}; {'; '.join(said)}."],
    )


def clean_shares_section(figures: Figures) -> Section:
    """Return Figure 9: what the SDBN answers to the sample without an attack."""
    shares, paper = figures["shares"], figures["paper"]
    return Section(
        "figure9",
        "Figure 9: clean shares of the SDBN",
        f"Shares of the output spikes for the sample without an attack, in the mean of "
        f"{figures['draws']} draws, and the two that the paper prints (hollow).",
        f"Bars of the share of each class; the true class {SOURCE} has "
        f"{percent(shares[SOURCE])}, the target class {TARGET} {percent(shares[TARGET])}.",
        [
            f"The {SOURCE} has {percent(shares[SOURCE], 2)} of the output spikes "
            f"({points(shares[SOURCE] - paper['p_max_class'])} from the paper's "
            f"{percent(paper['p_max_class'], 2)}), the {TARGET} {percent(shares[TARGET], 2)} "
            f"({points(shares[TARGET] - paper['p_target'])} from "
            f"{percent(paper['p_target'], 2)}). Test image {figures['sample_index']}."
        ],
        [
            Table(
                "Shares in percent.",
                ["", *(str(number) for number in range(len(shares)))],
                [
                    ["ours", *(_two(share) for share in shares)],
                    [
                        "the paper",
                        *(
                            _two({SOURCE: paper["p_max_class"], TARGET: paper["p_target"]}[number])
                            if number in (SOURCE, TARGET)
                            else ""
                            for number in range(len(shares))
                        ),
                    ],
                ],
                of_paper=frozenset({1}),
            )
        ],
    )
