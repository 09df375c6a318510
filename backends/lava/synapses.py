"""Sums of the weights that arrive at a population, for a batch of images.

Implemented with NumPy and SciPy, independently of the native backend's kernels, so that each
implementation checks the other.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from neuroattack.ir.network import AnyProjection, Convolution, Projection

__all__ = ["Synapses", "synapses_of"]

# Narrowest type in which sums of weights below a limit are exact, which is the fastest.
_EXACT_BELOW = ((2**24, np.float32), (2**31, np.int32), (2**53, np.float64))

# Matrix products of integers are slow.
_EXACT_PRODUCT_BELOW = ((2**24, np.float32), (2**53, np.float64))

# Fraction of spikes above which a dense product is faster (measured with 784 x 500, 990 rows).
_DENSE_FRACTION = 1 / 8

# Numbers in the patches of a convolution that are multiplied at a time.
_PATCH_NUMBERS = 2**22


class Synapses(abc.ABC):
    """Weights of one projection."""

    def __init__(self, projection: AnyProjection) -> None:
        self.source = projection.source
        self.delay_steps = projection.delay_steps
        self.exponent = projection.exponent
        self._size = projection.shape[0]

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

    @abc.abstractmethod
    def sums(self, arriving: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the sum of the mantissas of the spikes in each row, shape (rows, target size).

        The sums are integers, in a type in which they are exact.
        """

    @abc.abstractmethod
    def constant(self, values: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the sums of mantissas times the values of each row, shape (rows, target size).

        The values are those of a constant input, with which all sums are below 2**53.
        """


def synapses_of(projection: AnyProjection) -> Synapses:
    """Return the synapses of a projection."""
    if isinstance(projection, Convolution):
        return _ConvolvedSynapses(projection)
    return _DenseSynapses(projection)


class _DenseSynapses(Synapses):
    """Weights of an all-to-all projection."""

    def __init__(self, projection: Projection) -> None:
        super().__init__(projection)
        largest_sum = projection.largest_sum()
        exact = next(kind for limit, kind in _EXACT_BELOW if largest_sum < limit)
        self._weights = projection.mantissas.astype(exact)
        self._sparse = csr_matrix((0, self._size))
        self._mantissas = projection.mantissas

    def sums(self, arriving: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the sums; see the base class."""
        rows, size = arriving.shape
        spikes = np.flatnonzero(arriving.view(bool))
        if len(spikes) > _DENSE_FRACTION * arriving.size:
            return self._product(arriving)
        # Reuse the matrix: SciPy's checks of a new one take longer than the product of a few rows.
        if self._sparse.shape[0] != rows:
            self._sparse = csr_matrix((rows, size), dtype=self._weights.dtype)
        starts = np.searchsorted(spikes, np.arange(rows + 1) * size)
        self._sparse.data = np.ones(len(spikes), self._weights.dtype)
        self._sparse.indices = (spikes % size).astype(np.int32)
        self._sparse.indptr = starts.astype(np.int32)
        sums: NDArray[Any] = self._sparse @ self._weights
        return sums

    def constant(self, values: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the sums; see the base class."""
        return self._product(values)

    def _product(self, values: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        product: NDArray[np.float64] = values.astype(np.float64) @ self._mantissas.astype(
            np.float64
        )
        return product


class _ConvolvedSynapses(Synapses):
    """Kernel of a convolution.

    Patches of the source are gathered, one for each target position, and multiplied by the kernel.
    """

    def __init__(self, projection: Convolution) -> None:
        super().__init__(projection)
        channels, rows, columns = projection.source_shape
        self._groups = projection.groups
        self._channels = channels
        self._plane = rows * columns
        self._targets = projection.shape[1]
        self._kernel = projection.kernel.reshape(self._groups, -1, projection.kernel[0].size)
        of_rows, of_columns = projection.positions(0), projection.positions(1)
        # Positions in a channel's plane, by kernel element and target position; those in the
        # padding are that of a zero after the plane.
        row, column = of_rows[:, None, :, None], of_columns[None, :, None, :]
        positions = np.where((row < 0) | (column < 0), self._plane, row * columns + column)
        elements = len(of_rows) * len(of_columns)
        self._positions = positions.reshape(elements, -1)
        limit = projection.largest_sum()
        self._exact = next(kind for below, kind in _EXACT_PRODUCT_BELOW if limit < below)

    def sums(self, arriving: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the sums; see the base class."""
        return self._product(arriving, self._exact)

    def constant(self, values: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the sums; see the base class."""
        return self._product(values, np.float64)

    def _product(self, values: NDArray[np.integer[Any]], kind: type[Any]) -> NDArray[Any]:
        sums = np.zeros((len(values), self._targets), kind)
        some = np.flatnonzero(values.any(axis=1))
        planes = np.zeros((self._channels, self._plane + 1, len(some)), kind)
        planes[:, :-1] = values[some].T.reshape(self._channels, self._plane, len(some))
        kernel = self._kernel.astype(kind)
        found = np.empty((*kernel.shape[:2], self._positions.shape[1], len(some)), kind)
        for rows, places in self._parts(len(some)):
            patches = np.take(planes[:, :, rows], self._positions[:, places], axis=1)
            product = kernel @ patches.reshape(self._groups, kernel.shape[2], -1)
            found[:, :, places, rows] = product.reshape(found[:, :, places, rows].shape)
        sums[some] = found.reshape(self._targets, len(some)).T
        return sums

    def _parts(self, rows: int) -> Iterator[tuple[slice, slice]]:
        """Return slices of rows and of target positions whose patches fit the memory limit."""
        elements, places = self._positions.shape
        width = self._channels * elements
        most_rows = min(max(_PATCH_NUMBERS // (width * places), 16), rows)
        most_places = max(_PATCH_NUMBERS // (width * max(most_rows, 1)), 1)
        for first in range(0, rows, most_rows or 1):
            for place in range(0, places, most_places):
                yield slice(first, first + most_rows), slice(place, place + most_places)
