"""Greedy filling of cores with the neurons of a network, one core after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.placement.wiring import Wiring, most_connections
from neuroattack.hardware.profiles.core_limits import CoreLimits

__all__ = ["Range", "UnplaceableError", "fill", "in_turn", "one_by_one"]

_AT_A_TIME = 256
"""Maximum number of neurons considered at once, which limits the cost of a core's last neurons."""

Range = tuple[str, int, int]
"""Population, first neuron and end (exclusive) of a range of neurons."""


class UnplaceableError(Exception):
    """A neuron exceeds a limit of an empty core; converted to :class:`DoesNotFitError`."""

    def __init__(self, population: str, limit: str, used: int) -> None:
        super().__init__(population, limit, used)
        self.population = population
        self.limit = limit
        self.used = used


def one_by_one(wiring: Wiring) -> list[Range]:
    """Return all populations as ranges, the last population first."""
    return [(name, 0, wiring.sizes[name]) for name in reversed(wiring.populations)]


def in_turn(wiring: Wiring, slices: int) -> Iterator[Range]:
    """Yield slices of all populations in turn, the last first.

    Every core then has neurons of each population, so that populations with many neurons and
    populations with many connections share cores.
    """
    for i in reversed(range(slices)):
        for name in reversed(wiring.populations):
            size = wiring.sizes[name]
            first, end = i * size // slices, (i + 1) * size // slices
            if first < end:
                yield name, first, end


def fill(
    wiring: Wiring,
    limits: CoreLimits,
    ranges: Iterable[Range],
    destinations: Mapping[str, NDArray[np.int64]] | None = None,
    order: Mapping[str, NDArray[np.int64]] | None = None,
) -> dict[str, NDArray[np.int32]]:
    """Return the core of every neuron; cores are filled from the last to the first.

    Each core takes neurons until the next one would exceed a limit. The last neurons are placed
    first, because the routes of a neuron are known only when its targets are placed. In a loop,
    some are not yet; `destinations` are then those of a previous placement. Neurons are in the
    order of their population, or in `order`.
    """
    cores = {name: np.zeros(wiring.sizes[name], np.int32) for name in wiring.populations}
    known = dict(destinations or {})
    core, number = _Core(wiring, limits), 0
    for name, first, stop in ranges:
        end = stop
        if name not in known:
            known[name] = wiring.routes(name, cores)[1].sum(axis=0)
        neurons = (order or {}).get(name, np.arange(wiring.sizes[name]))
        while first < end:
            taken = core.take(name, neurons[max(first, end - _AT_A_TIME) : end], known[name])
            cores[name][neurons[end - taken : end]] = number
            end -= taken
            if not taken:
                core, number = _Core(wiring, limits), number + 1
    return {name: number - core_of for name, core_of in cores.items()}


class _Core:
    """Core being filled."""

    def __init__(self, wiring: Wiring, limits: CoreLimits) -> None:
        self._wiring = wiring
        self._limits = limits
        spare = {
            "neurons_per_core": limits.neurons_per_core,
            "synapses_per_core": most_connections(limits),
            "out_axons_per_core": limits.out_axons_per_core,
        }
        self._spare = {limit: known for limit, known in spare.items() if known is not None}
        self._in_axons = 0
        self._axons: dict[str, NDArray[np.bool_]] = {}
        self._empty = True

    def take(self, name: str, neurons: NDArray[np.int64], destinations: NDArray[np.int64]) -> int:
        """Add as many of some neurons as fit, the last first; return their number."""
        needs = {
            "neurons_per_core": np.ones(len(neurons), np.int64),
            "synapses_per_core": self._wiring.fan_in[name][neurons[::-1]],
            "out_axons_per_core": destinations[neurons[::-1]],
        }
        room, tightest = len(neurons), ""
        for limit, spare in self._spare.items():
            fits = int(np.searchsorted(np.cumsum(needs[limit]), spare, side="right"))
            if fits < room:
                room, tightest = fits, limit
        fits = self._connect(name, neurons[len(neurons) - room :])
        if fits < room:
            room, tightest = fits, "in_axons_per_core"
        if not room and self._empty:
            self._refuse(name, neurons[-1:], tightest, needs)
        self._empty = self._empty and not room
        for limit in self._spare:
            self._spare[limit] -= int(needs[limit][:room].sum())
        return room

    def _connect(self, name: str, neurons: NDArray[np.int64]) -> int:
        """Add input axons for some neurons, the last first; return the number that fit."""
        limit, room = self._limits.in_axons_per_core, len(neurons)
        if limit is None or not room:
            return room
        # For each source, its new source neurons by position of their first target among those
        # added, and `room` for all others.
        new: dict[str, NDArray[np.int64]] = {}
        for source in self._wiring.sources(name):
            size = self._wiring.sizes[source]
            taken = self._axons.setdefault(source, np.zeros(size, bool))
            rows = self._wiring.reaches[source, name].rows(neurons)
            # Of several targets, the last remains, which is the first to be added.
            position = np.full(size, room)
            position[rows.sources] = rows.spread(np.arange(room)[::-1])
            position[taken] = room
            new[source] = position
        if new:
            counts = np.sum(
                [np.bincount(each, minlength=room + 1) for each in new.values()], axis=0
            )
            spare = limit - self._in_axons
            room = int(np.searchsorted(np.cumsum(counts[:room]), spare, side="right"))
        for source, position in new.items():
            self._axons[source] |= position < room
            self._in_axons += int(np.count_nonzero(position < room))
        return room

    def _refuse(
        self,
        name: str,
        neuron: NDArray[np.int64],
        limit: str,
        needs: Mapping[str, NDArray[np.int64]],
    ) -> None:
        if limit == "in_axons_per_core":
            used = sum(
                len(self._wiring.reaches[source, name].rows(neuron).sources)
                for source in self._wiring.sources(name)
            )
        else:
            used = int(needs[limit][0])
        of_memory = self._limits.synapses_per_core is None or used <= self._limits.synapses_per_core
        if limit == "synapses_per_core" and of_memory:
            limit, used = "synapse_bits_per_core", used * (self._limits.bits_per_synapse or 1)
        raise UnplaceableError(name, limit, used)
