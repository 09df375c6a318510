"""Incoming weights of a population as runs of adjacent weights, for dense and convolutional kinds.

The events of all projections into a population are numbered rows: neuron n of the source of
projection p is row ``first_rows[p] + n``. A row adds runs of adjacent weights to runs of adjacent
targets: one run in an all-to-all projection, one per row of targets in a convolution. Runs are
divided into blocks of fixed sizes. Kernels are stored once, and not for every neuron.

Adjacent targets of a convolution should have adjacent weights. Therefore populations that are the
target of convolutions are simulated in the order (row, column, channel), and kernels are stored
with the columns that meet the same source column next to each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import AnyProjection, Convolution, Network, Projection

from .vectors import BLOCKS, Weights, aligned

__all__ = ["VECTOR", "Incoming", "Order", "neuron_orders"]

Order = NDArray[np.int32] | None
"""Neurons in the order in which a population is simulated; None if it is that of the network."""

_MOST_WEIGHTS = 2**31

VECTOR = 16
"""Number of neurons to a multiple of which currents are padded."""


@dataclass(frozen=True, eq=False)
class Incoming:
    """Weights of projections into one population, in units of ``2**exponent``.

    Parameters
    ----------
    projections : sequence of Projection or Convolution
        The projections.
    exponent : int
        Exponent of the unit.
    weights : array
        All weights, in a type in which their sums are exact.
    rows : int32 array, shape (rows, 2)
        Index in `weights` of the first weight of each row; and index in `shapes` of its shape.
    shapes : int64 array, shape (shapes, 6)
        Targets of rows: first target; and indices in `blocks` of the first block of each size of
        :data:`.vectors.BLOCKS`, and of the end.
    blocks : int64 array, shape (blocks, 2)
        Blocks of adjacent targets, relative to the first target; and of their weights, relative to
        the first weight.
    first_rows : int64 array, shape (projections + 1,)
        Number of the first row of each projection.
    """

    projections: Sequence[AnyProjection]
    exponent: int
    weights: Weights
    rows: NDArray[np.int32]
    shapes: NDArray[np.int64]
    blocks: NDArray[np.int64]
    first_rows: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        projections: Sequence[AnyProjection],
        orders: Mapping[str, Order],
        *,
        wraps: bool = False,
    ) -> Incoming:
        """Return the weights of projections into one population.

        Parameters
        ----------
        projections : sequence of Projection or Convolution
            Projections with the same target.
        orders : mapping of str to Order
            Orders of all populations.
        wraps : bool, optional
            Whether sums may wrap around at 32 bits, as in fixed point.
        """
        exponent = min((p.exponent for p in projections), default=0)
        largest = sum(p.largest_sum() << (p.exponent - exponent) for p in projections)
        dtype: Any = np.int32 if wraps or largest < 2**31 else np.float64
        stored = []
        rows, shapes = [np.zeros((0, 2), np.int64)], [np.zeros((0, 8), np.int64)]
        first_rows, first_weight, first_shape = [0], 0, 0
        for p in projections:
            source, target = orders[p.source], orders[p.target]
            if isinstance(p, Projection):
                mantissas, starts, shape = _dense_rows(p, source, target)
            else:
                mantissas, starts, shape = _convolution_rows(p, source, target)
            stored.append(mantissas.ravel())
            distinct, number = np.unique(shape, axis=0, return_inverse=True)
            number = np.broadcast_to(number.reshape(-1), len(starts))
            rows.append(np.stack([starts + first_weight, number + first_shape], axis=1))
            shapes.append(distinct)
            first_weight += mantissas.size
            first_shape += len(distinct)
            first_rows.append(first_rows[-1] + len(starts))
        if first_weight >= _MOST_WEIGHTS:
            raise UnsupportedFeatureError(
                f"native backend: got {first_weight:,} weights into population "
                f"{projections[0].target!r}, expected fewer than 2**31"
            )
        weights = aligned(np.zeros(first_weight, dtype))
        end = 0
        for p, mantissas in zip(projections, stored, strict=True):
            start, end = end, end + len(mantissas)
            shift = p.exponent - exponent
            # In int64, because in fixed point, the cast keeps the lower 32 bits.
            shifted = mantissas.astype(np.int64) << shift if shift else mantissas
            weights[start:end] = shifted.astype(dtype, copy=False)
        return cls(
            projections,
            exponent,
            weights,
            aligned(np.concatenate(rows).astype(np.int32)),
            *_in_blocks(np.concatenate(shapes)),
            np.array(first_rows, np.int64),
        )


def neuron_orders(network: Network) -> dict[str, Order]:
    """Return the order of simulation of the neurons of the input and every population.

    It is (row, column, channel) for targets of convolutions, if these agree on the shape.
    """
    orders: dict[str, Order] = dict.fromkeys(network.sizes)
    for population in network.populations:
        shapes = {
            p.target_shape for p in network.incoming(population.name) if isinstance(p, Convolution)
        }
        if len(shapes) == 1:
            neurons = np.arange(population.size, dtype=np.int32).reshape(shapes.pop())
            orders[population.name] = neurons.transpose(1, 2, 0).ravel()
    return orders


def _in_blocks(shapes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the shapes of an `Incoming` and the blocks, which shapes of equal runs share.

    Fields of the given shapes: first target; numbers of rows of runs, and of runs per row; length
    of a run; distance of the targets, and of the weights, of rows of runs; and of runs of a row.
    """
    distinct, number = np.unique(shapes[:, 1:], axis=0, return_inverse=True)
    limits, blocks = [], [np.zeros((0, 2), np.int64)]
    count = 0
    for rows, runs, length, *steps in distinct.tolist():
        row, run = (index.ravel() for index in np.indices((rows, runs)))
        targets, weights = row * steps[0] + run * steps[2], row * steps[1] + run * steps[3]
        starts = [count]
        done = 0
        for size in BLOCKS:
            end = length - length % size
            within = np.arange(done, end, size)
            done = end
            block = np.stack(
                [(first[:, None] + within).ravel() for first in (targets, weights)], axis=1
            )
            blocks.append(block)
            count += len(block)
            starts.append(count)
        limits.append(starts)
    of_shapes = np.array(limits, np.int64).reshape(-1, 1 + len(BLOCKS))[number.reshape(-1)]
    first_targets = shapes[:, :1]
    return aligned(np.concatenate([first_targets, of_shapes], axis=1)), np.concatenate(blocks)


