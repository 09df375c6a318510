"""Cells of a transfer: images attacked at one place, and shown at another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from neuroattack.attacks.limits import Limit
from neuroattack.attacks.registry import make_attack
from neuroattack.attacks.result import Goal, verify
from neuroattack.deployment.deployment import search_stream, verification_stream
from neuroattack.experiments.engine.cells import read_kept
from neuroattack.experiments.model_cells import dataset_of_cell
from neuroattack.files import write_arrays
from neuroattack.deployment.spec import DeploymentSpec, open_target

__all__ = ["attack_there", "show_there"]


def attack_there(
    *,
    place: Mapping[str, Any],
    profile_checksum: str,
    attack: str,
    settings: Mapping[str, Any],
    limit: str,
    queries: int,
    aims: Sequence[tuple[int, int | None]],
    network: str,
    dnn: str | None,
    dataset: str,
    checksum: str,
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    """Attack test images at a place.

    Parameters
    ----------
    aims : sequence of (index, target class or None)
        Test images, and what each is to be taken for.
    network, dnn : str
        Files in the folder.

    Returns
    -------
    dict
        ``"images"``: an npz file in the folder with the images found; ``"queries"`` of each.
    """
    del profile_checksum  # It decides the result, through the place.
    test = dataset_of_cell(dataset, checksum).test
    found, spent = [], []
    where = DeploymentSpec(**place)
    with (
        threadpool_limits(1, user_api="blas"),
        open_target(where, folder / network, None if dnn is None else folder / dnn) as opened,
    ):
        for index, target_class in aims:
            image, label = test.pick(index)
            chance = np.random.SeedSequence([seed, index]).generate_state(1)
            search = make_attack(attack, Limit.from_text(limit), queries, int(chance[0]), settings)
            target = opened(search_stream(index, target_class), queries, where.search_draws)
            found.append(search.run(target, image, Goal(label, target_class)).adversarial)
            spent.append(target.queries)
    images = np.array(found)
    # By their content: whoever shows them is then asked anew where they are others.
    file = f"images/{hashlib.sha256(images.tobytes()).hexdigest()[:16]}.npz"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    write_arrays(folder / file, {"adversarial": images})
    return {"images": file, "queries": spent}


def show_there(
    *,
    place: Mapping[str, Any],
    profile_checksum: str,
    images: str | None,
    aims: Sequence[tuple[int, int | None]],
    draws: int,
    network: str,
    dnn: str | None,
    dataset: str,
    checksum: str,
    folder: Path,
) -> dict[str, Any]:
    """Show images that were made elsewhere, or the test images as they are, under fresh draws.

    Parameters
    ----------
    images : str or None
        File of :func:`attack_there`; None for the test images themselves.

    Returns
    -------
    dict
        ``"shares"`` of the draws that reach each image's goal.
    """
    del profile_checksum  # It decides the result, through the place.
    test = dataset_of_cell(dataset, checksum).test
    adversarial = None if images is None else read_kept(folder / images, "adversarial")[0]
    shares = []
    with open_target(
        DeploymentSpec(**place), folder / network, None if dnn is None else folder / dnn
    ) as opened:
        for position, (index, target_class) in enumerate(aims):
            image, label = test.pick(index)
            shown = image if adversarial is None else adversarial[position]
            judge = opened(verification_stream(index, target_class))
            shares.append(verify(judge, shown, Goal(label, target_class), draws).rate)
    return {"shares": shares}
