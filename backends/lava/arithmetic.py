"""The dynamics of a layer on a batch of images: what the Lava processes compute.

Written on NumPy and SciPy alone, apart from the native backend's kernels, so that each is a
check of the other; :mod:`neuroattack.ir.dynamics` is what both are held to.
"""

from __future__ import annotations

import abc
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE, POTENTIAL_LIMIT
from neuroattack.ir.network import FixedPopulation, Population, Projection

__all__ = ["FixedNeurons", "FloatingNeurons", "Neurons", "Synapses"]

# The narrowest type in which sums of weights of a given range are exact: it is the fastest.
_EXACT_BELOW = ((2**24, np.float32), (2**31, np.int32), (2**53, np.float64))

_LEAK_BITS = LEAK_ONE.bit_length() - 1

# From this share of spikes on, a dense product is faster (measured: 784 x 500, 990 rows).
_DENSE_SHARE = 1 / 8


class Synapses:
    """The weights of one projection.

    Parameters
    ----------
    projection : Projection
        Whose weights.
    """

    def __init__(self, projection: Projection) -> None:
        self.source = projection.source
        self.delay_steps = projection.delay_steps
        self.exponent = projection.exponent
        mantissas = projection.mantissas
        self._size = len(mantissas)
        largest_sum = int(np.abs(mantissas.astype(np.int64)).sum(axis=0).max())
        exact = next(kind for limit, kind in _EXACT_BELOW if largest_sum < limit)
        self._weights = mantissas.astype(exact)
        self._mantissas = mantissas

    def arriving(self, packed: NDArray[np.uint8], first_step: int, steps: int) -> NDArray[np.uint8]:
        """Return the spikes that arrive in some steps, one row a step and image.

        Parameters
        ----------
        packed : uint8 array, shape (total steps, images, packed bytes)
            Spikes of the source, of steps before ``first_step + steps`` at least.
        first_step, steps : int
            When they arrive.

        Returns
        -------
        uint8 array, shape (steps * images, source size)
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

    def sums(self, arriving: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the sum of the mantissas of the spikes in each row; exact.

        Parameters
        ----------
        arriving : uint8 array, shape (rows, source size)
            1 for a spike, otherwise 0.

        Returns
        -------
        array, shape (rows, target size)
            Whole numbers, of whatever type they are exact in.
        """
        rows, size = arriving.shape
        spikes = np.flatnonzero(arriving.view(bool))
        if len(spikes) > _DENSE_SHARE * arriving.size:
            dense: NDArray[np.float64] = arriving.astype(np.float64) @ self._mantissas.astype(
                np.float64
            )
            return dense
        starts = np.searchsorted(spikes, np.arange(rows + 1) * size)
        ones = np.ones(len(spikes), self._weights.dtype)
        sparse = csr_matrix((ones, spikes % size, starts), shape=(rows, size))
        sums: NDArray[np.float64] = sparse @ self._weights
        return sums


