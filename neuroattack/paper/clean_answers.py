"""Cells that show a network images as they are: what an attack starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Dataset
from neuroattack.deployment.deployment import EVALUATION_STREAM
from neuroattack.encoding.readout import decide, spike_shares
from neuroattack.experiments.engine.cells import Cell, digest_of, read_kept
from neuroattack.experiments.model_cells import dataset_of_cell
from neuroattack.files import write_arrays
from neuroattack.paper.attacked import Attacked, open_attacked

__all__ = ["CleanAnswers", "answer_clean", "clean_cell", "read_clean"]

_BATCH_IMAGES = 256
_COST = 4e-4

CleanAnswers = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Decided class of each image, and its mean shares."""


def clean_cell(
    name: str,
    attacked: Attacked,
    indices: Sequence[int],
    dataset: Dataset,
    *,
    seed: int,
    draws: int = 1,
) -> Cell:
    """Return the cell of :func:`answer_clean`, for test images of those indices."""
    return Cell(
        name,
        answer_clean,
        {
            "attacked": attacked.as_json(),
            "indices": [int(index) for index in indices],
            "dataset": dataset.name,
            "checksum": dataset.checksum,
            "seed": seed,
            "draws": draws,
        },
        len(indices) * draws * _COST,
        files=("answers",),
    )


def answer_clean(
    *,
    attacked: Mapping[str, Any],
    indices: Sequence[int],
    dataset: str,
    checksum: str,
    seed: int,
    draws: int,
    folder: Path,
) -> dict[str, Any]:
    """Show test images, each in so many draws; see :func:`clean_cell`.

    Returns
    -------
    dict
        ``"spikes"``: mean output spikes of an image; ``"answers"``: an npz file in the folder with
        the class that all draws together decide for, and the mean shares.
    """
    test = dataset_of_cell(dataset, checksum).test
    decided, shares, total = [], [], 0
    with open_attacked(attacked, seed, folder) as opened:
        target = opened(EVALUATION_STREAM)
        size = max(1, _BATCH_IMAGES // draws)
        for start in range(0, len(indices), size):
            images = test.images[np.asarray(indices[start : start + size])].astype(np.float64)
            counts = target.query(np.repeat(images, draws, axis=0))
            of_image = counts.reshape(len(images), draws, -1)
            decided.append(decide(of_image.sum(axis=1, dtype=np.int64)))
            shares.append(spike_shares(counts).reshape(of_image.shape).mean(axis=1))
            total += int(counts.sum(dtype=np.int64))
    digest = digest_of([attacked, indices, dataset, checksum, seed, draws])
    file = f"answers/{digest}.npz"
    (folder / "answers").mkdir(parents=True, exist_ok=True)
    write_arrays(
        folder / file, {"decided": np.concatenate(decided), "shares": np.concatenate(shares)}
    )
    return {"spikes": total / (len(indices) * draws), "answers": file}


def read_clean(folder: Path, result: Mapping[str, Any]) -> CleanAnswers:
    """Return what a cell of :func:`answer_clean` found."""
    decided, shares = read_kept(folder / result["answers"], "decided", "shares")
    return decided, shares
