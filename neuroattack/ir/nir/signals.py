"""Signals on the edges of a graph: linear functions of the spikes of populations."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.ir.nir.graph import nodes
from neuroattack.ir.nir.maps import Identity, Map, convolve, output_sides

__all__ = ["Signal", "apply", "joined", "output_shape", "size_of"]

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Term:
    """Part of a signal: the spikes of a population, delayed (in the file's unit) and mapped."""

    source: str
    delay: float
    map: Map


@dataclass(frozen=True, eq=False)
class Signal:
    """Sum of linear functions of spikes, and a constant.

    The elements are in row-major order of `shape`. `constant`, of shape (elements,), is the value
    without spikes; `delayed_constant` is True if part of it passed a delay and is thus not present
    from the start.
    """

    shape: Shape
    terms: tuple[Term, ...]
    constant: NDArray[np.float64]
    delayed_constant: bool = False

    @classmethod
    def of_neurons(cls, name: str, shape: Shape) -> Signal:
        """Return the spikes of neurons as a signal."""
        size = math.prod(shape)
        return cls(shape, (Term(name, 0.0, Identity(size)),), np.zeros(size))

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def size_of(shape: Shape) -> str:
    """Return a shape and its number of elements, for messages."""
    return f"shape {shape} ({math.prod(shape)} elements)"


def joined(signals: list[Signal], node: nodes.Node) -> Signal:
    """Return the sum of a node's inputs; raise ValidationError if their sizes differ."""
    if len({signal.size for signal in signals}) > 1:
        shapes = " and ".join(str(signal.shape) for signal in signals)
        raise ValidationError(f"{node.words} inputs", f"shapes {shapes}", "one size")
    first, *others = signals
    if not others:
        return first
    return Signal(
        first.shape,
        tuple(term for signal in signals for term in signal.terms),
        np.sum([signal.constant for signal in signals], axis=0),
        any(signal.delayed_constant for signal in signals),
    )


def output_shape(node: nodes.Node, shape: Shape) -> Shape:
    """Return the shape of a linear node's output; raise ValidationError if its input is unfit."""
    size = math.prod(shape)
    if isinstance(node, nodes.Flatten):
        return (size,)
    if isinstance(node, nodes.Linear):
        _check_size(node, shape, node.weight.shape[1])
        return (len(node.weight),)
    if isinstance(node, nodes.Scale):
        _check_size(node, shape, size if node.scale.size == 1 else node.scale.size)
    if isinstance(node, nodes.Delay):
        _check_size(node, shape, size if node.delay.size == 1 else node.delay.size)
    if isinstance(node, nodes.Convolution | nodes.Pool):
        channels, *sides = _channels_first(node, shape)
        convolution = _as_convolution(node, channels)
        outputs, high, wide = _convolved_shape(convolution, channels, (sides[0], sides[1]))
        return (outputs, wide) if convolution.dimensions == 1 else (outputs, high, wide)
    return shape


def apply(node: nodes.Node, signal: Signal) -> Signal:
    """Return a linear node's output; raise ValidationError if its input does not fit."""
    shape = output_shape(node, signal.shape)
    if isinstance(node, nodes.Linear):
        matrix = np.ascontiguousarray(node.weight.T)
        return Signal(
            shape,
            tuple(replace(term, map=term.map.times(matrix)) for term in signal.terms),
            node.weight @ signal.constant + node.bias,
            signal.delayed_constant,
        )
    if isinstance(node, nodes.Scale):
        scale = np.broadcast_to(node.scale.ravel(), (signal.size,))
        return replace(
            signal,
            terms=tuple(replace(term, map=term.map.scaled(scale)) for term in signal.terms),
            constant=signal.constant * scale,
        )
    if isinstance(node, nodes.Delay):
        return _delayed(signal, np.broadcast_to(node.delay.ravel(), (signal.size,)))
    if isinstance(node, nodes.Convolution | nodes.Pool):
        return _convolved(node, signal, shape)
    return replace(signal, shape=shape)


def _check_size(node: nodes.Node, shape: Shape, size: int) -> None:
    if math.prod(shape) != size:
        raise ValidationError(f"{node.words} input", size_of(shape), f"{size}")


def _delayed(signal: Signal, delays: NDArray[np.float64]) -> Signal:
    late = bool((signal.constant[delays > 0] != 0).any())
    signal = replace(signal, delayed_constant=signal.delayed_constant or late)
    distinct = np.unique(delays).tolist()
    if len(distinct) == 1:
        terms = [replace(term, delay=term.delay + distinct[0]) for term in signal.terms]
        return replace(signal, terms=tuple(terms))
    terms = []
    for term in signal.terms:
        matrix = term.map.unrolled()
        for delay in distinct:
            only = matrix.scaled((delays == delay).astype(np.float64))
            terms.append(Term(term.source, term.delay + delay, only))
    return replace(signal, terms=tuple(terms))


def _channels_first(node: nodes.Convolution | nodes.Pool, shape: Shape) -> tuple[int, int, int]:
    """Return channels, rows and columns; a signal without an axis of channels has one channel."""
    dimensions = node.dimensions if isinstance(node, nodes.Convolution) else 2
    full = shape
    # Some frameworks export the batch axis.
    while len(full) > dimensions + 1 and full[0] == 1:
        full = full[1:]
    if len(full) == dimensions:
        full = (1, *full)
    if len(full) != dimensions + 1:
        axes = "(channels, rows, columns)" if dimensions == 2 else "(channels, columns)"
        raise ValidationError(f"{node.words} input", f"shape {shape}", f"shape {axes}")
    return full[0], full[1] if dimensions == 2 else 1, full[-1]


def _as_convolution(node: nodes.Convolution | nodes.Pool, channels: int) -> nodes.Convolution:
    if isinstance(node, nodes.Convolution):
        return node
    weight = 1 / math.prod(node.kernel) if node.average else 1.0
    return nodes.Convolution(
        node.name,
        np.full((channels, 1, *node.kernel), weight),
        np.zeros(channels),
        None,
        node.stride,
        ((node.padding[0],) * 2, (node.padding[1],) * 2),
        (1, 1),
        channels,
    )


def _convolved_shape(
    node: nodes.Convolution, channels: int, sides: tuple[int, int]
) -> tuple[int, int, int]:
    outputs, per_group, *kernel = node.weight.shape
    if channels != per_group * node.groups or (node.sides or sides) != sides:
        expected = (per_group * node.groups, *(node.sides or sides))
        raise ValidationError(
            f"{node.words} input", f"shape {(channels, *sides)}", f"shape {expected}"
        )
    high, wide = output_sides(node, sides)
    if min(high, wide) < 1:
        covered = [d * (k - 1) + 1 for d, k in zip(node.dilation, kernel, strict=True)]
        padded = [side + sum(around) for side, around in zip(sides, node.padding, strict=True)]
        raise ValidationError(
            f"{node.words} kernel",
            f"{covered[0]} x {covered[1]}",
            f"at most the padded input, {padded[0]} x {padded[1]}",
        )
    return outputs, high, wide


def _convolved(node: nodes.Convolution | nodes.Pool, signal: Signal, shape: Shape) -> Signal:
    full = _channels_first(node, signal.shape)
    convolution = _as_convolution(node, full[0])
    constant = np.repeat(convolution.bias, math.prod(shape[1:]))
    if signal.constant.any():
        constant = constant + convolve(convolution, signal.constant.reshape(full)).ravel()
    terms = [replace(term, map=term.map.convolved(convolution, full)) for term in signal.terms]
    return Signal(shape, tuple(terms), constant, signal.delayed_constant)