class Neurons(abc.ABC):
    """Neurons of one population for a batch of images, stepped in time.

    Parameters
    ----------
    size : int
        Neurons.
    refractory_steps : int
        Steps after a spike in which a neuron holds its reset potential.
    """

    def __init__(self, size: int, refractory_steps: int) -> None:
        self.size = size
        self._refractory_steps = refractory_steps

    def rest(self, images: int) -> None:
        """Begin with a batch of so many images: all at rest, no spikes counted."""
        self.counts = np.zeros((images, self.size), np.int32)
        self._held = np.empty(0, np.intp)
        self._held_since: deque[int] = deque()
        self._set_to_rest(images)

    def step(self, current: NDArray[Any]) -> NDArray[np.bool_]:
        """Advance one step; return which neurons spike.

        Parameters
        ----------
        current : array, shape (images, size)
            As :meth:`currents` returns it; overwritten.
        """
        fired = self._update(current, self._held)
        spikes = np.flatnonzero(fired)
        self.counts.reshape(-1)[spikes] += 1
        if self._refractory_steps:
            # The refractory neurons are those that spiked in the last R steps.
            if len(self._held_since) == self._refractory_steps:
                self._held = self._held[self._held_since.popleft() :]
            self._held = np.concatenate((self._held, spikes))
            self._held_since.append(len(spikes))
        self._reset(spikes)
        return fired

    @abc.abstractmethod
    def currents(
        self, sums: list[NDArray[np.float64]], exponents: list[int], rows: int
    ) -> NDArray[Any]:
        """Return what is added to the potentials, shape (rows, size), biases included.

        Parameters
        ----------
        sums : list of array, shape (rows, size)
            Of each projection, as :meth:`Synapses.sums` returns them.
        exponents : list of int
            Of each projection.
        rows : int
            Steps times images.
        """

    @abc.abstractmethod
    def _set_to_rest(self, images: int) -> None:
        """Set the potentials of `images` images to rest."""

    @abc.abstractmethod
    def _update(self, current: NDArray[Any], held: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Update the potentials, then reset those of `held`; return which are over threshold."""

    @abc.abstractmethod
    def _reset(self, spikes: NDArray[np.intp]) -> None:
        """Reset the potentials of neurons, by their place in (images, size)."""


class FloatingNeurons(Neurons):
    """Neurons in floating point.

    Parameters
    ----------
    population : Population
        What they are.
    dt_s : float
        Length of a step in seconds.
    """

    def __init__(self, population: Population, dt_s: float) -> None:
        super().__init__(population.size, population.refractory_steps)
        self._decay = population.decay(dt_s)
        self._threshold_v = population.threshold_v
        self._bias_v = population.bias_v
        self._reset_v = population.reset_v

    def currents(
        self, sums: list[NDArray[np.float64]], exponents: list[int], rows: int
    ) -> NDArray[np.float64]:
        """Return currents and biases in volts; see :meth:`Neurons.currents`."""
        # Exact up to the bias: the sums of a network lie on one grid of 53 bits or fewer.
        total = np.zeros((rows, self.size))
        for place, (part, exponent) in enumerate(zip(sums, exponents, strict=True)):
            if place == 0:
                np.multiply(part, 2.0**exponent, out=total, dtype=np.float64)
            else:
                total += np.multiply(part, 2.0**exponent, dtype=np.float64)
        total += self._bias_v
        return total

    def _set_to_rest(self, images: int) -> None:
        self._v = np.zeros((images, self.size))

    def _update(self, current: NDArray[Any], held: NDArray[np.intp]) -> NDArray[np.bool_]:
        v = self._v
        v *= self._decay
        v += current
        v.reshape(-1)[held] = self._reset_v
        return v > self._threshold_v

    def _reset(self, spikes: NDArray[np.intp]) -> None:
        self._v.reshape(-1)[spikes] = self._reset_v


class FixedNeurons(Neurons):
    """Neurons in fixed point, in 64-bit integers.

    Parameters
    ----------
    population : FixedPopulation
        What they are.
    """

    def __init__(self, population: FixedPopulation) -> None:
        super().__init__(population.size, population.refractory_steps)
        self._kept = LEAK_ONE - population.leak
        self._threshold = population.threshold
        self._bias = population.bias

    def currents(
        self, sums: list[NDArray[np.float64]], exponents: list[int], rows: int
    ) -> NDArray[np.int64]:
        """Return currents, wrapped around at 24 bits, and biases; see :meth:`Neurons.currents`."""
        total = np.zeros((rows, self.size), np.int64)
        for part, exponent in zip(sums, exponents, strict=True):
            total += part.astype(np.int64) << exponent
        half = CURRENT_SPAN // 2
        # half - ((half - total) & (span - 1)), in place
        np.subtract(half, total, out=total)
        total &= CURRENT_SPAN - 1
        np.subtract(half, total, out=total)
        total += self._bias
        return total

    def _set_to_rest(self, images: int) -> None:
        self._v = np.zeros((images, self.size), np.int64)

    def _update(self, current: NDArray[Any], held: NDArray[np.intp]) -> NDArray[np.bool_]:
        v = self._v
        # Toward zero: a shift alone rounds negative numbers away from it.
        negative = v < 0
        v *= self._kept
        v += np.multiply(negative, LEAK_ONE - 1)
        v >>= _LEAK_BITS
        v += current
        np.clip(v, -POTENTIAL_LIMIT, POTENTIAL_LIMIT, out=v)
        v.reshape(-1)[held] = 0
        return v > self._threshold

    def _reset(self, spikes: NDArray[np.intp]) -> None:
        self._v.reshape(-1)[spikes] = 0
