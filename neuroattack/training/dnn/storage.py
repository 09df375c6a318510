"""MLP models and training checkpoints in HDF5 files, validated when they are read.

Layout of a model, schema 1: its fields as root attributes, and float32 data sets ``weights/0``,
``weights/1``, ... and ``biases/0``, ``biases/1``, ...

Layout of a checkpoint, schema 1: the identity of the training as attributes of the group
``identity``, numbers of the state as root attributes, and its vectors as float32 data sets.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from neuroattack.errors import FileError
from neuroattack.hdf5 import create_hdf5, open_hdf5, read_attributes, write_attributes
from neuroattack.training.checkpoint import check_identity
from neuroattack.training.dnn.network import MLP
from neuroattack.training.dnn.scg import SCGState
from neuroattack.training.storage import (
    MODEL_LIMIT_BYTES,
    read_float32,
    read_image_shape,
    read_layers,
    write_image_shape,
    write_layers,
)

__all__ = ["load_mlp", "load_mlp_checkpoint", "save_mlp", "save_mlp_checkpoint"]

_KIND = "mlp-model"
_CHECKPOINT_KIND = "mlp-checkpoint"
_SCHEMA = 1
_ATTRIBUTES = {
    "recipe": str,
    "dataset": str,
    "dataset_checksum": str,
    "seed": int,
    "accuracy": float,
}
_VECTORS = ("weights", "residual", "direction")
_NUMBERS = {
    "value": float,
    "curvature": float,
    "scale": float,
    "scale_bar": float,
    "iterations": int,
    "success": int,
}


def save_mlp(path: str | os.PathLike[str], model: MLP) -> None:
    """Write a model as HDF5, atomically.

    Raises
    ------
    OutputError
        If the file cannot be written; an existing file is then unchanged.
    """
    with create_hdf5(path, _KIND, _SCHEMA) as file:
        write_image_shape(file, model.image_shape)
        write_attributes(file, model, _ATTRIBUTES)
        write_layers(file, "weights", model.weights)
        write_layers(file, "biases", model.biases)


def load_mlp(path: str | os.PathLike[str]) -> MLP:
    """Read a model written by :func:`save_mlp`.

    Raises
    ------
    FileError
        If the file is missing, damaged, too large, of another kind or schema, or a field is
        missing or out of range; the message names the file and the field.
    """
    with open_hdf5(path, _KIND, _SCHEMA, MODEL_LIMIT_BYTES) as file:
        return MLP(
            weights=read_layers(file, "weights"),
            biases=read_layers(file, "biases", ndim=1),
            image_shape=read_image_shape(file),
            **read_attributes(file, _ATTRIBUTES, optional=("accuracy",)),
        )


def save_mlp_checkpoint(
    path: str | os.PathLike[str], state: SCGState, identity: dict[str, str]
) -> None:
    """Write a checkpoint, atomically: the state, and the identity of the training.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with create_hdf5(path, _CHECKPOINT_KIND, _SCHEMA) as file:
        file.create_group("identity").attrs.update(identity)
        for name in _VECTORS:
            file[name] = getattr(state, name)
        write_attributes(file, state, _NUMBERS)
        file.attrs["success"] = int(state.success)


def load_mlp_checkpoint(
    path: str | os.PathLike[str], identity: dict[str, str], parameters: int
) -> SCGState:
    """Read a checkpoint written by :func:`save_mlp_checkpoint`.

    Parameters
    ----------
    path : path
        Checkpoint file.
    identity : dict of str
        Required identity of the training.
    parameters : int
        Number of weights and biases of the network.

    Raises
    ------
    FileError
        If the file is missing, damaged, or a checkpoint of another training; the message names the
        field.
    """
    with open_hdf5(path, _CHECKPOINT_KIND, _SCHEMA) as file:
        check_identity(file, identity)
        vectors: dict[str, Any] = {name: read_float32(file, name, ndim=1) for name in _VECTORS}
        numbers = read_attributes(file, _NUMBERS)
        for name, values in vectors.items():
            if len(values) != parameters:
                raise FileError(
                    path, f"array /{name} has {len(values)} values, expected {parameters}"
                )
        for name, value in numbers.items():
            if not np.isfinite(value):
                raise FileError(path, f"attribute {name} is {value}, expected a finite number")
        return SCGState(**vectors, **{**numbers, "success": bool(numbers["success"])})
