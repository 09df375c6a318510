"""Populations in the native backend, with all incoming weights in one matrix."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.fixed_point import CURRENT_SPAN
from neuroattack.ir.network import FixedPopulation, Network, Population, Projection

from .events import Events, delayed, merge
from .incoming import Order
from .kernels import simulate
from .tiles import TILE, in_tiles
from .vectors import Weights

__all__ = ["Layer"]

# For values between 2**-500 and 2**500, scaling by the unit of the weights, which is at least
# 2**-300, can neither overflow nor underflow.
_SURE_EXPONENT = 500

# Largest leak whose product with a potential of 24 bits fits in 32 bits.
_LARGEST_NARROW_LEAK = 255


@dataclass(frozen=True)
class Layer:
    """Population with the weights of all projections into it, in units of ``2**exponent``.

    `weights` are the stacked rows of all projections, in tiles: integers in a type in which their
    sums are exact. `largest_sum` is the largest sum of magnitudes of the weights into one neuron.
    """

    population: Population | FixedPopulation
    dt_s: float
    sources: list[str]
    delays: list[int]
    weights: Weights
    exponent: int
    largest_sum: int

    @classmethod
    def of(
        cls,
        network: Network,
        population: Population | FixedPopulation,
        orders: Mapping[str, Order],
    ) -> Layer:
        """Return the layer of a population; `orders` are those in which sources are simulated."""
        incoming = cast("Sequence[Projection]", network.incoming(population.name))
        exponent = min((projection.exponent for projection in incoming), default=0)
        mantissas = np.concatenate(
            [
                np.empty((0, population.size), np.int64),
                *(
                    _rows(p, orders[p.source]).astype(np.int64) << (p.exponent - exponent)
                    for p in incoming
                ),
            ]
        )
        largest_sum = int(np.abs(mantissas).sum(axis=0).max(initial=0))
        return cls(
            population,
            network.dt_s,
            [projection.source for projection in incoming],
            [projection.delay_steps for projection in incoming],
            in_tiles(mantissas, _narrowest(population, largest_sum)),
            exponent,
            largest_sum,
        )

    def run(
        self, spikes: dict[str, SpikeTrains], images: int, steps: int
    ) -> tuple[SpikeTrains, NDArray[np.int32]]:
        """Return the spikes and their counts for a batch, given the spikes of the sources."""
        if len(self.sources) == 1:
            given, delay = spikes[self.sources[0]], self.delays[0]
            arrivals, rows = given.offsets, given.neurons
        else:
            arrivals, rows = self._merged(spikes, images, steps)
            delay = 0
        # Tiles read rows without regard to strides.
        rows = np.ascontiguousarray(rows)
        offsets, neurons, counts = simulate(arrivals, delay, rows, *self._arguments)
        return SpikeTrains(self.population.size, offsets, neurons), counts

    def _merged(self, spikes: dict[str, SpikeTrains], images: int, steps: int) -> Events:
        trains = [spikes[name] for name in self.sources]
        given = [
            (delayed(one.offsets, late), one.neurons)
            for one, late in zip(trains, self.delays, strict=True)
        ]
        first_rows = [0, *itertools.accumulate(one.size for one in trains)]
        return merge(given, first_rows, (images, steps))

    @cached_property
    def _arguments(self) -> tuple[Any, ...]:
        """Arguments of the compiled loop, after the arriving spikes."""
        population = self.population
        refractory_steps = int(np.max(population.refractory_steps, initial=0))
        parameters = (
            self._fixed_parameters(population)
            if isinstance(population, FixedPopulation)
            else self._floating_parameters(population)
        )
        return self.weights, population.size, refractory_steps, parameters

    def _floating_parameters(self, population: Population) -> tuple[Any, ...]:
        unit_v = self._unit_v(population)
        grid = 2.0**self.exponent / unit_v
        bias = self._padded(population.bias_v / unit_v, 0.0)
        reset = float(population.reset_v[0]) / unit_v
        return (
            self._padded(population.strict_threshold_v / unit_v, np.inf),
            bias if bias.any() else None,
            reset,
            -np.inf if population.refractory_steps.any() else reset,
            float(population.decay(self.dt_s)[0]),
            None if grid == 1.0 else grid,
        )

    def _unit_v(self, population: Population) -> float:
        """Return the unit of the potentials in the compiled loops, in volts.

        It is the unit of the weights, so that weights need no multiplication. Scaling by a power of
        two does not change rounding or comparisons without overflow or underflow; if these cannot
        be excluded, the unit is 1 V.
        """
        given = np.abs(
            np.concatenate([population.strict_threshold_v, population.bias_v, population.reset_v])
        )
        given = given[given > 0]
        sure = np.all((given > 2.0**-_SURE_EXPONENT) & (given < 2.0**_SURE_EXPONENT))
        return 2.0**self.exponent if sure else 1.0

    def _fixed_parameters(self, population: FixedPopulation) -> tuple[Any, ...]:
        wraps = True if self.largest_sum << self.exponent >= CURRENT_SPAN // 2 else None
        # Weights with an exponent of 24 or more wrap to 0.
        unit = (-256 if wraps else 1) << self.exponent if self.exponent < 24 else 0
        # Numbers of 24 bits are above the lowest of 32 bits.
        held = np.iinfo(np.int32).min if population.refractory_steps else 0
        return (
            self._padded(population.threshold, np.iinfo(np.int32).max),
            self._padded(population.bias, 0) if population.bias.any() else None,
            np.int32(0),
            np.int32(held),
            np.int32(population.leak),
            True if population.leak > _LARGEST_NARROW_LEAK else None,
            np.int32(unit),
            wraps,
            np.int32(population.lowest),
            np.int32(population.highest),
        )

    def _padded(self, values: NDArray[Any], value: float) -> NDArray[Any]:
        added = len(self.weights) * TILE - len(values)
        return np.pad(values, (0, added), constant_values=value)


def _rows(projection: Projection, order: Order) -> NDArray[np.int32]:
    return projection.mantissas if order is None else projection.mantissas[order]


def _narrowest(population: Population | FixedPopulation, largest_sum: int) -> type[np.generic]:
    """Return the narrowest type for all sums of weights, which minimizes memory traffic."""
    if isinstance(population, FixedPopulation):
        # Sums wrap at 24 bits, and the lower 24 of 32 bits are correct even after an overflow.
        return np.int16 if largest_sum < 2**15 else np.int32
    return np.int32 if largest_sum < 2**31 else np.float64
