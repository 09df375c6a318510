"""Beyond the paper's one image: the attack over populations, and over the noise of the answers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroattack.errors import NeuroattackError
from neuroattack.experiments.engine.cells import Cell
from neuroattack.paper.attack_cells import attack_cell
from neuroattack.paper.attacked import Attacked
from neuroattack.paper.population import Group, compare_groups, pair_aims, random_aims
from neuroattack.paper.published import ATTACK_CASES
from neuroattack.paper.settings import (
    DNN,
    FINE_TUNED,
    SDBN,
    SOURCE,
    TARGET,
    PaperRun,
)

__all__ = [
    "PAIR",
    "RANDOM",
    "GroupPlan",
    "attack_groups",
    "population",
    "population_plans",
    "sampling",
]

PAIR, RANDOM = "five-three", "random"

WIDER = {"N=11": 11}
"""Windows larger than the paper's, by their side."""

MAX_ITERATIONS = 60
"""Of an attack in a population: on a noisy answer moves up and down may cancel for ever."""

SWEEP_CASE = "II"
STEPS = (50, 100, 200, 500, 1000)
REPEATS = 4

# Of every cell, so that workers share a group and little is lost when one is killed.
_IMAGES_A_CELL = 20

_EVERY_CASE = {**ATTACK_CASES, **WIDER}

# Which networks are attacked in which cases, with which pairs of classes.
_PLANS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    ((SDBN, DNN, f"{SDBN}-exact", f"{DNN}-sampled"), tuple(ATTACK_CASES), (PAIR, RANDOM)),
    ((SDBN, DNN, f"{SDBN}-exact", f"{DNN}-sampled"), tuple(WIDER), (PAIR,)),
    ((FINE_TUNED, f"{FINE_TUNED}-exact"), (SWEEP_CASE,), (PAIR,)),
)

_QUESTIONS = (
    (SDBN, DNN, "as the paper compares them: spike counts against probabilities"),
    (f"{SDBN}-exact", DNN, "without noise in either answer: the networks themselves"),
    (SDBN, f"{DNN}-sampled", "with the noise of as many spikes in both answers"),
    (SDBN, f"{SDBN}-exact", "what spikes take from the attack on the SDBN"),
    (f"{DNN}-sampled", DNN, "what as many spikes would take from the attack on the DNN"),
    (FINE_TUNED, DNN, "the SDBN that converts without loss, against the DNN"),
)


@dataclass(frozen=True)
class GroupPlan:
    """A group to attack.

    Parameters
    ----------
    network : str
        Its name in results.
    attacked : Attacked
        The network.
    case, pairs : str
        Window, and source and target classes.
    aims : sequence of (index, target class)
        What is attacked.
    """

    network: str
    attacked: Attacked
    case: str
    pairs: str
    aims: Sequence[tuple[int, int]]


def attack_groups(
    run: PaperRun, what: str, plans: Sequence[GroupPlan]
) -> tuple[list[Group], list[list[str]]]:
    """Attack groups; return what became of them, and the files with their adversarial images."""
    cells: list[Cell] = []
    places: list[int] = []
    for place, plan in enumerate(plans):
        attack = run.attack(_EVERY_CASE[plan.case], MAX_ITERATIONS)
        for start in range(0, len(plan.aims), _IMAGES_A_CELL):
            cells.append(
                attack_cell(
                    f"attack-{plan.network}-{plan.case}-{plan.pairs}-{start}",
                    plan.attacked,
                    attack,
                    plan.aims[start : start + _IMAGES_A_CELL],
                    run.dataset,
                    seed=run.settings.seed,
                    draws=run.settings.draws,
                )
            )
            places.append(place)
    results = run.run(what, cells)
    attacks: list[list[dict[str, Any]]] = [[] for _ in plans]
    files: list[list[str]] = [[] for _ in plans]
    for place, result in zip(places, results, strict=True):
        attacks[place] += result["attacks"]
        files[place].append(result["images"])
    groups = [
        Group(
            plan.network,
            plan.case,
            plan.pairs,
            plan.attacked.steps if plan.attacked.answer == "spikes" else None,
            plan.attacked.repeats,
            attacks[place],
        )
        for place, plan in enumerate(plans)
    ]
    return groups, files


def population_plans(run: PaperRun) -> list[GroupPlan]:
    """Return the groups of the population, each network on the same images and targets.

    Raises
    ------
    NeuroattackError
        If no "five" is classified correctly by all networks.
    """
    size = run.settings.population
    aims = {
        PAIR: _fives(run, size),
        RANDOM: random_aims(run.dataset, run.correct, size, _generator(run, 3)),
    }
    return [
        GroupPlan(network, run.attacked(network), case, pairs, aims[pairs])
        for networks, cases, kinds in _PLANS
        for network, case, pairs in itertools.product(networks, cases, kinds)
    ]


