"""Placement of neurons on the cores of a chip under all known limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import DoesNotFitError
from neuroattack.hardware.placement.filling import (
    Range,
    UnplaceableError,
    fill,
    in_turn,
    one_by_one,
)
from neuroattack.hardware.placement.mesh_order import capacity, nearest_band
from neuroattack.hardware.placement.wiring import Wiring
from neuroattack.hardware.profiles.core_limits import CoreLimits
from neuroattack.ir.network import INPUT, Network

__all__ = ["Check", "Placement", "place"]

_RESOURCES = ("neurons", "synapses", "synapse_bits", "in_axons", "out_axons")
"""Resources of a core; the field of each limit ends in ``_per_core``."""

_NEEDS = {
    "cores_per_chip": "cores",
    "neurons_per_core": "neurons on a core",
    "synapses_per_core": "connections into a core",
    "synapse_bits_per_core": "bits for the connections into a core",
    "in_axons_per_core": "source neurons of a core",
    "out_axons_per_core": "routes out of a core",
    "fan_in_per_neuron": "connections into a neuron",
    "fan_out_per_neuron": "connections out of a neuron",
    "destination_cores_per_neuron": "destination cores of a neuron",
    "neurons_per_chip": "neurons",
    "synapses_per_chip": "connections",
    "input_neurons": "input neurons",
    "hidden_neurons": "hidden neurons",
    "readout_neurons": "readout neurons",
}

# Connections from which on a network is refused by a bound for which they are not unrolled.
_MANY = 2**26
# Acceptable number of cores relative to the lower bound.
_ENOUGH = 1.1
# Slices per core of each population in interleaved placement, and number of rounds, each with the
# routes of the previous one.
_SLICES = 2
_ROUNDS = 3


Neurons = Mapping[str, NDArray[np.int64]]
"""Values of the neurons of each population."""


@dataclass(frozen=True)
class Check:
    """Limit of a chip, and its use by a network.

    Parameters
    ----------
    limit : str
        Field of :class:`CoreLimits`.
    used : int or None
        Largest use by a population or core, or use by the network; None if it cannot be counted.
    available : int or None
        Value of the limit; None if unknown and therefore not checked.
    population : str or None
        Population with the largest use, or ``"input"``.
    core : int or None
        Core with the largest use.
    """

    limit: str
    used: int | None
    available: int | None
    population: str | None = None
    core: int | None = None

    @property
    def broken(self) -> bool:
        """Whether the limit is exceeded."""
        return self.used is not None and self.available is not None and self.used > self.available


@dataclass(frozen=True, eq=False)
class Placement:
    """Placement of a network on the cores of one chip.

    Parameters
    ----------
    limits : CoreLimits
        Limits of the chip.
    cores : mapping of str to int32 array, shape (size,)
        Core of every neuron of every population, numbered from 0 in feed-forward order. The input
        is not on the chip and not included.
    used : mapping of str to int64 array, shape (cores_used,)
        Use of ``neurons``, ``synapses``, ``in_axons``, ``out_axons`` and, if the bits per
        connection are known, ``synapse_bits`` on every core.
    lower_bound_cores : int
        Lower bound of the cores of any placement: the largest number that a single resource
        requires.
    checks : tuple of Check
        Checks of all limits that apply to the chip.
    band : int
        Number of rows of a band of the mesh, as in
        :func:`neuroattack.hardware.placement.mesh_order.mesh_positions`; 1 without a mesh.
    """

    limits: CoreLimits
    cores: Mapping[str, NDArray[np.int32]]
    used: Mapping[str, NDArray[np.int64]]
    lower_bound_cores: int
    checks: tuple[Check, ...]
    band: int = 1

    @property
    def cores_used(self) -> int:
        """Number of cores with neurons."""
        return len(self.used["neurons"])

    @property
    def is_by_core(self) -> bool:
        """Whether a limit per core is known; otherwise all neurons are on one unlimited core."""
        return any(limit.endswith("_per_core") for limit in self.utilization)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Limits that were not checked because a value is unknown."""
        return tuple(check.limit for check in self.checks if check.limit not in self.utilization)

    @property
    def utilization(self) -> dict[str, tuple[int, int]]:
        """Largest use and value of every known limit."""
        return {
            check.limit: (check.used, check.available)
            for check in self.checks
            if check.used is not None and check.available is not None
        }


