"""Cross-checks of energy estimates with other tools, and their registry.

Tools register under the entry-point group ``neuroattack.cross_checks``: a name and a class without
arguments that has the interface of :class:`CrossCheck`. A tool simulates the quantized network, on
the cores on which it was placed, and estimates its energy with counts and coefficients of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.backend import Availability
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import BackendUnavailableError, UnknownNameError, ValidationError
from neuroattack.hardware.fitting import Fitted

__all__ = [
    "CrossCheck",
    "OtherEstimate",
    "OtherEstimator",
    "OtherTerm",
    "SharedTerm",
    "load_cross_check",
]

ENTRY_POINT_GROUP = "neuroattack.cross_checks"

SharedTerm = Literal[
    "synaptic_operation",
    "neuron_update",
    "active_update",
    "spike_generation",
    "message",
    "hop_ew",
    "hop_ns",
    "input_message",
    "input_hop_ew",
    "input_hop_ns",
    "static_chip",
]
"""Terms in which estimates are compared.

An active update costs `active_update` in addition to `neuron_update`. A message is sent for each
spike and destination core. Messages and hops of input spikes are separate terms.
"""


@dataclass(frozen=True, eq=False)
class OtherTerm:
    """Term of the estimate of another tool.

    Parameters
    ----------
    count : int64 array, shape (images,)
        Number of events.
    energy_pj : float64 array, shape (images,)
        Energy of these events.
    coefficient_pj : float or None, optional
        Energy per event; None if events differ in energy.
    """

    count: NDArray[np.int64]
    energy_pj: NDArray[np.float64]
    coefficient_pj: float | None = None


@dataclass(frozen=True, eq=False)
class OtherEstimate:
    """Simulation of images by another tool, and its estimate.

    Parameters
    ----------
    tool, version, chip : str
        Name and version of the tool, and its name for the description of the chip.
    spikes : mapping of str to SpikeTrains
        Spikes of every population.
    terms : mapping of SharedTerm to OtherTerm
        Terms, whose energies sum to `total_pj`.
    total_pj : float64 array, shape (images,)
        Total energy that the tool reports.
    time_s : float64 array, shape (images,)
        Hardware time that the tool reports.
    time_ns : mapping of str to float
        Times of events, with the names of the table ``[time_ns]`` of a profile.
    """

    tool: str
    version: str
    chip: str
    spikes: Mapping[str, SpikeTrains]
    terms: Mapping[SharedTerm, OtherTerm]
    total_pj: NDArray[np.float64]
    time_s: NDArray[np.float64]
    time_ns: Mapping[str, float]

    @classmethod
    def concatenate(cls, parts: Sequence[OtherEstimate]) -> OtherEstimate:
        """Join the estimates of consecutive batches."""
        first = parts[0]
        return cls(
            first.tool,
            first.version,
            first.chip,
            {
                name: SpikeTrains.concatenate([part.spikes[name] for part in parts])
                for name in first.spikes
            },
            {
                term: OtherTerm(
                    np.concatenate([part.terms[term].count for part in parts]),
                    np.concatenate([part.terms[term].energy_pj for part in parts]),
                    first.terms[term].coefficient_pj,
                )
                for term in first.terms
            },
            np.concatenate([part.total_pj for part in parts]),
            np.concatenate([part.time_s for part in parts]),
            first.time_ns,
        )


class OtherEstimator(Protocol):
    """Fitted network in another tool."""

    def run(self, inputs: SpikeTrains) -> OtherEstimate:
        """Simulate a batch of input spikes and estimate its energy.

        Raises
        ------
        SimulationError
            If the tool failed.
        """
        ...

    def close(self) -> None:
        """Release processes and memory of the tool."""
        ...


class CrossCheck(Protocol):
    """Tool for a cross-check; the registry creates it without arguments.

    `profiles` are the ids of the hardware profiles of which it has a description.
    """

    name: str
    profiles: frozenset[str]

    def availability(self) -> Availability:
        """Return whether the tool can run here, without raising exceptions."""
        ...

    def deploy(self, fitted: Fitted) -> OtherEstimator:
        """Prepare a network to run.

        Raises
        ------
        UnsupportedFeatureError
            If the tool does not support a feature of the network exactly.
        DoesNotFitError
            If the network does not fit on the tool's chip.
        SimulationError
            If the tool failed.
        """
        ...


def load_cross_check(name: str, profiles: Sequence[str]) -> CrossCheck:
    """Return the tool registered under a name, for networks under the given profiles.

    Raises
    ------
    UnknownNameError
        If no tool has that name.
    ValidationError
        If the tool has no description of one of the profiles.
    BackendUnavailableError
        If it cannot run here; the message has the reason.
    """
    registered: dict[str, EntryPoint] = {
        point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)
    }
    if name not in registered:
        raise UnknownNameError("cross-check", name, registered)
    try:
        found: CrossCheck = registered[name].load()()
    except Exception as error:
        raise BackendUnavailableError(
            f"cross-check {name!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    unknown = [profile for profile in profiles if profile not in found.profiles]
    if unknown:
        raise ValidationError(
            f"cross-check {name!r} profile", ", ".join(unknown), " or ".join(sorted(found.profiles))
        )
    state = found.availability()
    if not state.available:
        raise BackendUnavailableError(f"cross-check {name!r} is not available: {state.reason}")
    return found
