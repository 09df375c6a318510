"""Number formats of a chip: what a network is quantized to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from neuroattack.errors import ValidationError
from neuroattack.ir.fixed_point import LEAK_ONE, POTENTIAL_LIMIT
from neuroattack.validation import check_whole

__all__ = ["LEAK_BITS", "BiasFormat", "Feature", "NumberFormat", "SignMode", "StateFormat"]

SignMode = Literal["mixed", "excitatory", "inhibitory", "per_source"]
"""Signs of the weights of a projection: both; one; one per source neuron."""

Feature = Literal[
    "free_weights", "leak", "reset_to_rest", "bias", "refractory_period", "delay", "skip_projection"
]
"""Features of a network that a chip may lack."""

LEAK_BITS = LEAK_ONE.bit_length() - 1
"""Bits of the finest leak of a network in fixed point."""


@dataclass(frozen=True)
class StateFormat:
    """Membrane potentials as integers.

    Parameters
    ----------
    lowest, highest : int
        Where a potential saturates.
    shift : int
        Weights and thresholds stand this many bits above the state's last bit.
    leak_bits : int or None
        A potential loses an integer number of parts of ``2**leak_bits`` per step; None if the
        chip's leak is of another kind or not known.
    """

    lowest: int
    highest: int
    shift: int = 0
    leak_bits: int | None = None


@dataclass(frozen=True)
class BiasFormat:
    """Biases as ``mantissa * 2**exponent`` of the state's last bit, one exponent per population.

    Parameters
    ----------
    mantissa_bits : int
        Its sign included.
    exponent_bits : int
        Of an exponent without a sign.
    """

    mantissa_bits: int
    exponent_bits: int = 0


@dataclass(frozen=True)
class NumberFormat:
    """Number formats of a chip; None where a format is not known.

    Parameters
    ----------
    name : str
        Of the chip, for messages.
    weight_bits : int or None
        Bits of a weight mantissa. With mixed signs the sign is one of them, and the mantissa has
        ``2**(bits - 1) - 1`` steps to either side; else it has ``2**bits - 1`` steps.
    mixed_weight_step : int
        Mantissas of mixed sign are multiples of it: 2 where the sign takes the last bit's place.
    sign_modes : frozenset of SignMode
        Sign modes that the chip supports.
    weight_exponents : (int, int)
        Lowest and highest exponent of a projection.
    state : StateFormat or None
        None if potentials are analog or their format is not known; they then stay in floating
        point.
    threshold_bits : int or None
        Bits of a threshold mantissa, which has no sign.
    bias : BiasFormat or None
        Of biases.
    refractory_steps, delay_steps : (int, int) or None
        Shortest and longest, in time steps.
    lacks : mapping of Feature to str
        Features that the chip does not support, each with its reference.
    """

    name: str
    weight_bits: int | None = None
    mixed_weight_step: int = 1
    sign_modes: frozenset[SignMode] = frozenset(("mixed",))
    weight_exponents: tuple[int, int] = (0, 0)
    state: StateFormat | None = None
    threshold_bits: int | None = None
    bias: BiasFormat | None = None
    refractory_steps: tuple[int, int] | None = None
    delay_steps: tuple[int, int] | None = None
    lacks: Mapping[Feature, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def exponents(self) -> tuple[int, int]:
        """Usable weight exponents: no weight has bits below the state's last."""
        lowest, highest = self.weight_exponents
        return lowest if self.state is None else max(lowest, -self.state.shift), highest

    @property
    def largest_threshold(self) -> int | None:
        """Largest threshold mantissa that a potential can pass; None in floating point."""
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
        """Raise ValidationError if the format contradicts itself or has states beyond 24 bits."""
        me, state = f"format {self.name!r}", self.state
        for what in ("weight_bits", "threshold_bits"):
            if getattr(self, what) is not None:
                check_whole(f"{me} {what}", getattr(self, what), 1, 23)
        if state is None or self.largest_threshold is None:
            return
        if not -POTENTIAL_LIMIT <= state.lowest <= 0 <= state.highest <= POTENTIAL_LIMIT:
            raise ValidationError(
                f"{me} state",
                f"{state.lowest} to {state.highest}",
                f"limits around 0, of at most {POTENTIAL_LIMIT} in magnitude",
            )
        if self.largest_threshold < 1:
            raise ValidationError(
                f"{me} state",
                f"up to {state.highest} with thresholds {state.shift} bits above the last",
                "room for a threshold below the highest potential",
            )
        if state.leak_bits is not None:
            check_whole(f"{me} leak_bits", state.leak_bits, 0, LEAK_BITS)
        lowest, highest = self.exponents
        if lowest > highest:
            raise ValidationError(
                f"{me} weight exponents",
                f"up to {highest}",
                f"at least {lowest}, the state's last bit",
            )
