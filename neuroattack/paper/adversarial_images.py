"""Adversarial images of the attack on many images: distances, survival of transformations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuroattack.paper.cells import transform_images
from neuroattack.paper.networks import DNN, SDBN
from neuroattack.paper.population import PAIR, attack_groups, population_groups, quantiles
from neuroattack.paper.settings import PaperRun, Study

__all__ = ["METRICS", "distances", "transformed"]

METRICS: tuple[str, ...] = ("distance", "l0", "l1", "l2", "linf", "ssim")
METRICS += ("local_sd_distance", "floored_local_sd_distance")

TRIALS = 20
"""Fresh trials of every transformed image on networks with sampling noise."""

_NETWORKS = (SDBN, f"{SDBN}-exact", DNN)


def distances(run: PaperRun) -> Study:
    """Return quantiles of the distances of adversarial images.

    They are over all images of a group, and over those misclassified in most fresh trials.
    """
    groups = attack_groups(run, "Attacking many images", population_groups(run))
    found: list[dict[str, Any]] = []
    for group in groups:
        fooled = [one for one in group.attacks if one["untargeted"] > 0.5 * one["trials"]]
        about: dict[str, Any] = {"network": group.network, "case": group.case, "pairs": group.pairs}
        about |= {"images": len(group.attacks), "successful": len(fooled)}
        only = _distances(fooled) if fooled else None
        found.append({**about, "all": _distances(group.attacks), "successful_only": only})
    return {"groups": found, "metrics": list(METRICS)}, {}


def _distances(attacks: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float] | None]:
    """Return quantiles of each distance, or None if it is infinite for any image."""
    values = {metric: [one["imperceptibility"][metric] for one in attacks] for metric in METRICS}
    return {metric: None if None in of else quantiles(of) for metric, of in values.items()}


def transformed(run: PaperRun) -> Study:
    """Return the survival of adversarial images under transformations.

    The study uses the attacks from "five" to "three". For each image and network, it uses the
    adversarial image of the window with the highest gap on fresh trials.
    """
    groups = [
        one for one in population_groups(run) if one.pairs == PAIR and one.network in _NETWORKS
    ]
    best: dict[str, dict[int, Any]] = {network: {} for network in _NETWORKS}
    for group in attack_groups(run, "Attacking many images", groups):
        images = best[group.network]
        for one in group.attacks:
            current = images.setdefault(one["index"], one)
            if one["mean_gap"] > current["mean_gap"]:
                images[one["index"]] = one
    cells = []
    keys = ("index", "target_class", "mean_gap", "file", "row")
    for network, of_network in best.items():
        attacked = run.attacked(network)
        found = [[one[key] for key in keys] for one in of_network.values()]
        queries = 40 * len(found) * (1 if attacked.noiseless else TRIALS)
        arguments: dict[str, Any] = {"images": found, "trials": TRIALS}
        name = f"transformed-{network}"
        cells.append(run.network_cell(name, transform_images, attacked, queries, **arguments))
    results = dict(zip(best, run.run("Transforming images", cells), strict=True))
    return {"networks": results, "trials": TRIALS, "pairs": PAIR}, {}
