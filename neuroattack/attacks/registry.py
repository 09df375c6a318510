"""Registry of attacks by name.

Packages register attacks under the entry-point group ``neuroattack.attacks``: a name and a class
whose constructor takes ``bound``, ``queries``, ``seed`` and further parameters with defaults.
Attacks of the kind ``"gradients"`` query no target and take no ``queries``.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.protocol import Attack, check_bound
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError

__all__ = ["attack_names", "attack_parameters", "load_attack", "make_attack", "present_name"]

ENTRY_POINT_GROUP = "neuroattack.attacks"

_COMMON = ("bound", "queries", "seed")

# Former names, accepted until the next version.
_DEPRECATED = {"adaptive": "count-regression"}


def attack_names() -> list[str]:
    """Return the names of all registered attacks, in alphabetical order."""
    return sorted(_registered())


def present_name(name: str) -> str:
    """Return the name of an attack; a deprecated name is replaced, with a FutureWarning."""
    if name not in _DEPRECATED:
        return name
    present = _DEPRECATED[name]
    warnings.warn(
        f"the attack name {name!r} is deprecated, use {present!r}", FutureWarning, stacklevel=3
    )
    return present


def load_attack(name: str) -> type[Attack]:
    """Return the class of an attack.

    Raises
    ------
    UnknownNameError
        If the name is unknown.
    UnsupportedFeatureError
        If it cannot be imported; the message has the reason.
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
    """Return the parameters of an attack except bound, queries and seed, with their defaults.

    Raises
    ------
    UnknownNameError, UnsupportedFeatureError
        As :func:`load_attack`.
    """
    parameters = inspect.signature(load_attack(name)).parameters.values()
    return {each.name: each.default for each in parameters if each.name not in _COMMON}


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
        Norm bound; None only for attacks whose bound is optional.
    queries : int
        Maximum number of queries; no effect on attacks that query no target.
    seed : int
        Random seed of the attack.
    settings : mapping, optional
        Other parameters of its constructor, by name.

    Raises
    ------
    UnknownNameError
        If the attack or one of its parameters is unknown.
    ValidationError
        If a parameter is out of range or of the wrong type, or a required bound is missing.
    UnsupportedFeatureError
        If a dependency of the attack is not installed.
    """
    name = present_name(name)
    attack: Any = load_attack(name)
    if bound is None and inspect.signature(attack).parameters["bound"].default is not None:
        raise ValidationError(f"bound of attack {name!r}", "none", "a norm and its maximum")
    known = attack_parameters(name)
    for key in settings or {}:
        if key not in known:
            raise UnknownNameError(f"{name} parameter", key, known)
    try:
        common = {"bound": bound, "queries": queries, "seed": seed}
        if "queries" not in inspect.signature(attack).parameters:
            del common["queries"]
        made: Attack = attack(**common, **(settings or {}))
        check_bound(made)
    except TypeError as error:
        raise ValidationError(
            f"settings of attack {name!r}", dict(settings or {}), f"valid values ({error})"
        ) from None
    return made


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
