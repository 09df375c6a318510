"""Populations in the fixed-point arithmetic of Loihi's neuron cores.

Potentials, currents, thresholds and biases are integers in units of the last bit of the state,
which has at most 24 bits. The update of a non-refractory neuron is
``v <- clip(trunc(v * (4096 - leak) / 4096) + (u + bias), lowest, highest)`` with the synaptic
current ``u <- wrap(trunc(u * (4096 - current_leak) / 4096) + I)``; see
:mod:`neuroattack.ir.dynamics`. Weights are ``mantissa * 2**exponent`` in the same units.

States narrower than Loihi's have their own clipping limits, and are otherwise treated as on Loihi:
all input of a step is summed, then the potential is clipped once. Chips that clip after every
incoming spike differ if a potential reaches its limits within a step.

Sources: Davies et al., IEEE Micro 38(1), 2018, and the fixed-point LIF model of lava-nc 0.10.0
(``lava/proc/lif/models.py``), whose order of operations is used. Lava's authors call the model
"Loihi-style"; whether it is bit-accurate with respect to the chip is disputed (lava issue 322).
A current that exceeds 24 bits by more than one period wraps more than once here, but only once in
Lava's stock model; this takes over 1,500 simultaneous spikes of the largest weight.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import ValidationError
from neuroattack.ir.values import (
    MAX_REFRACTORY_STEPS,
    ByValue,
    check_population,
    freeze,
    span,
)
from neuroattack.validation import check_integer

__all__ = ["CURRENT_SPAN", "LEAK_ONE", "POTENTIAL_LIMIT", "FixedPopulation"]

POTENTIAL_LIMIT = 2**23 - 1
"""Largest magnitude of a potential in 24 bits."""

CURRENT_SPAN = 2**24
"""Period by which a current outside (-2**23, 2**23] wraps around."""

LEAK_ONE = 2**12
"""Leak at which a potential decays to 0 in one step."""


@dataclass(frozen=True, eq=False)
class FixedPopulation(ByValue):
    """Leaky integrate-and-fire neurons in integer arithmetic, with a reset to 0.

    Parameters
    ----------
    name : str
        Identifier, unique in the network.
    size : int
        Number of neurons, at least 1.
    leak : int
        Decay of the potential per step, in units of 1/4096, from 0 to 4096.
    threshold : int or int array, shape (size,)
        Spike threshold, from 0 to 2**23 - 1; a neuron spikes if its potential is strictly above.
    bias : int or int array, shape (size,), optional
        Constant added to the current in every non-refractory step, at most 2**23 - 1 in
        magnitude.
    refractory_steps : int, optional
        Number of time steps after a spike in which the neuron stays at its reset potential.
    current_leak : int, optional
        Decay of the synaptic current per step, in units of 1/4096, from 0 to 4096; by default 4096,
        a current without memory.
    lowest, highest : int, optional
        Limits to which potentials are clipped, at most and at least 0; by default -(2**23 - 1) and
        2**23 - 1. A neuron whose threshold is not below `highest` never spikes.

    Raises
    ------
    ValidationError
        If a value is invalid; the message names the population and the field.
    """

    name: str
    size: int
    leak: int
    threshold: NDArray[np.int32]
    bias: NDArray[np.int32] = field(default_factory=lambda: np.zeros((), np.int32))
    refractory_steps: int = 0
    lowest: int = -POTENTIAL_LIMIT
    highest: int = POTENTIAL_LIMIT
    current_leak: int = LEAK_ONE

    def __post_init__(self) -> None:
        me = check_population(self)
        freeze(
            self,
            leak=check_integer(f"{me} leak", self.leak, 0, LEAK_ONE),
            current_leak=check_integer(f"{me} current_leak", self.current_leak, 0, LEAK_ONE),
            refractory_steps=check_integer(
                f"{me} refractory_steps", self.refractory_steps, 0, MAX_REFRACTORY_STEPS
            ),
            threshold=_states(f"{me} threshold", self.threshold, self.size, 0),
            bias=_states(f"{me} bias", self.bias, self.size, -POTENTIAL_LIMIT),
            lowest=check_integer(f"{me} lowest", self.lowest, -POTENTIAL_LIMIT, 0),
            highest=check_integer(f"{me} highest", self.highest, 0, POTENTIAL_LIMIT),
        )

    @property
    def has_current(self) -> bool:
        """Whether the synaptic current has memory."""
        return self.current_leak != LEAK_ONE

    def most_spikes(self, steps: int) -> int:
        """Return the maximum number of spikes of the population in a number of time steps."""
        return self.size * -(-steps // (self.refractory_steps + 1))

    def describe(self) -> str:
        """Return the neuron model with its parameters, in one line."""
        return ", ".join(
            [
                f"fixed-point LIF, leak {self.leak}/{LEAK_ONE}, threshold {span(self.threshold)}",
                *([f"current leak {self.current_leak}/{LEAK_ONE}"] if self.has_current else []),
                *([f"bias {span(self.bias)}"] if self.bias.any() else []),
                f"refractory period {self.refractory_steps} dt",
            ]
        )


def _states(thing: str, value: ArrayLike, size: int, lowest: int) -> NDArray[np.int32]:
    array = np.asarray(value)
    if array.shape not in ((), (size,)):
        raise ValidationError(thing, f"shape {array.shape}", f"one number or shape ({size},)")
    if array.dtype.kind not in "iu":
        raise ValidationError(thing, f"type {array.dtype}", "integers")
    if array.min() < lowest or array.max() > POTENTIAL_LIMIT:
        raise ValidationError(
            thing, f"{array.min()} to {array.max()}", f"from {lowest} to {POTENTIAL_LIMIT}"
        )
    values: NDArray[np.int32] = np.broadcast_to(array, (size,)).astype(np.int32)
    values.flags.writeable = False
    return values
