"""Connections of a network, and lower bounds of the cores that it needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.profiles.core_limits import CoreLimits
from neuroattack.ir.network import INPUT, Network

__all__ = ["Wiring", "most_connections"]

_ROWS = 1024
"""Rows of a matrix per product, to limit memory: 4000 x 4000 in floating point would be 128 MB."""


@dataclass(frozen=True, eq=False)
class Wiring:
    """Connections of a network with nonzero weight.

    Parameters
    ----------
    sizes : mapping of str to int
        Number of neurons of the input and of every population, in feed-forward order.
    fan_in : mapping of str to int64 array, shape (size,)
        Number of connections into each neuron, summed over parallel projections.
    fan_out : mapping of str to int64 array, shape (size,)
        Number of connections out of each neuron, including those of the input.
    reaches : mapping of (str, str) to bool array, shape (target size, source size)
        For each connected source and target, whether a target neuron has a connection from a
        source neuron.
    """

    sizes: Mapping[str, int]
    fan_in: Mapping[str, NDArray[np.int64]]
    fan_out: Mapping[str, NDArray[np.int64]]
    reaches: Mapping[tuple[str, str], NDArray[np.bool_]]

    @classmethod
    def of(cls, network: Network) -> Wiring:
        """Return the connections of a network."""
        sizes = network.sizes
        fan_in = {name: np.zeros(size, np.int64) for name, size in sizes.items()}
        fan_out = {name: np.zeros(size, np.int64) for name, size in sizes.items()}
        reaches: dict[tuple[str, str], NDArray[np.bool_]] = {}
        for projection in network.projections:
            connected = np.ascontiguousarray((projection.dense().mantissas != 0).T)
            fan_in[projection.target] += np.count_nonzero(connected, axis=1)
            fan_out[projection.source] += np.count_nonzero(connected, axis=0)
            ends = (projection.source, projection.target)
            reaches[ends] = reaches[ends] | connected if ends in reaches else connected
        return cls(sizes, fan_in, fan_out, reaches)

    @property
    def populations(self) -> tuple[str, ...]:
        """Names of the populations in feed-forward order, without the input."""
        return tuple(name for name in self.sizes if name != INPUT)

    @property
    def neurons(self) -> int:
        """Number of neurons of all populations."""
        return sum(self.sizes[name] for name in self.populations)

    @property
    def synapses(self) -> int:
        """Total number of connections."""
        return sum(int(fan_in.sum()) for fan_in in self.fan_in.values())

    def targets(self, source: str) -> tuple[str, ...]:
        """Return the populations with projections from a source."""
        return tuple(target for start, target in self.reaches if start == source)

    def sources(self, target: str) -> tuple[str, ...]:
        """Return the populations, possibly including the input, with projections to a target."""
        return tuple(source for source, end in self.reaches if end == target)

    def routes(
        self, source: str, cores: Mapping[str, NDArray[np.int32]]
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return the cores of a source's targets, and the source neurons that reach each core.

        Parameters
        ----------
        source : str
            Name of the input or a population.
        cores : mapping of str to int32 array, shape (size,)
            Core of every neuron of every target.

        Returns
        -------
        int32 array, shape (destinations,); bool array, shape (destinations, source size)
            Cores in ascending order, and whether a neuron has a target on the core.
        """
        targets = self.targets(source)
        destinations = np.unique(np.concatenate([np.zeros(0, np.int32), *map(cores.get, targets)]))
        reached = np.zeros((len(destinations), self.sizes[source]), bool)
        for target in targets:
            order = np.argsort(cores[target], kind="stable")
            found, first = np.unique(cores[target][order], return_index=True)
            matrix = self.reaches[source, target]
            if (np.diff(order) != 1).any():
                matrix = matrix[order]
            reached[np.searchsorted(destinations, found)] |= np.logical_or.reduceat(
                matrix, first, axis=0
            )
        return destinations, reached

    def least_destinations(self, limits: CoreLimits) -> dict[str, NDArray[np.int64]]:
        """Return a lower bound of the number of destination cores of each neuron.

        Its targets need at least that many cores for their neurons, their incoming connections or
        their outgoing routes. Unknown limits are ignored.
        """
        least = {name: np.zeros(size, np.int64) for name, size in self.sizes.items()}
        for source in reversed(tuple(self.sizes)):
            taken = np.zeros((3, self.sizes[source]))
            for target in self.targets(source):
                taken += _product(
                    np.stack([np.ones(self.sizes[target]), self.fan_in[target], least[target]]),
                    self.reaches[source, target],
                )
            least[source] = (taken[0] > 0).astype(np.int64)
            available = (
                limits.neurons_per_core,
                most_connections(limits),
                limits.out_axons_per_core,
            )
            for sums, limit in zip(taken, available, strict=True):
                if limit:
                    np.maximum(least[source], -(-sums.astype(np.int64) // limit), least[source])
        return least

    def lower_bound(
        self, limits: CoreLimits, least_destinations: Mapping[str, NDArray[np.int64]]
    ) -> tuple[int, str]:
        """Return a lower bound of the number of cores, and the population that needs most of them.

        `least_destinations` is the result of :meth:`least_destinations`.
        """
        routes = {name: int(least.sum()) for name, least in least_destinations.items()}
        synapses = {name: int(fan_in.sum()) for name, fan_in in self.fan_in.items()}
        bound, largest = 1, self.populations[0]
        for needs, limit in (
            ({name: self.sizes[name] for name in self.populations}, limits.neurons_per_core),
            (synapses, most_connections(limits)),
            ({name: routes[name] for name in self.populations}, limits.out_axons_per_core),
            (routes, limits.in_axons_per_core),
        ):
            if limit and math.ceil(sum(needs.values()) / limit) > bound:
                bound = math.ceil(sum(needs.values()) / limit)
                largest = max(self.populations, key=needs.__getitem__)
        return bound, largest


def most_connections(limits: CoreLimits) -> int | None:
    """Return the maximum number of connections of a core, limited by number and by memory."""
    known = [] if limits.synapses_per_core is None else [limits.synapses_per_core]
    if limits.synapse_bits_per_core is not None and limits.bits_per_synapse:
        known.append(limits.synapse_bits_per_core // limits.bits_per_synapse)
    return min(known, default=None)


def _product(left: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return ``left @ right``, exact for integers whose sums stay below 2**53."""
    total = np.zeros((len(left), right.shape[1]))
    for first in range(0, len(right), _ROWS):
        rows = slice(first, first + _ROWS)
        total += left[:, rows] @ right[rows].astype(np.float64)
    return total
