"""All items of the paper and of what goes beyond it, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack import __version__
from neuroattack.errors import UnknownNameError
from neuroattack.paper.attack_tables import (
    SHARE_DRAWS,
    AttackTable,
    attack_table,
    choose_sample,
)
from neuroattack.paper.noise_tables import (
    WINDOW_DELTA,
    noisy_images,
    table_one,
    window_noise,
)
from neuroattack.paper.population_tables import population, sampling
from neuroattack.paper.published import ATTACK_CASES, TABLE_II, TABLE_III
from neuroattack.paper.settings import DNN, FINE_TUNED, SDBN, PaperRun
from neuroattack.paper.visibility import imperceptibility, transformations

__all__ = ["ITEMS", "Paper", "expand_items", "reproduce"]

Arrays = dict[str, NDArray[np.floating[Any]]]


@dataclass
class Paper:
    """What a run found.

    Attributes
    ----------
    items : dict of str to dict
        Figures of every item, JSON values.
    arrays : dict of str to float array
        Images of the items that show some, by the item's name, a slash and theirs.
    """

    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)


def expand_items(names: Sequence[str]) -> list[str]:
    """Return items in the order of :data:`ITEMS`, ``"all"`` being all of them.

    Raises
    ------
    UnknownNameError
        If there is no such item.
    """
    for name in names:
        if name != "all" and name not in ITEMS:
            raise UnknownNameError("item of the paper", name, ["all", *ITEMS])
    return [item for item in ITEMS if item in names or "all" in names]


def reproduce(run: PaperRun, names: Sequence[str]) -> Paper:
    """Recompute items of the paper; what was done in the run's folder before is not done again.

    Parameters
    ----------
    run : PaperRun
        Data, sizes, folder.
    names : sequence of str
        Of :data:`ITEMS`, or ``"all"``.

    Raises
    ------
    UnknownNameError
        If there is no such item.
    NeuroattackError
        What training, simulating or writing raises.
    """
    paper = Paper()
    for item in expand_items(names):
        figures, arrays = ITEMS[item](run)
        paper.items[item] = {
            "item": item,
            "dataset": run.dataset.name,
            "dataset_checksum": run.dataset.checksum,
            "seed": run.settings.seed,
            "settings": asdict(run.settings),
            "version": __version__,
            **figures,
        }
        paper.arrays |= {f"{item}/{name}": array for name, array in arrays.items()}
    return paper


def _figure_two(run: PaperRun) -> tuple[Mapping[str, Any], Arrays]:
    table = table_one(run)
    kept = ("cells", "clean_accuracy", "paper_clean_accuracy", "clipping", "test_noise")
    return {name: table[name] for name in kept}, {}


def _figure_four(run: PaperRun) -> tuple[Mapping[str, Any], Arrays]:
    return {"noise": "normal", "delta": WINDOW_DELTA}, dict(noisy_images(run))


def _table_two(run: PaperRun) -> tuple[Mapping[str, Any], Arrays]:
    table = attack_table(run, DNN)
    return table.as_json(), _courses(table)


def _table_three(run: PaperRun) -> tuple[Mapping[str, Any], Arrays]:
    table = attack_table(run, SDBN)
    others = {name: attack_table(run, name).as_json() for name in (f"{SDBN}-exact", FINE_TUNED)}
    return {**table.as_json(), "also": others}, _courses(table)


def _courses(table: AttackTable) -> Arrays:
    return {f"case{case}": course for case, course in table.courses.items()}


def _figure_six(run: PaperRun) -> tuple[Mapping[str, Any], Arrays]:
    sample = choose_sample(run)
    windows = {case: vars(run.attack(size).window) for case, size in ATTACK_CASES.items()}
    image, _ = run.dataset.test.pick(sample.index)
    return {"sample_index": sample.index, "windows": windows}, {"sample": image}


def _figure_seven(run: PaperRun) -> tuple[Mapping[str, Any], Arrays]:
    cases = {
        case: {stage: attack["shares"][iteration] for stage, iteration in stages.items()}
        for case, attack, stages in _stages(attack_table(run, DNN))
    }
    paper = {
        case: {
            stage: {"p_max_class": row.p_max_class / 100, "p_target": row.p_target / 100}
            for stage, row in zip(
                ("initial", "intermediate", "final"),
                [row for row in TABLE_II if row.case == case],
                strict=True,
            )
        }
        for case in ATTACK_CASES
    }
    return {"cases": cases, "paper": paper}, {}


def _figure_eight(run: PaperRun) -> tuple[Mapping[str, Any], Arrays]:
    table = attack_table(run, DNN)
    figures, arrays = {}, {}
    for case, attack, stages in _stages(table):
        figures[case] = {
            stage: {"iteration": iteration, "distance": attack["distances"][iteration]}
            for stage, iteration in stages.items()
        }
        for stage, iteration in stages.items():
            arrays[f"{case}-{stage}"] = table.courses[case][iteration]
    return {"cases": figures, "sample_index": table.sample.index}, arrays


def _stages(table: AttackTable) -> list[tuple[str, Mapping[str, Any], dict[str, int]]]:
    """Return the stages of each case: the last image within D_max is final, as in the paper."""
    found = []
    for case, attack in table.attacks.items():
        last = len(attack["shares"]) - 1
        stages = {"initial": 0, "intermediate": max(last - 1, 0), "final": last}
        found.append((case, attack, stages))
    return found


def _figure_nine(run: PaperRun) -> tuple[Mapping[str, Any], Arrays]:
    sample = choose_sample(run)
    first = TABLE_III[0]
    return {
        "sample_index": sample.index,
        "shares": list(sample.sdbn_shares),
        "draws": SHARE_DRAWS,
        "paper": {"p_max_class": first.p_max_class / 100, "p_target": first.p_target / 100},
    }, {}


def _without_arrays(
    item: Callable[[PaperRun], dict[str, Any]],
) -> Callable[[PaperRun], tuple[Mapping[str, Any], Arrays]]:
    return lambda run: (item(run), {})


ITEMS: dict[str, Callable[[PaperRun], tuple[Mapping[str, Any], Arrays]]] = {
    "table1": _without_arrays(table_one),
    "figure2": _figure_two,
    "figure3": _without_arrays(window_noise),
    "figure4": _figure_four,
    "table2": _table_two,
    "table3": _table_three,
    "figure6": _figure_six,
    "figure7": _figure_seven,
    "figure8": _figure_eight,
    "figure9": _figure_nine,
    "population": _without_arrays(population),
    "sampling": _without_arrays(sampling),
    "transformations": _without_arrays(transformations),
    "imperceptibility": _without_arrays(imperceptibility),
}
"""What can be recomputed, in the order of the paper, and then what goes beyond it."""
