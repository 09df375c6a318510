"""Cells that train models, and functions of cells to read data sets and models."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from neuroattack.datasets import Dataset, load_dataset
from neuroattack.datasets.noise import Noise
from neuroattack.errors import FileError, ValidationError
from neuroattack.experiments.engine.cells import Cell, digest_of
from neuroattack.files import atomic_path
from neuroattack.ir.storage import load_network
from neuroattack.training.dnn.storage import load_mlp, save_mlp
from neuroattack.training.dnn.training import MLP, MLP_ITERATIONS, train_mlp
from neuroattack.training.recipes import find_recipe, train
from neuroattack.training.sdbn import SDBN
from neuroattack.training.stages import Recipe
from neuroattack.training.storage import load_model, save_model

__all__ = [
    "NetworkKind",
    "dataset_of_cell",
    "keep_file",
    "keep_model",
    "keep_network",
    "model_of_cell",
    "train_dnn",
    "train_sdbn",
    "training_cell",
]

NetworkKind = Literal["sdbn", "dnn"]

# Training time in seconds on one core, for the estimate of the remaining time.
_SDBN_COST, _DNN_COST = 110.0, 500.0


def training_cell(
    kind: NetworkKind,
    dataset: Dataset,
    *,
    seed: int,
    recipe: str = "",
    noise: Noise | None = None,
    fast_decay: float | None = None,
) -> Cell:
    """Return the cell that trains a model; its result contains the model's file name."""
    arguments: dict[str, Any] = {
        "dataset": dataset.name,
        "checksum": dataset.checksum,
        "seed": seed,
        "noise": None if noise is None else noise.as_json(),
    }
    label = "" if noise is None else f"-{noise.kind}-{noise.delta:g}"
    if kind == "dnn":
        arguments["iterations"] = MLP_ITERATIONS
        return Cell(f"dnn-{seed}{label}", train_dnn, arguments, _DNN_COST)
    arguments["recipe"] = recipe
    arguments["recipe_digest"] = digest_of(asdict(_recipe(recipe, fast_decay)))
    if fast_decay is not None:
        arguments["fast_decay"] = fast_decay
    return Cell(f"sdbn-{recipe}-{seed}{label}", train_sdbn, arguments, _SDBN_COST)


def _recipe(name: str, fast_decay: float | None) -> Recipe:
    recipe = find_recipe(name)
    if fast_decay is None:
        return recipe
    parameters = replace(recipe.layers.parameters, fast_decay=fast_decay)
    layers = replace(recipe.layers, parameters=parameters)
    # The recipe name includes the change, as it does for noise.
    return replace(recipe, name=f"{name}, fast decay {fast_decay:g}", layers=layers)


def train_sdbn(
    *,
    dataset: str,
    checksum: str,
    recipe: str,
    recipe_digest: str,
    seed: int,
    noise: Mapping[str, Any] | None,
    fast_decay: float | None = None,
    folder: Path,
) -> dict[str, Any]:
    """Train an SDBN and save it in the folder; see :func:`training_cell`."""
    data = dataset_of_cell(dataset, checksum)
    file = _file("sdbn", [dataset, checksum, recipe, recipe_digest, seed, noise])

    def run(checkpoint: Path) -> SDBN:
        return train(
            data.train.images,
            data.train.labels,
            recipe=_recipe(recipe, fast_decay),
            seed=seed,
            classes=data.classes,
            dataset=data.name,
            dataset_checksum=data.checksum,
            test=(data.test.images, data.test.labels),
            noise=None if noise is None else Noise.from_json(noise),
            checkpoint=checkpoint,
            resume=checkpoint.exists(),
        )

    model = _train_once(folder / file, run, save_model)
    return {"model": file, "accuracy": model.rate_accuracy}


def train_dnn(
    *,
    dataset: str,
    checksum: str,
    seed: int,
    iterations: int,
    noise: Mapping[str, Any] | None,
    folder: Path,
) -> dict[str, Any]:
    """Train a DNN and save it in the folder; see :func:`training_cell`."""
    data = dataset_of_cell(dataset, checksum)
    file = _file("dnn", [dataset, checksum, seed, iterations, noise])

    def run(checkpoint: Path) -> MLP:
        return train_mlp(
            data.train.images,
            data.train.labels,
            seed=seed,
            classes=data.classes,
            iterations=iterations,
            dataset=data.name,
            dataset_checksum=data.checksum,
            test=(data.test.images, data.test.labels),
            noise=None if noise is None else Noise.from_json(noise),
            checkpoint=checkpoint,
            resume=checkpoint.exists(),
        )

    model = _train_once(folder / file, run, save_mlp)
    return {"model": file, "accuracy": model.accuracy}


def _train_once(path: Path, run: Callable[[Path], Any], save: Callable[[Path, Any], None]) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = path.with_suffix(".checkpoint.h5")
    try:
        model = run(checkpoint)
    except FileError:
        # A damaged or outdated checkpoint is discarded, because the user did not request it.
        if not checkpoint.exists():
            raise
        checkpoint.unlink()
        model = run(checkpoint)
    save(path, model)
    checkpoint.unlink(missing_ok=True)
    return model


def _file(kind: str, identity: Any) -> str:
    return f"models/{kind}-{digest_of(identity)}.h5"


def keep_model(path: Path, kind: NetworkKind, folder: Path) -> str:
    """Copy a model file to the folder under a name derived from its content; return the name.

    Raises
    ------
    FileError
        If it is not a model of this kind.
    OutputError
        If the folder cannot be written.
    """
    model = load_model(path) if kind == "sdbn" else load_mlp(path)
    del model
    return keep_file(path, folder, f"models/given-{kind}-")


def keep_network(path: Path, folder: Path) -> str:
    """Copy a network file to the folder under a name derived from its content; return the name.

    Raises
    ------
    FileError
        If it is not a network.
    OutputError
        If the folder cannot be written.
    """
    load_network(path)
    return keep_file(path, folder, "networks/")


def keep_file(path: Path, folder: Path, prefix: str) -> str:
    """Copy an HDF5 file to the folder; return its name, the prefix and a checksum of the content.

    Raises
    ------
    FileError
        If it cannot be read.
    OutputError
        If the folder cannot be written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror}") from None
    file = f"{prefix}{hashlib.sha256(content).hexdigest()[:12]}.h5"
    if not (folder / file).exists():
        with atomic_path(folder / file) as copy:
            copy.write_bytes(content)
    return file


@functools.lru_cache(maxsize=2)
def _loaded(name: str) -> Dataset:
    return load_dataset(name)


def dataset_of_cell(name: str, checksum: str) -> Dataset:
    """Return a data set, cached per process; raise ValidationError if its checksum differs."""
    dataset = _loaded(name)
    if dataset.checksum != checksum:
        raise ValidationError(
            f"checksum of data set {name!r}", dataset.checksum[:12], checksum[:12]
        )
    return dataset


@functools.lru_cache(maxsize=4)
def model_of_cell(path: Path, kind: NetworkKind) -> Any:
    """Return the model in a file of the folder, cached per process."""
    return load_model(path) if kind == "sdbn" else load_mlp(path)
