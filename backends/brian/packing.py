"""Input spikes as bits in float64 numbers, the only arrays that a built executable takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains

from .model import Timing

__all__ = ["BITS", "LAST_STEP", "PACKED_INPUT", "pack", "packed_shape"]

PACKED_INPUT = "packed_input"
"""Name of the array in a built network."""

LAST_STEP = "last_step"
"""Name of the input population's variable that ends a run of fewer images."""

BITS = 30
"""Neurons in a number: Brian2's C++ casts it to a signed integer of 32 bits."""


def packed_shape(timing: Timing, images: int, size: int) -> tuple[int, int]:
    """Return the shape of the packed input: steps of the run, and numbers a step."""
    return images * timing.period, -(-size // BITS)


def pack(inputs: SpikeTrains, timing: Timing) -> NDArray[np.float64]:
    """Return input spikes packed, in the shape above: bit n of number w is neuron BITS * w + n."""
    packed = np.zeros(packed_shape(timing, inputs.images, inputs.size))
    run_steps, neurons = timing.run_steps(inputs)
    word, bit = np.divmod(neurons, BITS)
    np.add.at(packed, (run_steps, word), np.ldexp(1.0, bit))
    return packed
