"""Fast simulation of images whose input spikes differ only slightly from those of another image.

Queries of an attack with shared randomness are such neighbors: if one pixel differs, only a few
events differ. The activity of one image, the *base*, is stored for every step. For its neighbors,
layers with few differing events simulate only the neurons that these may affect; later layers
continue from the state of the base when the first difference arrives. All spikes are identical to
those of separate simulations.
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
from .simulation import Counts
from .trace import Differences, Trace, find_differences

__all__ = ["Base", "can_have_neighbors", "find_neighbors"]

# Maximum number of input events in which a neighbor may differ.
_MOST_INPUT_DIFFERENCES = 64

_FEWEST_NEIGHBORS = 8
_MOST_TRACE_BYTES = 256 * 2**20


class Base:
    """Base image, with the recorded activity of every layer, and simulation of its neighbors.

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
        """Return the spike counts of neighbors, given the differences of their inputs."""
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
                first_steps[name] = np.minimum(first_steps[source] + delay, given.steps)
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
    """Return whether searching for neighbors in a batch may save time.

    The batch must have enough images, each layer must be in floating point with one source, and the
    activity of the base must fit in memory.
    """
    if images < _FEWEST_NEIGHBORS:
        return False
    columns = sum(layer.weights.shape[1] for layer in layers)
    # Currents and states of all layers; in each thread also the margins of the current layer, and
    # currents and states of its part. At most eight bytes each.
    if 40 * columns * steps > _MOST_TRACE_BYTES:
        return False
    return all(
        len(layer.sources) == 1 and not isinstance(layer.population, FixedPopulation)
        for layer in layers
    )


def find_neighbors(inputs: SpikeTrains) -> tuple[Differences, NDArray[np.bool_]]:
    """Return the differences of a batch from its first image, and a mask of its neighbors.

    With too few neighbors to save time, the mask is False everywhere. Differences of images that
    are not neighbors are not stored.
    """
    differences, near = find_differences(inputs, inputs[:1], _MOST_INPUT_DIFFERENCES)
    if np.count_nonzero(near) < _FEWEST_NEIGHBORS:
        near[:] = False
    return differences, near
