"""SDBN models in HDF5, validated on reading.

Layout, schema 1: the fields of the model as root attributes, the neuron's as attributes of the
group ``siegert``, and the weights as float32 data sets ``weights/0``, ``weights/1``, ...
"""

from __future__ import annotations

import dataclasses
import os

import h5py
import numpy as np

from neuroattack.errors import FileError, ValidationError
from neuroattack.hdf5 import create_hdf5, open_hdf5, read_array, read_attribute, read_group
from neuroattack.training.sdbn import SDBN
from neuroattack.training.siegert import FloatArray, SiegertParameters

__all__ = ["load_model", "read_float32", "read_layers", "save_model", "write_layers"]

_KIND = "sdbn-model"
_SCHEMA = 1
_MAX_BYTES = 2**29
_MAX_LAYERS = 64
_UNIT = "volt per spike"


def read_float32(group: h5py.Group, name: str) -> FloatArray:
    """Return a finite float32 matrix of an open file.

    Raises
    ------
    FileError
        If it is missing, of another type, larger than the file can hold, or not finite.
    """
    values = read_array(group, name, "f", 2)
    field = f"array {group.name.rstrip('/')}/{name}"
    if values.dtype != np.float32:
        raise FileError(group.file.filename, f"{field} is {values.dtype}, expected float32")
    if not np.isfinite(values).all():
        raise FileError(
            group.file.filename, f"{field} holds NaN or infinity, expected finite numbers"
        )
    return values


def write_layers(parent: h5py.Group, name: str, layers: tuple[FloatArray, ...]) -> h5py.Group:
    """Write one matrix a layer into a new group, which is returned."""
    group = parent.create_group(name)
    for index, values in enumerate(layers):
        group[str(index)] = values
    return group


def read_layers(parent: h5py.Group, name: str) -> tuple[FloatArray, ...]:
    """Read what :func:`write_layers` wrote.

    Raises
    ------
    FileError
        If the group is missing, or a matrix of it is missing or invalid.
    """
    group = read_group(parent, name)
    if len(group) > _MAX_LAYERS:
        raise FileError(
            group.file.filename, f"has {len(group)} {name}, expected at most {_MAX_LAYERS}"
        )
    return tuple(read_float32(group, str(index)) for index in range(len(group)))


def save_model(path: str | os.PathLike[str], model: SDBN) -> None:
    """Write a model as HDF5, atomically.

    Parameters
    ----------
    path : path
        The file to write.
    model : SDBN
        The model.

    Raises
    ------
    OutputError
        If it cannot be written; what stood there before is unharmed.
    """
    with create_hdf5(path, _KIND, _SCHEMA) as file:
        file.attrs["image_height"], file.attrs["image_width"] = model.image_shape
        for name in (
            "recipe",
            "dataset",
            "dataset_checksum",
            "seed",
            "noise_factor",
            "input_scale",
        ):
            file.attrs[name] = getattr(model, name)
        if model.rate_accuracy is not None:
            file.attrs["rate_accuracy"] = model.rate_accuracy
        file.create_group("siegert").attrs.update(dataclasses.asdict(model.siegert))
        write_layers(file, "weights", model.weights).attrs["unit"] = _UNIT


def load_model(path: str | os.PathLike[str]) -> SDBN:
    """Read a model that :func:`save_model` wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    SDBN

    Raises
    ------
    FileError
        If the file is missing, damaged, too large, of another kind or schema, or a field is
        missing or outside its range; the message names file and field.
    """
    with open_hdf5(path, _KIND, _SCHEMA, _MAX_BYTES) as file:
        try:
            return _read_model(file)
        except ValidationError as error:
            raise FileError(path, str(error)) from error


def _read_model(file: h5py.File) -> SDBN:
    unit = read_attribute(read_group(file, "weights"), "unit", str)
    if unit != _UNIT:
        raise FileError(file.filename, f"weights are in {unit!r}, expected {_UNIT!r}")
    siegert = read_group(file, "siegert")
    constants = {
        field.name: read_attribute(siegert, field.name, float)
        for field in dataclasses.fields(SiegertParameters)
    }
    accuracy = None
    if "rate_accuracy" in file.attrs:
        accuracy = read_attribute(file, "rate_accuracy", float)
    return SDBN(
        weights=read_layers(file, "weights"),
        siegert=SiegertParameters(**constants),
        noise_factor=read_attribute(file, "noise_factor", float),
        image_shape=(
            read_attribute(file, "image_height", int),
            read_attribute(file, "image_width", int),
        ),
        recipe=read_attribute(file, "recipe", str),
        dataset=read_attribute(file, "dataset", str),
        dataset_checksum=read_attribute(file, "dataset_checksum", str),
        seed=read_attribute(file, "seed", int),
        input_scale=read_attribute(file, "input_scale", float),
        rate_accuracy=accuracy,
    )
