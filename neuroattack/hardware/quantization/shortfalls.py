"""Features of a network that a chip does not support: refused, dropped, or unchecked if unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.profiles.number_format import Feature, NumberFormat
from neuroattack.ir.network import INPUT, Network, Population, Projection
from neuroattack.ir.values import span

__all__ = ["unknown_fields", "without_shortfalls"]


def without_shortfalls(
    network: Network, number_format: NumberFormat, *, allow_lossy: bool
) -> tuple[Network, tuple[str, ...]]:
    """Return the network without unsupported features, and a description of each dropped one.

    Refractory periods and delays out of range are set to the nearest supported value, the reset
    potential is set to rest, and biases and leak are removed. Of the projections into a population,
    only the first from the preceding population is kept. A chip with another kind of reset is
    simulated with a reset to a fixed potential.

    Parameters
    ----------
    network : Network
        Network in floating point.
    number_format : NumberFormat
        Number formats of the chip.
    allow_lossy : bool
        Whether features may be dropped.

    Raises
    ------
    UnsupportedFeatureError
        For the first unsupported feature, unless it may be dropped. Always if the chip does not
        support arbitrary weights, or a threshold would not be above the reset potential.
    """
    fitter = _Fitter(number_format, allow_lossy)
    if "free_weights" in number_format.lacks:
        raise UnsupportedFeatureError(f"free weights: {fitter.lack('free_weights')}")
    fitted = replace(
        network,
        populations=tuple(
            fitter.population(each) for each in network.populations if isinstance(each, Population)
        ),
        projections=tuple(map(fitter.projection, fitter.adjacent(network))),
    )
    return fitted, tuple(fitter.dropped)


def unknown_fields(network: Network, number_format: NumberFormat) -> tuple[str, ...]:
    """Return the fields of the format against which a network is not checked or rounded.

    They are unknown, or do not apply because potentials are in floating point.
    """
    populations = [each for each in network.populations if isinstance(each, Population)]
    state, lacks = number_format.state, number_format.lacks
    needed = {
        "weight_bits": number_format.weight_bits is None,
        "state": state is None,
        "leak_bits": state is not None
        and state.leak_bits is None
        and "leak" not in lacks
        and any(np.isfinite(each.tau_m_s).any() for each in populations),
        "threshold_bits": state is None or number_format.threshold_bits is None,
        "bias": (state is None or number_format.bias is None)
        and "bias" not in lacks
        and any(each.bias_v.any() for each in populations),
        "refractory_steps": number_format.refractory_steps is None
        and "refractory_period" not in lacks
        and any(each.refractory_steps.any() for each in populations),
        "delay_steps": number_format.delay_steps is None and "delay" not in lacks,
    }
    return tuple(field for field, unchecked in needed.items() if unchecked)


class _Fitter:
    def __init__(self, number_format: NumberFormat, allow_lossy: bool) -> None:
        self._format = number_format
        self._allow_lossy = allow_lossy
        self.dropped: list[str] = []

    def lack(self, feature: Feature) -> str:
        return f"not supported by {self._format.name} ({self._format.lacks[feature]})"

    def population(self, population: Population) -> Population:
        name, lacks = population.name, self._format.lacks
        if "reset_to_rest" in lacks:
            self._drop(f"reset of {name} to a fixed potential", self.lack("reset_to_rest"))
        if self._format.state is not None and population.reset_v.any():
            limit = f"neurons of {self._format.name} reset to 0 V"
            self._drop(f"reset of {name} to {span(population.reset_v)} V", limit)
            lowest = float(population.threshold_v.min())
            if lowest <= 0:
                raise UnsupportedFeatureError(f"threshold of {name}, {lowest:g} V: {limit}")
            population = replace(population, reset_v=np.zeros(()))
        if "bias" in lacks and population.bias_v.any():
            largest = float(np.abs(population.bias_v).max())
            self._drop(f"bias of {name}, up to {largest:g} V", self.lack("bias"))
            population = replace(population, bias_v=np.zeros(()))
        if "leak" in lacks and np.isfinite(population.tau_m_s).any():
            self._drop(
                f"leak of {name}, time constant {span(population.tau_m_s)} s", self.lack("leak")
            )
            population = replace(population, tau_m_s=np.array(np.inf))
        steps = self._in_range(
            f"refractory period of {name}", int(population.refractory_steps[0]), "refractory_period"
        )
        return replace(population, refractory_steps=np.array(steps))

    def projection(self, projection: Projection) -> Projection:
        what = f"delay of {projection.source}->{projection.target}"
        steps = self._in_range(what, projection.delay_steps, "delay")
        return replace(projection, delay_steps=steps)

    def adjacent(self, network: Network) -> list[Projection]:
        """Return the projections that remain if projections may not skip populations."""
        if "skip_projection" not in self._format.lacks:
            return [projection.dense() for projection in network.projections]
        order = [INPUT, *(population.name for population in network.populations)]
        kept: list[Projection] = []
        for projection in (each.dense() for each in network.projections):
            skips = order.index(projection.target) - order.index(projection.source) > 1
            if skips or any(projection.target == other.target for other in kept):
                self._drop(
                    f"{'skip' if skips else 'second'} projection "
                    f"{projection.source}->{projection.target}",
                    self.lack("skip_projection"),
                )
            else:
                kept.append(projection)
        return kept

    def _in_range(self, what: str, steps: int, feature: Feature) -> int:
        """Return the nearest supported number of steps."""
        limits = self._format.delay_steps
        if feature == "refractory_period":
            limits = self._format.refractory_steps
        if feature in self._format.lacks:
            fewest = 1 if feature == "delay" else 0
            limits, limit = (fewest, fewest), self.lack(feature)
        elif limits is None:
            return steps
        else:
            limit = f"{self._format.name} supports {limits[0]} to {limits[1]}"
        nearest = min(max(steps, limits[0]), limits[1])
        if nearest != steps:
            self._drop(f"{what}, {steps} time steps", limit)
        return nearest

    def _drop(self, what: str, limit: str) -> None:
        if not self._allow_lossy:
            raise UnsupportedFeatureError(f"{what}: {limit}")
        self.dropped.append(f"{what}: {limit}")
