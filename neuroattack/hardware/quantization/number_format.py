"""The numbers that a chip holds: what a network is rounded to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

__all__ = ["BiasFormat", "Feature", "NumberFormat", "SignMode", "StateFormat"]

SignMode = Literal["mixed", "excitatory", "inhibitory", "per_source"]
"""Signs that the weights of one projection may have: both; one; one for each source neuron."""

Feature = Literal[
    "free_weights", "leak", "reset_to_rest", "bias", "refractory_period", "delay", "skip_projection"
]
"""What a network may need and a chip may lack."""


@dataclass(frozen=True)
class StateFormat:
    """Membrane potentials as whole numbers.

    Parameters
    ----------
    lowest, highest : int
        Where a potential saturates.
    shift : int
        Weights and thresholds stand this many bits above the state's last bit.
    leak_bits : int or None
        A potential loses a whole number of parts of ``2**leak_bits`` in a step; None where the
        chip's leak is of another kind or not known.
    """

    lowest: int
    highest: int
    shift: int = 0
    leak_bits: int | None = None


@dataclass(frozen=True)
class BiasFormat:
    """Biases as ``mantissa * 2**exponent`` of the state's last bit, one exponent a population.

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
    """The numbers that a chip holds; None where that is not known.

    Parameters
    ----------
    name : str
        Of the chip, for messages.
    weight_bits : int or None
        Of a weight mantissa, its sign included where signs are mixed: ``2**(bits - 1) - 1``
        steps to either side; where a weight's sign is not its own, ``2**bits - 1`` steps.
    mixed_weight_step : int
        Mantissas of mixed sign are multiples of it: 2 where the sign takes the last bit's place.
    sign_modes : frozenset of SignMode
        Those that the chip has.
    weight_exponents : (int, int)
        Lowest and highest exponent that a projection may have of its own.
    state : StateFormat or None
        None where potentials are analogue, or their format is not known: they stay in floating
        point.
    threshold_bits : int or None
        Of threshold mantissas, without a sign.
    bias : BiasFormat or None
        Of biases.
    refractory_steps, delay_steps : (int, int) or None
        Shortest and longest, in whole steps.
    lacks : mapping of Feature to str
        What the chip cannot do at all, with where that is said.
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
