"""Training checkpoints: complete state of a training between epochs, in HDF5 files."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from neuroattack.errors import FileError
from neuroattack.hdf5 import create_hdf5, open_hdf5, read_attribute, read_group
from neuroattack.training.fine_tuning import AdamState
from neuroattack.training.rbm import RBMState
from neuroattack.training.siegert import FloatArray
from neuroattack.training.storage import read_float32, read_layers, write_layers

__all__ = ["TrainingState", "check_identity", "load_checkpoint", "save_checkpoint"]

_KIND = "training-checkpoint"
_SCHEMA = 1
_RBM = tuple(field.name for field in dataclasses.fields(RBMState))
_ADAM = ("weights", "first", "second")


@dataclass(frozen=True)
class TrainingState:
    """State of a training.

    Attributes
    ----------
    stage : int
        Index of the current stage; the number of stages when training is complete.
    epoch : int
        Number of completed epochs of the current stage.
    weights : tuple of float32 arrays (inputs, units)
        Drive weights of the layers trained in earlier stages, in volts per second.
    inner : RBMState, AdamState or None
        State of the current stage; None at its start.
    random : mapping
        State of NumPy's bit generator.
    """

    stage: int
    epoch: int
    weights: tuple[FloatArray, ...]
    inner: RBMState | AdamState | None
    random: Mapping[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str], state: TrainingState, identity: dict[str, str]
) -> None:
    """Write a checkpoint, atomically: the state, and the identity of the training.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with create_hdf5(path, _KIND, _SCHEMA) as file:
        file.create_group("identity").attrs.update(identity)
        file.attrs["stage"] = state.stage
        file.attrs["epoch"] = state.epoch
        file.attrs["random"] = json.dumps(state.random)
        write_layers(file, "weights", state.weights)
        inner = state.inner
        file.attrs["inner"] = type(inner).__name__
        if isinstance(inner, RBMState):
            group = file.create_group("rbm")
            for name in _RBM:
                group[name] = getattr(inner, name)
        elif isinstance(inner, AdamState):
            file.attrs["adam_steps"] = inner.steps
            for name in _ADAM:
                write_layers(file, f"adam_{name}", getattr(inner, name))


def load_checkpoint(path: str | os.PathLike[str], identity: Mapping[str, str]) -> TrainingState:
    """Read a checkpoint written by :func:`save_checkpoint`.

    Raises
    ------
    FileError
        If the file is missing, damaged, or a checkpoint of another training; the message names the
        field.
    """
    with open_hdf5(path, _KIND, _SCHEMA) as file:
        check_identity(file, identity)
        return TrainingState(
            stage=read_attribute(file, "stage", int),
            epoch=read_attribute(file, "epoch", int),
            weights=read_layers(file, "weights"),
            inner=_read_inner(file),
            random=_read_random(file),
        )


def check_identity(file: h5py.File, identity: Mapping[str, str]) -> None:
    """Raise FileError, with the field's name, if an open checkpoint is of another training."""
    found = read_group(file, "identity")
    for name, expected in identity.items():
        value = read_attribute(found, name, str)
        if value != expected:
            raise FileError(
                file.filename,
                f"is a checkpoint of another training: {name} is {_shortened(value)}, "
                f"expected {_shortened(expected)}",
            )


def _shortened(value: str) -> str:
    return value if len(value) <= 60 else f"{value[:57]}..."


def _read_inner(file: h5py.File) -> RBMState | AdamState:
    kind = read_attribute(file, "inner", str)
    if kind == RBMState.__name__:
        group = read_group(file, "rbm")
        return RBMState(**{name: read_float32(group, name) for name in _RBM})
    if kind == AdamState.__name__:
        layers = {name: read_layers(file, f"adam_{name}") for name in _ADAM}
        return AdamState(**layers, steps=read_attribute(file, "adam_steps", int))
    raise FileError(file.filename, f"attribute inner is {kind!r}, expected a stage's state")


def _read_random(file: h5py.File) -> Mapping[str, Any]:
    try:
        state: Any = json.loads(read_attribute(file, "random", str))
        np.random.PCG64().state = state
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise FileError(
            file.filename, "attribute random is not the state of a random number generator"
        ) from error
    return dict(state)