def place(network: Network, limits: CoreLimits) -> Placement:
    """Place a network on one chip with a greedy, deterministic algorithm.

    Neurons are placed in feed-forward order, filling one core after another; populations may share
    a core. Filling proceeds from the last neuron to the first, because the number of destination
    cores of a neuron is known only when its targets are placed.

    If this takes over 10 % more cores than `lower_bound_cores`, or more than available, slices of
    all populations are interleaved, which wastes less if one population has many neurons and
    another many connections. The result is used only if it takes fewer cores, because it sends
    spikes to more cores. Consecutive cores are neighbors on a mesh, in bands whose height minimizes
    the hops of all routes.

    Neurons of a population that receives a convolution are placed in the order of their channel, or
    if it takes fewer cores, of their place, because neurons at the same place have most of their
    sources in common.

    In networks with loops, the destinations of some neurons are known only afterwards. If cores
    then have too many routes, neurons are placed again with the destinations of the previous
    placement, and at last with upper bounds.

    A core is closed only if the next neuron does not fit. If a limit of neurons or connections
    closes all cores, and no neuron takes more than the fraction `a` of it, at most
    ``1 + lower_bound_cores / (1 - a)`` cores are used; with ``a = 1/22``, this is within 10 % of
    the bound from 20 cores on. Limits of axons depend on which neurons share a core and have no
    such bound.

    Parameters
    ----------
    network : Network
        Network; only connections with nonzero weight count.
    limits : CoreLimits
        Limits of the chip. Unknown limits are ignored: if no limit per core is known, all neurons
        are placed on one core. Fan-out and destination cores are limits of neurons on the chip, not
        of the input.

    Raises
    ------
    DoesNotFitError
        If a limit is exceeded; the message names the resource, the population and the amounts.
    """
    wiring = Wiring.of(network)
    _refuse_broken(_network_checks(network, wiring, limits), limits.name)
    available = _cores_of(limits)
    bound, largest = wiring.lower_bound(limits)
    if available is None or bound <= available or wiring.synapses <= _MANY:
        bound, largest = wiring.lower_bound(limits, wiring.least_destinations(limits))
    if available is not None and bound > available:
        _refuse(Check("cores_per_chip", bound, available), limits.name, largest, " at least")
    try:
        cores = fill(wiring, limits, one_by_one(wiring))
    except UnplaceableError as reason:
        limit: int = getattr(limits, reason.limit)
        _refuse(Check(reason.limit, reason.used, limit, population=reason.population), limits.name)
    placed = _Placed(network, wiring, limits, cores)
    order: Neurons = {}
    if wiring.by_place and placed.count > bound:
        ranges = one_by_one(wiring)
        other = _refilled(network, wiring, limits, wiring.by_place, ranges, None)
        if other and not other.broken and (placed.broken or other.count < placed.count):
            placed, order = other, wiring.by_place
    if placed.broken and wiring.has_loops:
        placed = _looped(network, wiring, limits, placed, order)
    if placed.broken or placed.count > _ENOUGH * bound:
        placed = _mixed(network, wiring, limits, placed, bound, order)
    _refuse_broken(placed.checks, limits.name, largest)
    return Placement(limits, placed.cores, placed.used, bound, placed.checks, placed.band())


def _cores_of(limits: CoreLimits) -> int | None:
    """Return the number of cores of a chip, from its limit or its mesh."""
    if limits.cores_per_chip is None and limits.mesh is not None:
        return capacity(limits.mesh)
    return limits.cores_per_chip


def _refuse_broken(checks: tuple[Check, ...], chip: str, largest: str | None = None) -> None:
    """Raise DoesNotFitError for the first exceeded limit."""
    for check in checks:
        if check.broken:
            _refuse(check, chip, largest)


def _refuse(check: Check, chip: str, largest: str | None = None, how: str = "") -> NoReturn:
    where = "the network"
    if check.core is not None:
        where = f"core {check.core}"
    elif check.population is not None:
        where = "the input" if check.population == INPUT else f"population {check.population!r}"
    mainly = f" (mainly population {largest!r})" if largest and not check.population else ""
    raise DoesNotFitError(
        f"{where}{mainly}",
        f"{_NEEDS[check.limit]}{how}",
        chip,
        resource=check.limit,
        population=check.population or largest,
        used=check.used or 0,
        available=check.available or 0,
    )


