"""Linear maps from the spikes of one population to a signal, stored as compactly as possible.

A map is an identity, a convolution with its kernel, or a matrix. Convolutions that follow each
other, such as pooling, become one kernel where that is exact, and a matrix otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.nir.graph.nodes import Convolution

__all__ = ["Identity", "Kernel", "Map", "Matrix", "convolve", "output_sides"]

_MOST_PAIRS = 2**27
_MOST_ENTRIES = 2**25

Pair = tuple[int, int]
Shape3 = tuple[int, int, int]
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Matrix:
    """Matrix of shape (source neurons, elements), dense or sparse."""

    values: Values | sp.csr_matrix

    def dense(self) -> Values:
        """Return the matrix as an array."""
        return self.values if isinstance(self.values, np.ndarray) else self.values.toarray()

    def times(self, matrix: Values) -> Matrix:
        """Return the map followed by a matrix of shape (elements, output elements)."""
        _check_pairs(self.values.shape[0], matrix.shape[1])
        return Matrix(np.asarray(self.values @ matrix))

    def scaled(self, factors: Values) -> Matrix:
        """Return the map with each element multiplied by a factor."""
        if isinstance(self.values, np.ndarray):
            return Matrix(self.values * factors)
        return Matrix((self.values @ sp.diags(factors)).tocsr())

    def unrolled(self) -> Matrix:
        """Return the map itself."""
        return self

    def convolved(self, node: Convolution, shape: Shape3) -> Matrix:
        """Return the map followed by a convolution of a signal of that shape."""
        return Matrix(_csr(self.values @ _of(node, shape).unrolled().values))


@dataclass(frozen=True)
class Identity:
    """Map that returns the spikes of `size` neurons unchanged."""

    size: int

    def times(self, matrix: Values) -> Matrix:
        """Return the map followed by a matrix of shape (elements, output elements)."""
        _check_pairs(*matrix.shape)
        return Matrix(matrix)

    def scaled(self, factors: Values) -> Identity | Matrix:
        """Return the map with each element multiplied by a factor."""
        return self if (factors == 1).all() else Matrix(_csr(sp.diags(factors)))

    def unrolled(self) -> Matrix:
        """Return the map as a matrix."""
        return Matrix(_csr(sp.identity(self.size)))

    def convolved(self, node: Convolution, shape: Shape3) -> Kernel:
        """Return the map followed by a convolution of a signal of that shape."""
        return _of(node, shape)


@dataclass(frozen=True, eq=False)
class Kernel:
    """Convolution of spikes in row-major order of (channels, rows, columns).

    Fields are those of :class:`neuroattack.ir.convolution.Convolution`, with weights as float64.
    """

    weight: Values
    source_shape: Shape3
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int

    @property
    def target_shape(self) -> Shape3:
        """Channels, rows and columns of the output."""
        rows, columns = output_sides(self, self.source_shape[1:])
        return len(self.weight), rows, columns

    def times(self, matrix: Values) -> Matrix:
        """Return the map followed by a matrix of shape (elements, output elements)."""
        _check_pairs(math.prod(self.source_shape), matrix.shape[1])
        return Matrix(np.asarray(self.unrolled().values @ matrix))

    def scaled(self, factors: Values) -> Kernel | Matrix:
        """Return the map with each element multiplied by a factor."""
        of_channels = factors.reshape(len(self.weight), -1)
        if (of_channels == of_channels[:, :1]).all():
            return replace(self, weight=self.weight * of_channels[:, 0, None, None, None])
        return self.unrolled().scaled(factors)

    def unrolled(self) -> Matrix:
        """Return the map as a sparse matrix."""
        channels, rows, columns = self.source_shape
        outputs, high, wide = self.target_shape
        if self.weight.size * high * wide > _MOST_ENTRIES:
            raise UnsupportedFeatureError(
                f"a convolution of {channels} x {rows} x {columns} to {outputs} x {high} x {wide} "
                "neurons that cannot be stored as a kernel (because of what follows before the "
                f"next neurons) has over {_MOST_ENTRIES:,} connections"
            )
        per_group, within = outputs // self.groups, self.weight.shape[1]
        i, j = np.arange(high) * self.stride[0], np.arange(wide) * self.stride[1]
        targets = np.arange(high * wide).reshape(high, wide)
        found: list[tuple[Values, NDArray[np.intp], NDArray[np.intp]]] = []
        for row, column in np.ndindex(*self.weight.shape[2:]):
            r = i + row * self.dilation[0] - self.padding[0][0]
            c = j + column * self.dilation[1] - self.padding[1][0]
            inside_r, inside_c = (r >= 0) & (r < rows), (c >= 0) & (c < columns)
            out, into = np.nonzero(self.weight[:, :, row, column])
            channel = out // per_group * within + into
            place = r[inside_r][:, None] * columns + c[inside_c]
            source = channel[:, None, None] * (rows * columns) + place
            target = out[:, None, None] * (high * wide) + targets[np.ix_(inside_r, inside_c)]
            weight = np.broadcast_to(
                self.weight[out, into, row, column][:, None, None], source.shape
            )
            found.append((weight.ravel(), source.ravel(), target.ravel()))
        weights, sources, into_targets = (np.concatenate(part) for part in zip(*found, strict=True))
        return Matrix(
            sp.csr_matrix(
                (weights, (sources, into_targets)),
                shape=(channels * rows * columns, outputs * high * wide),
            )
        )

    def convolved(self, node: Convolution, shape: Shape3) -> Kernel | Matrix:
        """Return the map followed by a convolution of a signal of that shape."""
        if shape == self.target_shape:
            kernel = _composed(self, node)
            if kernel is not None:
                return kernel
        return self.unrolled().convolved(node, shape)


Map = Identity | Kernel | Matrix


def output_sides(of: Kernel | Convolution, sides: tuple[int, int]) -> Pair:
    """Return rows and columns of the output for those of the input, below 1 if there is none."""
    high, wide = (
        (side + sum(around) - dilation * (size - 1) - 1) // stride + 1
        for side, around, dilation, size, stride in zip(
            sides, of.padding, of.dilation, of.weight.shape[2:], of.stride, strict=True
        )
    )
    return high, wide


def convolve(node: Convolution, values: Values) -> Values:
    """Return the convolution, without its bias, of values of shape (channels, rows, columns)."""
    outputs, within, *kernel = node.weight.shape
    high, wide = output_sides(node, values.shape[1:])
    padded = np.pad(values, ((0, 0), *node.padding))
    per_group = outputs // node.groups
    result = np.zeros((outputs, high, wide))
    for row, column in np.ndindex(*kernel):
        top, left = row * node.dilation[0], column * node.dilation[1]
        window = padded[
            :,
            top : top + (high - 1) * node.stride[0] + 1 : node.stride[0],
            left : left + (wide - 1) * node.stride[1] + 1 : node.stride[1],
        ]
        for group in range(node.groups):
            outs = slice(group * per_group, (group + 1) * per_group)
            ins = slice(group * within, (group + 1) * within)
            result[outs] += np.tensordot(node.weight[outs, :, row, column], window[ins], 1)
    return result


def _of(node: Convolution, shape: Shape3) -> Kernel:
    return Kernel(node.weight, shape, node.stride, node.padding, node.dilation, node.groups)


def _csr(matrix: sp.spmatrix | Values) -> sp.csr_matrix:
    return sp.csr_matrix(matrix)


def _check_pairs(sources: int, elements: int) -> None:
    if sources * elements > _MOST_PAIRS:
        raise UnsupportedFeatureError(
            f"dense connections of {sources:,} x {elements:,} neurons, expected at most "
            f"{_MOST_PAIRS:,} pairs"
        )


def _composed(inner: Kernel, outer: Convolution) -> Kernel | None:
    """Return two convolutions as one kernel, or None if one kernel is not exact or too large.

    With the inner stride s and dilation d and the outer dilation D, outer element a and inner
    element b meet the source at an offset of a D s + b d.
    """
    of_rows, of_columns = _padding(inner, outer, 0), _padding(inner, outer, 1)
    if of_rows is None or of_columns is None:
        return None
    steps = [outer.dilation[axis] * inner.stride[axis] for axis in (0, 1)]
    sides = [
        (outer.weight.shape[2 + axis] - 1) * steps[axis]
        + (inner.weight.shape[2 + axis] - 1) * inner.dilation[axis]
        + 1
        for axis in (0, 1)
    ]
    middle, outputs = len(inner.weight), len(outer.weight)
    first, second, groups = inner.weight, outer.weight, outer.groups
    # Index of the middle channel of each pair of an output channel and a channel of its group.
    per_group, within = outputs // groups, second.shape[1]
    pairs = np.arange(outputs)[:, None] // per_group * within + np.arange(within)
    if inner.groups == middle == inner.source_shape[0]:

        def element(a: Values, b: Values) -> Values:
            paired: Values = a * b[pairs, 0]
            return paired

        channels = within
    elif outer.groups == middle == outputs:

        def element(a: Values, b: Values) -> Values:
            return a[:, :1] * b

        channels, groups = first.shape[1], inner.groups
    else:
        first, second, groups = _ungrouped(first, inner.groups), _ungrouped(second, groups), 1

        def element(a: Values, b: Values) -> Values:
            return a @ b

        channels = first.shape[1]
    if outputs * channels * math.prod(sides) > _MOST_ENTRIES:
        return None
    weight = np.zeros((outputs, channels, *sides))
    for i, j in np.ndindex(*outer.weight.shape[2:]):
        for row, column in np.ndindex(*inner.weight.shape[2:]):
            high = i * steps[0] + row * inner.dilation[0]
            wide = j * steps[1] + column * inner.dilation[1]
            weight[:, :, high, wide] += element(second[:, :, i, j], first[:, :, row, column])
    stride = (inner.stride[0] * outer.stride[0], inner.stride[1] * outer.stride[1])
    return Kernel(weight, inner.source_shape, stride, (of_rows, of_columns), (1, 1), groups)


def _padding(inner: Kernel, outer: Convolution, axis: int) -> Pair | None:
    """Return the padding of the composed kernel along an axis, or None if it is not exact."""
    side, middle = inner.source_shape[1 + axis], inner.target_shape[1 + axis]
    target = output_sides(outer, inner.target_shape[1:])[axis]
    step, (before, _) = inner.stride[axis], inner.padding[axis]
    reach = (inner.weight.shape[2 + axis] - 1) * inner.dilation[axis]
    outer_before, _ = outer.padding[axis]
    outer_reach = (outer.weight.shape[2 + axis] - 1) * outer.dilation[axis]
    if outer_before > 0 and reach - step - before >= 0:
        # The zero before the first middle row would be a sum over source rows.
        return None
    last = (target - 1) * outer.stride[axis] + outer_reach - outer_before
    if last >= middle and middle * step - before < side:
        # So would the one after the last.
        return None
    left = outer_before * step + before
    covered = (target - 1) * step * outer.stride[axis] + outer_reach * step + reach + 1
    # Rows that are never met are removed by a negative number.
    return left, covered - left - side


def _ungrouped(weight: Values, groups: int) -> Values:
    """Return the weights of a convolution in groups for a single group."""
    outputs, within, *kernel = weight.shape
    full = np.zeros((outputs, groups, within, *kernel))
    group = np.arange(outputs) // (outputs // groups)
    full[np.arange(outputs), group] = weight
    return full.reshape(outputs, groups * within, *kernel)
