"""Weight mantissas by sign: a projection as one projection or two, where a chip supports it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.profiles.number_format import NumberFormat, SignMode
from neuroattack.ir.network import Projection
from neuroattack.ir.parts import MANTISSA_BITS

__all__ = ["Part", "parts_of"]


@dataclass(frozen=True, eq=False)
class Part:
    """A projection, or its weights of one sign, with the mantissas that a chip has for it.

    Parameters
    ----------
    asked : Projection
        The weights before rounding.
    kept : bool array, shape (source size, target size)
        Those of them that the chip supports next to each other.
    signs : SignMode
        Of the weights.
    step, most : int
        Mantissas are multiples of `step`, at most `most` of them to either side.
    """

    asked: Projection
    kept: NDArray[np.bool_]
    signs: SignMode
    step: int
    most: int

    @cached_property
    def weights_v(self) -> NDArray[np.float64]:
        """Kept weights in volts per spike, shape (source size, target size)."""
        return np.where(self.kept, self.asked.weights_v, 0.0)

    @property
    def largest_v(self) -> float:
        """Largest magnitude of the kept weights in volts per spike."""
        return float(np.abs(self.weights_v).max())

    @property
    def largest_mantissa(self) -> int:
        """Largest mantissa."""
        return self.step * self.most

    def rounded(
        self, per_v: float, draws: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Round the weights to mantissas, and clip those beyond the largest.

        Parameters
        ----------
        per_v : float
            Units of the mantissa per volt.
        draws : float array, shape (source size, target size), optional
            Uniform in [0, 1): a weight is rounded up if its draw is at least what it lacks to the
            next step, so that its mean is exact. By default weights are rounded to nearest, ties
            to even.

        Returns
        -------
        mantissas : int32 array
        saturated : bool array
            Where a weight is beyond the largest mantissa by more than half a step.
        """
        in_steps = self.weights_v * per_v / self.step
        rounded = np.rint(in_steps) if draws is None else np.floor(in_steps + draws)
        mantissas = self.step * np.clip(rounded, -self.most, self.most).astype(np.int32)
        return mantissas, np.abs(in_steps) > self.most + 0.5


def parts_of(
    projection: Projection,
    number_format: NumberFormat,
    outgoing: Sequence[Projection],
    *,
    split: bool,
    allow_lossy: bool,
) -> tuple[Sequence[Part], str | None]:
    """Return the parts that represent a projection, and what is dropped of it, if anything.

    Of the chip's sign modes, the one with the most bits for these weights is used: one sign,
    one sign per source neuron, mixed signs.

    Parameters
    ----------
    projection : Projection
        In floating point.
    number_format : NumberFormat
        Of the chip.
    outgoing : sequence of Projection
        All projections of the same source: with one sign per source neuron, the neuron's weights
        in all of them share it.
    split : bool
        Whether weights of both signs become two parts where the chip has both modes. On a chip
        that has no other modes they always do.
    allow_lossy : bool
        Whether, with one sign per source neuron, the weights of the neuron's lesser sign (smaller
        sum over all its projections) may be dropped.

    Raises
    ------
    UnsupportedFeatureError
        If the chip has no mode for the weights.
    """
    ends = f"{projection.source}->{projection.target}"
    name, bits, modes = number_format.name, number_format.weight_bits, number_format.sign_modes
    mantissas = projection.mantissas
    positive, negative = mantissas > 0, mantissas < 0

    def part(signs: SignMode, asked: NDArray[np.int32], kept: NDArray[np.bool_]) -> Part:
        mixed = signs == "mixed"
        step = number_format.mixed_weight_step if mixed else 1
        most = (2 ** (MANTISSA_BITS - 1) - 1) // step
        if bits is not None:
            most = 2 ** (bits - 1) - 1 if mixed else 2**bits - 1
        if not most:
            raise UnsupportedFeatureError(
                f"projection {ends}: signed weights of {bits} bit of {name} are all 0"
            )
        return Part(replace(projection, mantissas=asked), kept, signs, step, most)

    every = np.ones_like(positive)
    must = not modes & {"mixed", "per_source"}
    if (
        (split or must)
        and {"excitatory", "inhibitory"} <= modes
        and positive.any()
        and negative.any()
    ):
        return [
            part("excitatory", np.where(positive, mantissas, 0), every),
            part("inhibitory", np.where(negative, mantissas, 0), every),
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
            return [part(mode, mantissas, every)], None
    if "per_source" not in modes:
        raise UnsupportedFeatureError(
            f"projection {ends}: {name} supports {' or '.join(sorted(modes))} weights only"
        )
    if not allow_lossy:
        raise UnsupportedFeatureError(
            f"projection {ends}: {int(both.sum())} source neurons have weights of both signs, "
            f"{name} supports one sign per source neuron"
        )
    excites = np.sum([p.weights_v.sum(axis=1) for p in outgoing], axis=0) >= 0
    kept = np.where(excites[:, np.newaxis], ~negative, ~positive)
    lost, connections = int((~kept).sum()), int(positive.sum() + negative.sum())
    return [part("per_source", mantissas, kept)], (
        f"projection {ends}: {lost} of {connections} connections, of another sign than their "
        "source neuron"
    )
