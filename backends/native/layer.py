"""Populations in the native backend, with all incoming weights in one matrix."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.fixed_point import CURRENT_SPAN
from neuroattack.ir.network import FixedPopulation, Network, Population, Projection

from .events import delayed, merge
from .incoming import Order
from .kernels import (
    Start,
    Weights,
    simulate_fixed,
    simulate_floating,
)

__all__ = ["Layer"]

_CACHE_LINE = 64

# For values between 2**-500 and 2**500, scaling by the unit of the weights, which is at least
# 2**-300, can neither overflow nor underflow.
_SURE_EXPONENT = 500

# Largest leak whose product with a potential of 24 bits fits in 32 bits.
_LARGEST_NARROW_LEAK = 255


@dataclass(frozen=True)
class Layer:
    """Population with the weights of all projections into it, in units of ``2**exponent``.

    `weights` are the stacked rows of all projections, padded with columns of zeros: integers in a
    type in which their sums are exact. `largest_sum` is the largest sum of magnitudes of the
    weights into one neuron.
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
            _aligned(mantissas, _narrowest(population, largest_sum)),
            exponent,
            largest_sum,
        )

    def part(self, neurons: NDArray[np.int32]) -> Layer:
        """Return a layer with some of the neurons, in floating point."""
        population = cast("Population", self.population)
        return replace(
            self,
            population=replace(
                population,
                size=len(neurons),
                tau_m_s=population.tau_m_s[neurons],
                threshold_v=population.threshold_v[neurons],
                bias_v=population.bias_v[neurons],
                reset_v=population.reset_v[neurons],
                refractory_steps=population.refractory_steps[neurons],
                tau_syn_s=population.tau_syn_s[neurons],
                current_bias_v=population.current_bias_v[neurons],
            ),
            weights=_aligned(self.weights[:, neurons], self.weights.dtype.type),
        )

    @cached_property
    def unit_v(self) -> float:
        """Unit of the potentials in the compiled loops, in volts.

        It is the unit of the weights, so that weights need no multiplication. Scaling by a power of
        two does not change rounding or comparisons without overflow or underflow; if these cannot
        be excluded, the unit is 1 V.
        """
        population = cast("Population", self.population)
        given = np.abs(
            np.concatenate([population.strict_threshold_v, population.bias_v, population.reset_v])
        )
        given = given[given > 0]
        sure = np.all((given > 2.0**-_SURE_EXPONENT) & (given < 2.0**_SURE_EXPONENT))
        return 2.0**self.exponent if sure else 1.0

    @cached_property
    def constants(self) -> tuple[Weights, float, float, NDArray[np.float64], float, int]:
        """Weights, their unit, decay, thresholds, reset potential and refractory steps.

        Arguments of the floating-point loops; potentials are in units of :attr:`unit_v`.
        """
        population = cast("Population", self.population)
        return (
            self.weights,
            2.0**self.exponent / self.unit_v,
            float(population.decay(self.dt_s)[0]),
            population.strict_threshold_v / self.unit_v,
            float(population.reset_v[0]) / self.unit_v,
            int(population.refractory_steps[0]),
        )

    @cached_property
    def bias(self) -> NDArray[np.float64]:
        """Constant input per step, in units of :attr:`unit_v`."""
        return cast("Population", self.population).bias_v / self.unit_v

    def run(self, spikes: dict[str, SpikeTrains], images: int, steps: int) -> SpikeTrains:
        """Return the spikes for a batch, given the spikes of the sources."""
        given = [
            (delayed(spikes[name].offsets, delay), spikes[name].neurons)
            for name, delay in zip(self.sources, self.delays, strict=True)
        ]
        sizes = [spikes[name].size for name in self.sources]
        first_rows = [0, *itertools.accumulate(sizes)]
        offsets, rows = merge(given, first_rows, (images, steps))
        population = self.population
        if not isinstance(population, FixedPopulation):
            return self.run_floating(offsets, rows)
        trains = self._room(images, steps)
        wraps = True if self.largest_sum << self.exponent >= CURRENT_SPAN // 2 else None
        simulate_fixed(
            offsets,
            rows,
            cast("NDArray[np.int16] | NDArray[np.int32]", self.weights),
            # Weights with an exponent of 24 or more wrap to 0.
            np.int32((-256 if wraps else 1) << self.exponent)
            if self.exponent < 24
            else np.int32(0),
            wraps,
            np.int32(population.leak),
            True if population.leak > _LARGEST_NARROW_LEAK else None,
            population.threshold,
            population.bias if population.bias.any() else None,
            population.refractory_steps,
            np.int32(population.lowest),
            np.int32(population.highest),
            trains.offsets,
            trains.neurons,
        )
        return trains

    def run_floating(
        self,
        arrivals: NDArray[np.int64],
        rows: NDArray[np.int32],
        start: Start | None = None,
        currents: Weights | None = None,
        trace: tuple[Weights, NDArray[np.float64]] | None = None,
    ) -> SpikeTrains:
        """Return the spikes; see :func:`~.kernels.simulate_floating` for the arguments."""
        images, steps = arrivals.shape[0], arrivals.shape[1] - 1
        trains = self._room(images, steps)
        weights, grid, decay, threshold, reset, refractory_steps = self.constants
        bias = self.bias
        simulate_floating(
            arrivals,
            rows,
            weights,
            None if grid == 1.0 else grid,
            decay,
            threshold,
            reset,
            refractory_steps,
            float(threshold[0]) if (threshold == threshold[0]).all() else None,
            bias if bias.any() else None,
            start,
            currents,
            trace,
            trains.offsets,
            trains.neurons,
        )
        return trains

    def _room(self, images: int, steps: int) -> SpikeTrains:
        return SpikeTrains(
            self.population.size,
            np.empty((images, steps + 1), np.int64),
            # One more entry, because the branch-free loop may write one entry past the end.
            np.empty(images * self.population.most_spikes(steps) + 1, np.int32),
        )


def _rows(projection: Projection, order: Order) -> NDArray[np.int32]:
    return projection.mantissas if order is None else projection.mantissas[order]


def _narrowest(population: Population | FixedPopulation, largest_sum: int) -> type[np.generic]:
    """Return the narrowest type for all sums of weights, which minimizes memory traffic."""
    if isinstance(population, FixedPopulation):
        # Sums wrap at 24 bits, and the lower 24 of 32 bits are correct even after an overflow.
        return np.int16 if largest_sum < 2**15 else np.int32
    return np.int32 if largest_sum < 2**31 else np.float64


def _aligned(mantissas: NDArray[np.int64] | Weights, dtype: type[np.generic]) -> Weights:
    """Return weights whose rows are aligned to half a cache line (one vector) and padded to it."""
    rows, columns = mantissas.shape
    itemsize = np.dtype(dtype).itemsize
    padded = -(-columns * itemsize // (_CACHE_LINE // 2)) * (_CACHE_LINE // 2) // itemsize
    memory = np.zeros(rows * padded * itemsize + _CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    weights: Weights = memory[start : start + rows * padded * itemsize].view(dtype)
    weights = weights.reshape(rows, padded)
    weights[:, :columns] = mantissas
    return weights
