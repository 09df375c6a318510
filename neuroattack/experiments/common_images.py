"""Select test images that several deployments classify correctly."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets.dataset import Split
from neuroattack.deployment.deployment import EVALUATION_STREAM
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.encoding.readout import decide
from neuroattack.errors import ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer

__all__ = ["choose_images"]

_TRIALS = 5
_BATCH = 64


def choose_images(
    test: Split,
    deployments: Sequence[DeploymentSpec],
    network: Path | None,
    dnn: Path | None,
    *,
    count: int,
    seed: int,
) -> list[int]:
    """Return indices of random test images that all deployments classify correctly.

    The classification is by the summed counts of five trials.
    """
    check_integer("images", count, 1)
    order = np.random.default_rng(seed).permutation(len(test.labels))
    chosen: list[int] = []
    with contextlib.ExitStack() as stack:
        targets = [
            stack.enter_context(open_target(spec.metered(None), network, dnn))(EVALUATION_STREAM)
            for spec in deployments
        ]
        for start in range(0, len(order), _BATCH):
            candidates = order[start : start + _BATCH]
            for target in targets:
                candidates = candidates[_is_correct(target, test, candidates)]
            chosen += candidates.tolist()
            if len(chosen) >= count:
                return chosen[:count]
    raise ValidationError(
        "images",
        count,
        f"at most {len(chosen)}, the number that all deployments classify correctly",
    )


def _is_correct(target: Target, test: Split, candidates: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not len(candidates):
        return np.zeros(0, np.bool_)
    images = test.images[candidates].astype(np.float64)
    counts = target.query(np.repeat(images, _TRIALS, axis=0))
    total = counts.reshape(len(images), _TRIALS, -1).sum(axis=1, dtype=np.int64)
    return np.asarray(decide(total) == test.labels[candidates])
