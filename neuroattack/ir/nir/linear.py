"""Linear nodes between neurons as sparse matrices; convolutions are unrolled."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.ir.nir.nodes import Convolution, Linear, Node, Pool, Scale

__all__ = ["Signal", "apply", "joined"]

_MOST_ENTRIES = 2**25

Key = tuple[str, float]


@dataclass(frozen=True, eq=False)
class Signal:
    """Signal on an edge of the graph: a linear function of the spikes of earlier neurons.

    The elements are in row-major order. `matrices`, of shape (source neurons, elements), are keyed
    by the name of the source and the delay in the file's time unit. `constant`, of shape
    (elements,), is the value without spikes; `delayed_constant` is True if part of it passed a
    delay and is thus not present from the start.
    """

    shape: tuple[int, ...]
    matrices: dict[Key, sp.csr_matrix]
    constant: NDArray[np.float64]
    delayed_constant: bool = False

    @classmethod
    def of_neurons(cls, name: str, shape: tuple[int, ...]) -> Signal:
        """Return the unweighted spikes of neurons as a signal."""
        size = math.prod(shape)
        return cls(shape, {(name, 0.0): sp.identity(size, format="csr")}, np.zeros(size))

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def through(self, matrix: sp.csr_matrix, shape: tuple[int, ...]) -> Signal:
        """Return the signal multiplied by a matrix of shape (elements, output elements)."""
        return Signal(
            shape,
            {key: (given @ matrix).tocsr() for key, given in self.matrices.items()},
            np.asarray(matrix.T @ self.constant),
            self.delayed_constant,
        )

    def plus(self, constant: NDArray[np.float64]) -> Signal:
        """Return the signal with a constant added."""
        return replace(self, constant=self.constant + constant)

    def delayed(self, delays: NDArray[np.float64]) -> Signal:
        """Return the signal delayed by a time per element, shape (elements,)."""
        matrices: dict[Key, sp.csr_matrix] = {}
        for (source, before), matrix in self.matrices.items():
            for delay in np.unique(delays).tolist():
                only = sp.diags((delays == delay).astype(np.float64), format="csr")
                _add(matrices, (source, before + delay), (matrix @ only).tocsr())
        late = bool((self.constant[delays > 0] != 0).any())
        return replace(self, matrices=matrices, delayed_constant=self.delayed_constant or late)


def joined(signals: list[Signal], node: Node) -> Signal:
    """Return the sum of a node's inputs; raise ValidationError if their sizes differ."""
    if len({signal.size for signal in signals}) > 1:
        shapes = " and ".join(str(signal.shape) for signal in signals)
        raise ValidationError(f"{node.words} inputs", f"shapes {shapes}", "one size")
    first, *others = signals
    if not others:
        return first
    matrices = dict(first.matrices)
    for signal in others:
        for key, matrix in signal.matrices.items():
            _add(matrices, key, matrix)
    return Signal(
        first.shape,
        matrices,
        np.sum([signal.constant for signal in signals], axis=0),
        any(signal.delayed_constant for signal in signals),
    )


def _add(matrices: dict[Key, sp.csr_matrix], key: Key, matrix: sp.csr_matrix) -> None:
    matrices[key] = matrices[key] + matrix if key in matrices else matrix


def apply(node: Linear | Scale | Convolution | Pool, signal: Signal) -> Signal:
    """Return a linear node's output; raise ValidationError if its input does not fit."""
    if isinstance(node, Linear):
        _check_size(node, signal, node.weight.shape[1])
        weights = sp.csr_matrix(node.weight.T)
        return signal.through(weights, (len(node.weight),)).plus(node.bias)
    if isinstance(node, Scale):
        scale = node.scale.ravel() if node.scale.size != 1 else np.full(signal.size, node.scale)
        _check_size(node, signal, scale.size)
        return signal.through(sp.diags(scale, format="csr"), signal.shape)
    if isinstance(node, Pool):
        node = _as_convolution(node, signal)
    return _convolved(node, signal)


def _check_size(node: Node, signal: Signal, size: int) -> None:
    if signal.size != size:
        raise ValidationError(
            f"{node.words} input", f"shape {signal.shape} ({signal.size} elements)", f"{size}"
        )


def _as_convolution(pool: Pool, signal: Signal) -> Convolution:
    channels = _channels_first(pool, signal, 2)[0]
    weight = 1 / math.prod(pool.kernel) if pool.average else 1.0
    return Convolution(
        pool.name,
        np.full((channels, 1, *pool.kernel), weight),
        np.zeros(channels),
        None,
        pool.stride,
        ((pool.padding[0],) * 2, (pool.padding[1],) * 2),
        (1, 1),
        channels,
    )


def _channels_first(node: Node, signal: Signal, dimensions: int) -> tuple[int, int, int]:
    """Return channels, rows and columns; a signal without an axis of channels has one channel."""
    shape = signal.shape
    # Some frameworks export the batch axis.
    while len(shape) > dimensions + 1 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == dimensions:
        shape = (1, *shape)
    if len(shape) != dimensions + 1:
        axes = "(channels, rows, columns)" if dimensions == 2 else "(channels, columns)"
        raise ValidationError(f"{node.words} input", f"shape {signal.shape}", f"shape {axes}")
    return shape[0], shape[1] if dimensions == 2 else 1, shape[-1]


def _convolved(node: Convolution, signal: Signal) -> Signal:
    channels, *sides = _channels_first(node, signal, node.dimensions)
    outputs, per_group = node.weight.shape[:2]
    if channels != per_group * node.groups or (node.sides or tuple(sides)) != tuple(sides):
        expected = (per_group * node.groups, *(node.sides or sides))
        raise ValidationError(f"{node.words} input", f"shape {signal.shape}", f"shape {expected}")
    reach = [d * (k - 1) + 1 for d, k in zip(node.dilation, node.weight.shape[2:], strict=True)]
    output = [
        (side + sum(around) - covered) // stride + 1
        for side, around, covered, stride in zip(
            sides, node.padding, reach, node.stride, strict=True
        )
    ]
    if min(output) < 1:
        raise ValidationError(
            f"{node.words} kernel", f"{reach[0]} x {reach[1]}", f"at most the input, {sides}"
        )
    entries = math.prod(output) * node.weight.size
    if entries > _MOST_ENTRIES:
        raise ValidationError(
            f"{node.words} unrolled", f"{entries:,} weights", f"at most {_MOST_ENTRIES:,}"
        )
    # One axis per dimension of the kernel and of the output, broadcast against each other.
    out, within, row, column, i, j = np.ix_(
        *(np.arange(n) for n in (outputs, per_group, *node.weight.shape[2:], *output))
    )
    r = i * node.stride[0] + row * node.dilation[0] - node.padding[0][0]
    c = j * node.stride[1] + column * node.dilation[1] - node.padding[1][0]
    channel = out // (outputs // node.groups) * per_group + within
    source = (channel * sides[0] + r) * sides[1] + c
    target = (out * output[0] + i) * output[1] + j
    inside = (r >= 0) & (r < sides[0]) & (c >= 0) & (c < sides[1])
    source, target, inside, weight = np.broadcast_arrays(
        source, target, inside, node.weight[..., None, None]
    )
    shape = (outputs, *output)
    unrolled = sp.csr_matrix(
        (weight[inside], (source[inside], target[inside])),
        shape=(signal.size, math.prod(shape)),
    )
    per_element = np.repeat(node.bias, math.prod(output))
    found = signal.through(unrolled, shape).plus(per_element)
    return found if node.dimensions == 2 else replace(found, shape=(outputs, output[1]))
