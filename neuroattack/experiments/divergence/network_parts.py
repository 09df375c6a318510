"""Effect of each part in which two networks differ, such as a network before and after rounding.

The parts of one network are replaced by those of the other, one kind after the other. After each
replacement, the spikes of the other network are predicted again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.experiments.divergence.replay import Replay
from neuroattack.experiments.divergence.variation import REFERENCE, Cause
from neuroattack.ir.fixed_point import LEAK_ONE
from neuroattack.ir.network import FixedPopulation, Network, Population, Projection

__all__ = ["Replacement", "replacements"]

_MOST_WEIGHTS = 2**24
_NOTHING_LEFT = 1e3

_CAUSES: Mapping[str, Cause] = MappingProxyType(
    {
        "weights": "weight_quantization",
        "thresholds": "threshold_quantization",
        "time constants": "integration",
        "arithmetic": "rounding",
    }
)


@dataclass(frozen=True)
class Replacement:
    """Replacement of one kind of parts.

    Parameters
    ----------
    part : {"weights", "thresholds", "time constants", "arithmetic"}
        Parts that were replaced; thresholds include biases and resets, time constants include
        delays and refractory periods. The arithmetic is replaced last, with all that remains.
    explained : dict of str to int
        Decrease in the number of mismatches of each population.
    """

    part: str
    explained: dict[str, int]

    @property
    def cause(self) -> Cause:
        """Class of a divergence from this part."""
        return _CAUSES[self.part]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        return {"part": self.part, "explained": self.explained}


def replacements(
    network: Network, other: Network, recorded: Mapping[str, NDArray[Any]]
) -> tuple[Replacement, ...]:
    """Return how many spikes of the other network each kind of parts explains.

    Parameters
    ----------
    network, other : Network
        The networks; the first is in floating point. Without the same populations and projections,
        or with very many weights, there is no result.
    recorded : mapping of str to array, shape (images, steps, size)
        Spikes of the other network.
    """
    if not _are_alike(network, other):
        return ()
    found = []
    before = _mismatches(network, recorded)
    for part, hybrid in _hybrids(network, other):
        after = _mismatches(hybrid, recorded)
        found.append(Replacement(part, {name: before[name] - after[name] for name in after}))
        before = after
    return tuple(found)


def _are_alike(network: Network, other: Network) -> bool:
    names = [[p.name for p in each.populations] for each in (network, other)]
    ends = [[(p.source, p.target) for p in each.projections] for each in (network, other)]
    weights = sum(math.prod(p.shape) for p in network.projections)
    return (
        network.precision == "floating"
        and names[0] == names[1]
        and ends[0] == ends[1]
        and weights <= _MOST_WEIGHTS
    )


def _mismatches(network: Network, recorded: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    return {
        p.name: Replay(network, p.name, recorded).mismatches(REFERENCE) for p in network.populations
    }


def _hybrids(network: Network, other: Network) -> Iterator[tuple[str, Network]]:
    scales = {p.name: _scale(network, other, p.name) for p in network.populations}
    projections = tuple(
        Projection.from_weights(
            mine.source,
            mine.target,
            _weights(theirs) / scales[mine.target],
            delay_steps=mine.delay_steps,
        )
        for mine, theirs in zip(network.projections, other.projections, strict=True)
    )
    hybrid = replace(network, projections=projections)
    yield "weights", hybrid
    populations = tuple(
        _with_thresholds(_floating(p), other.population(p.name), scales[p.name])
        for p in network.populations
    )
    hybrid = replace(hybrid, populations=populations)
    yield "thresholds", hybrid
    delayed = tuple(
        replace(p, delay_steps=q.delay_steps)
        for p, q in zip(projections, other.projections, strict=True)
    )
    timed = tuple(_with_times(p, other.population(p.name), other.dt_s) for p in populations)
    yield "time constants", replace(hybrid, populations=timed, projections=delayed)
    yield "arithmetic", other


def _floating(population: Population | FixedPopulation) -> Population:
    if isinstance(population, FixedPopulation):
        raise TypeError(f"population {population.name!r} is in fixed point")
    return population


def _weights(projection: Any) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = projection.sparse().toarray() * 2.0**projection.exponent
    return weights


def _scale(network: Network, other: Network, name: str) -> float:
    """Return the units of the other network per volt, by least squares over all weights."""
    mine = np.concatenate([_weights(p).ravel() for p in network.incoming(name)] or [np.ones(1)])
    theirs = np.concatenate([_weights(p).ravel() for p in other.incoming(name)] or [np.ones(1)])
    return float(mine @ theirs / (mine @ mine)) if mine.any() and theirs.any() else 1.0


def _with_thresholds(
    mine: Population, theirs: Population | FixedPopulation, scale: float
) -> Population:
    if isinstance(theirs, FixedPopulation):
        return _changed(
            mine,
            threshold_v=theirs.threshold / scale,
            bias_v=theirs.bias / scale,
            reset="value",
            reset_v=0.0,
            comparison="strict",
        )
    return _changed(
        mine,
        threshold_v=theirs.threshold_v / scale,
        bias_v=theirs.bias_v / scale,
        reset=theirs.reset,
        reset_v=theirs.reset_v / scale,
        comparison=theirs.comparison,
    )


def _with_times(mine: Population, theirs: Population | FixedPopulation, dt_s: float) -> Population:
    if isinstance(theirs, FixedPopulation):
        return _changed(
            mine,
            # Positive, but nothing is left after a step.
            tau_m_s=_time_constant(theirs.leak, dt_s) or dt_s / _NOTHING_LEFT,
            tau_syn_s=_time_constant(theirs.current_leak, dt_s),
            refractory_steps=theirs.refractory_steps,
            input_after_update=False,
        )
    return _changed(
        mine,
        tau_m_s=theirs.tau_m_s,
        tau_syn_s=theirs.tau_syn_s,
        refractory_steps=theirs.refractory_steps,
        input_after_update=theirs.input_after_update,
    )


def _changed(population: Population, **changes: Any) -> Population:
    """Return the population with other values, numbers or arrays."""
    changed: Population = replace(population, **changes)
    return changed


def _time_constant(leak: int, dt_s: float) -> float:
    """Return the time constant of a leak in units of 1/4096 per step; 0 for one without memory."""
    if leak == 0:
        return math.inf
    return 0.0 if leak == LEAK_ONE else -dt_s / math.log1p(-leak / LEAK_ONE)
