"""Plan of a worker's Lava graph, and layout of the messages between its processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.ir.network import (
    INPUT,
    AnyProjection,
    FixedPopulation,
    Network,
    Population,
    ReadoutQuantity,
)
from neuroattack.ir.structure import recurrent_groups

__all__ = [
    "Block",
    "GraphPlan",
    "LayerPlan",
    "Layout",
    "PopulationPlan",
    "Query",
    "packed_bytes",
]

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
class Query:
    """Input of a query for the feed.

    Either `packed`, input spikes of shape (steps, images, packed bytes), or `values`, a constant
    input of shape (images, pixels).
    """

    record: bool
    images: int
    steps: int
    packed: NDArray[np.uint8] | None = None
    values: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class PopulationPlan:
    """Population, its incoming projections, and its columns in the results.

    Results of a query are int32, shape (images, columns): spike counts of all populations except
    the input, then the potentials of the readout, which take two columns each, if they are the
    output.
    """

    population: Population | FixedPopulation
    incoming: tuple[AnyProjection, ...]
    counts: slice
    potentials: slice | None = None
    readout_quantity: ReadoutQuantity = "spike_count"

    @property
    def name(self) -> str:
        """Name of the population."""
        return self.population.name


@dataclass(frozen=True)
class LayerPlan:
    """Content of one Layer process, and layout of the messages that it receives and sends.

    The populations are one, or several with loops among them. `constant_bits` are the bits of a
    constant input, or None if the input spikes.
    """

    populations: tuple[PopulationPlan, ...]
    dt_s: float
    constant_bits: int | None
    received: Layout
    sent: Layout
    columns: int

    @property
    def name(self) -> str:
        """Names of the populations."""
        return ", ".join(each.name for each in self.populations)

    @property
    def takes_values(self) -> bool:
        """Whether the layer receives a constant input."""
        return self.constant_bits is not None and any(
            p.source == INPUT for each in self.populations for p in each.incoming
        )


@dataclass(frozen=True)
class GraphPlan:
    """Chain of Lava processes: feed, layers, sink. Every layer only needs spikes of earlier ones.

    `input_size` is the number of pixels.
    """

    input_size: int
    layers: tuple[LayerPlan, ...]

    @classmethod
    def of(cls, network: Network, block_steps: int, capacity: int) -> GraphPlan:
        """Return the plan of a network for queries of up to `capacity` images."""
        encoder = network.input.encoder
        constant_bits = encoder.bits if isinstance(encoder, DirectEncoder) else None
        populations = _population_plans(network)
        columns = max((each.potentials or each.counts).stop for each in populations.values())
        groups = recurrent_groups(network)
        sizes = {INPUT: network.input.size} if constant_bits is None else {}
        received = Layout(dict(sizes), block_steps, capacity)
        layers = []
        for number, group in enumerate(groups):
            sizes |= {name: network.sizes[name] for name in group}
            later = {name for names in groups[number + 1 :] for name in names}
            # All populations are passed to the sink, which may record them; the input only as far
            # as it is needed.
            needed = any(p.target in later for p in network.outgoing(INPUT))
            carried = {n: s for n, s in sizes.items() if n != INPUT or needed}
            sent = Layout(carried, block_steps, capacity)
            members = tuple(populations[name] for name in group)
            layers.append(LayerPlan(members, network.dt_s, constant_bits, received, sent, columns))
            received = sent
        return cls(network.input.size, tuple(layers))


def _population_plans(network: Network) -> dict[str, PopulationPlan]:
    every: tuple[Population | FixedPopulation, ...] = network.populations
    ends = np.cumsum([population.size for population in every]).tolist()
    plans = {}
    for population, end in zip(every, ends, strict=True):
        name = population.name
        plan = PopulationPlan(population, network.incoming(name), slice(end - population.size, end))
        if name == network.readout and network.readout_quantity != "spike_count":
            potentials = slice(ends[-1], ends[-1] + 2 * population.size)
            plan = replace(plan, potentials=potentials, readout_quantity=network.readout_quantity)
        plans[name] = plan
    return plans
