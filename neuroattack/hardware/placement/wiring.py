"""Connections of a network, and lower bounds of the cores that it needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.placement.pattern import Pattern, fan_in, pattern_of
from neuroattack.hardware.profiles.core_limits import CoreLimits
from neuroattack.ir.network import INPUT, AnyProjection, Convolution, Network

__all__ = ["Wiring", "most_connections"]


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
    reaches : mapping of (str, str) to Pattern
        For each source and target with projections, which of their neurons are connected.
    by_place : mapping of str to int64 array, shape (size,)
        For each population that receives a convolution, its neurons by row, column and channel.
        Neurons at the same place have most of their sources in common.
    """

    sizes: Mapping[str, int]
    fan_in: Mapping[str, NDArray[np.int64]]
    fan_out: Mapping[str, NDArray[np.int64]]
    reaches: Mapping[tuple[str, str], Pattern]
    by_place: Mapping[str, NDArray[np.int64]]

    @classmethod
    def of(cls, network: Network) -> Wiring:
        """Return the connections of a network."""
        sizes = network.sizes
        into = {name: np.zeros(size, np.int64) for name, size in sizes.items()}
        out_of = {name: np.zeros(size, np.int64) for name, size in sizes.items()}
        between: dict[tuple[str, str], list[AnyProjection]] = {}
        for projection in network.projections:
            into[projection.target] += fan_in(projection)
            out_of[projection.source] += projection.fan_out()
            between.setdefault((projection.source, projection.target), []).append(projection)
        reaches = {ends: pattern_of(projections) for ends, projections in between.items()}
        by_place = {
            p.target: np.arange(sizes[p.target]).reshape(p.target_shape).transpose(1, 2, 0).ravel()
            for p in network.projections
            if isinstance(p, Convolution)
        }
        return cls(sizes, into, out_of, reaches, by_place)

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
        return sum(int(each.sum()) for each in self.fan_in.values())

    @property
    def has_loops(self) -> bool:
        """Whether a population has projections to itself or to an earlier one."""
        order = list(self.sizes)
        return any(order.index(target) <= order.index(source) for source, target in self.reaches)

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
        if len(destinations) == 1:
            reached[0] = self.fan_out[source] > 0
            return destinations, reached
        for target in targets:
            place = np.searchsorted(destinations, cores[target])
            for block in self.reaches[source, target].blocks():
                reached[place[block.targets()], block.sources] = True
        return destinations, reached

    def least_destinations(self, limits: CoreLimits) -> dict[str, NDArray[np.int64]]:
        """Return a lower bound of the number of destination cores of each neuron.

        Its targets need at least that many cores for their neurons, their incoming connections or
        their outgoing routes. Unknown limits are ignored, and so are the routes of targets in the
        same or an earlier population, which are computed later.
        """
        available = (limits.neurons_per_core, most_connections(limits), limits.out_axons_per_core)
        least = {name: np.zeros(size, np.int64) for name, size in self.sizes.items()}
        for source in reversed(tuple(self.sizes)):
            # Sums of integers below 2**53 are exact in float64.
            taken = np.zeros((3, self.sizes[source]))
            for target in self.targets(source) if any(available) else ():
                needs = (np.ones(self.sizes[target]), self.fan_in[target], least[target])
                for block in self.reaches[source, target].blocks():
                    targets = block.targets()
                    for i, need in enumerate(needs):
                        taken[i] += np.bincount(block.sources, need[targets], self.sizes[source])
            least[source] = (self.fan_out[source] > 0).astype(np.int64)
            for sums, limit in zip(taken, available, strict=True):
                if limit:
                    np.maximum(least[source], -(-sums.astype(np.int64) // limit), least[source])
        return least

    def lower_bound(
        self,
        limits: CoreLimits,
        least_destinations: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> tuple[int, str]:
        """Return a lower bound of the number of cores, and the population that needs most of them.

        `least_destinations` is the result of :meth:`least_destinations`; without it, the bound is
        that of neurons and connections only, for which nothing is unrolled.
        """
        least = least_destinations or {}
        routes = {name: int(least[name].sum()) if name in least else 0 for name in self.sizes}
        synapses = {name: int(each.sum()) for name, each in self.fan_in.items()}
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
