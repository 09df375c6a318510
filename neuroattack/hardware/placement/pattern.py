"""Nonzero connections of projections, row by row, without unrolling convolutions."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.network import AnyProjection, Convolution, Projection

__all__ = ["Pattern", "Rows", "fan_in", "pattern_of", "possible_connections"]

_AT_ONCE = 2**20
"""Number of connections that are unrolled at once, at least one row."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Sources of some target neurons, in compressed rows.

    Parameters
    ----------
    neurons : int64 array, shape (rows,)
        Target neurons.
    ends : int64 array, shape (rows + 1,)
        Row i has the sources from ``ends[i]`` to ``ends[i + 1]``.
    sources : int32 array
        Source neurons, ascending in each row.
    """

    neurons: NDArray[np.int64]
    ends: NDArray[np.int64]
    sources: NDArray[np.int32]

    def spread(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the value of its row for every connection."""
        return np.repeat(values, np.diff(self.ends))

    def targets(self) -> NDArray[np.int64]:
        """Return the target neuron of every connection."""
        return self.spread(self.neurons)


class Pattern(abc.ABC):
    """Connections between two populations: sources of each target neuron.

    Parameters
    ----------
    at_most : int64 array, shape (target size,)
        Upper bound of the number of sources of each target neuron.
    """

    def __init__(self, at_most: NDArray[np.int64]) -> None:
        self._at_most = at_most

    @abc.abstractmethod
    def rows(self, neurons: NDArray[np.int64]) -> Rows:
        """Return the sources of some target neurons."""

    def blocks(self) -> Iterator[Rows]:
        """Yield the sources of all target neurons, in blocks of limited size."""
        total = np.cumsum(self._at_most)
        first = done = 0
        while first < len(total):
            end = max(int(np.searchsorted(total, done + _AT_ONCE, side="right")), first + 1)
            yield self.rows(np.arange(first, end))
            first, done = end, int(total[end - 1])


class _Matrix(Pattern):
    """Connections of all-to-all projections, shape (target size, source size)."""

    def __init__(self, connected: NDArray[np.bool_]) -> None:
        super().__init__(np.full(len(connected), connected.shape[1]))
        self._connected = connected

    def rows(self, neurons: NDArray[np.int64]) -> Rows:
        connected = self._connected[neurons]
        return _rows(neurons, np.count_nonzero(connected, axis=1), np.nonzero(connected)[1])


class _Kernel(Pattern):
    """Connections of a convolution."""

    def __init__(self, convolution: Convolution) -> None:
        targets, elements = convolution.shape[1], convolution.kernel[0].size
        super().__init__(np.full(targets, elements))
        self._convolution = convolution
        self._nonzero = convolution.kernel != 0

    @cached_property
    def _positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self._convolution.positions(0), self._convolution.positions(1)

    def rows(self, neurons: NDArray[np.int64]) -> Rows:
        kernel = self._convolution.kernel
        channels, rows, columns = self._convolution.target_shape
        _, source_rows, source_columns = self._convolution.source_shape
        channel, position = np.divmod(neurons, rows * columns)
        # Axes: target neurons, and source channels, rows and columns of the kernel.
        group = channel // (channels // self._convolution.groups)
        into = group[:, np.newaxis] * kernel.shape[1] + np.arange(kernel.shape[1])
        of_rows, of_columns = self._positions
        y, x = of_rows.T[position // columns], of_columns.T[position % columns]
        inside = (y >= 0)[:, :, np.newaxis] & (x >= 0)[:, np.newaxis]
        connected = inside[:, np.newaxis] & self._nonzero[channel]
        at = y[:, :, np.newaxis] * source_columns + x[:, np.newaxis]
        size = source_rows * source_columns
        source = into[:, :, np.newaxis, np.newaxis] * size + at[:, np.newaxis]
        counts = np.count_nonzero(connected, axis=(1, 2, 3))
        return _rows(neurons, counts, source[connected])


class _Union(Pattern):
    """Connections of any of several patterns."""

    def __init__(self, parts: Sequence[Pattern], sources: int) -> None:
        super().__init__(np.sum([part._at_most for part in parts], axis=0))
        self._parts = parts
        self._sources = sources

    def rows(self, neurons: NDArray[np.int64]) -> Rows:
        parts = [part.rows(neurons) for part in self._parts]
        row = np.arange(len(neurons))
        pairs = [each.spread(row) * self._sources + each.sources for each in parts]
        rows, sources = np.divmod(np.unique(np.concatenate(pairs)), self._sources)
        return _rows(neurons, np.bincount(rows, minlength=len(neurons)), sources)


def _rows(
    neurons: NDArray[np.int64], counts: NDArray[np.int64], sources: NDArray[np.int64]
) -> Rows:
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Rows(neurons, ends, sources.astype(np.int32))


def pattern_of(projections: Sequence[AnyProjection]) -> Pattern:
    """Return the pairs of neurons connected by any of the projections between two populations."""
    parts: list[Pattern] = []
    matrices = [p.mantissas.T != 0 for p in projections if isinstance(p, Projection)]
    if matrices:
        parts.append(_Matrix(np.ascontiguousarray(np.logical_or.reduce(matrices))))
    kernels: dict[object, Convolution] = {}
    for projection in projections:
        if isinstance(projection, Convolution):
            # The parts of a projection that is split by sign have the same geometry.
            nonzero = (projection.kernel != 0).astype(np.int32)
            of_kernel = (nonzero.shape, projection.source_shape, projection.stride)
            geometry = (*of_kernel, projection.padding, projection.dilation, projection.groups)
            if geometry in kernels:
                nonzero |= kernels[geometry].kernel
            kernels[geometry] = projection.with_grid(nonzero, 0)
    parts += map(_Kernel, kernels.values())
    return parts[0] if len(parts) == 1 else _Union(parts, projections[0].shape[0])


def fan_in(projection: AnyProjection) -> NDArray[np.int64]:
    """Return the number of nonzero connections into each target neuron, shape (target size,)."""
    if not isinstance(projection, Convolution):
        into: NDArray[np.int64] = np.count_nonzero(projection.mantissas, axis=0).astype(np.int64)
        return into
    nonzero = (projection.kernel != 0).sum(axis=1, dtype=np.int64)
    return _over_positions(projection, nonzero)


def possible_connections(projection: AnyProjection) -> int:
    """Return the number of connections if no weight were 0."""
    if isinstance(projection, Projection):
        return int(projection.mantissas.size)
    elements = np.full(projection.kernel[:, 0].shape, projection.kernel.shape[1], np.int64)
    return int(_over_positions(projection, elements).sum())


def _over_positions(projection: Convolution, elements: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum values of kernel elements by target neuron, without those outside the source."""
    inside_rows, inside_columns = (
        (projection.positions(axis) >= 0).astype(np.int64) for axis in (0, 1)
    )
    summed: NDArray[np.int64] = np.einsum("ork,ri,kj->oij", elements, inside_rows, inside_columns)
    return summed.reshape(-1)