class _Placed:
    """Placement with the use of all resources, counted independently of the filling."""

    def __init__(
        self,
        network: Network,
        wiring: Wiring,
        limits: CoreLimits,
        cores: Mapping[str, NDArray[np.int32]],
    ) -> None:
        self._limits = limits
        self.cores = MappingProxyType(cores)
        self.count = 1 + max(int(core_of.max()) for core_of in cores.values())
        used = {
            name: np.zeros(self.count, np.int64)
            for name in ("neurons", "synapses", "in_axons", "out_axons")
        }
        self.destinations: dict[str, NDArray[np.int64]] = {}
        self._pairs: list[NDArray[np.int64]] = []
        for name in wiring.sizes:
            reached_cores, reached = wiring.routes(name, cores)
            used["in_axons"][reached_cores] += np.count_nonzero(reached, axis=1)
            if name == INPUT:
                continue
            self.destinations[name] = np.count_nonzero(reached, axis=0)
            core_of = cores[name]
            np.add.at(used["neurons"], core_of, 1)
            np.add.at(used["synapses"], core_of, wiring.fan_in[name])
            np.add.at(used["out_axons"], core_of, self.destinations[name])
            for core in np.unique(core_of):
                routes = np.count_nonzero(reached[:, core_of == core], axis=1)
                pairs = np.stack([np.full(len(routes), core), reached_cores, routes])
                self._pairs.append(pairs[:, routes > 0])
        if limits.bits_per_synapse is not None:
            used["synapse_bits"] = used["synapses"] * limits.bits_per_synapse
        self.used = MappingProxyType({name: used[name] for name in _RESOURCES if name in used})
        checks = _network_checks(network, wiring, limits) + self._core_checks()
        self.checks = tuple(each for each in checks if each.limit not in limits.not_applicable)
        self.broken = any(check.broken for check in self.checks)

    def band(self) -> int:
        """Return the height of the mesh's bands for which all routes take the fewest hops."""
        if self._limits.mesh is None:
            return 1
        return nearest_band(self._limits.mesh, *np.concatenate(self._pairs, axis=1))

    def _core_checks(self) -> tuple[Check, ...]:
        by_core = any(getattr(self._limits, f"{each}_per_core") is not None for each in self.used)
        taken = self.count if by_core else None
        checks = [Check("cores_per_chip", taken, _cores_of(self._limits))]
        for resource in _RESOURCES:
            limit = getattr(self._limits, f"{resource}_per_core")
            fullest = int(self.used[resource].argmax()) if resource in self.used else None
            most = None if fullest is None else int(self.used[resource][fullest])
            checks.append(Check(f"{resource}_per_core", most, limit, core=fullest))
        most_of = {name: int(counts.max()) for name, counts in self.destinations.items()}
        widest = max(most_of, key=most_of.__getitem__)
        limit = self._limits.destination_cores_per_neuron
        checks.append(
            Check("destination_cores_per_neuron", most_of[widest], limit, population=widest)
        )
        return tuple(checks)


def _refilled(
    network: Network,
    wiring: Wiring,
    limits: CoreLimits,
    order: Neurons,
    ranges: Iterable[Range],
    destinations: Neurons | None,
) -> _Placed | None:
    """Return another placement; None if a neuron does not fit on a core."""
    try:
        cores = fill(wiring, limits, ranges, destinations, order)
    except UnplaceableError:
        return None
    return _Placed(network, wiring, limits, cores)


def _looped(
    network: Network, wiring: Wiring, limits: CoreLimits, placed: _Placed, order: Neurons
) -> _Placed:
    """Return a placement of a network with loops in which no limit is exceeded, if one is found."""
    available = _cores_of(limits) or placed.count
    bounds = {name: np.minimum(wiring.fan_out[name], available) for name in wiring.populations}
    best = placed
    for round_ in range(_ROUNDS + 1):
        destinations = bounds if round_ == _ROUNDS else placed.destinations
        found = _refilled(network, wiring, limits, order, one_by_one(wiring), destinations)
        if found is not None and not found.broken:
            return found
        placed = found or placed
    return best


def _mixed(
    network: Network,
    wiring: Wiring,
    limits: CoreLimits,
    placed: _Placed,
    bound: int,
    order: Neurons,
) -> _Placed:
    """Return an interleaved placement if it takes fewer cores, else the given one."""
    best = placed
    for _ in range(_ROUNDS if limits.out_axons_per_core is not None else 1):
        ranges = in_turn(wiring, _SLICES * bound)
        found = _refilled(network, wiring, limits, order, ranges, placed.destinations)
        if found is None:
            break
        placed = found
        if not placed.broken and (best.broken or placed.count < best.count):
            best = placed
    return best


def _network_checks(network: Network, wiring: Wiring, limits: CoreLimits) -> tuple[Check, ...]:
    """Return the checks of limits that do not depend on the placement."""
    into = max(wiring.populations, key=lambda name: int(wiring.fan_in[name].max()))
    out_of = max(wiring.populations, key=lambda name: int(wiring.fan_out[name].max()))
    hidden = [name for name in wiring.populations if name != network.readout]
    return tuple(
        Check(limit, used, getattr(limits, limit), population=population)
        for limit, used, population in (
            ("fan_in_per_neuron", int(wiring.fan_in[into].max()), into),
            ("fan_out_per_neuron", int(wiring.fan_out[out_of].max()), out_of),
            ("input_neurons", wiring.sizes[INPUT], INPUT),
            (
                "hidden_neurons",
                sum(wiring.sizes[name] for name in hidden),
                hidden[0] if len(hidden) == 1 else None,
            ),
            ("readout_neurons", network.classes, network.readout),
            ("neurons_per_chip", wiring.neurons, None),
            ("synapses_per_chip", wiring.synapses, None),
        )
    )
