"""Variations of the reference dynamics, as other simulators and chips have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnknownNameError

__all__ = ["REFERENCE", "Cause", "Variation", "WeightGrid", "WeightLimit"]

Cause = Literal[
    "input",
    "rounding",
    "refractory_period",
    "reset",
    "delay",
    "arrival_order",
    "integration",
    "saturation",
    "weight_quantization",
    "threshold_quantization",
    "unknown",
]
"""Class of a divergence; ``"rounding"`` is rounding of potentials near the threshold."""

Resets = Literal["reference", "zero", "subtract", "subtract_next", "none"]
WhileRefractory = Literal["hold", "leak", "integrate"]
Order = Literal["reference", "before_leak", "after_threshold", "after_reset"]
Integration = Literal[
    "exponential",
    "euler",
    "implicit",
    "implicit_input",
    "no_leak",
    "unit_gain",
    "euler_unit_gain",
    "held_input",
]
Arithmetic = Literal["reference", "float32", "floor", "nearest"]
Levels = Literal["symmetric", "full", "range", "power"]
RoundingRule = Literal["nearest", "floor", "toward_zero"]


@dataclass(frozen=True)
class WeightGrid:
    """Quantization of the weights of a projection to multiples of a step.

    Parameters
    ----------
    bits : int
        Number of bits per weight, including the sign.
    rule : {"nearest", "floor", "toward_zero"}
        Rounding rule.
    levels : {"symmetric", "full", "range", "power"}
        Step: the largest magnitude divided by ``2**(bits - 1) - 1`` or by ``2**(bits - 1)``; the
        range of the weights divided by ``2**bits - 1``; or the smallest power of two that holds the
        largest magnitude in ``2**(bits - 1) - 1`` steps.
    is_shared : bool
        Whether all projections into a population share a step.
    """

    bits: int
    rule: RoundingRule = "nearest"
    levels: Levels = "symmetric"
    is_shared: bool = False

    def step(self, weights: NDArray[np.float64]) -> float:
        """Return the step for an array with the extreme weights; 0 if all weights are 0."""
        largest = float(np.abs(weights).max(initial=0.0))
        half: int = 2 ** (self.bits - 1)
        if self.levels == "range":
            low, high = float(weights.min(initial=0.0)), float(weights.max(initial=0.0))
            return (high - low) / (2 * half - 1)
        if self.levels == "full":
            return largest / half
        step = largest / max(half - 1, 1)
        return float(2.0 ** np.ceil(np.log2(step))) if self.levels == "power" and step else step

    def rounded(self, weights: NDArray[np.float64], step: float) -> NDArray[np.float64]:
        """Return the weights as multiples of the step."""
        if not step:
            return weights
        functions = {"nearest": np.rint, "floor": np.floor, "toward_zero": np.trunc}
        multiples: NDArray[np.float64] = functions[self.rule](weights / step) * step
        return multiples


@dataclass(frozen=True)
class WeightLimit:
    """Largest magnitude of a weight, at which weights are clipped.

    `limit_v` is in volts per spike, or in units of the state's last bit in fixed point.
    """

    limit_v: float

    def clipped(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weights within the limit."""
        return np.clip(weights, -self.limit_v, self.limit_v)


@dataclass(frozen=True)
class Variation:
    """Variation of the reference dynamics of a population; the defaults are the reference.

    Parameters
    ----------
    delay_steps : tuple of int
        Steps added to the delay of each incoming projection, in their order in the network; one
        number for all; empty for none.
    refractory_steps : int
        Steps added to the refractory period.
    while_refractory : {"hold", "leak", "integrate"}
        Whether the potential of a refractory neuron stays, decays, or also integrates its input.
    reset : str
        Reset: the reference's; to 0; by subtraction of the threshold, immediately or in the next
        step; or none.
    comparison : {"reference", "other"}
        Whether potentials equal to the threshold are treated as in the reference.
    order : str
        Position of the input within a step: added after the leak (reference), before it, after the
        comparison with the threshold (then a reset erases it), or after the reset.
    late_input : bool
        Whether the order of synaptic current and potential within a step is exchanged.
    integration : str
        Numerical integration. The factor of the potential is ``exp(-dt / tau)``, ``1 - dt / tau``
        (Euler), ``1 / (1 + dt / tau)`` (implicit Euler) or 1. The input is not scaled; or scaled by
        the same factor ("implicit_input"), by one minus the factor ("unit_gain"), or by the
        solution for constant input within a step, ``(1 - exp(-dt / tau)) * tau / dt``
        ("held_input").
    exact_current : bool
        Whether the synaptic current is integrated as in the reference nevertheless.
    decay_bits : int
        Bits of the factors of potential and current; 0 for float64.
    arithmetic : str
        Rounding of potentials: to float32, or of integers by ``floor`` or to nearest instead of
        toward zero.
    lowest, highest : float
        Limits at which potentials are clipped, in volts or in units of the last bit.
    weights : WeightGrid, WeightLimit or None
        Quantization or clipping of the weights.
    """

    delay_steps: tuple[int, ...] = ()
    refractory_steps: int = 0
    while_refractory: WhileRefractory = "hold"
    reset: Resets = "reference"
    comparison: Literal["reference", "other"] = "reference"
    order: Order = "reference"
    late_input: bool = False
    integration: Integration = "exponential"
    exact_current: bool = False
    decay_bits: int = 0
    arithmetic: Arithmetic = "reference"
    lowest: float = -np.inf
    highest: float = np.inf
    weights: WeightGrid | WeightLimit | None = None

    def __post_init__(self) -> None:
        for field, known in (
            ("while_refractory", get_args(WhileRefractory)),
            ("reset", get_args(Resets)),
            ("order", get_args(Order)),
            ("integration", get_args(Integration)),
            ("arithmetic", get_args(Arithmetic)),
        ):
            if getattr(self, field) not in known:
                raise UnknownNameError(field, getattr(self, field), known)

    def changes(self) -> dict[str, Any]:
        """Return the fields that differ from the reference."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }


REFERENCE = Variation()
"""The reference dynamics."""

CAUSES: Mapping[str, Cause] = MappingProxyType(
    {
        "delay_steps": "delay",
        "refractory_steps": "refractory_period",
        "while_refractory": "refractory_period",
        "reset": "reset",
        "comparison": "rounding",
        "order": "arrival_order",
        "late_input": "arrival_order",
        "integration": "integration",
        "exact_current": "integration",
        "decay_bits": "integration",
        "arithmetic": "rounding",
        "lowest": "saturation",
        "highest": "saturation",
        "weights": "weight_quantization",
    }
)
"""Class of the divergence that each field of a variation causes."""
