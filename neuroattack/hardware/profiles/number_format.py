"""Number formats of a chip, to which networks are quantized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from neuroattack.errors import ValidationError
from neuroattack.ir.fixed_point import LEAK_ONE, POTENTIAL_LIMIT
from neuroattack.validation import check_integer

__all__ = [
    "LEAK_BITS",
    "BiasFormat",
    "CurrentFormat",
    "Feature",
    "NumberFormat",
    "ResetMode",
    "SignMode",
    "StateFormat",
    "WeightCode",
]

SignMode = Literal["mixed", "excitatory", "inhibitory", "per_source"]
"""Signs of the weights of a projection: both, one, or one per source neuron."""

Feature = Literal[
    "free_weights",
    "leak",
    "synaptic_current",
    "reset_to_rest",
    "bias",
    "refractory_period",
    "delay",
    "skip_projection",
    "recurrence",
]
"""Features of networks that a chip may not support."""

ResetMode = Literal["value", "subtract"]
"""Reset of neurons that spike: to a fixed potential, or by subtraction of the threshold."""

WeightCode = Literal["twos_complement", "sign_magnitude"]
"""Code of weights with both signs in memory."""

LEAK_BITS = LEAK_ONE.bit_length() - 1
"""Bits of the leak of fixed-point networks, which is the finest supported resolution."""


@dataclass(frozen=True)
class CurrentFormat:
    """Decay of synaptic currents with an integer state.

    Parameters
    ----------
    leak_bits : int
        Resolution: a current loses a multiple of ``2**-leak_bits`` of its value per step.
    least : int
        Smallest multiple.
    bits : int
        Bits of a current. Simulated currents wrap around at 24 bits.
    """

    leak_bits: int
    least: int = 0
    bits: int = 24


@dataclass(frozen=True)
class StateFormat:
    """Integer format of membrane potentials and synaptic currents.

    Parameters
    ----------
    lowest, highest : int
        Limits at which a potential saturates.
    shift : int
        Number of bits by which weights and thresholds are shifted left relative to the state.
    leak_bits : int or None
        Resolution of the leak: the decay per step is a multiple of ``2**-leak_bits``; None if the
        chip's leak is of another kind or unknown.
    current : CurrentFormat or None
        Decay of synaptic currents; None if unknown, or if they have no memory.
    """

    lowest: int
    highest: int
    shift: int = 0
    leak_bits: int | None = None
    current: CurrentFormat | None = None


@dataclass(frozen=True)
class BiasFormat:
    """Biases as ``mantissa * 2**exponent`` of the state's last bit, one exponent per population.

    Parameters
    ----------
    mantissa_bits : int
        Bits of the mantissa, including its sign.
    exponent_bits : int
        Bits of the exponent, which is unsigned.
    """

    mantissa_bits: int
    exponent_bits: int = 0


@dataclass(frozen=True)
class NumberFormat:
    """Number formats of a chip; unknown formats are None.

    Parameters
    ----------
    name : str
        Name of the chip in messages.
    weight_bits : int or None
        Bits of a weight mantissa. With mixed signs, one bit is the sign, and the mantissa has
        ``2**(bits - 1) - 1`` steps in either direction; otherwise it has ``2**bits - 1`` steps.
    mixed_weight_step : int
        Step of mantissas with mixed signs: 2 if the sign replaces the last bit.
    weight_code : WeightCode or None
        Code of weights with mixed signs in memory; None if unknown.
    sign_modes : frozenset of SignMode
        Supported sign modes.
    weight_exponents : (int, int)
        Lowest and highest exponent of a projection.
    state : StateFormat or None
        Format of potentials; None if they are analog or their format is unknown. They then stay in
        floating point.
    threshold_bits : int or None
        Bits of a threshold mantissa, which is unsigned.
    bias : BiasFormat or None
        Format of biases.
    refractory_steps, delay_steps : (int, int) or None
        Shortest and longest refractory period and delay in time steps.
    resets : frozenset of ResetMode
        Supported resets; empty if unknown, then a reset to a value is assumed.
    lacks : mapping of Feature to str
        Unsupported features, each with its reference.
    """

    name: str
    weight_bits: int | None = None
    mixed_weight_step: int = 1
    weight_code: WeightCode | None = None
    sign_modes: frozenset[SignMode] = frozenset(("mixed",))
    weight_exponents: tuple[int, int] = (0, 0)
    state: StateFormat | None = None
    threshold_bits: int | None = None
    bias: BiasFormat | None = None
    refractory_steps: tuple[int, int] | None = None
    delay_steps: tuple[int, int] | None = None
    resets: frozenset[ResetMode] = frozenset()
    lacks: Mapping[Feature, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def exponents(self) -> tuple[int, int]:
        """Usable weight exponents: weights have no bits below the last bit of the state."""
        lowest, highest = self.weight_exponents
        return lowest if self.state is None else max(lowest, -self.state.shift), highest

    @property
    def largest_threshold(self) -> int | None:
        """Largest threshold mantissa that a potential can exceed; None in floating point."""
        if self.state is None:
            return None
        reachable = (self.state.highest - 1) >> self.state.shift
        return (
            reachable if self.threshold_bits is None else min(2**self.threshold_bits - 1, reachable)
        )

    @property
    def bias_range(self) -> tuple[int, int]:
        """Largest mantissa and largest exponent of a bias."""
        if self.bias is None:
            return POTENTIAL_LIMIT, 0
        return 2 ** (self.bias.mantissa_bits - 1) - 1, 2**self.bias.exponent_bits - 1

    def check(self) -> None:
        """Raise ValidationError if the format is inconsistent or has states of over 24 bits."""
        me, state = f"format {self.name!r}", self.state
        for what in ("weight_bits", "threshold_bits"):
            if getattr(self, what) is not None:
                check_integer(f"{me} {what}", getattr(self, what), 1, 23)
        if state is None or self.largest_threshold is None:
            return
        if not -POTENTIAL_LIMIT <= state.lowest <= 0 <= state.highest <= POTENTIAL_LIMIT:
            raise ValidationError(
                f"{me} state",
                f"{state.lowest} to {state.highest}",
                f"limits on both sides of 0, at most {POTENTIAL_LIMIT} in magnitude",
            )
        if self.largest_threshold < 1:
            raise ValidationError(
                f"{me} state",
                f"up to {state.highest} with thresholds shifted by {state.shift} bits",
                "a range that contains a threshold below the highest potential",
            )
        if state.leak_bits is not None:
            check_integer(f"{me} leak_bits", state.leak_bits, 0, LEAK_BITS)
        if state.current is not None:
            bits = check_integer(f"{me} current leak_bits", state.current.leak_bits, 0, LEAK_BITS)
            check_integer(f"{me} current least", state.current.least, 0, 2**bits)
        lowest, highest = self.exponents
        if lowest > highest:
            raise ValidationError(
                f"{me} weight exponents",
                f"up to {highest}",
                f"at least {lowest}, the last bit of the state",
            )
