"""Checkpoints: all that training carries from one epoch to the next, in HDF5, atomically."""

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


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands.

    Attributes
    ----------
    stage : int
        Index of the stage in progress; the number of stages when training is complete.
    epoch : int
        Passes of that stage that are done.
    weights : tuple of float32 arrays (inputs, units)
        Drive weights of the layers that earlier stages have trained, in volts per second.
    inner : RBMState, AdamState or None
        State of the stage in progress; None at its start.
    random : mapping
        State of the bit generator, as NumPy gives it.
    """

    stage: int
    epoch: int
    weights: tuple[FloatArray, ...]
    inner: RBMState | AdamState | None
    random: Mapping[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str], state: TrainingState, identity: dict[str, str]
) -> None:
    """Write a checkpoint; an interruption leaves the one before it whole.

    Parameters
    ----------
    path : path
        The file to write.
    state : TrainingState
        Where the training stands.
    identity : dict of str
        What the training is of; :func:`load_checkpoint` refuses a checkpoint of anything else.

    Raises
    ------
    OutputError
        If it cannot be written.
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
            for field in dataclasses.fields(inner):
                group[field.name] = getattr(inner, field.name)
        elif isinstance(inner, AdamState):
            file.attrs["adam_steps"] = inner.steps
            write_layers(file, "adam_weights", inner.weights)
            write_layers(file, "adam_first", inner.first)
            write_layers(file, "adam_second", inner.second)


def load_checkpoint(path: str | os.PathLike[str], identity: dict[str, str]) -> TrainingState:
    """Read a checkpoint that :func:`save_checkpoint` wrote.

    Parameters
    ----------
    path : path
        The file.
    identity : dict of str
        What it must be of.

    Returns
    -------
    TrainingState

    Raises
    ------
    FileError
        If the file is missing or damaged, or is a checkpoint of another training; the message
        names the field.
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
    """Raise FileError unless an open checkpoint is of that training; it names the field."""
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


def _read_inner(file: h5py.File) -> RBMState | AdamState | None:
    kind = read_attribute(file, "inner", str)
    if kind == RBMState.__name__:
        group = read_group(file, "rbm")
        names = [field.name for field in dataclasses.fields(RBMState)]
        return RBMState(**{name: read_float32(group, name) for name in names})
    if kind == AdamState.__name__:
        return AdamState(
            weights=read_layers(file, "adam_weights"),
            first=read_layers(file, "adam_first"),
            second=read_layers(file, "adam_second"),
            steps=read_attribute(file, "adam_steps", int),
        )
    raise FileError(file.filename, f"attribute inner is {kind!r}, expected a stage's state")


def _read_random(file: h5py.File) -> Mapping[str, Any]:
    state: Any = None
    try:
        state = json.loads(read_attribute(file, "random", str))
        np.random.PCG64().state = state
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise FileError(
            file.filename, "attribute random is not the state of a random generator"
        ) from error
    known: Mapping[str, Any] = state
    return known
