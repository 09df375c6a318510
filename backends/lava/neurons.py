"""Neurons of a population for a batch of images, simulated step by step.

Implemented independently of the native backend's kernels, so that each implementation checks the
other. Both must reproduce :mod:`neuroattack.ir.dynamics`.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE
from neuroattack.ir.network import FixedPopulation, Population
from neuroattack.ir.values import is_uniform

__all__ = ["FixedNeurons", "FloatingNeurons", "Neurons"]

_LEAK_BITS = LEAK_ONE.bit_length() - 1


class Neurons(abc.ABC):
    """Neurons of one population for a batch of images.

    Parameters
    ----------
    population : Population or FixedPopulation
        Population of the neurons.
    potential : type
        Type of the potentials.
    below_after_reset : bool
        Whether the reset always leaves a potential at which the neuron does not spike.

    Attributes
    ----------
    v : array, shape (images, size)
        Membrane potentials.
    counts : int32 array, shape (images, size)
        Spikes since the neurons were at rest.
    """

    def __init__(
        self,
        population: Population | FixedPopulation,
        potential: type[Any],
        below_after_reset: bool,
    ) -> None:
        self.size = population.size
        self._below_after_reset = below_after_reset
        self._potential = potential
        steps: NDArray[np.int64] = np.broadcast_to(population.refractory_steps, self.size)
        self._refractory_steps = _one_if_uniform(steps)

    def rest(self, images: int) -> None:
        """Reset the state for a batch of images: all neurons at rest, spike counts 0."""
        self.counts = np.zeros((images, self.size), np.int32)
        self.v = np.zeros((images, self.size), self._potential)
        self._current = np.zeros((images, self.size), self._potential)
        # Flat indices of the neurons that spiked in the last step, and of refractory neurons.
        self._spikes = np.empty(0, np.intp)
        self._refractory = np.empty(0, np.intp)
        # Number of refractory neurons per step in which they spiked, if they share the period; or
        # else number of steps left, for each of them.
        self._recent_spikes: deque[int] = deque()
        self._left = np.empty(0, np.int64)

    def step(self, sums: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
        """Simulate one step, given the sums of the mantissas that arrive on each projection.

        Returns a mask of the neurons that spike, shape (images, size).
        """
        # Refractory neurons are few: update all, then restore theirs.
        flat = self.v.reshape(-1)
        held = flat.take(self._refractory)
        self._update(sums)
        flat[self._refractory] = held
        fired = self._above_threshold()
        if not self._below_after_reset:
            fired.reshape(-1)[self._refractory] = False
        spikes = np.flatnonzero(fired)
        self.counts.reshape(-1)[spikes] += 1
        self._reset(flat, spikes)
        if self._refractory_steps.any():
            self._update_refractory(spikes)
        self._spikes = spikes
        return fired

    def _update_refractory(self, spikes: NDArray[np.intp]) -> None:
        refractory = np.concatenate((self._refractory, spikes))
        steps = self._refractory_steps
        if len(steps) == 1:
            ended = 0
            if len(self._recent_spikes) == steps[0]:
                ended = self._recent_spikes.popleft()
            self._recent_spikes.append(len(spikes))
            self._refractory = refractory[ended:]
        else:
            left = np.concatenate((self._left - 1, self._at(steps, spikes)))
            remaining = left > 0
            self._refractory, self._left = refractory[remaining], left[remaining]

    def _at(self, values: NDArray[Any], spikes: NDArray[np.intp]) -> Any:
        """Return the values of the neurons that spike, or the single value of all neurons."""
        return values[0] if len(values) == 1 else values[spikes % self.size]

    @abc.abstractmethod
    def _update(self, sums: Sequence[NDArray[Any]]) -> None:
        """Update currents and potentials, as if no neuron were refractory."""

    @abc.abstractmethod
    def _above_threshold(self) -> NDArray[np.bool_]:
        """Return the mask of the neurons whose potentials cause a spike."""

    @abc.abstractmethod
    def _reset(self, flat: NDArray[Any], spikes: NDArray[np.intp]) -> None:
        """Reset the potentials, `flat`, of neurons that spike."""


class FloatingNeurons(Neurons):
    """Neurons in floating point; `exponents` are those of the incoming projections."""

    def __init__(self, population: Population, dt_s: float, exponents: Sequence[int]) -> None:
        super().__init__(population, np.float64, population.reset == "value")
        self._grids_v = [2.0**exponent for exponent in exponents]
        self._decay = _one_if_uniform(population.decay(dt_s))
        self._bias_v = population.bias_v if population.bias_v.any() else None
        self._has_current = population.has_current
        self._current_decay = _one_if_uniform(population.current_decay(dt_s))
        self._current_bias_v = (
            population.current_bias_v if population.current_bias_v.any() else None
        )
        self._late = population.input_after_update
        self._threshold_v = population.threshold_v
        self._inclusive = population.comparison == "inclusive"
        self._reset_kind = population.reset
        self._reset_v = _one_if_uniform(population.reset_v)

    def rest(self, images: int) -> None:
        """Reset the state; see the base class."""
        super().rest(images)
        self._drive = np.zeros((images, self.size))

    def _update(self, sums: Sequence[NDArray[Any]]) -> None:
        self._add(sums)
        if self._has_current:
            self._update_current()
        v, drive = self.v, self._drive
        if self._bias_v is not None:
            drive += self._bias_v
        v *= self._decay
        v += drive
        if self._reset_kind == "subtract_next":
            self._subtract(v.reshape(-1), self._spikes)

    def _add(self, sums: Sequence[NDArray[Any]]) -> None:
        """Set the drive to the arriving input, which is exact: sums of weights fit in 53 bits."""
        drive = self._drive
        for number, (part, grid_v) in enumerate(zip(sums, self._grids_v, strict=True)):
            if number == 0:
                np.multiply(part, grid_v, out=drive, dtype=np.float64)
            else:
                drive += np.multiply(part, grid_v, dtype=np.float64)
        if not sums:
            drive[:] = 0

    def _update_current(self) -> None:
        """Update the current with the drive, and set the drive to the current that applies."""
        if self._current_bias_v is not None:
            self._drive += self._current_bias_v
        if self._late:
            before = self._current
            self._drive += before * self._current_decay
            self._current, self._drive = self._drive, before
        else:
            self._current *= self._current_decay
            self._current += self._drive
            self._drive[:] = self._current

    def _above_threshold(self) -> NDArray[np.bool_]:
        above: NDArray[np.bool_] = (
            self.v >= self._threshold_v if self._inclusive else self.v > self._threshold_v
        )
        return above

    def _reset(self, flat: NDArray[Any], spikes: NDArray[np.intp]) -> None:
        if self._reset_kind == "value":
            flat[spikes] = self._at(self._reset_v, spikes)
        elif self._reset_kind == "subtract":
            self._subtract(flat, spikes)

    def _subtract(self, flat: NDArray[Any], spikes: NDArray[np.intp]) -> None:
        flat[spikes] -= self._at(self._reset_v, spikes)


class FixedNeurons(Neurons):
    """Neurons in fixed point, with 64-bit integers; `exponents` are those of the projections."""

    def __init__(self, population: FixedPopulation, exponents: Sequence[int]) -> None:
        super().__init__(population, np.int64, below_after_reset=True)
        self._exponents = tuple(exponents)
        self._kept = LEAK_ONE - population.leak
        self._current_kept = LEAK_ONE - population.current_leak
        self._threshold = population.threshold
        self._bias = population.bias
        self._limits = population.lowest, population.highest

    def _update(self, sums: Sequence[NDArray[Any]]) -> None:
        v, current = self.v, self._current
        # The current wraps around at 24 bits: half - ((half - current) & (span - 1)).
        half = CURRENT_SPAN // 2
        if self._current_kept:
            _decay(current, self._current_kept)
            np.subtract(half, current, out=current)
        else:
            current[:] = half
        for part, exponent in zip(sums, self._exponents, strict=True):
            current -= part.astype(np.int64) << exponent
        current &= CURRENT_SPAN - 1
        np.subtract(half, current, out=current)
        _decay(v, self._kept)
        v += current
        v += self._bias
        np.clip(v, *self._limits, out=v)

    def _above_threshold(self) -> NDArray[np.bool_]:
        above: NDArray[np.bool_] = self.v > self._threshold
        return above

    def _reset(self, flat: NDArray[Any], spikes: NDArray[np.intp]) -> None:
        flat[spikes] = 0


def _decay(values: NDArray[np.int64], kept: int) -> None:
    """Multiply values by ``kept / 4096``, rounded toward zero."""
    # A shift alone rounds negative numbers down.
    negative = values < 0
    values *= kept
    values += np.multiply(negative, LEAK_ONE - 1)
    values >>= _LEAK_BITS


def _one_if_uniform(values: NDArray[Any]) -> NDArray[Any]:
    # Arrays of one value are broadcast, which is faster.
    return values[:1] if is_uniform(values) else values
