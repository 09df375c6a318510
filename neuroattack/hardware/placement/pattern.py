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
    """Sources of consecutive target neurons, in compressed rows.

    Parameters
    ----------
    first : int
        Index of the first target neuron.
    ends : int64 array, shape (rows + 1,)
        Row i has the sources from ``ends[i]`` to ``ends[i + 1]``.
    sources : int32 array
        Source neurons, ascending in each row.
    """

    first: int
    ends: NDArray[np.int64]
    sources: NDArray[np.int32]

    @property
    def end(self) -> int:
        """Index after the last target neuron."""
        return self.first + len(self.ends) - 1

    def targets(self) -> NDArray[np.int64]:
        """Return the target neuron of every connection."""
        return np.repeat(np.arange(self.first, self.end), np.diff(self.ends))


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
    def rows(self, first: int, end: int) -> Rows:
        """Return the sources of the target neurons from `first` to `end` (exclusive)."""

    def blocks(self) -> Iterator[Rows]:
        """Yield the sources of all target neurons, in blocks of limited size."""
        total = np.cumsum(self._at_most)
        first = done = 0
        while first < len(total):
            end = max(int(np.searchsorted(total, done + _AT_ONCE, side="right")), first + 1)
            yield self.rows(first, end)
            first, done = end, int(total[end - 1])


class _Matrix(Pattern):
    """Connections of all-to-all projections, shape (target size, source size)."""

    def __init__(self, connected: NDArray[np.bool_]) -> None:
        super().__init__(np.full(len(connected), connected.shape[1]))
        self._connected = connected

    def rows(self, first: int, end: int) -> Rows:
        targets, sources = np.nonzero(self._connected[first:end])
        return _rows(first, np.bincount(targets, minlength=end - first), sources)


class _Kernel(Pattern):
    """Connections of a convolution."""

    def __init__(self, convolution: Convolution) -> None:
        super().__init__(fan_in(convolution))
        self._convolution = convolution

    @cached_property
    def _positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self._convolution.positions(0), self._convolution.positions(1)

    def rows(self, first: int, end: int) -> Rows:
        kernel = self._convolution.kernel
        channels, rows, columns = self._convolution.target_shape
        _, source_rows, source_columns = self._convolution.source_shape
        per_group = channels // self._convolution.groups
        of_rows, of_columns = self._positions
        counts, sources = [], []
        for channel in range(first // (rows * columns), -(-end // (rows * columns))):
            start = channel * rows * columns
            here = np.arange(max(first - start, 0), min(end - start, rows * columns))
            into, row, column = np.nonzero(kernel[channel])
            into = into + channel // per_group * kernel.shape[1]
            # Axes: target neurons, elements of the kernel in the order of the sources.
            y = of_rows[row][:, here // columns].T
            x = of_columns[column][:, here % columns].T
            inside = (y >= 0) & (x >= 0)
            source = (into * source_rows + y) * source_columns + x
            counts.append(np.count_nonzero(inside, axis=1))
            sources.append(source[inside])
        return _rows(first, np.concatenate(counts), np.concatenate(sources))


class _Union(Pattern):
    """Connections of any of several patterns."""

    def __init__(self, parts: Sequence[Pattern], sources: int) -> None:
        super().__init__(np.sum([part._at_most for part in parts], axis=0))
        self._parts = parts
        self._sources = sources

    def rows(self, first: int, end: int) -> Rows:
        parts = [part.rows(first, end) for part in self._parts]
        pairs = [(each.targets() - first) * self._sources + each.sources for each in parts]
        targets, sources = np.divmod(np.unique(np.concatenate(pairs)), self._sources)
        return _rows(first, np.bincount(targets, minlength=end - first), sources)


def _rows(first: int, counts: NDArray[np.int64], sources: NDArray[np.int64]) -> Rows:
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Rows(first, ends, sources.astype(np.int32))


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
