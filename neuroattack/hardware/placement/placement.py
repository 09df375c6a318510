"""Neurons on the cores of a chip, under every limit that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import DoesNotFitError
from neuroattack.hardware.placement.filling import UnplaceableError, fill, in_turn, one_by_one
from neuroattack.hardware.placement.mesh_order import capacity, nearest_band
from neuroattack.hardware.placement.wiring import Wiring
from neuroattack.hardware.profiles.core_limits import CoreLimits
from neuroattack.ir.network import INPUT, Network

__all__ = ["Check", "Placement", "place"]

_RESOURCES = ("neurons", "synapses", "synapse_bits", "in_axons", "out_axons")
"""Of a core; the chip's limit of each ends in ``_per_core``."""

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

# Cores relative to the lower bound with which a placement is good enough.
_ENOUGH = 1.1
# Slices per core of each population where populations take turns, and the rounds of that, each
# with the routes of the one before.
_SLICES = 2
_ROUNDS = 3


@dataclass(frozen=True)
class Check:
    """One limit of a chip, and what a network uses of it.

    Parameters
    ----------
    limit : str
        Field of :class:`CoreLimits`.
    used : int or None
        Largest use by a population or core, or that of the whole network; None if not countable.
    available : int or None
        None if the limit is not known: it is then not checked.
    population : str or None
        The population with the largest use, or ``"input"``.
    core : int or None
        The core with the largest use.
    """

    limit: str
    used: int | None
    available: int | None
    population: str | None = None
    core: int | None = None

    @property
    def broken(self) -> bool:
        """Whether more is used than there is."""
        return self.used is not None and self.available is not None and self.used > self.available


@dataclass(frozen=True, eq=False)
class Placement:
    """Cores of the neurons of a network on one chip.

    Parameters
    ----------
    limits : CoreLimits
        Of the chip.
    cores : mapping of str to int32 array, shape (size,)
        Core of every neuron of every population, from 0 in feed-forward order. The input is off
        the chip and has none.
    used : mapping of str to int64 array, shape (cores_used,)
        ``neurons``, ``synapses``, ``synapse_bits`` if the bits per connection are known,
        ``in_axons`` and ``out_axons`` of every core.
    lower_bound_cores : int
        No placement takes fewer cores: the most that one resource requires.
    checks : tuple of Check
        Every limit that the chip may have.
    band : int
        Rows of the mesh through which the cores follow one another, as in
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
        """Cores with a neuron on them."""
        return len(self.used["neurons"])

    @property
    def is_by_core(self) -> bool:
        """Whether a limit of cores is known; if none is, one core of unknown size has all."""
        return any(limit.endswith("_per_core") for limit in self.utilization)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Limits that could not be checked because a number is not known."""
        return tuple(check.limit for check in self.checks if check.limit not in self.utilization)

    @property
    def utilization(self) -> dict[str, tuple[int, int]]:
        """Largest use of every known limit, and what is available there."""
        return {
            check.limit: (check.used, check.available)
            for check in self.checks
            if check.used is not None and check.available is not None
        }


def place(network: Network, limits: CoreLimits) -> Placement:
    """Place a network on one chip: greedy and deterministic.

    Neurons follow one another in feed-forward order, and a core is filled before the next is
    opened; populations may share one. Filling goes from the last neuron to the first, for only
    once its targets have a core is it known how many cores a neuron has routes to.

    If that takes over a tenth more cores than `lower_bound_cores`, or more than there are,
    slices of all populations in turn are tried, which waste less where one population has many
    neurons and another many connections; they are kept if they take fewer cores, for spikes then
    go to more of them. Consecutive cores are neighbors on a mesh, in bands of as many rows as
    minimize the hops of all routes.

    A core is closed only when the next neuron does not fit. If one limit of cores closes them
    all, of neurons or of connections, and no neuron takes more than the part `a` of it, at most
    ``1 + lower_bound_cores / (1 - a)`` cores are used: with ``a = 1/22``, within a tenth of the
    bound from 20 cores on. Limits of axons depend on what shares a core and have no such bound.

    Parameters
    ----------
    network : Network
        Only connections with nonzero weight count.
    limits : CoreLimits
        Of the chip. What is not known does not limit: if nothing is known per core, one core
        has all. Fan-out and destinations are limits of neurons on the chip, not of the input.

    Raises
    ------
    DoesNotFitError
        Naming the resource, the population that takes it, and how much.
    """
    wiring = Wiring.of(network)
    _refuse_broken(_whole_checks(network, wiring, limits), limits.name)
    least = wiring.least_destinations(limits)
    bound, largest = wiring.lower_bound(limits, least)
    available = _cores_of(limits)
    if available is not None and bound > available:
        _refuse(Check("cores_per_chip", bound, available), limits.name, largest, " at least")
    try:
        cores = fill(wiring, limits, one_by_one(wiring))
    except UnplaceableError as reason:
        limit: int = getattr(limits, reason.limit)
        _refuse(Check(reason.limit, reason.used, limit, population=reason.population), limits.name)
    placed = _Placed(network, wiring, limits, cores)
    if placed.broken or placed.count > _ENOUGH * bound:
        placed = _mixed(network, wiring, limits, placed, bound)
    _refuse_broken(placed.checks, limits.name, largest)
    return Placement(limits, placed.cores, placed.used, bound, placed.checks, placed.band())


