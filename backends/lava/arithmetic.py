"""Dynamics of a layer for a batch of images, as computed by the Lava processes.

Implemented with NumPy and SciPy, independently of the native backend's kernels, so that each
implementation checks the other. Both must reproduce :mod:`neuroattack.ir.dynamics`.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE
from neuroattack.ir.network import FixedPopulation, Population, Projection

__all__ = ["FixedNeurons", "FloatingNeurons", "Neurons", "Synapses"]

# Narrowest type in which sums of weights below a limit are exact, which is the fastest.
_EXACT_BELOW = ((2**24, np.float32), (2**31, np.int32), (2**53, np.float64))

_LEAK_BITS = LEAK_ONE.bit_length() - 1

# Fraction of spikes above which a dense product is faster (measured with 784 x 500, 990 rows).
_DENSE_FRACTION = 1 / 8


class Synapses:
    """Weights of one projection."""

    def __init__(self, projection: Projection) -> None:
        self.source = projection.source
        self.delay_steps = projection.delay_steps
        mantissas = projection.mantissas
        self._size = len(mantissas)
        largest_sum = int(np.abs(mantissas.astype(np.int64)).sum(axis=0).max())
        exact = next(kind for limit, kind in _EXACT_BELOW if largest_sum < limit)
        self._weights = mantissas.astype(exact)
        self._sparse = csr_matrix((0, self._size))
        self._mantissas = mantissas

    def arriving(self, packed: NDArray[np.uint8], first_step: int, steps: int) -> NDArray[np.uint8]:
        """Return the spikes that arrive in `steps` steps, shape (steps * images, source size).

        `packed`, of shape (total steps, images, packed bytes), are the spikes of the source.
        """
        images = packed.shape[1]
        rows = np.zeros((steps, images, self._size), np.uint8)
        left = first_step - self.delay_steps
        silent = min(max(-left, 0), steps)
        if silent < steps:
            rows[silent:] = np.unpackbits(
                packed[left + silent : left + steps],
                axis=-1,
                count=self._size,
                bitorder="little",
            )
        return rows.reshape(-1, self._size)

    def sums(self, arriving: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the sum of the mantissas of the spikes in each row, shape (rows, target size).

        The sums are integers, in a type in which they are exact.
        """
        rows, size = arriving.shape
        spikes = np.flatnonzero(arriving.view(bool))
        if len(spikes) > _DENSE_FRACTION * arriving.size:
            dense: NDArray[np.float64] = arriving.astype(np.float64) @ self._mantissas.astype(
                np.float64
            )
            return dense
        # Reuse the matrix: SciPy's checks of a new one take longer than the product of a few rows.
        if self._sparse.shape[0] != rows:
            self._sparse = csr_matrix((rows, size), dtype=self._weights.dtype)
        starts = np.searchsorted(spikes, np.arange(rows + 1) * size)
        self._sparse.data = np.ones(len(spikes), self._weights.dtype)
        self._sparse.indices = (spikes % size).astype(np.int32)
        self._sparse.indptr = starts.astype(np.int32)
        sums: NDArray[Any] = self._sparse @ self._weights
        return sums


class Neurons(abc.ABC):
    """Neurons of one population for a batch of images, simulated step by step."""

    _reset: float = 0
    """Potential after a spike."""

    def __init__(self, population: Population | FixedPopulation, potential: type[Any]) -> None:
        self.size = population.size
        self._refractory_steps = int(np.min(population.refractory_steps))
        self._potential = potential

    def rest(self, images: int) -> None:
        """Reset the state for a batch of images: all neurons at rest, spike counts 0."""
        self.counts = np.zeros((images, self.size), np.int32)
        self._refractory = np.empty(0, np.intp)
        self._recent_spikes: deque[int] = deque()
        self._v = np.zeros((images, self.size), self._potential)
        self._current = np.zeros((images, self.size), self._potential)

    def step(self, sums: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
        """Simulate one step, given :meth:`Synapses.sums` of each projection.

        Returns a mask of the neurons that spike, shape (images, size).
        """
        # Refractory neurons are those that spiked in the last R steps.
        fired = self._update(sums)
        spikes = np.flatnonzero(fired)
        self.counts.reshape(-1)[spikes] += 1
        if self._refractory_steps:
            if len(self._recent_spikes) == self._refractory_steps:
                self._refractory = self._refractory[self._recent_spikes.popleft() :]
            self._refractory = np.concatenate((self._refractory, spikes))
            self._recent_spikes.append(len(spikes))
        self._v.reshape(-1)[spikes] = self._reset
        return fired

    @abc.abstractmethod
    def _update(self, sums: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
        """Update the potentials, reset those of refractory neurons; return the mask of spikes."""


class FloatingNeurons(Neurons):
    """Neurons in floating point; `exponents` are those of the incoming projections."""

    def __init__(self, population: Population, dt_s: float, exponents: Sequence[int]) -> None:
        super().__init__(population, np.float64)
        self._grids_v = [2.0**exponent for exponent in exponents]
        self._decay = float(population.decay(dt_s)[0])
        self._threshold_v = population.threshold_v
        self._bias_v = population.bias_v if population.bias_v.any() else None
        self._reset = float(population.reset_v[0])

    def _update(self, sums: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
        # The sum without the bias is exact, since sums of weights fit in 53 bits.
        v, current = self._v, self._current
        for number, (part, grid_v) in enumerate(zip(sums, self._grids_v, strict=True)):
            if number == 0:
                np.multiply(part, grid_v, out=current, dtype=np.float64)
            else:
                current += np.multiply(part, grid_v, dtype=np.float64)
        if not sums:
            current[:] = 0
        if self._bias_v is not None:
            current += self._bias_v
        v *= self._decay
        v += current
        v.reshape(-1)[self._refractory] = self._reset
        return v > self._threshold_v


class FixedNeurons(Neurons):
    """Neurons in fixed point, with 64-bit integers; `exponents` are those of the projections."""

    def __init__(self, population: FixedPopulation, exponents: Sequence[int]) -> None:
        super().__init__(population, np.int64)
        self._exponents = tuple(exponents)
        self._kept = LEAK_ONE - population.leak
        self._threshold = population.threshold
        self._bias = population.bias
        self._limits = population.lowest, population.highest

    def _update(self, sums: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
        v, current = self._v, self._current
        # The current wraps around at 24 bits: half - ((half - current) & (span - 1)).
        half = CURRENT_SPAN // 2
        current[:] = half
        for part, exponent in zip(sums, self._exponents, strict=True):
            current -= part.astype(np.int64) << exponent
        current &= CURRENT_SPAN - 1
        np.subtract(half, current, out=current)
        current += self._bias
        # Round toward zero: a shift alone rounds negative numbers down.
        negative = v < 0
        v *= self._kept
        v += np.multiply(negative, LEAK_ONE - 1)
        v >>= _LEAK_BITS
        v += current
        np.clip(v, *self._limits, out=v)
        v.reshape(-1)[self._refractory] = self._reset
        return v > self._threshold
