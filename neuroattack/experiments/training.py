"""Train a model to a file, with a checkpoint file until training is complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.gradients.ascent import Aim, ascend
from neuroattack.attacks.gradients.differentiable import Differentiable
from neuroattack.datasets import Dataset, Split
from neuroattack.datasets.events.counts import count_images
from neuroattack.encoding.encoders import Encoder
from neuroattack.errors import FileError
from neuroattack.files import check_writable
from neuroattack.ir.network import Network
from neuroattack.ir.storage import save_network
from neuroattack.training.dnn.storage import save_mlp
from neuroattack.training.dnn.training import MLP, train_mlp
from neuroattack.training.recipes import DEFAULT_RECIPE, Progress, find_recipe, train
from neuroattack.training.sdbn import SDBN
from neuroattack.training.storage import save_model
from neuroattack.training.through_time import train_through_time

__all__ = [
    "TrainedModel",
    "adversarial_split",
    "checkpoint_of",
    "describe_progress",
    "fine_tune_to_file",
    "train_dnn_to_file",
    "train_on",
    "train_to_file",
]

Model = TypeVar("Model", SDBN, MLP, Network)

_BATCH = 500


@dataclass(frozen=True, eq=False)
class TrainedModel(Generic[Model]):
    """A model, and its training time in seconds since the start or the last resumption."""

    model: Model
    seconds: float


def checkpoint_of(model: Path) -> Path:
    """Return the path of the checkpoint for a model file."""
    return model.parent / f"{model.stem}.checkpoint.h5"


def describe_progress(progress: Progress) -> str:
    """Return a short status text for the progress of a training."""
    accuracy = "" if progress.accuracy is None else f", {100 * progress.accuracy:.1f} %"
    return f"{progress.stage} {progress.epoch}/{progress.epochs}{accuracy}"


def train_on(
    dataset: Dataset,
    *,
    recipe: str = DEFAULT_RECIPE,
    seed: int = 0,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> SDBN:
    """Train an SDBN on a data set; see :func:`neuroattack.training.recipes.train`.

    On an event data set, it is trained on images of event counts.
    """
    dataset = count_images(dataset)
    return train(
        dataset.train.images,
        dataset.train.labels,
        recipe=recipe,
        seed=seed,
        classes=dataset.classes,
        dataset=dataset.name,
        dataset_checksum=dataset.checksum,
        test=(dataset.test.images, dataset.test.labels),
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
    )


def adversarial_split(
    model: Differentiable, split: Split, bound: Bound, *, steps: int = 10
) -> Split:
    """Return an untargeted adversarial image of each image, as further training images.

    Parameters
    ----------
    model : Differentiable
        Model that the images are to deceive, such as substitutes of the trained network.
    split : Split
        Clean images.
    bound : Bound
        Norm bound.
    steps : int, optional
        Number of gradient steps.
    """
    adversarial = np.empty_like(split.images)
    for start in range(0, len(split), _BATCH):
        batch = slice(start, start + _BATCH)
        aims = [Aim(Goal(int(label))) for label in split.labels[batch]]
        originals = split.images[batch].astype(np.float64)
        adversarial[batch] = ascend(model, originals, aims, bound, steps=steps)
    return Split(adversarial, split.labels)


def train_to_file(
    target: Path,
    dataset: Dataset,
    *,
    recipe: str = DEFAULT_RECIPE,
    seed: int = 0,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> TrainedModel[SDBN]:
    """Train an SDBN on a data set and save it; an existing file is replaced only at the end."""
    find_recipe(recipe)

    def run(checkpoint: Path) -> SDBN:
        return train_on(
            dataset,
            recipe=recipe,
            seed=seed,
            checkpoint=checkpoint,
            resume=resume,
            progress=progress,
        )

    return _train(target, resume, run, save_model)


def train_dnn_to_file(
    target: Path,
    dataset: Dataset,
    *,
    seed: int = 0,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> TrainedModel[MLP]:
    """Train the DNN of the same size; see :func:`train_to_file`."""

    def run(checkpoint: Path) -> MLP:
        return train_mlp(
            dataset.train.images,
            dataset.train.labels,
            seed=seed,
            classes=dataset.classes,
            dataset=dataset.name,
            dataset_checksum=dataset.checksum,
            test=(dataset.test.images, dataset.test.labels),
            checkpoint=checkpoint,
            resume=resume,
            progress=progress,
        )

    return _train(target, resume, run, save_mlp)


def fine_tune_to_file(
    target: Path,
    network: Network,
    dataset: Dataset,
    *,
    steps: int | None,
    epochs: int,
    learning_rate: float,
    seed: int = 0,
    encoder: Encoder | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> TrainedModel[Network]:
    """Train a spiking network through time and save it; see :func:`train_to_file`."""

    def run(checkpoint: Path) -> Network:
        return train_through_time(
            network,
            dataset,
            steps=steps,
            epochs=epochs,
            learning_rate=learning_rate,
            seed=seed,
            encoder=encoder,
            checkpoint=checkpoint,
            resume=resume,
            progress=progress,
        )

    return _train(target, resume, run, save_network)


def _train(
    target: Path,
    resume: bool,
    run: Callable[[Path], Model],
    save: Callable[[Path, Model], None],
) -> TrainedModel[Model]:
    checkpoint = checkpoint_of(target)
    if resume and not checkpoint.exists():
        raise FileError(checkpoint, "no such checkpoint to resume from; start without --resume")
    if checkpoint.exists() and not resume:
        raise FileError(
            checkpoint,
            "checkpoint of an interrupted training; continue it with --resume, or delete the file",
        )
    check_writable(target)
    started = time.perf_counter()
    model = run(checkpoint)
    save(target, model)
    checkpoint.unlink(missing_ok=True)
    return TrainedModel(model, time.perf_counter() - started)