def _cores_of(limits: CoreLimits) -> int | None:
    """Return the cores of a chip, by their number or its mesh."""
    if limits.cores_per_chip is None and limits.mesh is not None:
        return capacity(limits.mesh)
    return limits.cores_per_chip


def _refuse_broken(checks: tuple[Check, ...], chip: str, largest: str | None = None) -> None:
    """Raise DoesNotFitError for the first limit that does not hold."""
    for check in checks:
        if check.broken:
            _refuse(check, chip, largest)


def _refuse(check: Check, chip: str, largest: str | None = None, how: str = "") -> NoReturn:
    where = "the network"
    if check.core is not None:
        where = f"core {check.core}"
    elif check.population is not None:
        where = "the input" if check.population == INPUT else f"population {check.population!r}"
    above_all = f", population {largest!r} above all," if largest and not check.population else ""
    raise DoesNotFitError(
        f"{where}{above_all}",
        f"{_NEEDS[check.limit]}{how}",
        chip,
        resource=check.limit,
        population=check.population or largest,
        used=check.used or 0,
        available=check.available or 0,
    )


class _Placed:
    """Use of the cores, counted anew from the cores of the neurons."""

    def __init__(
        self,
        network: Network,
        wiring: Wiring,
        limits: CoreLimits,
        cores: Mapping[str, NDArray[np.int32]],
    ) -> None:
        self._limits = limits
        self.cores = MappingProxyType(cores)
        self.count = 1 + max(int(place.max()) for place in cores.values())
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
            place = cores[name]
            np.add.at(used["neurons"], place, 1)
            np.add.at(used["synapses"], place, wiring.fan_in[name])
            np.add.at(used["out_axons"], place, self.destinations[name])
            for core in np.unique(place):
                routes = np.count_nonzero(reached[:, place == core], axis=1)
                pairs = np.stack([np.full(len(routes), core), reached_cores, routes])
                self._pairs.append(pairs[:, routes > 0])
        if limits.bits_per_synapse is not None:
            used["synapse_bits"] = used["synapses"] * limits.bits_per_synapse
        self.used = MappingProxyType({name: used[name] for name in _RESOURCES if name in used})
        checks = _whole_checks(network, wiring, limits) + self._core_checks()
        self.checks = tuple(each for each in checks if each.limit not in limits.not_applicable)
        self.broken = any(check.broken for check in self.checks)

    def band(self) -> int:
        """Return the band of the mesh by which all routes take the fewest hops."""
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


def _mixed(
    network: Network, wiring: Wiring, limits: CoreLimits, placed: _Placed, bound: int
) -> _Placed:
    """Return a placement with all populations in turn if it takes fewer cores, else the given."""
    best = placed
    for _ in range(_ROUNDS if limits.out_axons_per_core is not None else 1):
        try:
            cores = fill(wiring, limits, in_turn(wiring, _SLICES * bound), placed.destinations)
        except UnplaceableError:
            break
        placed = _Placed(network, wiring, limits, cores)
        if not placed.broken and (best.broken or placed.count < best.count):
            best = placed
    return best


def _whole_checks(network: Network, wiring: Wiring, limits: CoreLimits) -> tuple[Check, ...]:
    """Return the limits that hold or do not wherever the neurons lie."""
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
