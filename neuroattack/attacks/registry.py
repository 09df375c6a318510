"""Attacks by name: those of this package and those that other packages register.

Attacks register under the entry-point group ``neuroattack.attacks``: a name, and a class that is
made with ``bound``, ``queries``, ``seed`` and parameters of its own, each with a default.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.protocol import Attack
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError

__all__ = ["attack_names", "attack_parameters", "load_attack", "make_attack", "present_name"]

ENTRY_POINT_GROUP = "neuroattack.attacks"

_GIVEN = ("bound", "queries", "seed")

# Former names, accepted until the next version.
_DEPRECATED = {"adaptive": "count-regression"}


def attack_names() -> list[str]:
    """Return the names of all registered attacks, in alphabetical order."""
    return sorted(_registered())


def present_name(name: str) -> str:
    """Return the present name of an attack; a former one is accepted with a FutureWarning."""
    if name not in _DEPRECATED:
        return name
    present = _DEPRECATED[name]
    warnings.warn(f"attack {name!r} is called {present!r} now", FutureWarning, stacklevel=3)
    return present


def load_attack(name: str) -> type[Attack]:
    """Return the class of an attack.

    Raises
    ------
    UnknownNameError
        If no attack has that name.
    UnsupportedFeatureError
        If it cannot be imported, with the reason.
    """
    registered, name = _registered(), present_name(name)
    if name not in registered:
        raise UnknownNameError("attack", name, registered)
    try:
        kind: type[Attack] = registered[name].load()
    except Exception as error:
        raise UnsupportedFeatureError(
            f"attack {name!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return kind


def attack_parameters(name: str) -> dict[str, Any]:
    """Return the parameters of an attack beside bound, queries and seed, with their defaults.

    Raises
    ------
    UnknownNameError, UnsupportedFeatureError
        As :func:`load_attack`.
    """
    parameters = inspect.signature(load_attack(name)).parameters.values()
    return {each.name: each.default for each in parameters if each.name not in _GIVEN}


def make_attack(
    name: str,
    bound: Bound | None,
    queries: int,
    seed: int,
    settings: Mapping[str, Any] | None = None,
) -> Attack:
    """Make an attack.

    Parameters
    ----------
    name : str
        One of :func:`attack_names`.
    bound : Bound or None
        Maximum distance of the images that it returns; None for an attack that ends by itself.
    queries : int
        Maximum number of queries.
    seed : int
        Random seed of the attack's own choices.
    settings : mapping, optional
        Other parameters of its constructor, by name.

    Raises
    ------
    UnknownNameError
        If there is no such attack, or it has no such parameter.
    ValidationError
        If a parameter is out of range or of another type, or the attack needs a bound.
    UnsupportedFeatureError
        If what the attack needs is not installed.
    """
    name = present_name(name)
    attack: Any = load_attack(name)
    if bound is None and inspect.signature(attack).parameters["bound"].default is not None:
        raise ValidationError(f"bound of attack {name!r}", "none", "a norm and its maximum")
    known = attack_parameters(name)
    for key in settings or {}:
        if key not in known:
            raise UnknownNameError(f"setting of attack {name!r}", key, known)
    try:
        made: Attack = attack(bound=bound, queries=queries, seed=seed, **(settings or {}))
    except TypeError as error:
        raise ValidationError(
            f"settings of attack {name!r}", dict(settings or {}), str(error)
        ) from None
    return made


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
