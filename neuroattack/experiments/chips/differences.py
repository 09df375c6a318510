"""Differences between our energy estimate and that of another tool, term by term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.experiments.chips.cross_check import OtherEstimate, OtherTerm, SharedTerm
from neuroattack.experiments.divergence.difference import differing_events
from neuroattack.hardware.energy.energy import EnergyEstimate
from neuroattack.hardware.energy.terms import as_ends
from neuroattack.hardware.energy.timing import hardware_time_s
from neuroattack.hardware.fitting import Fitted
from neuroattack.hardware.profiles.energy_model import Coefficient, EnergyModel
from neuroattack.ir.network import INPUT

__all__ = ["compare_estimates"]

_PJ_PER_MW_S = 1e9
_MS_PER_S = 1e3
_PARTS = ("from_counts_pj", "from_coefficients_pj", "one_side_only_pj")

Ends = tuple[float, float]


@dataclass(frozen=True)
class _OurTerm:
    """Mean number of events per image, lower and upper bound, and energy per event."""

    count: Ends
    coefficient_pj: float | None

    @property
    def energy_pj(self) -> Ends | None:
        if self.coefficient_pj is None:
            return None
        return self.count[0] * self.coefficient_pj, self.count[1] * self.coefficient_pj


def compare_estimates(
    fitted: Fitted,
    estimate: EnergyEstimate,
    spikes: Mapping[str, SpikeTrains],
    other: OtherEstimate,
) -> dict[str, Any]:
    """Compare an estimate with that of another tool on the same images.

    The difference of a term is that of ``count * coefficient``. With the means of both counts and
    of both coefficients, it is exactly

        (difference of counts) * (mean coefficient) + (difference of coefficients) * (mean count),

    which are the parts due to counts and to coefficients. If only one estimate has the term, all of
    it is due to that. Where our count is known as bounds only, so are the parts.

    Parameters
    ----------
    fitted : Fitted
        Network on the chip.
    estimate : EnergyEstimate
        Our estimate.
    spikes : mapping of str to SpikeTrains
        Spikes in our simulation, of every population and the input.
    other : OtherEstimate
        Estimate of the other tool.

    Returns
    -------
    dict
        JSON values, means per image: ``"spikes"`` by population, with the number of differing
        entries of all images, ``"terms"``, ``"total"`` and ``"time_ms"``. Differences are the other
        estimate minus the ``"lower"`` and the ``"upper"`` bound of ours.
    """
    ours = _our_terms(estimate, spikes[INPUT].counts() @ fitted.traffic.destination_cores[INPUT])
    terms = {
        term: _compare_term(ours.get(term), other.terms.get(term))
        for term in get_args(SharedTerm)
        if term in ours or term in other.terms
    }
    total = {
        "ours": as_ends(_sum([each.energy_pj for each in ours.values()])),
        "other": float(other.total_pj.mean()),
        **{
            part: as_ends(_sum([_ends(values[part]) for values in terms.values()]))
            for part in ("difference_pj", *_PARTS)
        },
    }
    return {
        "tool": other.tool,
        "version": other.version,
        "chip": other.chip,
        "images": len(other.total_pj),
        "spikes": {
            population.name: _compare_spikes(spikes[population.name], other.spikes[population.name])
            for population in fitted.network.populations
        },
        "terms": terms,
        "total": total,
        "time_ms": _compare_time(estimate, other, fitted.network.dt_s),
    }


def _our_terms(
    estimate: EnergyEstimate, input_routes: NDArray[np.int64]
) -> dict[SharedTerm, _OurTerm]:
    """Return our terms by their shared names."""
    activity, model = estimate.activity, estimate.model
    prices = {name: each.value for name, each in model.event_pj.items()}
    base, active = prices.get("update_inactive"), prices.get("update_active")
    added = None if base is None or active is None else active - base
    routes = activity.routes - input_routes
    terms: dict[SharedTerm, _OurTerm] = {
        "synaptic_operation": _OurTerm(
            _mean(activity.synaptic_operations), prices.get("synaptic_operation")
        ),
        "neuron_update": _OurTerm(_mean(activity.updates), base),
        "active_update": _OurTerm((_mean(activity.spikes)[0], _mean(activity.updates)[1]), added),
        "message": _OurTerm(_mean(routes), prices.get("spike_in_tile")),
        "input_message": _OurTerm(_mean(input_routes), prices.get("spike_in_tile")),
    }
    if activity.hops_ew is not None and activity.hops_ns is not None:
        terms["hop_ew"] = _OurTerm(_mean(activity.hops_ew), prices.get("hop_ew"))
        terms["hop_ns"] = _OurTerm(_mean(activity.hops_ns), prices.get("hop_ns"))
    power = model.power_mw.get("static_chip")
    if estimate.time_s is not None and power is not None:
        seconds = float(estimate.time_s[0].mean()), float(estimate.time_s[1].mean())
        terms["static_chip"] = _OurTerm(seconds, power.value * _PJ_PER_MW_S)
    return terms


def _compare_term(ours: _OurTerm | None, other: OtherTerm | None) -> dict[str, Any]:
    mine = None if ours is None else ours.energy_pj
    theirs = None if other is None else float(other.energy_pj.mean())
    count = None if other is None else float(other.count.mean())
    each = None if other is None else other.coefficient_pj
    if each is None and theirs is not None and count:
        each = theirs / count
    parts: dict[str, Ends] = dict.fromkeys(_PARTS, (0.0, 0.0))
    if ours is None or ours.coefficient_pj is None or count is None or each is None:
        lower, upper = (0.0, 0.0) if mine is None else mine
        parts["one_side_only_pj"] = (theirs or 0.0) - lower, (theirs or 0.0) - upper
    else:
        mean, change = (ours.coefficient_pj + each) / 2, each - ours.coefficient_pj
        lower, upper = ours.count
        parts["from_counts_pj"] = (count - lower) * mean, (count - upper) * mean
        parts["from_coefficients_pj"] = change * (count + lower) / 2, change * (count + upper) / 2
    difference = _sum(list(parts.values()))
    return {
        "ours": None
        if ours is None
        else {
            "count": as_ends(ours.count),
            "coefficient_pj": ours.coefficient_pj,
            "energy_pj": as_ends(mine),
        },
        "other": None
        if other is None
        else {"count": count, "coefficient_pj": each, "energy_pj": theirs},
        "difference_pj": as_ends(difference),
        **{name: as_ends(part) for name, part in parts.items()},
    }


def _compare_spikes(ours: SpikeTrains, other: SpikeTrains) -> dict[str, float]:
    return {
        "ours": int(ours.counts().sum()) / len(ours),
        "other": int(other.counts().sum()) / len(other),
        "differing": len(differing_events(ours, other)),
    }


def _compare_time(estimate: EnergyEstimate, other: OtherEstimate, dt_s: float) -> dict[str, Any]:
    """Return both hardware times, and ours with the other tool's times of events."""
    exchanged = hardware_time_s(estimate.activity, _with_times(estimate.model, other.time_ns), dt_s)
    return {
        "ours": as_ends(estimate.latency_ms),
        "other": float(other.time_s.mean()) * _MS_PER_S,
        "ours_with_times_of_other": None
        if exchanged is None
        else as_ends(
            (float(exchanged[0].mean()) * _MS_PER_S, float(exchanged[1].mean()) * _MS_PER_S)
        ),
    }


def _with_times(model: EnergyModel, time_ns: Mapping[str, float]) -> EnergyModel:
    if model.timing is None or model.timing.kind != "events":
        return model
    times = {name: Coefficient(value, "", "", "code", "") for name, value in time_ns.items()}
    return replace(model, timing=replace(model.timing, event_ns=MappingProxyType(times)))


def _mean(values: NDArray[np.int64]) -> Ends:
    mean = float(values.mean())
    return mean, mean


def _ends(values: Mapping[str, float]) -> Ends:
    return values["lower"], values["upper"]


def _sum(parts: Sequence[Ends | None]) -> Ends:
    known = [part for part in parts if part is not None]
    return sum(part[0] for part in known), sum(part[1] for part in known)
