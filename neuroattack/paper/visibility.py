"""How visible the populations' adversarial images are, and which transformations they outlive."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuroattack.attacks.result import Goal
from neuroattack.experiments.engine.cells import Cell, read_kept
from neuroattack.experiments.model_cells import dataset_of_cell
from neuroattack.experiments.transformations import Case, survival
from neuroattack.paper.attacked import Attacked, open_attacked
from neuroattack.paper.population_tables import PAIR, attack_groups, population_plans
from neuroattack.paper.settings import DNN, SDBN, PaperRun

__all__ = ["imperceptibility", "outlive", "transformations"]

DRAWS = 20
"""Fresh draws of every transformed image, where they can differ."""

_NETWORKS = (SDBN, f"{SDBN}-exact", DNN)
_METRICS = (
    *("distance", "l0", "l1", "l2", "linf", "ssim"),
    *("local_sd_distance", "floored_local_sd_distance"),
)
_QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}

# Seconds on one core for a query, in spikes and exactly.
_SPIKING_COST, _EXACT_COST = 6e-4, 6e-5


def imperceptibility(run: PaperRun) -> dict[str, Any]:
    """Return distances of the populations' adversarial images as JSON values.

    Quantiles over all images of a group, and over those misclassified in most fresh draws.
    """
    groups, _ = attack_groups(run, "Attacking populations", population_plans(run))
    found = []
    for group in groups:
        fooled = [
            attack for attack in group.attacks if attack["untargeted"] > 0.5 * attack["draws"]
        ]
        found.append(
            {
                "network": group.network,
                "case": group.case,
                "pairs": group.pairs,
                "images": len(group.attacks),
                "successful": len(fooled),
                "all": _distances(group.attacks),
                "successful_only": _distances(fooled) if fooled else None,
            }
        )
    return {"groups": found, "metrics": list(_METRICS)}


def _distances(attacks: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float] | None]:
    """Return quantiles of each distance; None where it is infinite for one image, or none."""
    found: dict[str, dict[str, float] | None] = {}
    for metric in _METRICS:
        values = [attack["imperceptibility"][metric] for attack in attacks]
        if None in values:
            found[metric] = None
        else:
            points = np.quantile(np.array(values, np.float64), list(_QUANTILES.values()))
            found[metric] = dict(zip(_QUANTILES, points.tolist(), strict=True))
    return found


def transformations(run: PaperRun) -> dict[str, Any]:
    """Return which transformations adversarial images outlive, as JSON values.

    Of each image of the population from "five" to "three" and each network, the adversarial image
    of the window in which the search reached the highest gap on fresh draws.
    """
    plans = [
        plan for plan in population_plans(run) if plan.pairs == PAIR and plan.network in _NETWORKS
    ]
    groups, files = attack_groups(run, "Attacking populations", plans)
    cells = []
    for network in _NETWORKS:
        best: dict[int, list[Any]] = {}
        for group, of_group in zip(groups, files, strict=True):
            if group.network != network:
                continue
            for attack, (file, row) in zip(
                group.attacks, _places(run.folder, of_group), strict=True
            ):
                found = [attack["index"], attack["target_class"], attack["mean_gap"], file, row]
                if found[0] not in best or found[2] > best[found[0]][2]:
                    best[found[0]] = found
        cells.append(_cell(run, network, list(best.values())))
    results = run.run("Transforming images", cells)
    return {
        "networks": dict(zip(_NETWORKS, results, strict=True)),
        "draws": DRAWS,
        "pairs": PAIR,
    }


def _places(folder: Path, files: Sequence[str]) -> list[tuple[str, int]]:
    """Return file and row of every adversarial image of a group, in their order."""
    found: list[tuple[str, int]] = []
    for file in files:
        (adversarial,) = read_kept(folder / file, "adversarial")
        found += zip(itertools.repeat(file), range(len(adversarial)), strict=False)
    return found


def _cell(run: PaperRun, network: str, images: list[list[Any]]) -> Cell:
    attacked = run.attacked(network)
    each = _SPIKING_COST if attacked.answer == "spikes" else _EXACT_COST
    return Cell(
        f"transformed-{network}",
        outlive,
        {
            "attacked": attacked.as_json(),
            "images": images,
            "dataset": run.dataset.name,
            "checksum": run.dataset.checksum,
            "seed": run.settings.seed,
            "draws": DRAWS,
        },
        40 * len(images) * (1 if attacked.noiseless else DRAWS) * each,
    )


def outlive(
    *,
    attacked: Mapping[str, Any],
    images: Sequence[Sequence[Any]],
    dataset: str,
    checksum: str,
    seed: int,
    draws: int,
    folder: Path,
) -> dict[str, Any]:
    """Show transformed adversarial images to a network: a cell of :func:`transformations`.

    `images` are index, target class, gap, file of the adversarial image in the folder and row.
    """
    test = dataset_of_cell(dataset, checksum).test
    cases = []
    for index, target_class, gap, file, row in images:
        original, label = test.pick(index)
        (adversarial,) = read_kept(folder / file, "adversarial")
        cases.append(Case(index, original, adversarial[row], Goal(label, target_class), gap))
    with open_attacked(attacked, seed, folder) as opened:
        noiseless = Attacked(**attacked).noiseless
        return survival(opened, cases, draws=draws, noiseless=noiseless, seed=seed).as_json()
