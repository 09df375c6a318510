"""Energy and time of a chip's events: coefficients with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

__all__ = [
    "BASES",
    "Basis",
    "Bound",
    "Coefficient",
    "EnergyModel",
    "EnergyTerm",
    "Scope",
    "Timing",
    "UpdatePolicy",
]

Basis = Literal["measured", "simulated", "derived", "design", "code", "vendor"]

BASES: tuple[Basis, ...] = ("measured", "simulated", "derived", "design", "code", "vendor")
"""What a number may rest on, the strongest first."""

Bound = Literal["min", "max"]
Scope = Literal["per_term", "all_in"]
UpdatePolicy = Literal["every_step", "on_event", "continuous"]

EnergyTerm = Literal[
    "synaptic_operation",
    "update_active",
    "update_inactive",
    "spike_in_tile",
    "hop_ew",
    "hop_ns",
    "spike_packet",
    "synapse_fetch",
    "barrier",
    "host_io",
    "static_chip",
    "active_core",
]
"""What an estimate counts. The last two are powers, priced over hardware time."""


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of a chip, and its source.

    Parameters
    ----------
    value : float
        In the unit of the table it stands in, positive.
    source, place : str
        Reference, and where in it.
    basis : Basis
        Of the number, such as a measurement.
    conditions : str
        Such as supply voltage and load; "not stated" where the source says nothing.
    bound : {"min", "max"} or None
        Whether the source gives it as a lower or an upper bound.
    note : str
        Remarks.
    """

    value: float
    source: str
    location: str
    basis: Basis
    conditions: str
    bound: Bound | None = None
    note: str = ""


@dataclass(frozen=True)
class Timing:
    """Hardware time of a time step.

    Parameters
    ----------
    kind : {"real_time", "tick", "accelerated", "events"}
        A step takes as long as it simulates; a fixed time; a fixed fraction of what it
        simulates; or as long as its events take.
    step : Coefficient or None
        Seconds of a tick, factor of the acceleration, or 1 for real time, with the source.
    event_ns : mapping of str to Price
        Nanoseconds of a ``"synaptic_operation"``, ``"update_active"``, ``"update_inactive"``,
        and of a ``"barrier_fastest"`` and ``"barrier_slowest"``, once a step.
    """

    kind: Literal["real_time", "tick", "accelerated", "events"]
    step: Coefficient | None = None
    event_ns: Mapping[str, Coefficient] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class EnergyModel:
    """Coefficients of a chip's energy.

    Parameters
    ----------
    name : str
        Of the chip, for messages.
    scope : {"per_term", "all_in"}
        Whether each kind of event has its price, or a synaptic operation's price covers all of
        the chip's energy.
    update_policy : {"every_step", "on_event", "continuous"}
        When neurons are updated: in each step, when spikes arrive, or in continuous time.
    event_pj : mapping of EnergyTerm to Price
        Picojoules per event.
    power_mw : mapping of EnergyTerm to Price
        Milliwatts of ``"static_chip"`` (a chip) and ``"active_core"`` (a core in use).
    unknown : tuple of EnergyTerm
        Terms of the chip without a published coefficient.
    covered : mapping of EnergyTerm to str
        Terms that are covered by the price of another term, and which.
    timing : Timing or None
        None where hardware time is not known.
    """

    name: str
    scope: Scope
    update_policy: UpdatePolicy
    event_pj: Mapping[EnergyTerm, Coefficient] = field(default_factory=lambda: MappingProxyType({}))
    power_mw: Mapping[EnergyTerm, Coefficient] = field(default_factory=lambda: MappingProxyType({}))
    unknown: tuple[EnergyTerm, ...] = ()
    covered: Mapping[EnergyTerm, str] = field(default_factory=lambda: MappingProxyType({}))
    timing: Timing | None = None
