"""Convolutional projections, stored as kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import ValidationError
from neuroattack.ir.projection import Connections, checked_mantissas, to_grid
from neuroattack.ir.values import MAX_POPULATION, freeze
from neuroattack.validation import check_integer

if TYPE_CHECKING:
    # At run time, imported where it is needed: it takes a tenth of a second.
    import scipy.sparse as sp

__all__ = ["Convolution"]

Pair = tuple[int, int]

_LARGEST_PADDING = 10_000


@dataclass(frozen=True, eq=False)
class Convolution(Connections):
    """Two-dimensional convolution (cross-correlation, as in PyTorch) of the spikes of a population.

    Sum and average pooling are convolutions with one group per channel. Memory is proportional to
    the kernel, not to the number of connections.

    Parameters
    ----------
    source, target : str
        Names of the populations; the source may be ``"input"``. Neurons are in row-major order of
        (channel, row, column).
    kernel : int32 array, shape (target channels, source channels / groups, rows, columns)
        Weights in units of the grid, below 2**23 in magnitude; 0 means no connection.
    exponent : int
        Exponent of the grid, from -300 to 300.
    source_shape : (int, int, int)
        Channels, rows and columns of the source.
    stride, dilation : (int, int), optional
        Distance of adjacent kernel positions, and of adjacent kernel elements, in rows and columns.
    padding : ((int, int), (int, int)), optional
        Zeros added before and after the rows, and the columns; negative numbers remove rows or
        columns.
    groups : int, optional
        Number of groups of channels that are convolved separately.
    delay_steps : int, optional
        Time steps from a spike of the source to its arrival, as in
        :class:`~neuroattack.ir.projection.Projection`.

    Raises
    ------
    ValidationError
        If a value is invalid; the message names the projection and the field.
    """

    source: str
    target: str
    kernel: NDArray[np.int32]
    exponent: int
    source_shape: tuple[int, int, int]
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    delay_steps: int = 1

    _BYTES_PER_LISTED = 68

    def __post_init__(self) -> None:
        self._check_ends()
        me = self.label
        kernel = checked_mantissas(
            f"{me} kernel",
            self.kernel,
            4,
            "(target channels, source channels / groups, rows, columns)",
        )
        freeze(
            self,
            kernel=kernel,
            source_shape=_integers(f"{me} source_shape", self.source_shape, 3, 1, MAX_POPULATION),
            stride=_integers(f"{me} stride", self.stride, 2, 1, MAX_POPULATION),
            dilation=_integers(f"{me} dilation", self.dilation, 2, 1, MAX_POPULATION),
            padding=tuple(
                _integers(f"{me} padding", each, 2, -_LARGEST_PADDING, _LARGEST_PADDING)
                for each in self.padding
            ),
            groups=check_integer(f"{me} groups", self.groups, 1, len(kernel)),
        )
        if len(self.padding) != 2:
            raise ValidationError(f"{me} padding", self.padding, "two pairs")
        channels = self.source_shape[0]
        if len(kernel) % self.groups or channels != kernel.shape[1] * self.groups:
            raise ValidationError(
                f"{me} kernel",
                f"shape {kernel.shape} in {self.groups} groups",
                f"{channels} source channels, divided evenly into the groups, as the target's are",
            )
        if min(self.target_shape) < 1:
            raise ValidationError(
                f"{me} kernel",
                " x ".join(map(str, self._reach)),
                f"at most the padded source, {' x '.join(map(str, self._padded))}",
            )

    @classmethod
    def from_weights(
        cls,
        source: str,
        target: str,
        kernel_v: ArrayLike,
        source_shape: tuple[int, int, int],
        *,
        stride: Pair = (1, 1),
        padding: tuple[Pair, Pair] = ((0, 0), (0, 0)),
        dilation: Pair = (1, 1),
        groups: int = 1,
        delay_steps: int = 1,
    ) -> Convolution:
        """Round a kernel, in volts per spike, to the finest grid that can represent it."""
        kernel, exponent = to_grid(f"projection {source}->{target}", kernel_v)
        return cls(
            source,
            target,
            kernel,
            exponent,
            source_shape,
            stride,
            padding,
            dilation,
            groups,
            delay_steps,
        )

    @property
    def _reach(self) -> list[int]:
        kernel = self.kernel.shape[2:]
        return [d * (k - 1) + 1 for d, k in zip(self.dilation, kernel, strict=True)]

    @property
    def _padded(self) -> list[int]:
        sides = self.source_shape[1:]
        return [side + sum(around) for side, around in zip(sides, self.padding, strict=True)]

    @property
    def target_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the target."""
        rows, columns = (
            (padded - reach) // stride + 1
            for padded, reach, stride in zip(self._padded, self._reach, self.stride, strict=True)
        )
        return len(self.kernel), rows, columns

    @property
    def shape(self) -> tuple[int, int]:
        """Number of source neurons and of target neurons."""
        return math.prod(self.source_shape), math.prod(self.target_shape)

    @property
    def grid(self) -> NDArray[np.int32]:
        """The kernel."""
        return self.kernel

    def with_grid(self, grid: NDArray[np.int32], exponent: int) -> Convolution:
        """Return the projection with another kernel of the same shape."""
        return replace(self, kernel=grid, exponent=exponent)

    def positions(self, axis: int) -> NDArray[np.int64]:
        """Return the source row (axis 0) or column (1) that each kernel element meets.

        Returns
        -------
        int64 array, shape (kernel rows, target rows), or the same of columns
            Positions outside the source, in the padding, are -1.
        """
        element = np.arange(self.kernel.shape[2 + axis])[:, None] * self.dilation[axis]
        target = np.arange(self.target_shape[1 + axis])[None, :] * self.stride[axis]
        position = element + target - self.padding[axis][0]
        # With negative padding, removed rows are never met: they are before the first position,
        # or after the last of the padded source.
        inside = (position >= 0) & (position < self.source_shape[1 + axis])
        return np.where(inside, position, -1)

    def _listed(self) -> sp.csr_matrix:
        import scipy.sparse as sp

        _, rows, columns = self.target_shape
        _, source_rows, source_columns = self.source_shape
        of_rows, of_columns = self.positions(0), self.positions(1)
        per_group = len(self.kernel) // self.groups
        sources, targets, values = [], [], []
        for row, column in np.ndindex(*self.kernel.shape[2:]):
            element = self.kernel[:, :, row, column]
            out, into = np.nonzero(element)
            channel = out // per_group * self.kernel.shape[1] + into
            i, j = np.flatnonzero(of_rows[row] >= 0), np.flatnonzero(of_columns[column] >= 0)
            # Axes: channel pairs, target rows, target columns.
            source = of_rows[row, i][:, None] * source_columns + of_columns[column, j]
            source = channel[:, None, None] * (source_rows * source_columns) + source
            target = out[:, None, None] * (rows * columns) + (i[:, None] * columns + j)
            weight = element[out, into].astype(np.int64)[:, None, None]
            sources.append(source.ravel())
            targets.append(target.ravel())
            values.append(np.broadcast_to(weight, source.shape).ravel())
        return sp.csr_matrix(
            (np.concatenate(values), (np.concatenate(sources), np.concatenate(targets))),
            shape=self.shape,
            dtype=np.int64,
        )

    def fan_out(self) -> NDArray[np.int64]:
        """Return the number of nonzero connections per source neuron, shape (source size,)."""
        channels, rows, columns = self.source_shape
        per_group = len(self.kernel) // self.groups
        nonzero = (self.kernel != 0).reshape(self.groups, per_group, *self.kernel.shape[1:])
        # Nonzero elements by source channel, row and column of the kernel.
        counts = nonzero.sum(axis=1, dtype=np.int64).reshape(channels, *self.kernel.shape[2:])
        met_rows = _times_met(self.positions(0), rows)
        met_columns = _times_met(self.positions(1), columns)
        fan_out: NDArray[np.int64] = np.einsum("crk,ri,kj->cij", counts, met_rows, met_columns)
        return fan_out.reshape(-1)

    def largest_sum(self) -> int:
        """Return the largest sum of the magnitudes of the mantissas into one target neuron."""
        inside_rows = (self.positions(0) >= 0).astype(np.int64)
        inside_columns = (self.positions(1) >= 0).astype(np.int64)
        magnitudes = np.abs(self.kernel.astype(np.int64)).sum(axis=1)
        sums = np.einsum("ork,ri,kj->oij", magnitudes, inside_rows, inside_columns)
        return int(sums.max())

    def describe(self) -> str:
        """Return shape and number of weights, in one line."""
        shapes = (self.source_shape, self.target_shape)
        source, target = ("x".join(map(str, shape)) for shape in shapes)
        return (
            f"convolution {source} to {target}, kernel "
            f"{'x'.join(map(str, self.kernel.shape))}, {self.connections:,} nonzero connections"
        )


def _integers(thing: str, values: object, count: int, low: int, high: int) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list, np.ndarray)) or len(values) != count:
        raise ValidationError(thing, values, f"{count} integers")
    return tuple(check_integer(thing, value, low, high) for value in values)


def _times_met(positions: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return how often each element of the kernel meets each source position."""
    met = np.zeros((len(positions), size), np.int64)
    for element, row in enumerate(positions):
        np.add.at(met[element], row[row >= 0], 1)
    return met
