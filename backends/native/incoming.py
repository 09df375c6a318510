"""Incoming weights of a population as runs of adjacent weights, for dense and convolutional kinds.

The events of all projections into a population are numbered rows: neuron n of the source of
projection p is row ``first_rows[p] + n``. A row adds runs of adjacent weights to runs of adjacent
targets: one run in an all-to-all projection, one per row of targets in a convolution. Kernels are
stored once, and not for every neuron.

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

from .kernels import Weights

__all__ = ["VECTOR", "Incoming", "Order", "aligned", "neuron_orders"]

Order = NDArray[np.int32] | None
"""Neurons in the order in which a population is simulated; None if it is that of the network."""

_MOST_WEIGHTS = 2**31

# Columns of `runs`: index of the first target and weight; numbers of rows and of columns of runs;
# length of a run; number of the projection; number of the targets, equal for rows of the projection
# with the same targets; unused, so that no row crosses a cache line.
_RUN_FIELDS = 8

_CACHE_LINE = 64

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
    runs : int32 array, shape (rows, 8)
        Runs of each row: first target, first weight, number of rows of runs, number of runs per
        row, length of a run, projection, number of the targets (rows that have it in common have
        the same targets), unused.
    strides : int64 array, shape (projections, 4)
        Distances of rows of runs, between targets and between weights; and those of the runs of a
        row.
    first_rows : int64 array, shape (projections + 1,)
        Number of the first row of each projection.
    zeros : uint64
        Index in `weights` of zeros, as many as the longest run.
    """

    projections: Sequence[AnyProjection]
    exponent: int
    weights: Weights
    runs: NDArray[np.int32]
    strides: NDArray[np.int64]
    first_rows: NDArray[np.int64]
    zeros: np.uint64

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
        weights = [np.zeros(0, dtype)]
        runs = [np.zeros((0, _RUN_FIELDS), np.int64)]
        strides, first_rows, first_weight, first_targets = [], [0], 0, 0
        for number, p in enumerate(projections):
            source, target = orders[p.source], orders[p.target]
            if isinstance(p, Projection):
                stored, fields, distances = _dense_runs(p, source, target)
            else:
                stored, fields, distances = _convolution_runs(p, source, target)
            # In int64, because in fixed point, the cast keeps the lower 32 bits.
            shifted = stored.astype(np.int64) << (p.exponent - exponent)
            weights.append(shifted.astype(dtype).ravel())
            fields[:, 1] += first_weight
            fields[:, 5] = number
            fields[:, 6] = _numbered(fields[:, [0, 2, 3, 4]])
            fields[:, 6] += first_targets
            first_targets += len(fields)
            runs.append(fields)
            strides.append(distances)
            first_weight += shifted.size
            first_rows.append(first_rows[-1] + len(fields))
        longest = max(int(fields[:, 4].max(initial=0)) for fields in runs)
        if first_weight >= _MOST_WEIGHTS:
            raise UnsupportedFeatureError(
                f"native backend: got {first_weight:,} weights into population "
                f"{projections[0].target!r}, expected fewer than 2**31"
            )
        return cls(
            projections,
            exponent,
            aligned(np.concatenate([*weights, np.zeros(longest, dtype)])),
            aligned(np.concatenate(runs).astype(np.int32)),
            np.array(strides, np.int64).reshape(-1, 4),
            np.array(first_rows, np.int64),
            np.uint64(first_weight),
        )


def _numbered(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return numbers that are the same for equal rows."""
    if (rows == rows[0]).all():
        return np.zeros(len(rows), np.int64)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def aligned(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that starts at a cache line, which vectors then do not cross."""
    memory = np.empty(values.nbytes + _CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    copy = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


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


def _dense_runs(
    projection: Projection, source: Order, target: Order
) -> tuple[NDArray[np.int32], NDArray[np.int64], list[int]]:
    mantissas = projection.mantissas
    if source is not None:
        mantissas = mantissas[source]
    if target is not None:
        mantissas = mantissas[:, target]
    # Whole vectors are faster; adding zeros after the last target changes nothing.
    padding = -projection.shape[1] % VECTOR
    mantissas = np.pad(mantissas, ((0, 0), (0, padding)))
    sources, targets = mantissas.shape
    runs = np.zeros((sources, _RUN_FIELDS), np.int64)
    runs[:, 1] = np.arange(sources) * targets
    runs[:, 2:4] = 1
    runs[:, 4] = targets
    return mantissas, runs, [0, 0, 0, 0]


def _convolution_runs(
    projection: Convolution, source: Order, target: Order
) -> tuple[NDArray[np.int32], NDArray[np.int64], list[int]]:
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
    group = channel // of_group
    runs = np.zeros((len(neurons), _RUN_FIELDS), np.int64)
    if target is None:
        # Order (channel, row, column): a run is a row of targets in one channel.
        kernel = kernel.transpose(0, 2, 1, 3, 4)
        runs[:, 0] = (group * per_group * height + rows.target[row]) * width
        runs[:, 0] += columns.target[column]
        runs[:, 1] = (channel * per_group * tall + rows.element[row]) * wide
        runs[:, 1] += columns.element[column]
        runs[:, 3], runs[:, 4] = per_group, columns.count[column]
        strides = [rows.target_step * width, -rows.element_step * wide, height * width, tall * wide]
    else:
        kernel = kernel.transpose(0, 2, 3, 4, 1)
        runs[:, 0] = (rows.target[row] * width + columns.target[column]) * channels
        runs[:, 0] += group * per_group
        runs[:, 1] = (channel * tall + rows.element[row]) * wide + columns.element[column]
        runs[:, 1] *= per_group
        runs[:, 3], runs[:, 4] = columns.count[column], per_group
        if groups == 1 and columns.target_step == 1:
            # All columns of a row of targets are adjacent.
            runs[:, 3], runs[:, 4] = 1, columns.count[column] * per_group
        strides = [
            rows.target_step * width * channels,
            -rows.element_step * wide * per_group,
            columns.target_step * channels,
            per_group,
        ]
    runs[:, 2] = rows.count[row]
    runs[(rows.count[row] == 0) | (columns.count[column] == 0)] = 0
    return kernel, runs, strides


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
