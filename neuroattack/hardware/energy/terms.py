"""Terms of an energy estimate: counts of events times energy coefficients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.hardware.energy.activity import Activity
from neuroattack.hardware.energy.timing import Bounds
from neuroattack.hardware.profiles.energy_model import Coefficient, EnergyModel, EnergyTerm

__all__ = ["POWERS", "UPDATES", "TermEstimate", "as_ends", "estimate_terms", "mean_of"]

_PJ_PER_MW_S = 1e9

_UNITS: dict[EnergyTerm, str] = {
    "synaptic_operation": "synaptic operations",
    "update_active": "neuron updates",
    "update_inactive": "neuron updates",
    "spike_in_tile": "routes (one per spike and destination core)",
    "hop_ew": "hops",
    "hop_ns": "hops",
    "spike_packet": "packets (one per spike)",
    "synapse_fetch": "arrivals of spikes at cores",
    "barrier": "steps",
    "host_io": "input spikes",
    "static_chip": "seconds of the chip",
    "active_core": "seconds, summed over the cores in use",
}

POWERS = frozenset(("static_chip", "active_core"))
"""Terms that are a power in milliwatts times hardware time."""

UPDATES: tuple[EnergyTerm, EnergyTerm] = ("update_active", "update_inactive")
_IN_ALL_IN: tuple[EnergyTerm, ...] = ("spike_in_tile", "hop_ew", "hop_ns")
"""Terms covered by an all-in coefficient that are listed besides updates and static power."""


@dataclass(frozen=True, eq=False)
class TermEstimate:
    """One term of an energy estimate.

    Parameters
    ----------
    term : EnergyTerm
        Name of the term.
    count : (lower, upper) of float64 arrays, shape (images,); or None
        Number of events for the lower and the upper bound of the total; None if unknown.
    coefficient : Coefficient or None
        Energy per event in picojoules, or power in milliwatts; None without a published
        coefficient, or if the coefficient of another term covers it.
    covered_by : str
        Term whose coefficient covers this one's energy; empty if there is none.
    energy_pj : (lower, upper) of float64 arrays, shape (images,); or None
        Count times coefficient; None if either is missing.
    """

    term: EnergyTerm
    count: Bounds | None
    coefficient: Coefficient | None
    covered_by: str
    energy_pj: Bounds | None

    @property
    def status(self) -> Literal["estimated", "covered", "without_coefficient"]:
        """Whether the term is estimated, covered by another term, or lacks a coefficient."""
        if self.covered_by:
            return "covered"
        return "without_coefficient" if self.energy_pj is None else "estimated"

    @property
    def mean_pj(self) -> tuple[float, float] | None:
        """Lower and upper bound of the mean over images."""
        return mean_of(self.energy_pj)

    def as_json(self) -> dict[str, Any]:
        """Return means over images, and the coefficient with its source, as JSON values."""
        return {
            "status": self.status,
            "unit": _UNITS[self.term],
            "count_per_image": as_ends(mean_of(self.count)),
            "energy_pj_per_image": as_ends(self.mean_pj),
            "coefficient": None if self.coefficient is None else asdict(self.coefficient),
            "coefficient_unit": "mW" if self.term in POWERS else "pJ",
            "covered_by": self.covered_by or None,
        }


def estimate_terms(
    activity: Activity, model: EnergyModel, time_s: Bounds | None
) -> dict[EnergyTerm, TermEstimate]:
    """Count the events of a chip's terms and multiply them by their coefficients.

    See :func:`neuroattack.hardware.energy.energy.estimate` for parameters and errors; `time_s` is
    the hardware time of each image.
    """
    counts = _counts(activity, time_s) | _update_counts(activity, model)
    return {term: _term(term, counts.get(term), model) for term in _listed(counts, model)}


def mean_of(bounds: Bounds | None) -> tuple[float, float] | None:
    """Return lower and upper bound of the mean over images; sums are computed without rounding."""
    if bounds is None:
        return None
    lower, upper = (math.fsum(ends.tolist()) / len(ends) for ends in bounds)
    return lower, upper


def as_ends(bounds: tuple[float, float] | None) -> dict[str, float] | None:
    """Return a lower and an upper bound as JSON values."""
    return bounds and {"lower": bounds[0], "upper": bounds[1]}


def _counts(activity: Activity, time_s: Bounds | None) -> dict[EnergyTerm, Bounds | None]:
    """Return the number of events in each image, for each term except updates."""
    by_core = activity.is_by_core
    routes = activity.routes if by_core else None
    counted: dict[EnergyTerm, NDArray[np.int64] | None] = {
        "synaptic_operation": activity.synaptic_operations,
        "spike_in_tile": routes,
        "hop_ew": activity.hops_ew if by_core else None,
        "hop_ns": activity.hops_ns if by_core else None,
        "spike_packet": activity.packets,
        "synapse_fetch": routes,
        "barrier": activity.steps,
        "host_io": activity.input_spikes,
    }
    found: dict[EnergyTerm, Bounds | None] = {
        term: None if count is None else _floats(count, count) for term, count in counted.items()
    }
    found["static_chip"], found["active_core"] = time_s, None
    if time_s is not None and by_core:
        found["active_core"] = activity.cores * time_s[0], activity.cores * time_s[1]
    return found


def _update_counts(activity: Activity, model: EnergyModel) -> dict[EnergyTerm, Bounds | None]:
    """Return the numbers of active and inactive updates of each image, for both bounds."""
    active, inactive = (model.event_pj.get(term) for term in UPDATES)
    if model.update_policy == "continuous":
        return {}
    if model.update_policy == "every_step":
        updates, spiking = activity.updates, activity.spikes
    elif activity.updates_on_event is not None and activity.spiking_on_event is not None:
        updates, spiking = activity.updates_on_event, activity.spiking_on_event
    elif active or inactive:
        raise ValidationError(
            f"activity on {model.name}",
            "spike counts only",
            "recorded spikes, because this chip updates neurons when spikes arrive",
        )
    else:
        return dict.fromkeys(UPDATES)
    if active and not inactive and "update_inactive" not in model.covered:
        return {"update_active": _floats(updates, updates)}
    if inactive and not active and "update_active" not in model.covered:
        return {"update_inactive": _floats(updates, updates)}
    # Active updates are at least those with a spike, at most all; the upper bound is the case with
    # more energy.
    least, most = spiking, updates
    if (active.value if active else 0.0) < (inactive.value if inactive else 0.0):
        least, most = most, least
    return {
        "update_active": _floats(least, most),
        "update_inactive": _floats(updates - least, updates - most),
    }


def _listed(counts: Mapping[EnergyTerm, Bounds | None], model: EnergyModel) -> Iterator[EnergyTerm]:
    """Yield the terms of the chip, in order."""
    has = {"synaptic_operation", "static_chip", *model.event_pj, *model.power_mw}
    has |= {*model.unknown, *model.covered}
    if model.scope == "all_in":
        has |= {term for term in _IN_ALL_IN if counts.get(term) is not None}
        # An all-in coefficient is that of the chip, without its input and output.
        has -= {"host_io"}
    for term in get_args(EnergyTerm):
        listed = counts if term in UPDATES and model.update_policy != "continuous" else has
        if term in listed:
            yield term


def _term(term: EnergyTerm, count: Bounds | None, model: EnergyModel) -> TermEstimate:
    """Return the estimate of a term; without energy if a known coefficient covers it."""
    covered_by = model.covered.get(term, "")
    if covered_by not in model.event_pj and covered_by not in model.power_mw:
        covered_by = ""
    if model.scope == "all_in" and term != "synaptic_operation":
        covered_by = "synaptic_operation"
    power = term in POWERS
    coefficient = None if covered_by else (model.power_mw if power else model.event_pj).get(term)
    energy_pj = None
    if coefficient is not None and count is not None:
        scale = _PJ_PER_MW_S if power else 1.0
        energy_pj = (count[0] * coefficient.value * scale, count[1] * coefficient.value * scale)
    return TermEstimate(term, count, coefficient, covered_by, energy_pj)


def _floats(lower: NDArray[np.int64], upper: NDArray[np.int64]) -> Bounds:
    return lower.astype(np.float64), upper.astype(np.float64)
