"""Populations in fixed-point arithmetic, as Loihi's neuron cores compute.

Potentials, currents, thresholds and biases are whole numbers in units of the last bit of the
state, which has 24 bits or fewer; :mod:`neuroattack.ir.dynamics` says how they move. Weights
arrive as ``mantissa * 2**exponent`` of their projection, in the same units.

Of a state narrower than Loihi's, the limits are a population's own, and all else is as on Loihi:
what arrives within a step is summed before the potential is clipped, once. A chip that clips
after every spike that arrives differs where a potential meets its limits in the middle of a step.

Sources: Davies et al., IEEE Micro 38(1), 2018, and the fixed-point LIF model of lava-nc 0.10.0
(``lava/proc/lif/models.py``), whose order of operations this is. Lava's authors name it
"Loihi-style": whether it is bit-accurate against the chip is in dispute (lava issue 322).
Where a current passes its 24 bits by so much that it would wrap twice, it does so here, and once
only in Lava's stock model; that takes over 1,500 spikes of the largest weight at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import ValidationError
from neuroattack.ir.parts import ByValue, check_population, freeze, span
from neuroattack.validation import check_whole

__all__ = ["CURRENT_SPAN", "LEAK_ONE", "POTENTIAL_LIMIT", "FixedPopulation"]

POTENTIAL_LIMIT = 2**23 - 1
"""Largest magnitude that a potential may have: what 24 bits hold on either side of 0."""

CURRENT_SPAN = 2**24
"""A current beyond (-2**23, 2**23] wraps around by this much."""

LEAK_ONE = 2**12
"""The leak that loses the whole potential in a step."""


@dataclass(frozen=True, eq=False)
class FixedPopulation(ByValue):
    """Leaky integrate-and-fire neurons on whole numbers; they reset to 0.

    Parameters
    ----------
    name : str
        An identifier, unique in the network.
    size : int
        Neurons, at least 1.
    leak : int
        Parts of 4096 of the potential that are lost in a step, 0 to 4096.
    threshold : int or int array, shape (size,)
        A neuron spikes when its potential is strictly above; not negative, at most 2**23 - 1.
    bias : int or int array, shape (size,), optional
        Added to the current of every step in which the neuron is not refractory; at most
        2**23 - 1 in magnitude.
    refractory_steps : int, optional
        Whole steps after a spike in which the neuron holds its reset potential.
    lowest, highest : int, optional
        Where a potential is clipped, 0 between them; by default 2**23 - 1 to either side. A
        neuron whose threshold is not below `highest` never spikes.

    Raises
    ------
    ValidationError
        Naming the population and the field.
    """

    name: str
    size: int
    leak: int
    threshold: NDArray[np.int32]
    bias: NDArray[np.int32] = field(default_factory=lambda: np.zeros((), np.int32))
    refractory_steps: int = 0
    lowest: int = -POTENTIAL_LIMIT
    highest: int = POTENTIAL_LIMIT

    def __post_init__(self) -> None:
        me = check_population(self)
        freeze(
            self,
            leak=check_whole(f"{me} leak", self.leak, 0, LEAK_ONE),
            threshold=_states(f"{me} threshold", self.threshold, self.size, 0),
            bias=_states(f"{me} bias", self.bias, self.size, -POTENTIAL_LIMIT),
            lowest=check_whole(f"{me} lowest", self.lowest, -POTENTIAL_LIMIT, 0),
            highest=check_whole(f"{me} highest", self.highest, 0, POTENTIAL_LIMIT),
        )

    def describe(self) -> str:
        """Return the neuron model with its parameters, in one line."""
        return ", ".join(
            [
                f"fixed-point LIF, leak {self.leak}/{LEAK_ONE}, threshold {span(self.threshold)}",
                *([f"bias {span(self.bias)}"] if self.bias.any() else []),
                f"refractory period {self.refractory_steps} dt",
            ]
        )


def _states(thing: str, value: ArrayLike, size: int, lowest: int) -> NDArray[np.int32]:
    array = np.asarray(value)
    if array.shape not in ((), (size,)):
        raise ValidationError(thing, f"shape {array.shape}", f"one number or shape ({size},)")
    if array.dtype.kind not in "iu":
        raise ValidationError(thing, f"type {array.dtype}", "whole numbers")
    if array.min() < lowest or array.max() > POTENTIAL_LIMIT:
        raise ValidationError(
            thing, f"{array.min()} to {array.max()}", f"from {lowest} to {POTENTIAL_LIMIT}"
        )
    values: NDArray[np.int32] = np.broadcast_to(array, (size,)).astype(np.int32)
    values.flags.writeable = False
    return values
