"""Additions of short vectors in compiled code.

The runs of weights of a convolution are short, often 64 or 128 numbers. In a loop over so few, the
compiler's checks whether the arrays overlap take as long as the additions, and the last numbers are
added one by one. The functions of this module become single vector instructions.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

__all__ = ["add_4", "add_16"]


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


add_16 = _adding(16)
add_4 = _adding(4)
