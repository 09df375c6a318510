"""Black-box attacks, one file each; classes are imported on first access."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from neuroattack.lazy import lazy_attributes

if TYPE_CHECKING:
    from neuroattack.attacks.art.baselines import (
        ZOO,
        Boundary,
        HopSkipJump,
        OnePixel,
        SimBA,
        Square,
    )
    from neuroattack.attacks.events.dvs_pattern import DVSPattern
    from neuroattack.attacks.greedy import GreedyWindow
    from neuroattack.attacks.protocol import Attack
    from neuroattack.attacks.random_noise import RandomNoise
    from neuroattack.attacks.reference.white_box import WhiteBox
    from neuroattack.attacks.registry import attack_names, make_attack
    from neuroattack.attacks.regression.count_regression import CountRegression
    from neuroattack.attacks.sparse_rs import SparseRS
    from neuroattack.attacks.substitutes.prior_guided import PriorGuided
    from neuroattack.attacks.substitutes.substitute_training import SubstituteTraining
    from neuroattack.attacks.substitutes.torch_module import TorchModule
    from neuroattack.attacks.substitutes.transfer import Transfer

__all__ = [
    "ZOO",
    "Attack",
    "Boundary",
    "CountRegression",
    "DVSPattern",
    "GreedyWindow",
    "HopSkipJump",
    "OnePixel",
    "PriorGuided",
    "RandomNoise",
    "SimBA",
    "SparseRS",
    "Square",
    "SubstituteTraining",
    "TorchModule",
    "Transfer",
    "WhiteBox",
    "attack_names",
    "make_attack",
]

_get_attribute, __dir__ = lazy_attributes(
    __name__,
    {
        "CountRegression": "neuroattack.attacks.regression.count_regression:CountRegression",
        "Attack": "neuroattack.attacks.protocol:Attack",
        "Boundary": "neuroattack.attacks.art.baselines:Boundary",
        "DVSPattern": "neuroattack.attacks.events.dvs_pattern:DVSPattern",
        "GreedyWindow": "neuroattack.attacks.greedy:GreedyWindow",
        "HopSkipJump": "neuroattack.attacks.art.baselines:HopSkipJump",
        "OnePixel": "neuroattack.attacks.art.baselines:OnePixel",
        "PriorGuided": "neuroattack.attacks.substitutes.prior_guided:PriorGuided",
        "RandomNoise": "neuroattack.attacks.random_noise:RandomNoise",
        "SimBA": "neuroattack.attacks.art.baselines:SimBA",
        "SparseRS": "neuroattack.attacks.sparse_rs:SparseRS",
        "Square": "neuroattack.attacks.art.baselines:Square",
        "SubstituteTraining": (
            "neuroattack.attacks.substitutes.substitute_training:SubstituteTraining"
        ),
        "TorchModule": "neuroattack.attacks.substitutes.torch_module:TorchModule",
        "Transfer": "neuroattack.attacks.substitutes.transfer:Transfer",
        "WhiteBox": "neuroattack.attacks.reference.white_box:WhiteBox",
        "ZOO": "neuroattack.attacks.art.baselines:ZOO",
        "attack_names": "neuroattack.attacks.registry:attack_names",
        "make_attack": "neuroattack.attacks.registry:make_attack",
    },
)


def __getattr__(name: str) -> Any:
    if name == "Adaptive":
        warnings.warn(
            "neuroattack.attacks.Adaptive is deprecated, use CountRegression",
            FutureWarning,
            stacklevel=2,
        )
        name = "CountRegression"
    return _get_attribute(name)
