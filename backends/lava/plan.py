"""Plan of a worker's Lava graph, and layout of the messages between its processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.network import INPUT, FixedPopulation, Network, Population, Projection

__all__ = ["Block", "GraphPlan", "LayerPlan", "Layout", "packed_bytes"]

_HEADER_WORDS = 5
_HEADER_BYTES = 8 * _HEADER_WORDS


def packed_bytes(size: int) -> int:
    """Return the number of bytes for one bit per neuron of `size` neurons."""
    return -(-size // 8)


@dataclass(frozen=True)
class Block:
    """Part of a query simulated in one Lava step: `steps` time steps from `first_step`.

    `total_steps` and `images` are those of the query; `record` is 1 if spikes are recorded, else 0.
    """

    first_step: int
    steps: int
    total_steps: int
    images: int
    record: int

    @property
    def is_first(self) -> bool:
        """Whether this is the first block of the query, which starts at rest."""
        return self.first_step == 0

    @property
    def is_last(self) -> bool:
        """Whether this is the last block of the query, after which counts are sent."""
        return self.first_step + self.steps == self.total_steps

    @property
    def span(self) -> slice:
        """Slice of the block in the steps of the query."""
        return slice(self.first_step, self.first_step + self.steps)


@dataclass(frozen=True)
class Layout:
    """Layout of a message between two consecutive Lava processes.

    A message has a :class:`Block` and the bit-packed spikes of the populations in `sizes` (numbers
    of neurons by name), with space for `capacity` images and `block_steps` steps.
    """

    sizes: Mapping[str, int]
    block_steps: int
    capacity: int

    @property
    def nbytes(self) -> int:
        """Length of a message in bytes."""
        width = sum(packed_bytes(size) for size in self.sizes.values())
        return _HEADER_BYTES + self.block_steps * self.capacity * width

    def empty(self) -> NDArray[np.uint8]:
        """Return an empty message."""
        return np.zeros(self.nbytes, np.uint8)

    def write_block(self, message: NDArray[np.uint8], block: Block) -> None:
        """Write the block into a message."""
        message[:_HEADER_BYTES].view(np.int64)[:] = astuple(block)

    def read_block(self, message: NDArray[np.uint8]) -> Block:
        """Return the block of a message."""
        return Block(*message[:_HEADER_BYTES].view(np.int64).tolist())

    def spikes(self, message: NDArray[np.uint8], block: Block) -> dict[str, NDArray[np.uint8]]:
        """Return views of the spikes, each of shape (steps, images, packed bytes)."""
        views = {}
        start = _HEADER_BYTES
        for name, size in self.sizes.items():
            shape = (self.block_steps, self.capacity, packed_bytes(size))
            end = start + shape[0] * shape[1] * shape[2]
            views[name] = message[start:end].reshape(shape)[: block.steps, : block.images]
            start = end
        return views


@dataclass(frozen=True)
class LayerPlan:
    """Content of one Layer process, and layout of the messages that it receives and sends.

    `counts` is the slice of its neurons in the `total` neurons of all populations except the input.
    """

    population: Population | FixedPopulation
    incoming: tuple[Projection, ...]
    dt_s: float
    received: Layout
    sent: Layout
    counts: slice
    total: int


@dataclass(frozen=True)
class GraphPlan:
    """Chain of Lava processes: feed, one layer per population in order, sink."""

    precision: str
    layers: tuple[LayerPlan, ...]

    @classmethod
    def of(cls, network: Network, block_steps: int, capacity: int) -> GraphPlan:
        """Return the plan of a network for queries of up to `capacity` images."""
        sizes = {INPUT: network.input.size}
        populations: tuple[Population | FixedPopulation, ...] = network.populations
        ends = np.cumsum([population.size for population in populations]).tolist()
        received = Layout(dict(sizes), block_steps, capacity)
        layers = []
        for number, population in enumerate(populations):
            sizes[population.name] = population.size
            later = {q.name for q in populations[number + 1 :]}
            # All populations are passed to the sink, which may record them; the input only as far
            # as it is needed.
            needed = any(p.target in later for p in network.outgoing(INPUT))
            carried = {n: s for n, s in sizes.items() if n != INPUT or needed}
            sent = Layout(carried, block_steps, capacity)
            layers.append(
                LayerPlan(
                    population,
                    tuple(p.dense() for p in network.incoming(population.name)),
                    network.dt_s,
                    received,
                    sent,
                    slice(ends[number] - population.size, ends[number]),
                    ends[-1],
                )
            )
            received = sent
        return cls(network.precision, tuple(layers))
