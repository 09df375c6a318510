"""A population as the native backend holds it: its incoming weights in one matrix, ready to run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.fixed_point import CURRENT_SPAN
from neuroattack.ir.network import FixedPopulation, Network, Population

from .kernels import (
    Start,
    Weights,
    simulate_fixed,
    simulate_floating,
)

__all__ = ["Layer", "arrivals", "delayed"]

_CACHE_LINE = 64

# Weights are of 2**-300 at least; what they add to a potential of this size or less is normal.
_SURE_EXPONENT = 500

# Times a potential of 24 bits it fits into 32.
_LARGEST_NARROW_LEAK = 255


@dataclass(frozen=True)
class Layer:
    """A population with the weights of all projections into it, in units of ``2**exponent``.

    `weights` are the rows of all projections, one below the other, with columns beyond the size
    that are 0: integers, whose sums are exact in their type. `largest_sum` is the largest sum of
    the magnitudes of the weights into one neuron.
    """

    population: Population | FixedPopulation
    dt_s: float
    sources: list[str]
    delays: list[int]
    weights: Weights
    exponent: int
    largest_sum: int

    @classmethod
    def of(cls, network: Network, population: Population | FixedPopulation) -> Layer:
        """Return the layer of a population of a network."""
        incoming = network.incoming(population.name)
        exponent = min((projection.exponent for projection in incoming), default=0)
        mantissas = np.concatenate(
            [
                np.empty((0, population.size), np.int64),
                *(p.mantissas.astype(np.int64) << (p.exponent - exponent) for p in incoming),
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
        """Return the layer of some of its neurons, in floating point."""
        population = cast("Population", self.population)
        return replace(
            self,
            population=replace(
                population,
                size=len(neurons),
                threshold_v=population.threshold_v[neurons],
                bias_v=population.bias_v[neurons],
            ),
            weights=_aligned(self.weights[:, neurons], self.weights.dtype.type),
        )

    def most_spikes(self, steps: int) -> int:
        """Return the spikes that the population has in an image at most."""
        return self.population.size * -(-steps // (self.population.refractory_steps + 1))

    @cached_property
    def unit_v(self) -> float:
        """Unit of the potentials that the loops compute with, in volts.

        That of the weights, so that none need be multiplied by it. Scaling by a power of two
        changes no rounding, and no comparison, as long as nothing overflows or underflows; where
        that is not certain it is 1 V.
        """
        population = cast("Population", self.population)
        given = np.abs(
            np.concatenate([population.threshold_v, population.bias_v, [population.reset_v]])
        )
        given = given[given > 0]
        sure = np.all((given > 2.0**-_SURE_EXPONENT) & (given < 2.0**_SURE_EXPONENT))
        return 2.0**self.exponent if sure else 1.0

    @cached_property
    def constants(self) -> tuple[Weights, float, float, NDArray[np.float64], float, int]:
        """Weights and their unit, decay, thresholds, reset potential, refractory steps.

        What the loops in floating point take; potentials in units of :attr:`unit_v`.
        """
        population = cast("Population", self.population)
        return (
            self.weights,
            2.0**self.exponent / self.unit_v,
            population.decay(self.dt_s),
            population.threshold_v / self.unit_v,
            population.reset_v / self.unit_v,
            population.refractory_steps,
        )

    @cached_property
    def bias(self) -> NDArray[np.float64]:
        """What is added to the input of every step, in units of :attr:`unit_v`."""
        return cast("Population", self.population).bias_v / self.unit_v

    def run(self, spikes: dict[str, SpikeTrains], images: int, steps: int) -> SpikeTrains:
        """Return the spikes of a batch, given those of its sources."""
        offsets, rows = arrivals(
            [spikes[name] for name in self.sources], self.delays, images, steps
        )
        population = self.population
        if not isinstance(population, FixedPopulation):
            return self.run_floating(offsets, rows)
        trains = self._room(images, steps)
        wraps = True if self.largest_sum << self.exponent >= CURRENT_SPAN // 2 else None
        simulate_fixed(
            offsets,
            rows,
            cast("NDArray[np.int16] | NDArray[np.int32]", self.weights),
            # Nothing is left of a weight beyond 24 bits.
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
        """Return the spikes; see :func:`~.kernels.simulate_floating` for what it takes."""
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
            # One more, where the gathering without branches may write what it then leaves out.
            np.empty(images * self.most_spikes(steps) + 1, np.int32),
        )


def _narrowest(population: Population | FixedPopulation, largest_sum: int) -> type[np.generic]:
    """Return the narrowest type that holds every sum of weights: fewer bytes to move."""
    if isinstance(population, FixedPopulation):
        # Sums wrap at 24 bits: 32 of them are right in their lower 24 even after an overflow.
        return np.int16 if largest_sum < 2**15 else np.int32
    return np.int32 if largest_sum < 2**31 else np.float64


def _aligned(mantissas: NDArray[np.int64] | Weights, dtype: type[np.generic]) -> Weights:
    """Return rows that begin on half a cache line, the width of a vector, and fill whole ones."""
    rows, columns = mantissas.shape
    itemsize = np.dtype(dtype).itemsize
    padded = -(-columns * itemsize // (_CACHE_LINE // 2)) * (_CACHE_LINE // 2) // itemsize
    memory = np.zeros(rows * padded * itemsize + _CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    weights: Weights = memory[start : start + rows * padded * itemsize].view(dtype)
    weights = weights.reshape(rows, padded)
    weights[:, :columns] = mantissas
    return weights


def arrivals(
    sources: list[SpikeTrains], delays: list[int], images: int, steps: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return what arrives when: (images, steps + 1) offsets into an array of weight rows.

    The weights of several projections are stacked: the rows of each follow those before it.
    """
    if not sources:
        return np.zeros((images, steps + 1), np.int64), np.empty(0, np.int32)
    if len(sources) == 1:
        return delayed(sources[0].offsets, delays[0]), sources[0].neurons
    parts = []
    first_row = 0
    for source, delay in zip(sources, delays, strict=True):
        image, step, neuron = source.events()
        arriving = step + delay < steps
        parts.append((image[arriving], step[arriving] + delay, neuron[arriving] + first_row))
        first_row += source.size
    image, step, row = (np.concatenate(column) for column in zip(*parts, strict=True))
    merged = SpikeTrains.from_events(image, step, row, (images, steps, first_row))
    return merged.offsets, merged.neurons


def delayed(offsets: NDArray[np.int64], delay: int) -> NDArray[np.int64]:
    """Return where the events arrive that start out at `offsets`, shape (images, steps + 1)."""
    steps = offsets.shape[1] - 1
    delay = min(delay, steps)
    shifted = np.empty_like(offsets)
    shifted[:, :delay] = offsets[:, :1]
    shifted[:, delay:] = offsets[:, : steps + 1 - delay]
    return shifted
