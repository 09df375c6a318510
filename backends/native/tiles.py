"""Weights in tiles of adjacent neurons, and their sums and updates in vector instructions.

A layer is simulated tile by tile, each over all steps of an image: the weights that an image's
spikes need for one tile fit in the first-level cache, and sums stay in registers. Loops over whole
rows read these from the second-level cache, and the sums from memory.

Numba's cache does not notice changes of this file: after a change, :mod:`.kernels` must be
compiled again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from neuroattack.ir.fixed_point import LEAK_ONE

from .vectors import Weights, aligned

__all__ = ["TILE", "advance_tile", "bit_count", "first_bit", "in_tiles", "sum_tile"]

TILE = 64
"""Neurons of a tile: its spikes in one step are the bits of one integer."""

# Rows that are added at once: their number differs from step to step, and the processor predicts
# the end of a loop over groups better. The last group is filled up with the row of zeros.
_GROUP = 4

_BIT, _INT32, _INT64, _DOUBLE = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.DoubleType()
_DOUBLES, _INTEGERS, _BITS = (ir.VectorType(kind, TILE) for kind in (_DOUBLE, _INT32, _BIT))

# Potentials in fixed point have 24 of 32 bits; their decay is in units of 1/4096.
_SPARE_BITS, _LEAK_BITS = 8, 12


def in_tiles(mantissas: NDArray[Any], dtype: type[np.generic]) -> Weights:
    """Return weights of shape (rows, neurons) in tiles, shape (tiles, rows + 1, TILE).

    Tiles begin on a cache line; the last row of each is zero.
    """
    rows, neurons = mantissas.shape
    weights = np.zeros((-(-neurons // TILE), rows + 1, TILE), dtype)
    for tile, of_tile in enumerate(weights):
        part = mantissas[:, tile * TILE : (tile + 1) * TILE]
        of_tile[:-1, : part.shape[1]] = part
    return aligned(weights)


_Array = tuple[Any, Any]


class _Code:
    """Instructions that several functions of this module have in common."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context = context
        self.builder = builder

    def item(self, kind: Any, array: Any, index: Any) -> Any:
        """Return the address of an entry of an array."""
        data = self.context.make_array(kind)(self.context, self.builder, array).data
        return self.builder.gep(data, [index])

    def load(self, kind: Any, array: Any, index: Any) -> Any:
        """Return TILE entries of an array, from an index on."""
        lanes = ir.VectorType(self.context.get_value_type(kind.dtype), TILE)
        place = self.builder.bitcast(self.item(kind, array, index), lanes.as_pointer())
        return self.builder.load(place, align=kind.dtype.bitwidth // 8)

    def store(self, kind: Any, array: Any, index: Any, values: Any) -> None:
        place = self.builder.bitcast(self.item(kind, array, index), values.type.as_pointer())
        self.builder.store(values, place, align=kind.dtype.bitwidth // 8)

    def repeat(self, value: Any) -> Any:
        """Return a vector with the same value in all lanes."""
        lanes = ir.Constant(ir.VectorType(value.type, TILE), ir.Undefined)
        zeros = ir.Constant(ir.VectorType(_INT32, TILE), None)
        one = self.builder.insert_element(lanes, value, _INT32(0))
        return self.builder.shuffle_vector(one, lanes, zeros)

    def sum_rows(self, weights: _Array, rows: _Array, tile: Any, begin: Any, end: Any) -> Any:
        """Return the sum of weights of a tile over ``rows[begin : end]``."""
        builder = self.builder
        kind, array = weights
        number = self.context.get_value_type(kind.dtype)
        integer = isinstance(kind.dtype, types.Integer)
        plus = builder.add if integer else builder.fadd
        shape = self.context.make_array(kind)(self.context, builder, array).shape
        n_rows = builder.extract_value(shape, 1)
        zero_row = builder.sub(n_rows, _INT64(1))
        first_row = builder.mul(tile, n_rows)
        zero = ir.Constant(ir.VectorType(number, TILE), None)
        before = builder.block
        loop, after = (builder.append_basic_block(name) for name in ("rows", "summed"))
        builder.cbranch(builder.icmp_unsigned("<", begin, end), loop, after)
        builder.position_at_end(loop)
        first, total = builder.phi(_INT64), builder.phi(zero.type)
        added = total
        for j in range(_GROUP):
            index = builder.add(first, _INT64(j))
            inside = builder.icmp_unsigned("<", index, end)
            index = builder.select(inside, index, first)
            row = builder.zext(builder.load(self.item(*rows, index)), _INT64)
            row = builder.add(first_row, builder.select(inside, row, zero_row))
            row_weights = self.load(*weights, builder.mul(row, _INT64(TILE)))
            added = plus(added, row_weights)
        following = builder.add(first, _INT64(_GROUP))
        builder.cbranch(builder.icmp_unsigned("<", following, end), loop, after)
        for value, at_first, later in ((first, begin, following), (total, zero, added)):
            value.add_incoming(at_first, before)
            value.add_incoming(later, loop)
        builder.position_at_end(after)
        found = builder.phi(zero.type)
        found.add_incoming(zero, before)
        found.add_incoming(added, loop)
        return found


@intrinsic
def _advance_tile(
    _: Any,
    weights: Any,
    rows: Any,
    tile: Any,
    begin: Any,
    end: Any,
    released: Any,
    v: Any,
    parameters: Any,
) -> Any:
    """Simulate one step of a tile; return the neurons that spike, as bits.

    All indices are uint64, and are not checked.

    Parameters
    ----------
    weights : array, shape (tiles, rows + 1, TILE)
    rows : int32 array
        ``rows[begin : end]`` arrive.
    released : uint64
        Neurons whose refractory period ends before this step, as bits.
    v : float64 or int32 array, shape (tiles * TILE,)
        Potentials, which are updated.
    parameters : tuple
        Threshold, bias or None, reset potential, and potential after a spike; then in floating
        point those of :func:`_moved_floating`, in fixed point those of :func:`_moved_fixed`.
        Thresholds and bias are arrays of the shape of `v`.
    """
    floating = isinstance(v.dtype, types.Float)
    threshold, bias, _reset, _after_spike, *others = parameters
    kinds = weights, rows, tile, begin, end, released, v, parameters

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        w, r, number, first, last, ends, potentials, given = arguments
        thresholds, biases, reset, after_spike, *values = (
            builder.extract_value(given, i) for i in range(len(parameters))
        )
        code = _Code(context, builder)
        neuron = builder.mul(number, _INT64(TILE))
        arrived = code.sum_rows((weights, w), (rows, r), number, first, last)
        before = builder.select(
            builder.bitcast(ends, _BITS),
            code.repeat(reset),
            code.load(v, potentials, neuron),
        )
        added = None
        if not isinstance(bias, types.NoneType):
            added = code.load(bias, biases, neuron)
        if floating:
            potential = _moved_floating(code, before, arrived, added, others, values)
        else:
            potential = _moved_fixed(code, before, arrived, added, others, values)
            held = builder.icmp_signed("==", before, code.repeat(after_spike))
            if_refractory = code.repeat(builder.icmp_signed("<", after_spike, reset))
            potential = builder.select(builder.and_(held, if_refractory), before, potential)
        above = builder.fcmp_ordered if floating else builder.icmp_signed
        fires = above(">", potential, code.load(threshold, thresholds, neuron))
        after = builder.select(fires, code.repeat(after_spike), potential)
        code.store(v, potentials, neuron, after)
        return builder.bitcast(fires, _INT64)

    return types.uint64(*kinds), generate


def _moved_floating(
    code: _Code, before: Any, arrived: Any, bias: Any, kinds: list[Any], values: list[Any]
) -> Any:
    """Return the potentials after decay and input, in units of the potentials.

    `values`, of the types `kinds`, are the decay, and the unit of the weights or None.
    """
    builder = code.builder
    decay, unit = values
    if arrived.type.element != _DOUBLE:
        arrived = builder.sitofp(arrived, _DOUBLES)
    if not isinstance(kinds[1], types.NoneType):
        arrived = builder.fmul(arrived, code.repeat(unit))
    if bias is not None:
        arrived = builder.fadd(arrived, bias)
    # LLVM does not fuse the two, for it keeps the rounding of each operation by default.
    return builder.fadd(builder.fmul(before, code.repeat(decay)), arrived)


def _moved_fixed(
    code: _Code, before: Any, arrived: Any, bias: Any, kinds: list[Any], values: list[Any]
) -> Any:
    """Return the potentials after decay, input and clipping, in fixed point.

    All arithmetic is in 32 bits, so that a vector has twice as many numbers as with 64 bits. The
    wrap at 24 bits is an overflow of the current in the upper 24 bits, where it is negated, because
    currents wrap into the interval (-2**23, 2**23].

    `values`, of the types `kinds`, are

    - the decay of potentials per step in units of 1/4096,
    - True if the decay times a potential needs more than 32 bits (a decay above 255), or None,
    - the unit of the weights, times -256 if currents wrap,
    - True if any current may exceed 24 bits, or None,
    - the limits to which potentials are clipped.
    """
    builder = code.builder
    leak, _, unit, _, lowest, highest = values
    leaks_much, wraps = (not isinstance(kinds[i], types.NoneType) for i in (1, 3))
    leak, parts_mask, parts_bits = (
        code.repeat(value) for value in (leak, _INT32(LEAK_ONE - 1), _INT32(_LEAK_BITS))
    )
    zero = ir.Constant(_INTEGERS, None)
    # Round the remaining potential toward zero.
    rounding = builder.select(builder.icmp_signed(">", before, zero), parts_mask, zero)
    if leaks_much:
        rest = builder.add(builder.mul(builder.and_(before, parts_mask), leak), rounding)
        whole = builder.mul(builder.ashr(before, parts_bits), leak)
        lost = builder.add(whole, builder.ashr(rest, parts_bits))
    else:
        lost = builder.ashr(builder.add(builder.mul(before, leak), rounding), parts_bits)
    if arrived.type.element != _INT32:
        arrived = builder.sext(arrived, _INTEGERS)
    current = builder.mul(arrived, code.repeat(unit))
    if wraps:
        current = builder.neg(builder.ashr(current, code.repeat(_INT32(_SPARE_BITS))))
    moved = builder.add(builder.sub(before, lost), current)
    if bias is not None:
        moved = builder.add(moved, bias)
    for limit, beyond in ((code.repeat(lowest), "<"), (code.repeat(highest), ">")):
        moved = builder.select(builder.icmp_signed(beyond, moved, limit), limit, moved)
    return moved


@intrinsic
def _sum_tile(
    _: Any, weights: Any, rows: Any, tile: Any, begin: Any, end: Any, current: Any
) -> Any:
    """Set `current`, of TILE entries, to the sum of the rows that arrive, as above."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        w, r, number, first, last, into = arguments
        code = _Code(context, builder)
        total = code.sum_rows((weights, w), (rows, r), number, first, last)
        code.store(current, into, _INT64(0), total)
        return context.get_dummy_value()

    return types.void(weights, rows, tile, begin, end, current), generate


@intrinsic
def _first_bit(_: Any, bits: Any) -> Any:
    """Return the index of the lowest bit that is set in a uint64 other than 0."""

    def generate(_context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], _BIT(1))

    return types.uint64(bits), generate


@intrinsic
def _bit_count(_: Any, bits: Any) -> Any:
    """Return the number of bits that are set in a uint64."""

    def generate(_context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(bits), generate


advance_tile: Any = _advance_tile
sum_tile: Any = _sum_tile
first_bit: Any = _first_bit
bit_count: Any = _bit_count