def _dense_rows(
    projection: Projection, source: Order, target: Order
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Return weights, first weight of each row, and the one shape of all rows."""
    mantissas = projection.mantissas
    if source is not None:
        mantissas = mantissas[source]
    if target is not None:
        mantissas = mantissas[:, target]
    # Whole vectors are faster; adding zeros after the last target changes nothing.
    mantissas = np.pad(mantissas, ((0, 0), (0, -projection.shape[1] % VECTOR)))
    sources, targets = mantissas.shape
    shape = np.array([[0, 1, 1, targets, 0, 0, 0, 0]])
    return mantissas, np.arange(sources) * targets, shape


def _convolution_rows(
    projection: Convolution, source: Order, target: Order
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Return weights, and the first weight and the shape of each row."""
    if target is None and projection.dilation[1] > 1:
        projection = _without_column_dilation(projection)
    rows, columns = _Axis.of(projection, 0), _Axis.of(projection, 1)
    channels, height, width = projection.target_shape
    groups, per_group = projection.groups, channels // projection.groups
    of_group = projection.kernel.shape[1]
    tall, wide = projection.kernel.shape[2:]
    # Axes: groups, target channels, source channels, rows, columns.
    kernel = projection.kernel.reshape(groups, per_group, of_group, tall, wide)[..., columns.stored]
    neurons = np.arange(math.prod(projection.source_shape)) if source is None else source
    channel, row, column = np.unravel_index(neurons, projection.source_shape)
    first_channel = channel // of_group * per_group
    met = columns.count[column]
    if target is None:
        # Order (channel, row, column): a run is a row of targets in one channel.
        kernel = kernel.transpose(0, 2, 1, 3, 4)
        first_target = (first_channel * height + rows.target[row]) * width + columns.target[column]
        first = (channel * per_group * tall + rows.element[row]) * wide + columns.element[column]
        runs: Any = per_group
        length: Any = met
        steps = [rows.target_step * width, -rows.element_step * wide, height * width, tall * wide]
    else:
        kernel = kernel.transpose(0, 2, 3, 4, 1)
        first_target = (rows.target[row] * width + columns.target[column]) * channels
        first_target += first_channel
        first = (channel * tall + rows.element[row]) * wide + columns.element[column]
        first *= per_group
        runs, length = met, per_group
        if groups == 1 and columns.target_step == 1:
            # All columns of a row of targets are adjacent.
            runs, length = 1, met * per_group
        steps = [
            rows.target_step * width * channels,
            -rows.element_step * wide * per_group,
            columns.target_step * channels,
            per_group,
        ]
    shape = np.empty((len(neurons), 8), np.int64)
    for field, values in enumerate((first_target, rows.count[row], runs, length, *steps)):
        shape[:, field] = values
    without = (rows.count[row] == 0) | (met == 0)
    shape[without], first[without] = 0, 0
    return kernel, first, shape


@dataclass(frozen=True)
class _Axis:
    """Targets and kernel elements that each source row, or column, meets.

    These are `count` targets, starting at `target` with steps of `target_step`. The elements are in
    descending order, with steps of `element_step`. `stored` is an order of the elements in which
    those of each source row or column are adjacent.

    `element` is the first element; for columns, its position in the stored order.
    """

    count: NDArray[np.int64]
    target: NDArray[np.int64]
    element: NDArray[np.int64]
    target_step: int
    element_step: int
    stored: NDArray[np.intp]

    @classmethod
    def of(cls, projection: Convolution, axis: int) -> _Axis:
        positions = projection.positions(axis)
        size = projection.source_shape[1 + axis]
        elements, targets = np.nonzero(positions >= 0)
        met = positions[elements, targets]
        first_target = np.full(size, projection.target_shape[1 + axis])
        np.minimum.at(first_target, met, targets)
        first_element = np.zeros(size, np.int64)
        np.maximum.at(first_element, met, elements)
        common = math.gcd(projection.stride[axis], projection.dilation[axis])
        step = projection.stride[axis] // common
        number = np.arange(len(positions))
        stored = np.lexsort((-number, number % step))
        if axis == 1:
            first_element = np.argsort(stored)[first_element]
        return cls(
            np.bincount(met, minlength=size),
            first_target,
            first_element,
            projection.dilation[axis] // common,
            step,
            stored,
        )


def _without_column_dilation(projection: Convolution) -> Convolution:
    *outer, wide = projection.kernel.shape
    distance = projection.dilation[1]
    kernel = np.zeros((*outer, distance * (wide - 1) + 1), np.int32)
    kernel[..., ::distance] = projection.kernel
    return replace(projection, kernel=kernel, dilation=(projection.dilation[0], 1))
