"""What a worker is told to build, and how its Lava processes lay out what they send each other."""

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
    """Return the bytes that hold one spike bit of each of `size` neurons."""
    return -(-size // 8)


@dataclass(frozen=True)
class Block:
    """The part of a query that one Lava step simulates: `steps` time steps from `first_step`.

    `total_steps` and `images` are the query's; `record` is 1 if it asks for the spikes, else 0.
    """

    first_step: int
    steps: int
    total_steps: int
    images: int
    record: int

    @property
    def is_first(self) -> bool:
        """Whether the query begins here: all state starts at rest."""
        return self.first_step == 0

    @property
    def is_last(self) -> bool:
        """Whether the query ends here: counts follow."""
        return self.first_step + self.steps == self.total_steps

    @property
    def span(self) -> slice:
        """The block among the steps of the query."""
        return slice(self.first_step, self.first_step + self.steps)


@dataclass(frozen=True)
class Layout:
    """Layout of the message between two neighbors in the chain of Lava processes.

    A message is a :class:`Block` and the bit-packed spikes of the populations that `sizes` names,
    with their neurons; there is room for `capacity` images and `block_steps` steps of each.
    """

    sizes: Mapping[str, int]
    block_steps: int
    capacity: int

    @property
    def nbytes(self) -> int:
        """Length of a message."""
        width = sum(packed_bytes(size) for size in self.sizes.values())
        return _HEADER_BYTES + self.block_steps * self.capacity * width

    def empty(self) -> NDArray[np.uint8]:
        """Return an array to build a message in."""
        return np.zeros(self.nbytes, np.uint8)

    def write_block(self, message: NDArray[np.uint8], block: Block) -> None:
        """Set the block that a message is about."""
        message[:_HEADER_BYTES].view(np.int64)[:] = astuple(block)

    def read_block(self, message: NDArray[np.uint8]) -> Block:
        """Return the block that a message is about."""
        return Block(*message[:_HEADER_BYTES].view(np.int64).tolist())

    def spikes(self, message: NDArray[np.uint8], block: Block) -> dict[str, NDArray[np.uint8]]:
        """Return views of the spikes, each (steps, images, packed bytes)."""
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
    """What one Layer process holds, and the messages it receives and sends.

    Its neurons are `counts` among the `total` of all populations but the input.
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
    """A chain of Lava processes: feed, a layer for each population in order, sink."""

    precision: str
    layers: tuple[LayerPlan, ...]

    @classmethod
    def of(cls, network: Network, block_steps: int, capacity: int) -> GraphPlan:
        """Lay out a network, for queries of `capacity` images at most."""
        sizes = {INPUT: network.input.size}
        populations: tuple[Population | FixedPopulation, ...] = network.populations
        ends = np.cumsum([population.size for population in populations]).tolist()
        received = Layout(dict(sizes), block_steps, capacity)
        layers = []
        for place, population in enumerate(populations):
            sizes[population.name] = population.size
            later = {q.name for q in populations[place + 1 :]}
            # The sink may be asked to record every population; the input goes as far as needed.
            needed = any(p.target in later for p in network.outgoing(INPUT))
            carried = {n: s for n, s in sizes.items() if n != INPUT or needed}
            sent = Layout(carried, block_steps, capacity)
            layers.append(
                LayerPlan(
                    population,
                    network.incoming(population.name),
                    network.dt_s,
                    received,
                    sent,
                    slice(ends[place] - population.size, ends[place]),
                    ends[-1],
                )
            )
            received = sent
        return cls(network.precision, tuple(layers))
