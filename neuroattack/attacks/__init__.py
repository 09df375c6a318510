"""Attacks on black boxes, one file each; a class is imported when it is first asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuroattack.attacks.adaptive import Adaptive
    from neuroattack.attacks.art.baselines import (
        ZOO,
        Boundary,
        HopSkipJump,
        OnePixel,
        SimBA,
        Square,
    )
    from neuroattack.attacks.greedy import GreedyWindow
    from neuroattack.attacks.protocol import Attack
    from neuroattack.attacks.random_noise import RandomNoise
    from neuroattack.attacks.registry import attack_names, make_attack
    from neuroattack.attacks.sparse_rs import SparseRS

__all__ = [
    "ZOO",
    "Adaptive",
    "Attack",
    "Boundary",
    "GreedyWindow",
    "HopSkipJump",
    "OnePixel",
    "RandomNoise",
    "SimBA",
    "SparseRS",
    "Square",
    "attack_names",
    "make_attack",
]

_MODULES = {
    "Adaptive": "adaptive",
    "Attack": "protocol",
    "Boundary": "art.baselines",
    "GreedyWindow": "greedy",
    "HopSkipJump": "art.baselines",
    "OnePixel": "art.baselines",
    "RandomNoise": "random_noise",
    "SimBA": "art.baselines",
    "SparseRS": "sparse_rs",
    "Square": "art.baselines",
    "ZOO": "art.baselines",
    "attack_names": "registry",
    "make_attack": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
