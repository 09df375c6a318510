"""Input spikes packed as bits in float64 arrays, the only type that a built executable accepts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains

from ..timing import Timing

__all__ = ["BITS", "END_OF_RUN", "LAST_STEP", "PACKED_INPUT", "pack", "packed_shape"]

PACKED_INPUT = "packed_input"
"""Name of the array of input spikes in a built network."""

END_OF_RUN, LAST_STEP = "end_of_run", "last_step"
"""Names of the group that ends a run of fewer images, and of its variable for the last step."""

BITS = 30
"""Neurons per number, which Brian2's C++ code casts to a signed 32-bit integer."""


def packed_shape(timing: Timing, images: int, size: int) -> tuple[int, int]:
    """Return the shape of the packed input: steps of the run, and numbers per step."""
    return images * timing.period, -(-size // BITS)


def pack(inputs: SpikeTrains, timing: Timing) -> NDArray[np.float64]:
    """Return packed input spikes: bit n of number w in a row is neuron BITS * w + n."""
    packed = np.zeros(packed_shape(timing, inputs.images, inputs.size))
    run_steps, neurons = timing.run_steps(inputs)
    word, bit = np.divmod(neurons, BITS)
    np.add.at(packed, (run_steps, word), np.ldexp(1.0, bit))
    return packed
