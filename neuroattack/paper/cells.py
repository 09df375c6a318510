"""Work of the studies' cells: classify images, attack them, transform adversarial images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.imperceptibility import measure_imperceptibility
from neuroattack.attacks.perception import Window
from neuroattack.attacks.result import SearchResult
from neuroattack.deployment.deployment import EVALUATION_STREAM, search_stream, verification_stream
from neuroattack.encoding.readout import decide, spike_fractions
from neuroattack.experiments.engine.cells import digest_of, read_kept
from neuroattack.experiments.model_cells import dataset_of_cell
from neuroattack.experiments.transformations.running import Case, survival
from neuroattack.files import write_arrays
from neuroattack.paper.networks import AttackedNetwork
from neuroattack.targets.black_box import Target

__all__ = ["ImageGoals", "attack_images", "classify_clean", "transform_images"]

ImageGoals = Sequence[tuple[int, int]]
"""Pairs of test image index and target class."""

_BATCH = 256


def classify_clean(
    *,
    attacked: Mapping[str, Any],
    dataset: str,
    checksum: str,
    seed: int,
    indices: Sequence[int],
    trials: int,
    folder: Path,
) -> dict[str, Any]:
    """Classify clean test images in repeated trials.

    Returns the mean number of output ``spikes`` per trial, and under ``outputs`` the name of an npz
    file in the folder. The file contains, for each image, the class ``decided`` by the summed
    counts of all trials, and the mean ``spike_fractions``.
    """
    test = dataset_of_cell(dataset, checksum).test
    decided, fractions, total = [], [], 0
    with AttackedNetwork(**attacked).open(seed, folder) as opened:
        target = opened(EVALUATION_STREAM)
        size = max(1, _BATCH // trials)
        for start in range(0, len(indices), size):
            images = test.images[np.asarray(indices[start : start + size])].astype(np.float64)
            counts = target.query(np.repeat(images, trials, axis=0))
            of_image = counts.reshape(len(images), trials, -1)
            decided.append(decide(of_image.sum(axis=1, dtype=np.int64)))
            fractions.append(spike_fractions(counts).reshape(of_image.shape).mean(axis=1))
            total += int(counts.sum(dtype=np.int64))
    identity = [attacked, indices, dataset, checksum, seed, trials]
    arrays = {
        "decided": np.concatenate(decided),
        "spike_fractions": np.concatenate(fractions),
    }
    file = _save_arrays(folder, "outputs", identity, arrays)
    return {"spikes": total / (len(indices) * trials), "outputs": file}


def _save_arrays(folder: Path, kind: str, identity: Any, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write arrays to a file named after a digest of `identity`; return its relative path."""
    file = f"{kind}/{digest_of(identity)}.npz"
    write_arrays(folder / file, arrays)
    return file


def attack_images(
    *,
    attacked: Mapping[str, Any],
    dataset: str,
    checksum: str,
    seed: int,
    attack: Mapping[str, Any],
    image_goals: Sequence[Sequence[int]],
    trials: int,
    keep_history: bool = False,
    folder: Path,
) -> dict[str, Any]:
    """Attack test images one by one with Algorithm 1, and verify the adversarial images.

    The verification uses `trials` fresh trials, or one if the network has no noise. Returns the
    trace and verification of each attack under ``attacks``, and under ``images`` the name of an npz
    file in the folder. The file contains the ``adversarial`` images in the same order, and with
    `keep_history` also the images of all iterations as ``history0``, ``history1`` and so on.
    """
    test = dataset_of_cell(dataset, checksum).test
    search = GreedyWindow(**{**attack, "window": Window(**attack["window"])})
    network = AttackedNetwork(**attacked)
    verification_trials = 1 if network.noiseless else trials
    found: list[dict[str, Any]] = []
    images: list[NDArray[np.float64]] = []
    histories: dict[str, NDArray[np.float64]] = {}
    with network.open(seed, folder) as opened:
        for index, target_class in image_goals:
            image, label = test.pick(index)
            goal = Goal(label, target_class)
            result = search.run(opened(search_stream(index, target_class)), image, goal)
            verifier = opened(verification_stream(index, target_class))
            verified, clean = (
                _verify(verifier, candidate, goal, verification_trials, network.noiseless)
                for candidate in (result.adversarial, result.original)
            )
            imperceptibility = measure_imperceptibility(
                result.original, result.adversarial, search.window_in(result.original.shape)
            )
            found.append(
                {
                    "index": index,
                    "label": label,
                    "target_class": target_class,
                    "best_iteration": result.best_iteration,
                    "stopped_by": result.stopped_by,
                    "distance": result.best.distance,
                    "gap": result.best.gap,
                    "distances": [step.distance for step in result.trace],
                    "predicted": [step.predicted for step in result.trace],
                    "spike_fractions": [list(step.spike_fractions) for step in result.trace],
                    # Each trial is counted as a query.
                    "queries": result.queries * network.repeats,
                    **verified,
                    "clean": clean,
                    "imperceptibility": imperceptibility.as_json(),
                }
            )
            if keep_history:
                histories[f"history{len(images)}"] = _history_images(result)
            images.append(result.adversarial)
    identity = [attacked, attack, image_goals, dataset, checksum, seed, trials, keep_history]
    arrays = {"adversarial": np.array(images), **histories}
    return {"attacks": found, "images": _save_arrays(folder, "images", identity, arrays)}


def _history_images(search: SearchResult) -> NDArray[np.float64]:
    """Return the images of all iterations, rebuilt from the changes in the trace."""
    images = [search.original]
    for step in search.trace[1:]:
        image = images[-1].copy()
        for row, column, change in step.moved:
            image[row, column] += change
        images.append(image)
    return np.array(images)


def _verify(target: Target, image: Any, goal: Goal, trials: int, noiseless: bool) -> dict[str, Any]:
    """Count the fresh trials of an image that return the target class, and any wrong class.

    Also returns the mean number of output spikes per query, or None without noise.
    """
    targeted = untargeted = spikes = 0
    fractions = np.zeros(target.n_classes)
    for start in range(0, trials, _BATCH):
        batch = min(_BATCH, trials - start)
        counts = target.query(np.broadcast_to(image, (batch, *image.shape)))
        targeted += int(goal.reached(counts).sum())
        untargeted += int(Goal(goal.label).reached(counts).sum())
        fractions += spike_fractions(counts).sum(axis=0)
        spikes += int(counts.sum(dtype=np.int64))
    fractions /= trials
    return {
        "trials": trials,
        "targeted": targeted,
        "untargeted": untargeted,
        "spikes": None if noiseless else spikes / trials,
        "mean_spike_fractions": fractions.tolist(),
        "mean_gap": float(goal.gap(fractions[None])[0]),
    }


def transform_images(
    *,
    attacked: Mapping[str, Any],
    dataset: str,
    checksum: str,
    seed: int,
    images: Sequence[Sequence[Any]],
    trials: int,
    folder: Path,
) -> dict[str, Any]:
    """Classify transformed adversarial images.

    Each of `images` gives the test image index, the target class, the gap, and the file and row of
    the adversarial image.
    """
    test = dataset_of_cell(dataset, checksum).test
    cases = []
    for index, target_class, gap, file, row in images:
        original, label = test.pick(index)
        (adversarial,) = read_kept(folder / file, "adversarial")
        cases.append(Case(index, original, adversarial[row], Goal(label, target_class), gap))
    network = AttackedNetwork(**attacked)
    with network.open(seed, folder) as opened:
        return survival(
            opened, cases, trials=trials, noiseless=network.noiseless, seed=seed
        ).as_json()
