"""Images whose input spikes are nearly those of another: simulating what they change.

The queries of an attack that share their random numbers are such neighbors: one pixel differs,
and so a few events do. What one image, the *base*, did at every step is kept; of each neighbor,
a layer where few events differ simulates the neurons that these may touch, and a later one takes
up the base's simulation where the first difference arrives. All spikes are those that simulating
each image by itself would give.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT, FixedPopulation

from .differences import count_differences
from .kernels import count_spikes
from .layer import Layer
from .trace import Differences, Trace, find_differences

__all__ = ["Base", "Counts", "can_have_neighbors", "find_neighbors"]

Counts = dict[str, NDArray[np.int32]]
"""Spikes of every neuron by population, shape (images, size)."""

# Events that a neighbor may differ in.
_MOST_INPUT_DIFFERENCES = 64

_FEWEST_NEIGHBOURS = 8
_MOST_TRACE_BYTES = 256 * 2**20


class Base:
    """An image, what every layer did with it, and its neighbors.

    Each layer is in floating point and has one source.
    """

    def __init__(self, layers: Sequence[Layer], inputs: SpikeTrains) -> None:
        self._spikes = {INPUT: inputs}
        self._traces = []
        for layer in layers:
            trace = Trace(layer, self._spikes)
            self._traces.append(trace)
            self._spikes[layer.population.name] = trace.spikes
        self._counts = {name: spikes.counts() for name, spikes in self._spikes.items()}

    def run(self, inputs: Differences) -> Counts:
        """Return the spike counts of neighbors."""
        found: dict[str, Differences | SpikeTrains] = {INPUT: inputs}
        first_steps = {INPUT: inputs.first_steps()}
        for trace in self._traces:
            source, delay = trace.layer.sources[0], trace.layer.delays[0]
            name = trace.layer.population.name
            given = found[source]
            if isinstance(given, Differences) and given.few():
                followed = trace.follow(given)
                found[name], first_steps[name] = followed, followed.first_steps()
            else:
                steps = given.offsets.shape[1] - 1
                first_steps[name] = np.minimum(first_steps[source] + delay, steps)
                found[name] = trace.take_up(given, first_steps[name])
        return {name: self._count(name, one) for name, one in found.items()}

    def _count(self, name: str, found: Differences | SpikeTrains) -> NDArray[np.int32]:
        shape = (len(found.offsets), self._spikes[name].size)
        if isinstance(found, SpikeTrains):
            counts = np.zeros(shape, np.int32)
            count_spikes(found.offsets, found.neurons, counts)
        else:
            counts = np.empty(shape, np.int32)
            counts[:] = self._counts[name]
            count_differences(found.offsets, found.rows, counts)
        return counts


def can_have_neighbors(layers: Sequence[Layer], images: int, steps: int) -> bool:
    """Return whether it may pay to look for neighbors in a batch.

    It holds more than a few images; each layer has one source and is in floating point; and what
    a base did in so many steps is not too much to keep.
    """
    if images < _FEWEST_NEIGHBOURS:
        return False
    columns = sum(layer.weights.shape[1] for layer in layers)
    # Currents and states of all layers; and in each thread, of the one at hand, its margins and
    # the currents and states of its part. Eight bytes each at most.
    if 40 * columns * steps > _MOST_TRACE_BYTES:
        return False
    return all(
        len(layer.sources) == 1 and not isinstance(layer.population, FixedPopulation)
        for layer in layers
    )


def find_neighbors(inputs: SpikeTrains) -> tuple[Differences, NDArray[np.bool_]]:
    """Return how the images of a batch differ from its first, and which are near enough.

    None is where only a few are, for whom it does not pay to keep what the first one did. The
    differences of an image that is not near are not kept.
    """
    differences, near = find_differences(inputs, inputs[:1], _MOST_INPUT_DIFFERENCES)
    if np.count_nonzero(near) < _FEWEST_NEIGHBOURS:
        near[:] = False
    return differences, near
