"""Energy and time coefficients of a chip's events, with their sources."""

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
"""Kinds of evidence for a number, from the strongest to the weakest."""

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
"""Terms of an estimate. The last two are powers, which are multiplied by the hardware time."""


@dataclass(frozen=True)
class Coefficient:
    """Coefficient of a chip, with its source.

    Parameters
    ----------
    value : float
        Positive value, in the unit of its table.
    source, location : str
        Reference, and location in it.
    basis : Basis
        Kind of evidence, such as a measurement.
    conditions : str
        Conditions such as supply voltage and load; "not stated" if the source does not state them.
    bound : {"min", "max"} or None
        Whether the source gives the value as a lower or an upper bound.
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
        Duration of a step: the simulated time; a fixed time; a fixed fraction of the simulated
        time; or the time of its events.
    step : Coefficient or None
        Duration of a tick in seconds, acceleration factor, or 1 for real time.
    event_ns : mapping of str to Coefficient
        Nanoseconds per ``"synaptic_operation"``, ``"update_active"`` and ``"update_inactive"``, and
        ``"barrier_fastest"`` and ``"barrier_slowest"`` per step.
    """

    kind: Literal["real_time", "tick", "accelerated", "events"]
    step: Coefficient | None = None
    event_ns: Mapping[str, Coefficient] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class EnergyModel:
    """Energy coefficients of a chip.

    Parameters
    ----------
    name : str
        Name of the chip in messages.
    scope : {"per_term", "all_in"}
        Whether each kind of event has its own coefficient, or the coefficient of a synaptic
        operation covers all of the chip's energy.
    update_policy : {"every_step", "on_event", "continuous"}
        Time of neuron updates: in each step, when spikes arrive, or continuous.
    event_pj : mapping of EnergyTerm to Coefficient
        Energy per event in picojoules.
    power_mw : mapping of EnergyTerm to Coefficient
        Power of ``"static_chip"`` (per chip) and ``"active_core"`` (per core in use) in milliwatts.
    unknown : tuple of EnergyTerm
        Terms of the chip without a published coefficient.
    covered : mapping of EnergyTerm to str
        Terms covered by the coefficient of another term, and that term.
    timing : Timing or None
        Hardware time of a step; None if unknown.
    """

    name: str
    scope: Scope
    update_policy: UpdatePolicy
    event_pj: Mapping[EnergyTerm, Coefficient] = field(default_factory=lambda: MappingProxyType({}))
    power_mw: Mapping[EnergyTerm, Coefficient] = field(default_factory=lambda: MappingProxyType({}))
    unknown: tuple[EnergyTerm, ...] = ()
    covered: Mapping[EnergyTerm, str] = field(default_factory=lambda: MappingProxyType({}))
    timing: Timing | None = None
