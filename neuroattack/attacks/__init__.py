"""Attacks on black boxes, one file each; a class is imported when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuroattack.lazy import lazy_attributes

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

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Adaptive": "neuroattack.attacks.adaptive:Adaptive",
        "Attack": "neuroattack.attacks.protocol:Attack",
        "Boundary": "neuroattack.attacks.art.baselines:Boundary",
        "GreedyWindow": "neuroattack.attacks.greedy:GreedyWindow",
        "HopSkipJump": "neuroattack.attacks.art.baselines:HopSkipJump",
        "OnePixel": "neuroattack.attacks.art.baselines:OnePixel",
        "RandomNoise": "neuroattack.attacks.random_noise:RandomNoise",
        "SimBA": "neuroattack.attacks.art.baselines:SimBA",
        "SparseRS": "neuroattack.attacks.sparse_rs:SparseRS",
        "Square": "neuroattack.attacks.art.baselines:Square",
        "ZOO": "neuroattack.attacks.art.baselines:ZOO",
        "attack_names": "neuroattack.attacks.registry:attack_names",
        "make_attack": "neuroattack.attacks.registry:make_attack",
    },
)
