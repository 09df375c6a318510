"""MLP models and the checkpoints of their training in HDF5, validated on reading.

Layout of a model, schema 1: its fields as root attributes, and float32 data sets ``weights/0``,
``weights/1``, ... and ``biases/0``, ``biases/1``, ...

Layout of a checkpoint, schema 1: what the training is of as attributes of the group ``identity``,
the numbers of the state as root attributes, and its vectors as float32 data sets.
"""

from __future__ import annotations

import os

import h5py
import numpy as np

from neuroattack.errors import FileError, ValidationError
from neuroattack.hdf5 import create_hdf5, open_hdf5, read_array, read_attribute, read_group
from neuroattack.training.checkpoint import check_identity
from neuroattack.training.dnn.network import MLP
from neuroattack.training.dnn.scg import SCGState
from neuroattack.training.siegert import FloatArray
from neuroattack.training.storage import read_layers, write_layers

__all__ = ["load_mlp", "load_mlp_checkpoint", "save_mlp", "save_mlp_checkpoint"]

_KIND = "mlp-model"
_CHECKPOINT_KIND = "mlp-checkpoint"
_SCHEMA = 1
_MAX_BYTES = 2**29


def save_mlp(path: str | os.PathLike[str], model: MLP) -> None:
    """Write a model as HDF5, atomically.

    Parameters
    ----------
    path : path
        The file to write.
    model : MLP
        The model.

    Raises
    ------
    OutputError
        If it cannot be written; what stood there before is unharmed.
    """
    with create_hdf5(path, _KIND, _SCHEMA) as file:
        file.attrs["image_height"], file.attrs["image_width"] = model.image_shape
        for name in ("recipe", "dataset", "dataset_checksum", "seed"):
            file.attrs[name] = getattr(model, name)
        if model.accuracy is not None:
            file.attrs["accuracy"] = model.accuracy
        write_layers(file, "weights", model.weights)
        write_layers(file, "biases", model.biases)


def load_mlp(path: str | os.PathLike[str]) -> MLP:
    """Read a model that :func:`save_mlp` wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    MLP

    Raises
    ------
    FileError
        If the file is missing, damaged, too large, of another kind or schema, or a field is
        missing or outside its range; the message names file and field.
    """
    with open_hdf5(path, _KIND, _SCHEMA, _MAX_BYTES) as file:
        accuracy = None
        if "accuracy" in file.attrs:
            accuracy = read_attribute(file, "accuracy", float)
        weights = read_layers(file, "weights")
        biases = read_group(file, "biases")
        try:
            return MLP(
                weights=weights,
                biases=tuple(_read_vector(biases, str(index)) for index in range(len(biases))),
                image_shape=(
                    read_attribute(file, "image_height", int),
                    read_attribute(file, "image_width", int),
                ),
                dataset=read_attribute(file, "dataset", str),
                dataset_checksum=read_attribute(file, "dataset_checksum", str),
                seed=read_attribute(file, "seed", int),
                accuracy=accuracy,
                recipe=read_attribute(file, "recipe", str),
            )
        except ValidationError as error:
            raise FileError(path, str(error)) from error


def save_mlp_checkpoint(
    path: str | os.PathLike[str], state: SCGState, identity: dict[str, str]
) -> None:
    """Write a checkpoint; an interruption leaves the one before it whole.

    Parameters
    ----------
    path : path
        The file to write.
    state : SCGState
        Where the training stands; of float32 vectors.
    identity : dict of str
        What the training is of; :func:`load_mlp_checkpoint` refuses a checkpoint of anything
        else.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with create_hdf5(path, _CHECKPOINT_KIND, _SCHEMA) as file:
        file.create_group("identity").attrs.update(identity)
        for name in ("weights", "residual", "direction"):
            file[name] = getattr(state, name)
        for name in ("value", "curvature", "scale", "scale_bar", "iterations"):
            file.attrs[name] = getattr(state, name)
        file.attrs["success"] = int(state.success)


def load_mlp_checkpoint(
    path: str | os.PathLike[str], identity: dict[str, str], parameters: int
) -> SCGState:
    """Read a checkpoint that :func:`save_mlp_checkpoint` wrote.

    Parameters
    ----------
    path : path
        The file.
    identity : dict of str
        What it must be of.
    parameters : int
        Weights and biases that the network has.

    Returns
    -------
    SCGState

    Raises
    ------
    FileError
        If the file is missing or damaged, or is a checkpoint of another training; the message
        names the field.
    """
    with open_hdf5(path, _CHECKPOINT_KIND, _SCHEMA) as file:
        check_identity(file, identity)
        return SCGState(
            weights=_read_vector(file, "weights", parameters),
            value=_read_number(file, "value"),
            residual=_read_vector(file, "residual", parameters),
            direction=_read_vector(file, "direction", parameters),
            curvature=_read_number(file, "curvature"),
            scale=_read_number(file, "scale"),
            scale_bar=_read_number(file, "scale_bar"),
            success=bool(read_attribute(file, "success", int)),
            iterations=read_attribute(file, "iterations", int),
        )


def _read_vector(group: h5py.Group, name: str, length: int | None = None) -> FloatArray:
    values = read_array(group, name, "f", 1)
    field = f"array {group.name.rstrip('/')}/{name}"
    if values.dtype != np.float32:
        raise FileError(group.file.filename, f"{field} is {values.dtype}, expected float32")
    if length is not None and len(values) != length:
        raise FileError(group.file.filename, f"{field} has {len(values)} values, expected {length}")
    if not np.isfinite(values).all():
        raise FileError(
            group.file.filename, f"{field} holds NaN or infinity, expected finite numbers"
        )
    return values


def _read_number(file: h5py.File, name: str) -> float:
    value = read_attribute(file, name, float)
    if not np.isfinite(value):
        raise FileError(file.filename, f"attribute {name} is {value}, expected a finite number")
    return value
