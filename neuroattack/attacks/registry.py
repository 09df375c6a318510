"""All attacks by name, made for a limit and a number of queries: what campaigns choose from."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from neuroattack.attacks.limits import Limit
from neuroattack.attacks.protocol import Attack
from neuroattack.errors import UnknownNameError, ValidationError

__all__ = ["ATTACKS", "make_attack"]

ATTACKS = {
    "adaptive": ("adaptive", "Adaptive"),
    "greedy-window": ("held", "HeldGreedyWindow"),
    "random-noise": ("random_noise", "RandomNoise"),
    "sparse-rs": ("sparse_rs", "SparseRS"),
    "square": ("art.baselines", "Square"),
    "simba": ("art.baselines", "SimBA"),
    "zoo": ("art.baselines", "ZOO"),
    "one-pixel": ("art.baselines", "OnePixel"),
    "hop-skip-jump": ("art.baselines", "HopSkipJump"),
    "boundary": ("art.baselines", "Boundary"),
}
"""Module under :mod:`neuroattack.attacks` and class of each; a class that nobody asks for is not
imported, nor what it needs."""

# Attacks that end by themselves without a bound.
_OWN_LIMITS = ("greedy-window",)
_GIVEN = ("limit", "queries", "seed")


def make_attack(
    name: str,
    limit: Limit | None,
    queries: int,
    seed: int,
    settings: Mapping[str, Any] | None = None,
) -> Attack:
    """Make an attack.

    Parameters
    ----------
    name : str
        One of :data:`ATTACKS`.
    limit : Limit
        No image that it returns is farther from its original; None for an attack that has limits
        of its own.
    queries : int
        That it spends at most.
    seed : int
        Of its own chance.
    settings : mapping, optional
        Other parameters of its constructor, by name.

    Raises
    ------
    UnknownNameError
        If there is no such attack, or it has no such parameter.
    ValidationError
        If a parameter is out of range or of another type.
    UnsupportedFeatureError
        If what the attack needs is not installed.
    """
    if name not in ATTACKS:
        raise UnknownNameError("attack", name, ATTACKS)
    module, kind = ATTACKS[name]
    attack: type[Any] = getattr(importlib.import_module(f"neuroattack.attacks.{module}"), kind)
    if limit is None and name not in _OWN_LIMITS:
        raise ValidationError(f"norm of attack {name!r}", "none", "a norm and its bound")
    known = {field.name for field in dataclasses.fields(attack)} - set(_GIVEN)
    for key in settings or {}:
        if key not in known:
            raise UnknownNameError(f"setting of attack {name!r}", key, known)
    try:
        made: Attack = attack(limit=limit, queries=queries, seed=seed, **(settings or {}))
    except TypeError as error:
        raise ValidationError(
            f"settings of attack {name!r}", dict(settings or {}), str(error)
        ) from None
    return made
