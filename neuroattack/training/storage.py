"""SDBN models in HDF5 files, validated when they are read.

Layout of schema 1: fields of the model as root attributes, neuron parameters as attributes of the
group ``siegert``, and weights as float32 data sets ``weights/0``, ``weights/1``, ...
"""

from __future__ import annotations

import dataclasses
import math
import os

import h5py
import numpy as np

from neuroattack.errors import FileError
from neuroattack.hdf5 import (
    create_hdf5,
    open_hdf5,
    read_array,
    read_attribute,
    read_attributes,
    read_group,
    write_attributes,
)
from neuroattack.training.sdbn import SDBN
from neuroattack.training.siegert import FloatArray, SiegertParameters

__all__ = [
    "MODEL_LIMIT_BYTES",
    "load_model",
    "read_float32",
    "read_image_shape",
    "read_layers",
    "save_model",
    "write_image_shape",
    "write_layers",
]

MODEL_LIMIT_BYTES = 2**29

_KIND = "sdbn-model"
_SCHEMA = 1
_MAX_LAYERS = 64
_UNIT = "volt per spike"
_ATTRIBUTES = {
    "recipe": str,
    "dataset": str,
    "dataset_checksum": str,
    "seed": int,
    "noise_factor": float,
    "input_scale": float,
    "rate_accuracy": float,
}
_SIEGERT = {field.name: float for field in dataclasses.fields(SiegertParameters)}


def save_model(path: str | os.PathLike[str], model: SDBN) -> None:
    """Write a model as HDF5, atomically.

    Raises
    ------
    OutputError
        If the file cannot be written; an existing file is then unchanged.
    """
    with create_hdf5(path, _KIND, _SCHEMA) as file:
        write_image_shape(file, model.image_shape)
        write_attributes(file, model, _ATTRIBUTES)
        write_attributes(file.create_group("siegert"), model.siegert, _SIEGERT)
        write_layers(file, "weights", model.weights).attrs["unit"] = _UNIT


def load_model(path: str | os.PathLike[str]) -> SDBN:
    """Read a model written by :func:`save_model`.

    Raises
    ------
    FileError
        If the file is missing, damaged, too large, of another kind or schema, or a field is
        missing or out of range; the message names the file and the field.
    """
    with open_hdf5(path, _KIND, _SCHEMA, MODEL_LIMIT_BYTES) as file:
        unit = read_attribute(read_group(file, "weights"), "unit", str)
        if unit != _UNIT:
            raise FileError(path, f"weights are in {unit!r}, expected {_UNIT!r}")
        return SDBN(
            weights=read_layers(file, "weights"),
            siegert=SiegertParameters(**read_attributes(read_group(file, "siegert"), _SIEGERT)),
            image_shape=read_image_shape(file),
            **read_attributes(file, _ATTRIBUTES, optional=("rate_accuracy",)),
        )


def write_image_shape(file: h5py.File, shape: tuple[int, ...]) -> None:
    """Write the height and width of a model's images, and the number of channels if any."""
    file.attrs["image_height"], file.attrs["image_width"] = shape[-2:]
    if len(shape) > 2:
        file.attrs["image_channels"] = math.prod(shape[:-2])


def read_image_shape(file: h5py.File) -> tuple[int, ...]:
    """Read an image shape written by :func:`write_image_shape`; raises FileError."""
    sides = tuple(read_attribute(file, f"image_{side}", int) for side in ("height", "width"))
    if "image_channels" in file.attrs:
        return read_attribute(file, "image_channels", int), *sides
    return sides


def write_layers(parent: h5py.Group, name: str, layers: tuple[FloatArray, ...]) -> h5py.Group:
    """Write one array per layer into a new group; return the group."""
    group = parent.create_group(name)
    for index, values in enumerate(layers):
        group[str(index)] = values
    return group


def read_layers(parent: h5py.Group, name: str, ndim: int = 2) -> tuple[FloatArray, ...]:
    """Read arrays written by :func:`write_layers`; raises FileError."""
    group = read_group(parent, name)
    if len(group) > _MAX_LAYERS:
        raise FileError(
            group.file.filename, f"has {len(group)} {name}, expected at most {_MAX_LAYERS}"
        )
    return tuple(read_float32(group, str(index), ndim) for index in range(len(group)))


def read_float32(group: h5py.Group, name: str, ndim: int = 2) -> FloatArray:
    """Return a finite float32 array of an open file.

    Raises
    ------
    FileError
        If the array is missing, of another type, not finite, or declares more than the file can
        contain.
    """
    values = read_array(group, name, "f", ndim)
    field = f"array {group.name.rstrip('/')}/{name}"
    if values.dtype != np.float32:
        raise FileError(group.file.filename, f"{field} is {values.dtype}, expected float32")
    if not np.isfinite(values).all():
        raise FileError(
            group.file.filename, f"{field} contains NaN or infinity, expected finite numbers"
        )
    return values