def _fives(run: PaperRun, images: int) -> list[tuple[int, int]]:
    aims = pair_aims(run.dataset, run.correct, SOURCE, TARGET, images, _generator(run, 4))
    if not aims:
        raise NeuroattackError(
            f"no test image of class {SOURCE} is classified correctly by all networks"
        )
    return aims


def _generator(run: PaperRun, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(run.settings.seed, spawn_key=(stream,)))


def population(run: PaperRun) -> dict[str, Any]:
    """Attack populations of images on all networks; return groups and comparisons as JSON values.

    Images are drawn from those that all networks classify correctly: so many "fives", targeted at
    "three", and so many of all classes, targeted at random ones.

    Raises
    ------
    NeuroattackError
        If no "five" is classified correctly by all networks.
    """
    groups, _ = attack_groups(run, "Attacking populations", population_plans(run))
    found = {(group.network, group.case, group.pairs): group for group in groups}
    comparisons = [
        compare_groups(question, found[first, case, pairs], found[second, case, pairs])
        for first, second, question in _QUESTIONS
        for case, pairs in itertools.product(_EVERY_CASE, (PAIR, RANDOM))
        if (first, case, pairs) in found and (second, case, pairs) in found
    ]
    return {
        "groups": [
            group.as_json()
            | {
                "best_p_target_values": group.best_target_shares.tolist(),
                **{
                    f"{what}_{name}": values(what).tolist()
                    for what in ("targeted", "untargeted")
                    for name, values in (("rates", group.rates), ("gains", group.gains))
                },
            }
            for group in groups
        ],
        "comparisons": comparisons,
        "cases": _EVERY_CASE,
        "max_iterations": MAX_ITERATIONS,
        "draws": run.settings.draws,
        "correct_by_all": int(run.correct.sum()),
        "sampled_spikes": run.attacked(f"{DNN}-sampled").spikes,
    }


def sampling(run: PaperRun) -> dict[str, Any]:
    """Vary the time steps T and the draws that a query adds up; return groups as JSON values.

    What changes as answers hold more spikes was sampling noise; what remains between them and the
    rates is the network's. Whether more steps bring more spikes is measured, not supposed: a
    readout that falls silent early answers alike at any later T, while repeats bring as many
    spikes as they are. A verdict adds up as many draws as the search. Each comparison is paired,
    for all groups attack the same images.

    Raises
    ------
    NeuroattackError
        If no "five" is classified correctly by all networks.
    """
    aims = _fives(run, run.settings.sweep)
    usual = run.settings.steps
    shown = [*((steps, 1) for steps in sorted({*STEPS, usual})), (usual, REPEATS)]
    plans = [
        GroupPlan(name, run.with_steps(name, steps, repeats), SWEEP_CASE, PAIR, aims)
        for name in (SDBN, FINE_TUNED)
        for steps, repeats in shown
    ]
    plans += [
        GroupPlan(name, run.attacked(name), SWEEP_CASE, PAIR, aims)
        for name in (f"{SDBN}-exact", f"{FINE_TUNED}-exact", DNN)
    ]
    groups, _ = attack_groups(run, "Varying T and repeats", plans)
    found = {(group.network, group.steps, group.repeats): group for group in groups}
    comparisons = []
    for name in (SDBN, FINE_TUNED):
        least, *_, most = (found[name, steps, 1] for steps in sorted({*STEPS, usual}))
        once, repeated = (found[name, usual, repeats] for repeats in (1, REPEATS))
        exact = found[f"{name}-exact", None, 1]
        comparisons += [
            _compare(question, first, second)
            for question, first, second in (
                ("what the most steps change against the fewest", most, least),
                ("what repeats change", repeated, once),
                ("the most steps against rates", most, exact),
                ("repeats against rates", repeated, exact),
            )
        ]
    return {
        "groups": [group.as_json() for group in groups],
        "comparisons": comparisons,
        "case": SWEEP_CASE,
        "pairs": PAIR,
        "max_iterations": MAX_ITERATIONS,
    }


def _compare(question: str, first: Group, second: Group) -> dict[str, Any]:
    return compare_groups(question, first, second) | {
        f"{which}_{name}": getattr(group, name)
        for which, group in (("first", first), ("second", second))
        for name in ("steps", "repeats")
    }
