"""Files of substitutes, and the cache of those trained on data sets.

Layout, schema 1: the number of models and the image shape as root attributes and data set; each
model is a group ``0``, ``1``, ... with float32 data sets ``weights/0``, ``biases/0``, ...
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from neuroattack.attacks.substitutes.ensemble import Ensemble, Perceptron
from neuroattack.attacks.substitutes.training import train_substitutes, training_key
from neuroattack.datasets import load_dataset
from neuroattack.errors import FileError, ValidationError
from neuroattack.hdf5 import create_hdf5, open_hdf5, read_array, read_attribute, read_group
from neuroattack.training.storage import MODEL_LIMIT_BYTES, read_layers, write_layers

__all__ = ["cached_substitutes", "load_substitutes", "save_substitutes"]

KIND = "substitutes"
_SCHEMA = 1
_MOST_MODELS = 100
_MOST_AXES = 8


def save_substitutes(path: str | os.PathLike[str], ensemble: Ensemble) -> None:
    """Write an ensemble of perceptrons as HDF5, atomically.

    Raises
    ------
    ValidationError
        If a member is not a perceptron.
    OutputError
        If the file cannot be written; an existing file is then unchanged.
    """
    members = [each for each in ensemble.members if isinstance(each, Perceptron)]
    if len(members) < len(ensemble.members):
        raise ValidationError("substitutes to save", "other models", "perceptrons")
    with create_hdf5(path, KIND, _SCHEMA) as file:
        file.attrs["models"] = len(members)
        file["image_shape"] = np.array(ensemble.image_shape, np.int64)
        for number, member in enumerate(members):
            group = file.create_group(str(number))
            write_layers(group, "weights", member.weights)
            write_layers(group, "biases", member.biases)


def load_substitutes(path: str | os.PathLike[str]) -> Ensemble:
    """Read an ensemble written by :func:`save_substitutes`.

    Raises
    ------
    FileError
        If the file is missing, damaged, too large, of another kind or schema, or a field is
        missing or invalid; the message names the file and the field.
    """
    with open_hdf5(path, KIND, _SCHEMA, MODEL_LIMIT_BYTES) as file:
        models = read_attribute(file, "models", int)
        shape = read_array(file, "image_shape", "i", 1)
        if not 1 <= models <= _MOST_MODELS or not 1 <= len(shape) <= _MOST_AXES:
            raise FileError(path, f"has {models} models of images with {len(shape)} axes")
        return Ensemble(
            [
                Perceptron(
                    tuple(map(int, shape)),
                    read_layers(read_group(file, str(number)), "weights"),
                    read_layers(read_group(file, str(number)), "biases", ndim=1),
                )
                for number in range(models)
            ]
        )


def cached_substitutes(
    dataset: str, *, seed: int = 0, on_progress: Callable[[float], None] | None = None
) -> Path:
    """Return the file of substitutes trained on a data set; train them if it does not exist.

    The file is in the user's cache, named by the content of the data set and the settings of the
    training.

    Parameters
    ----------
    dataset : str
        Name or file of the data set, whose training split is used.
    seed : int, optional
        Random seed of the training.
    on_progress : callable, optional
        Called with the completed fraction.

    Raises
    ------
    UnknownNameError, FileError
        If there is no such data set, or it cannot be read.
    OutputError
        If the cache cannot be written.
    """
    import pooch

    loaded = load_dataset(dataset)
    folder = Path(pooch.os_cache("neuroattack")) / "substitutes"
    path = folder / f"{training_key(loaded, seed)}.h5"
    if not path.is_file():
        trained = train_substitutes(loaded, seed=seed, on_progress=on_progress)
        folder.mkdir(parents=True, exist_ok=True)
        save_substitutes(path, trained)
    return path
