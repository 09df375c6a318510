"""Projections from the linear maps between populations."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import AnyProjection, Convolution, Projection
from neuroattack.ir.nir.maps import Identity, Kernel, Map, Matrix
from neuroattack.ir.nir.neurons import Cells

__all__ = ["connections", "rounding_of"]

_MOST_PAIRS = 2**27

# Connections of each neuron to its counterpart are stored as a matrix up to this many pairs.
_SMALL_PAIRS = 2**20

Values = NDArray[np.float64]


def connections(
    cells: Cells, terms: list[tuple[str, int, Map]]
) -> tuple[Cells, list[AnyProjection], list[Values]]:
    """Return neurons, the projections into them, and the projections' weights before rounding.

    `terms` are the sources, delays in time steps, and maps of the neurons' input. Convolutions
    remain kernels; neurons whose gains differ within a channel are rescaled for this.
    """
    kernels = [each for _, _, each in terms if isinstance(each, Kernel)]
    if not all(isinstance(kernel.scaled(cells.gains), Kernel) for kernel in kernels):
        cells = cells.with_unit_gains() or cells
    name = cells.population.name
    projections: list[AnyProjection] = []
    weights: list[Values] = []
    matrices: dict[tuple[str, int], Values] = {}
    for source, delay_steps, each in terms:
        scaled = _one_to_one(each, cells.gains) or each.scaled(cells.gains)
        if isinstance(scaled, Kernel):
            if not scaled.weight.any():
                continue
            projections.append(
                Convolution.from_weights(
                    source,
                    name,
                    scaled.weight,
                    scaled.source_shape,
                    stride=scaled.stride,
                    padding=scaled.padding,
                    dilation=scaled.dilation,
                    groups=scaled.groups,
                    delay_steps=delay_steps,
                )
            )
            weights.append(scaled.weight)
            continue
        key = source, delay_steps
        dense = _dense(scaled.unrolled(), source, name)
        matrices[key] = matrices[key] + dense if key in matrices else dense
    for (source, delay_steps), dense in matrices.items():
        if dense.any():
            projections.append(Projection.from_weights(source, name, dense, delay_steps))
            weights.append(dense)
    return cells, projections, weights


def _one_to_one(each: Map, gains: Values) -> Kernel | None:
    """Return an identity of many neurons, scaled, as a kernel of one element."""
    if not isinstance(each, Identity) or each.size**2 <= _SMALL_PAIRS:
        return None
    if (gains == gains[0]).all():
        weight, shape, groups = gains[:1], (1, 1, each.size), 1
    else:
        weight, shape, groups = gains, (each.size, 1, 1), each.size
    return Kernel(weight[:, None, None, None], shape, (1, 1), ((0, 0), (0, 0)), (1, 1), groups)


def _dense(matrix: Matrix, source: str, target: str) -> Values:
    sources, targets = matrix.values.shape
    if math.prod((sources, targets)) > _MOST_PAIRS:
        raise UnsupportedFeatureError(
            f"projection {source}->{target}: got {sources:,} x {targets:,} neurons, expected at "
            f"most {_MOST_PAIRS:,} pairs of connections that are no convolution"
        )
    return matrix.dense()


def rounding_of(projection: AnyProjection, weights: Values) -> float:
    """Return the largest rounding error, relative to the largest weight."""
    return float(np.abs(projection.grid_v - weights).max() / np.abs(weights).max())
