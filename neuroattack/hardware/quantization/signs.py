"""Sign modes of weights: representation of a projection as one projection or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.profiles.number_format import NumberFormat, SignMode
from neuroattack.ir.network import Projection
from neuroattack.ir.projection import MANTISSA_BITS

__all__ = ["Part", "parts_of"]


@dataclass(frozen=True, eq=False)
class Part:
    """Projection, or its weights of one sign, with the range of mantissas on a chip.

    Parameters
    ----------
    original : Projection
        Weights before rounding.
    kept : bool array, shape (source size, target size)
        Whether a weight is kept; weights with an unsupported sign are dropped.
    signs : SignMode
        Signs of the weights.
    step, most : int
        Mantissas are multiples of `step`, at most `most` steps in either direction.
    """

    original: Projection
    kept: NDArray[np.bool_]
    signs: SignMode
    step: int
    most: int

    @cached_property
    def weights_v(self) -> NDArray[np.float64]:
        """Kept weights in volts per spike, shape (source size, target size)."""
        return np.where(self.kept, self.original.weights_v, 0.0)

    @property
    def largest_v(self) -> float:
        """Largest magnitude of the kept weights in volts per spike."""
        return float(np.abs(self.weights_v).max())

    @property
    def largest_mantissa(self) -> int:
        """Largest mantissa."""
        return self.step * self.most

    def rounded(
        self, per_v: float, uniform: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Round the weights to mantissas, and clip those beyond the largest mantissa.

        Parameters
        ----------
        per_v : float
            Units of the mantissa per volt.
        uniform : float array, shape (source size, target size), optional
            Uniform random numbers in [0, 1) for stochastic rounding, with which the expected value
            of a weight is exact. By default weights are rounded to nearest, ties to even.

        Returns
        -------
        mantissas : int32 array
        saturated : bool array
            Whether a weight exceeds the largest mantissa by more than half a step.
        """
        in_steps = self.weights_v * per_v / self.step
        rounded = np.rint(in_steps) if uniform is None else np.floor(in_steps + uniform)
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
    """Return the parts that represent a projection, and a description of dropped weights, if any.

    The supported sign mode with the most bits for these weights is used: one sign, one sign per
    source neuron, or mixed signs.

    Parameters
    ----------
    projection : Projection
        Projection in floating point.
    number_format : NumberFormat
        Number formats of the chip.
    outgoing : sequence of Projection
        All projections of the same source; with one sign per source neuron, it applies to all of
        them.
    split : bool
        Whether weights of both signs are split into two parts if the chip supports both modes.
        This is always the case if the chip has no other modes.
    allow_lossy : bool
        Whether, with one sign per source neuron, weights of the minor sign (smaller sum over all
        projections of the neuron) may be dropped.

    Raises
    ------
    UnsupportedFeatureError
        If no sign mode of the chip supports the weights.
    """
    ends = f"{projection.source}->{projection.target}"
    name, bits, modes = number_format.name, number_format.weight_bits, number_format.sign_modes
    mantissas = projection.mantissas
    positive, negative = mantissas > 0, mantissas < 0

    def part(signs: SignMode, weights: NDArray[np.int32], kept: NDArray[np.bool_]) -> Part:
        mixed = signs == "mixed"
        step = number_format.mixed_weight_step if mixed else 1
        most = (2 ** (MANTISSA_BITS - 1) - 1) // step
        if bits is not None:
            most = 2 ** (bits - 1) - 1 if mixed else 2**bits - 1
        if not most:
            raise UnsupportedFeatureError(
                f"projection {ends}: signed weights of {bits} bit on {name} can only be 0"
            )
        return Part(replace(projection, mantissas=weights), kept, signs, step, most)

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
        f"projection {ends}: {lost} of {connections} connections, whose sign differs from that of "
        "their source neuron"
    )
