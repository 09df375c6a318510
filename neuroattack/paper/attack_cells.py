"""Cells that attack images with Algorithm 1 and judge what it found on fresh draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.imperceptibility import measure_imperceptibility
from neuroattack.attacks.perception import Window
from neuroattack.attacks.result import Goal, Search
from neuroattack.datasets import Dataset
from neuroattack.deployment.deployment import search_stream, verification_stream
from neuroattack.encoding.readout import spike_shares
from neuroattack.experiments.engine.cells import Cell, digest_of
from neuroattack.experiments.model_cells import dataset_of_cell
from neuroattack.files import write_arrays
from neuroattack.paper.attacked import Attacked, open_attacked
from neuroattack.targets.black_box import Target

__all__ = ["attack_cell", "attack_images"]

# Seconds on one core of a query of 350 steps, and of an exact one.
_SPIKING_COST, _EXACT_COST = 6e-4, 6e-5
_USUAL_ITERATIONS = 22
_BATCH_DRAWS = 256


def attack_cell(
    name: str,
    attacked: Attacked,
    attack: GreedyWindow,
    aims: Sequence[tuple[int, int]],
    dataset: Dataset,
    *,
    seed: int,
    draws: int,
    keep_course: bool = False,
) -> Cell:
    """Return the cell of :func:`attack_images`.

    Parameters
    ----------
    name : str
        Of the cell.
    attacked : Attacked
        The network.
    attack : GreedyWindow
        How to search.
    aims : sequence of (index, target class)
        Test images, and what each is to be taken for.
    dataset : Dataset
        Whose test images they are.
    seed : int
        Of all draws.
    draws : int
        Fresh draws by which an image is judged, each of as many repeats as a query of the search;
        a noiseless network takes one.
    keep_course : bool, optional
        Keeps the images of all iterations.
    """
    queries = attack.most_queries_an_iteration * _USUAL_ITERATIONS + 2 * draws
    each = _SPIKING_COST * attacked.steps / 350 if attacked.answer == "spikes" else _EXACT_COST
    return Cell(
        name,
        attack_images,
        {
            "attacked": attacked.as_json(),
            "attack": asdict(attack),
            "aims": [list(aim) for aim in aims],
            "dataset": dataset.name,
            "checksum": dataset.checksum,
            "seed": seed,
            "draws": draws,
            "keep_course": keep_course,
        },
        len(aims) * queries * attacked.repeats * each,
        files=("images",),
    )


def attack_images(
    *,
    attacked: Mapping[str, Any],
    attack: Mapping[str, Any],
    aims: Sequence[Sequence[int]],
    dataset: str,
    checksum: str,
    seed: int,
    draws: int,
    keep_course: bool,
    folder: Path,
) -> dict[str, Any]:
    """Attack test images one after the other; see :func:`attack_cell`.

    Returns
    -------
    dict
        ``"attacks"``: for each image what became of it; ``"images"``: an npz file in the folder
        with the adversarial images in the same order, ``adversarial``, and if asked for the images
        of all iterations, ``course0`` and so on.
    """
    test = dataset_of_cell(dataset, checksum).test
    search = GreedyWindow(**{**attack, "window": Window(**attack["window"])})
    searched = Attacked(**attacked)
    noiseless = searched.noiseless
    draws = 1 if noiseless else draws
    found: list[dict[str, Any]] = []
    images: list[NDArray[np.float64]] = []
    courses: dict[str, NDArray[np.float64]] = {}
    with open_attacked(attacked, seed, folder) as opened:
        for index, target_class in aims:
            image, label = test.pick(index)
            goal = Goal(label, target_class)
            result = search.run(opened(search_stream(index, target_class)), image, goal)
            judge = opened(verification_stream(index, target_class))
            verdict, clean = (
                _judged(judge, shown, goal, draws, noiseless)
                for shown in (result.adversarial, result.original)
            )
            found.append(
                {
                    "index": index,
                    **_described(result),
                    # Every showing of a query costs the network as much.
                    "queries": result.queries * searched.repeats,
                    **verdict,
                    "clean": clean,
                    "imperceptibility": measure_imperceptibility(
                        result.original, result.adversarial, result.window
                    ).as_json(),
                }
            )
            if keep_course:
                courses[f"course{len(images)}"] = _course(result)
            images.append(result.adversarial)
    identity = [attacked, attack, aims, dataset, checksum, seed, draws, keep_course]
    file = f"images/{digest_of(identity)}.npz"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    write_arrays(folder / file, {"adversarial": np.array(images), **courses})
    return {"attacks": found, "images": file}


def _course(search: Search) -> NDArray[np.float64]:
    """Return the images of all iterations, of which a search keeps the moves."""
    images = [search.original]
    for step in search.trace[1:]:
        image = images[-1].copy()
        for row, column, change in step.moved:
            image[row, column] += change
        images.append(image)
    return np.array(images)


def _described(search: Search) -> dict[str, Any]:
    """Return the course of a search as JSON values."""
    goal, trace = search.goal, search.trace
    return {
        "label": goal.label,
        "target_class": goal.target_class,
        "best_iteration": search.best_iteration,
        "stopped_by": search.stopped_by,
        "distance": search.best.distance,
        "gap": search.best.gap,
        "distances": [step.distance for step in trace],
        "predicted": [step.predicted for step in trace],
        "shares": [list(step.shares) for step in trace],
    }


def _judged(target: Target, image: Any, goal: Goal, draws: int, noiseless: bool) -> dict[str, Any]:
    """Return how often fresh draws of an image reach the goal, and any wrong class.

    And how many spikes answer a query in the mean, where answers are counts of spikes.
    """
    targeted = untargeted = spikes = 0
    shares = np.zeros(target.n_classes)
    for start in range(0, draws, _BATCH_DRAWS):
        batch = min(_BATCH_DRAWS, draws - start)
        counts = target.query(np.broadcast_to(image, (batch, *image.shape)))
        targeted += int(goal.reached(counts).sum())
        untargeted += int(Goal(goal.label).reached(counts).sum())
        shares += spike_shares(counts).sum(axis=0)
        spikes += int(counts.sum(dtype=np.int64))
    shares /= draws
    return {
        "draws": draws,
        "targeted": targeted,
        "untargeted": untargeted,
        "spikes": None if noiseless else spikes / draws,
        "mean_shares": shares.tolist(),
        "mean_gap": float(goal.gap(shares[None])[0]),
    }
