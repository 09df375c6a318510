"""Vector instructions in compiled code.

The runs of weights of a convolution are short, often 64 or 128 numbers. In a loop over so few, the
compiler's checks whether the arrays overlap take as long as the additions, and the last numbers are
added one by one. The functions of this module become vector instructions without such checks.

Numba's cache does not notice changes of this file: after a change, :mod:`.general_kernels` must be
compiled again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["BLOCKS", "EIGHT", "PACK", "POSITIONS", "Weights", "add_blocks", "aligned", "write_8"]

Weights = NDArray[np.int16] | NDArray[np.int32] | NDArray[np.float64]
"""Weights of a type in which their sums are exact."""

_CACHE_LINE = 64


def aligned(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that starts at a cache line, which vectors then do not cross."""
    memory = np.empty(values.nbytes + _CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    copy = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


BLOCKS = (64, 32, 16, 4, 1)
"""Numbers of adjacent targets whose weights are added at once."""


@intrinsic
def _add_blocks(
    _: Any, current: Any, weights: Any, shapes: Any, blocks: Any, number: Any, firsts: Any
) -> Any:
    """Add the weights of rows with the same targets to the current.

    Parameters
    ----------
    current : int32 or float64 array
        Sums of weights.
    weights, shapes, blocks : arrays
        Of an :class:`.incoming.Incoming`.
    number : uint64
        Index of the rows' shape.
    firsts : tuple of uint64
        Index of the first weight of each row.
    """
    kind = current.dtype

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        into, given, shapes_given, blocks_given, row, starts = arguments
        align = kind.bitwidth // 8
        plus = builder.add if isinstance(kind, types.Integer) else builder.fadd

        def data(array_type: Any, array: Any) -> Any:
            return context.make_array(array_type)(context, builder, array).data

        def entry(pointer: Any, start: Any, field: int) -> Any:
            place = builder.add(start, start.type(field))
            return builder.load(builder.gep(pointer, [place]))

        currents, others = data(current, into), data(weights, given)
        of_shapes, of_blocks = data(shapes, shapes_given), data(blocks, blocks_given)
        shape = builder.mul(row, row.type(len(BLOCKS) + 2))
        first_target = entry(of_shapes, shape, 0)
        for i, lanes in enumerate(BLOCKS):
            vector = ir.VectorType(context.get_value_type(kind), lanes).as_pointer()
            begin, end = entry(of_shapes, shape, i + 1), entry(of_shapes, shape, i + 2)
            with cgutils.for_range_slice(builder, begin, end, end.type(1)) as (index, _):
                block = builder.mul(index, index.type(2))
                target = builder.add(first_target, entry(of_blocks, block, 0))
                moved = entry(of_blocks, block, 1)
                total = None
                for j in range(firsts.count):
                    first = builder.add(builder.extract_value(starts, j), moved)
                    place = builder.bitcast(builder.gep(others, [first]), vector)
                    weight = builder.load(place, align=align)
                    total = weight if total is None else plus(total, weight)
                place = builder.bitcast(builder.gep(currents, [target]), vector)
                builder.store(plus(builder.load(place, align=align), total), place, align=align)
        return context.get_dummy_value()

    return types.void(current, weights, shapes, blocks, number, firsts), generate


add_blocks: Any = _add_blocks

PACK = np.uint64(0x0102040810204080)
"""Factor by which a number of eight bytes 0 or 1 has these in the upper eight bits."""

EIGHT = 8
"""Number of entries that :func:`write_8` writes."""


def _positions() -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    flags = (np.arange(256)[:, None] >> np.arange(8)) & 1
    words = flags.astype(np.uint8).view(np.uint64).ravel()
    packed = (words * PACK) >> np.uint64(56)
    positions = np.zeros((256, 8), np.int32)
    counts = np.zeros(256, np.uint64)
    for bits, row in zip(packed.tolist(), flags, strict=True):
        (found,) = np.nonzero(row)
        positions[bits, : len(found)] = found
        counts[bits] = len(found)
    return positions.ravel(), counts


POSITIONS = _positions()
"""Indices of the bytes that are 1, eight entries for each packed number; and how many these are."""


@intrinsic
def _write_8(_: Any, into: Any, index: Any, values: Any, first: Any, addend: Any) -> Any:
    """Write eight numbers of `values`, from `first` on, plus an addend, into an array.

    The indices are uint64, and are not checked.
    """

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        target, target_index, source, source_index, added = arguments
        number = context.get_value_type(into.dtype)
        vector = ir.VectorType(number, EIGHT)
        align = into.dtype.bitwidth // 8

        def place(kind: Any, array: Any, at: Any) -> Any:
            data = context.make_array(kind)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())

        one = builder.insert_element(ir.Constant(vector, ir.Undefined), added, ir.IntType(32)(0))
        eight = builder.shuffle_vector(
            one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), 8), 0)
        )
        numbers = builder.load(place(values, source, source_index), align=align)
        builder.store(builder.add(numbers, eight), place(into, target, target_index), align=align)
        return context.get_dummy_value()

    return types.void(into, index, values, first, addend), generate


write_8: Any = _write_8
