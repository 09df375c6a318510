"""What a network has and a chip lacks, or is not known to have: refused, or dropped and said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.quantization.number_format import Feature, NumberFormat
from neuroattack.ir.network import INPUT, Network, Population, Projection

__all__ = ["unknown_fields", "without_shortfalls"]


def without_shortfalls(
    network: Network, number_format: NumberFormat, *, allow_lossy: bool
) -> tuple[Network, tuple[str, ...]]:
    """Return the network without what the chip lacks, and a sentence for each thing dropped.

    Refractory periods and delays out of the chip's range go to its nearest end, a reset
    potential to rest, biases and leak to none; of the projections into a population, the first
    from the population before it stays. A chip that resets otherwise than to rest is simulated
    with a reset to rest, and the sentence says so.

    Parameters
    ----------
    network : Network
        In floating point.
    number_format : NumberFormat
        Of the chip.
    allow_lossy : bool
        Whether anything may be dropped.

    Raises
    ------
    UnsupportedFeatureError
        Naming the first thing the chip lacks, unless that may be dropped. Always where it has
        no free weights, and where a threshold would be at or below its reset potential.
    """
    fitter = _Fitter(number_format, allow_lossy)
    if "free_weights" in number_format.lacks:
        first = network.projections[0] if network.projections else None
        where = f"projection {first.source}->{first.target}" if first else "the network"
        raise UnsupportedFeatureError(
            f"{where} has a weight of its own for each connection: {number_format.name} does not "
            f"({number_format.lacks['free_weights']})"
        )
    fitted = replace(
        network,
        populations=tuple(
            fitter.population(each) for each in network.populations if isinstance(each, Population)
        ),
        projections=tuple(fitter.projection(each) for each in fitter.neighbouring(network)),
    )
    return fitted, tuple(fitter.dropped)


def unknown_fields(network: Network, number_format: NumberFormat) -> tuple[str, ...]:
    """Return the fields that a network, in floating point, is not checked or rounded by.

    They are not known of the chip, or do not apply as its potentials are in floating point.
    """
    floating = number_format.state is None
    populations = [each for each in network.populations if isinstance(each, Population)]
    needed = {
        "weight_bits": number_format.weight_bits is None,
        "state": floating,
        "leak_bits": number_format.state is not None
        and number_format.state.leak_bits is None
        and "leak" not in number_format.lacks
        and any(math.isfinite(each.tau_m_s) for each in populations),
        "threshold_bits": floating or number_format.threshold_bits is None,
        "bias": (floating or number_format.bias is None)
        and "bias" not in number_format.lacks
        and any(each.bias_v.any() for each in populations),
        "refractory_steps": number_format.refractory_steps is None
        and "refractory_period" not in number_format.lacks
        and any(each.refractory_steps for each in populations),
        "delay_steps": number_format.delay_steps is None and "delay" not in number_format.lacks,
    }
    return tuple(field for field, unchecked in needed.items() if unchecked)


class _Fitter:
    def __init__(self, number_format: NumberFormat, allow_lossy: bool) -> None:
        self._format = number_format
        self._allow_lossy = allow_lossy
        self.dropped: list[str] = []

    def population(self, population: Population) -> Population:
        me = population.name
        what = f"population {me!r}"
        name = self._format.name
        if "reset_to_rest" in self._format.lacks:
            self._give_up(
                f"{what} resets to a fixed potential after a spike: {self._lack('reset_to_rest')}",
                f"reset of {me}: simulated as a reset to a fixed potential, "
                f"which is not {name}'s ({self._format.lacks['reset_to_rest']})",
            )
        if self._format.state is not None and population.reset_v:
            self._give_up(
                f"{what} resets to {population.reset_v:g} V: {name}'s neurons reset to rest, 0 V",
                f"reset potential of {me}: {population.reset_v:g} V became 0 V, rest",
            )
            lowest = float(population.threshold_v.min())
            if lowest <= 0:
                raise UnsupportedFeatureError(
                    f"{what} has a threshold of {lowest:g} V: {name}'s neurons reset to rest, 0 V, "
                    "and thresholds are above it"
                )
            population = replace(population, reset_v=0.0)
        if "bias" in self._format.lacks and population.bias_v.any():
            largest = float(np.abs(population.bias_v).max())
            self._give_up(
                f"{what} has biases of up to {largest:g} V: {self._lack('bias')}",
                f"biases of {me}: up to {largest:g} V in magnitude became 0 V",
            )
            population = replace(population, bias_v=np.zeros(()))
        if "leak" in self._format.lacks and math.isfinite(population.tau_m_s):
            self._give_up(
                f"{what} has a leak, with a time constant of {population.tau_m_s:g} s: "
                f"{self._lack('leak')}",
                f"leak of {me}: a time constant of {population.tau_m_s:g} s became infinite",
            )
            population = replace(population, tau_m_s=math.inf)
        steps = self._in_range(
            population.refractory_steps,
            0,
            "refractory_period",
            self._format.refractory_steps,
            (f"{what} has a refractory period of", f"refractory period of {me}"),
        )
        return replace(population, refractory_steps=steps)

    def projection(self, projection: Projection) -> Projection:
        me = f"{projection.source}->{projection.target}"
        steps = self._in_range(
            projection.delay_steps,
            1,
            "delay",
            self._format.delay_steps,
            (f"projection {me} has a delay of", f"delay of {me}"),
        )
        return replace(projection, delay_steps=steps)

    def neighbouring(self, network: Network) -> list[Projection]:
        """Return the projections that may stay where none may skip a population."""
        if "skip_projection" not in self._format.lacks:
            return list(network.projections)
        order = [INPUT, *(population.name for population in network.populations)]
        kept: list[Projection] = []
        for projection in network.projections:
            me = f"{projection.source}->{projection.target}"
            if order.index(projection.target) - order.index(projection.source) > 1:
                problem = "skips a population"
            elif any(projection.target == other.target for other in kept):
                problem = f"is not the only one into {projection.target}"
            else:
                kept.append(projection)
                continue
            self._give_up(
                f"projection {me} {problem}: {self._lack('skip_projection')}",
                f"projection {me}: dropped with all its connections, for it {problem}",
            )
        return kept

    def _in_range(
        self,
        steps: int,
        fewest: int,
        feature: Feature,
        limits: tuple[int, int] | None,
        names: tuple[str, str],
    ) -> int:
        """Return the nearest number of steps that the chip has."""
        if feature in self._format.lacks:
            holds = self._lack(feature)
            held = fewest
        elif limits is None:
            return steps
        else:
            holds = f"{self._format.name} holds {limits[0]} to {limits[1]}"
            held = min(max(steps, limits[0]), limits[1])
        if held != steps:
            self._give_up(
                f"{names[0]} {_steps(steps)}: {holds}", f"{names[1]}: {_steps(steps)} became {held}"
            )
        return held

    def _lack(self, feature: Feature) -> str:
        names: dict[Feature, str] = {
            "leak": "no leak",
            "reset_to_rest": "no such reset",
            "bias": "no biases",
            "refractory_period": "no refractory period",
            "delay": "no delays beyond a step",
            "skip_projection": "a single projection into each population, from the one before",
        }
        return f"{self._format.name} has {names[feature]} ({self._format.lacks[feature]})"

    def _give_up(self, refused: str, dropped: str) -> None:
        if not self._allow_lossy:
            raise UnsupportedFeatureError(refused)
        self.dropped.append(dropped)


def _steps(steps: int) -> str:
    return f"{steps} step" if steps == 1 else f"{steps} steps"
