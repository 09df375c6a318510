"""How the signs of a projection's weights are held: as one projection, two, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.quantization.number_format import NumberFormat, SignMode
from neuroattack.hardware.quantization.rounding import Steps
from neuroattack.ir.network import Projection

__all__ = ["Part", "parts_of"]


@dataclass(frozen=True, eq=False)
class Part:
    """A projection, or the weights of one sign of it, with the signs it is held in.

    Parameters
    ----------
    asked : Projection
        The weights there were.
    kept : bool array, shape (source size, target size)
        Those of them that the chip can hold next to each other.
    signs : SignMode
        That the weights may have.
    steps : Steps
        The mantissas that there are.
    """

    asked: Projection
    kept: NDArray[np.bool_]
    signs: SignMode
    steps: Steps

    @cached_property
    def weights_v(self) -> NDArray[np.float64]:
        """Weights that are kept, in volts per spike, shape (source size, target size)."""
        return np.where(self.kept, self.asked.weights_v, 0.0)

    @property
    def largest_v(self) -> float:
        """Largest magnitude of them."""
        return float(np.abs(self.weights_v).max())


def parts_of(
    projection: Projection,
    number_format: NumberFormat,
    outgoing: Sequence[Projection],
    *,
    split: bool,
    allow_lossy: bool,
) -> tuple[Sequence[Part], str | None]:
    """Return what a projection is held as, and a sentence if some of it is dropped.

    Of the modes that the chip has, the one with the most bits for these weights is taken: one
    sign for all, one for each source neuron, both.

    Parameters
    ----------
    projection : Projection
        In floating point.
    number_format : NumberFormat
        Of the chip.
    outgoing : sequence of Projection
        All that leave the same source, this one among them: on a chip with one sign a source
        neuron, a neuron's weights in all of them share it.
    split : bool
        Whether weights of both signs become two parts, where the chip has both modes; on one
        that has no others, they do so in any case.
    allow_lossy : bool
        Whether, on a chip with one sign a source neuron, the weights of a neuron's lesser sign
        may be dropped: that of the smaller sum, over all its projections.

    Raises
    ------
    UnsupportedFeatureError
        If the chip has no mode for its weights.
    """
    me = f"projection {projection.source}->{projection.target}"
    mantissas = projection.mantissas
    positive, negative = mantissas > 0, mantissas < 0
    modes = number_format.sign_modes

    def part(asked: NDArray[np.int32], kept: NDArray[np.bool_], signs: SignMode) -> Part:
        steps = Steps.of(number_format.weight_bits, signs, number_format.mixed_weight_step)
        if not steps.most:
            raise UnsupportedFeatureError(
                f"{me} cannot be held: with a sign, {number_format.name}'s weights of "
                f"{number_format.weight_bits} bit hold none beside 0"
            )
        given = Projection(
            projection.source, projection.target, asked, projection.exponent, projection.delay_steps
        )
        return Part(given, kept, signs, steps)

    every = np.ones_like(positive)
    has_both = {"excitatory", "inhibitory"} <= modes
    must = not modes & {"mixed", "per_source"}
    if (split or must) and has_both and positive.any() and negative.any():
        return [
            part(np.where(positive, mantissas, 0), every, "excitatory"),
            part(np.where(negative, mantissas, 0), every, "inhibitory"),
        ], None
    both = np.any([(p.mantissas > 0).any(axis=1) for p in outgoing], axis=0) & np.any(
        [(p.mantissas < 0).any(axis=1) for p in outgoing], axis=0
    )
    fitting: list[tuple[SignMode, bool]] = [
        ("excitatory", not negative.any()),
        ("inhibitory", not positive.any()),
        ("per_source", not both.any()),
        ("mixed", True),
    ]
    for mode, fits in fitting:
        if fits and mode in modes:
            return [part(mantissas, every, mode)], None
    if "per_source" not in modes:
        raise UnsupportedFeatureError(
            f"{me} has weights beside those of the only sign that {number_format.name} holds, "
            f"{' or '.join(sorted(modes))}"
        )
    if not allow_lossy:
        raise UnsupportedFeatureError(
            f"{me} has {int(both.sum())} source neurons with weights of both signs: "
            f"{number_format.name} holds one sign for each"
        )
    excites = np.sum([p.weights_v.sum(axis=1) for p in outgoing], axis=0) >= 0
    kept = np.where(excites[:, np.newaxis], ~negative, ~positive)
    lost = int((~kept).sum())
    return [part(mantissas, kept, "per_source")], (
        f"{lost} of {int(positive.sum() + negative.sum())} connections of "
        f"{projection.source}->{projection.target}: dropped, for their sign is not that of their "
        "source neuron"
    )
