"""Additions of short vectors in compiled code.

The runs of weights of a convolution are short, often 64 or 128 numbers. In a loop over so few, the
compiler's checks whether the arrays overlap take as long as the additions, and the last numbers are
added one by one. The functions of this module become single vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["BLOCKS", "EIGHT", "PACK", "POSITIONS", "add_4", "add_16", "add_64", "write_8"]


def _adding(lanes: int) -> Any:
    """Return a compiled function that adds vectors of numbers.

    ``add(current, target, weights, a, b, c, d)`` adds the `lanes` numbers of `weights` from each of
    the indices a, b, c and d on to those of `current` from the index `target` on. All indices are
    uint64, and are not checked.
    """

    @intrinsic
    def add(_: Any, current: Any, target: Any, weights: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        number = current.dtype

        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            into, index, others, *firsts = arguments
            vector = ir.VectorType(context.get_value_type(number), lanes).as_pointer()
            plus = builder.add if isinstance(number, types.Integer) else builder.fadd
            align = number.bitwidth // 8

            def place(kind: Any, array: Any, first: Any) -> Any:
                data = context.make_array(kind)(context, builder, array).data
                return builder.bitcast(builder.gep(data, [first]), vector)

            w, x, y, z = (
                builder.load(place(weights, others, first), align=align) for first in firsts
            )
            at = place(current, into, index)
            both = plus(plus(w, x), plus(y, z))
            builder.store(plus(builder.load(at, align=align), both), at, align=align)
            return context.get_dummy_value()

        return types.void(current, target, weights, a, b, c, d), generate

    return add


BLOCKS = (64, 16, 4, 1)
"""Numbers of adjacent targets whose weights are added at once."""

add_64 = _adding(64)
add_16 = _adding(16)
add_4 = _adding(4)


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
