"""Substitutes of an attack by name: of a data set, or of files."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar, overload

from neuroattack.attacks.gradients.differentiable import Differentiable
from neuroattack.attacks.protocol import ThreatModel
from neuroattack.attacks.substitutes.ensemble import Ensemble, Perceptron, members_of
from neuroattack.attacks.substitutes.torch_module import TorchModule
from neuroattack.encoding.events import EventEncoder
from neuroattack.errors import FileError, ValidationError
from neuroattack.targets.black_box import Target

__all__ = [
    "Substitutes",
    "fitting_substitutes",
    "is_file_name",
    "listed",
    "open_substitutes",
    "threat_model_of",
]

Substitutes: TypeAlias = "str | Sequence[str] | Differentiable"
"""Value of the parameter `substitutes` of attacks."""

_SUFFIX = ".h5"
# Determines the least rate that is distinguished from 0: half a spike in this time.
_TIME_STEPS = 350


Value = TypeVar("Value")


def listed(substitutes: Value) -> Value | tuple[str, ...]:
    """Return a list of names as a tuple, which can be compared, and other values unchanged."""
    return tuple(substitutes) if isinstance(substitutes, list) else substitutes


def open_substitutes(substitutes: Substitutes, steps: int = _TIME_STEPS) -> Differentiable:
    """Return the models of a value of the parameter `substitutes`.

    Parameters
    ----------
    substitutes : str, sequence of str, or Differentiable
        Models, or one or more names. The name of a data set stands for multilayer perceptrons
        trained on its training split, which are kept in the user's cache. A file (.h5) contains
        perceptrons, or a network that the attacker trained in the way of the target: its rate model
        is used, or if it reads events its differentiable twin in PyTorch, which means knowledge of
        the architecture.
    steps : int, optional
        Number of time steps of event samples.

    Raises
    ------
    ValidationError
        If there is no name, or the models do not fit together.
    UnknownNameError, FileError
        If there is no such data set or file, or it cannot be read.
    UnsupportedFeatureError
        If there is no rate model of a network.
    BackendUnavailableError
        If a network reads events and PyTorch is not installed.
    """
    if not isinstance(substitutes, str | Sequence):
        return substitutes
    names = (substitutes,) if isinstance(substitutes, str) else tuple(substitutes)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValidationError("substitutes", substitutes, "names of data sets or files")
    members = [member for name in names for member in members_of(_opened(name, steps))]
    return Ensemble(members)


def is_file_name(name: str) -> bool:
    """Return whether a name is that of a file with models, not of a data set."""
    return name.lower().endswith(_SUFFIX)


def _opened(name: str, steps: int) -> Differentiable:
    path = Path(name)
    if not is_file_name(name):
        path = _file_of(name, path.stat().st_mtime_ns if path.is_file() else 0)
    try:
        state = path.stat()
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror}") from None
    return _read(str(path), state.st_mtime_ns, state.st_size, steps)


@functools.lru_cache(maxsize=8)
def _file_of(dataset: str, modified_ns: int) -> Path:
    # Here and below: storage takes a while to import, and few attacks need it.
    from neuroattack.attacks.substitutes.storage import cached_substitutes

    del modified_ns  # distinguishes versions of a file
    return cached_substitutes(dataset)


@functools.lru_cache(maxsize=8)
def _read(path: str, modified_ns: int, size: int, steps: int) -> Differentiable:
    from neuroattack.attacks.reference.siegert import SiegertModel
    from neuroattack.attacks.reference.twin import smoothed_twin
    from neuroattack.attacks.substitutes.storage import KIND, load_substitutes
    from neuroattack.hdf5 import read_kind
    from neuroattack.ir.storage import load_network

    del modified_ns, size  # distinguish versions of a file
    if read_kind(path) == KIND:
        return load_substitutes(path)
    network = load_network(path)
    if isinstance(network.input.encoder, EventEncoder):
        return smoothed_twin(network, steps)
    return SiegertModel(network, _TIME_STEPS)


def threat_model_of(substitutes: Substitutes | None) -> ThreatModel:
    """Return what an attacker needs to have these substitutes."""
    if substitutes is None:
        return "no data"
    members = members_of(open_substitutes(substitutes))
    plain = all(isinstance(member, Perceptron | TorchModule) for member in members)
    return "data" if plain else "data and architecture"


@overload
def fitting_substitutes(substitutes: None, target: Target) -> None: ...


@overload
def fitting_substitutes(substitutes: Substitutes, target: Target) -> Differentiable: ...


def fitting_substitutes(substitutes: Substitutes | None, target: Target) -> Differentiable | None:
    """Open substitutes, if any; raise ValidationError unless they fit the target."""
    if substitutes is None:
        return None
    models = open_substitutes(substitutes, target.image_shape[0])
    found = (tuple(models.image_shape), models.n_classes)
    if found != (tuple(target.image_shape), target.n_classes):
        raise ValidationError(
            "substitutes",
            f"images of shape {found[0]} with {found[1]} classes",
            f"shape {tuple(target.image_shape)} with {target.n_classes} classes, as of the target",
        )
    return models
