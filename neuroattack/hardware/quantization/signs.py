"""Sign modes of weights: representation of a projection as one projection or two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.profiles.number_format import NumberFormat, SignMode
from neuroattack.ir.network import AnyProjection, Convolution
from neuroattack.ir.projection import MANTISSA_BITS

__all__ = ["Part", "parts_of"]


@dataclass(frozen=True, eq=False)
class Part:
    """Projection, or its weights of one sign, with the range of mantissas on a chip.

    Arrays have the shape of the stored weights: that of the kernel for a convolution.

    Parameters
    ----------
    original : Projection or Convolution
        Weights before rounding.
    kept : bool array
        Whether a weight is kept; weights with an unsupported sign are dropped.
    signs : SignMode
        Signs of the weights.
    step, most : int
        Mantissas are multiples of `step`, at most `most` steps in either direction.
    """

    original: AnyProjection
    kept: NDArray[np.bool_]
    signs: SignMode
    step: int
    most: int

    @cached_property
    def weights_v(self) -> NDArray[np.float64]:
        """Kept weights in volts per spike."""
        return np.where(self.kept, self.original.grid_v, 0.0)

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
        uniform : float array, optional
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
    projection: AnyProjection,
    number_format: NumberFormat,
    outgoing: Sequence[AnyProjection],
    *,
    split: bool,
    allow_lossy: bool,
) -> tuple[Sequence[Part], str | None]:
    """Return the parts that represent a projection, and a description of dropped weights, if any.

    The supported sign mode with the most bits for these weights is used: one sign, one sign per
    source neuron, or mixed signs.

    Parameters
    ----------
    projection : Projection or Convolution
        Projection in floating point.
    number_format : NumberFormat
        Number formats of the chip.
    outgoing : sequence of Projection or Convolution
        All projections of the same source; with one sign per source neuron, it applies to all of
        them.
    split : bool
        Whether weights of both signs are split into two parts if the chip supports both modes.
        This is always the case if the chip has no other modes.
    allow_lossy : bool
        Whether, with one sign per source neuron, weights of the minor sign (smaller sum over all
        projections of the neuron) may be dropped. The neurons of a channel of a convolution have
        the same sign, so that it remains a convolution.

    Raises
    ------
    UnsupportedFeatureError
        If no sign mode of the chip supports the weights.
    """
    ends = f"{projection.source}->{projection.target}"
    name, bits, modes = number_format.name, number_format.weight_bits, number_format.sign_modes
    mantissas = projection.grid
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
        return Part(projection.with_grid(weights, projection.exponent), kept, signs, step, most)

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
    fitting: list[tuple[SignMode, bool]] = [
        ("excitatory", not negative.any()),
        ("inhibitory", not positive.any()),
    ]
    for mode, fits in fitting:
        if fits and mode in modes:
            return [part(mode, mantissas, every)], None
    if "per_source" in modes:
        both = _some(outgoing, 1) & _some(outgoing, -1)
        if not both.any():
            return [part("per_source", mantissas, every)], None
    if "mixed" in modes:
        return [part("mixed", mantissas, every)], None
    if "per_source" not in modes:
        raise UnsupportedFeatureError(
            f"projection {ends}: {name} supports {' or '.join(sorted(modes))} weights only"
        )
    if not allow_lossy:
        raise UnsupportedFeatureError(
            f"projection {ends}: {int(both.sum())} source neurons have weights of both signs, "
            f"{name} supports one sign per source neuron"
        )
    kept = np.where(_per_weight(projection, _excites(outgoing)), ~negative, ~positive)
    connections = projection.connections
    lost = connections - _only(projection, kept).connections
    return [part("per_source", mantissas, kept)], (
        f"projection {ends}: {lost} of {connections} connections, whose sign differs from that of "
        "their source neuron"
    )


def _only(projection: AnyProjection, kept: NDArray[np.bool_]) -> AnyProjection:
    """Return a projection with some of its weights set to 0."""
    only: AnyProjection = projection.with_grid(
        np.where(kept, projection.grid, 0), projection.exponent
    )
    return only


def _some(outgoing: Sequence[AnyProjection], sign: int) -> NDArray[np.bool_]:
    """Return whether each source neuron has a connection with a weight of a sign."""
    some: NDArray[np.bool_] = np.any(
        [_only(p, np.sign(p.grid) == sign).fan_out() > 0 for p in outgoing], axis=0
    )
    return some


def _excites(outgoing: Sequence[AnyProjection]) -> NDArray[np.bool_]:
    """Return whether the weights of each source neuron have a sum of at least 0.

    Weights of a channel of a convolution are added up over its neurons, as if all of them met the
    whole kernel.
    """
    sums = np.sum([_sums(p) for p in outgoing], axis=0)
    block = math.lcm(*(_per_channel(p) for p in outgoing))
    blocks: NDArray[np.bool_] = sums.reshape(-1, block).sum(axis=1) >= 0
    return blocks.repeat(block)


def _per_channel(projection: AnyProjection) -> int:
    """Return the number of source neurons that have a kernel in common, else 1."""
    if isinstance(projection, Convolution):
        return math.prod(projection.source_shape[1:])
    return 1


def _sums(projection: AnyProjection) -> NDArray[np.float64]:
    """Return the sum of the weights of each source neuron."""
    weights = projection.grid_v
    if not isinstance(projection, Convolution):
        sums: NDArray[np.float64] = weights.sum(axis=1)
        return sums
    channels = np.zeros(projection.source_shape[0])
    np.add.at(channels, _source_channels(projection), weights.sum(axis=(2, 3)))
    return channels.repeat(_per_channel(projection))


def _per_weight(projection: AnyProjection, of_source: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Spread values of source neurons, equal in each channel, over the stored weights."""
    if not isinstance(projection, Convolution):
        return of_source[:, np.newaxis]
    of_channel = of_source[:: _per_channel(projection)]
    return of_channel[_source_channels(projection)][:, :, np.newaxis, np.newaxis]


def _source_channels(projection: Convolution) -> NDArray[np.intp]:
    """Return the source channel of each pair of channels of the kernel."""
    targets, sources = projection.kernel.shape[:2]
    group = np.arange(targets) // (targets // projection.groups)
    channels: NDArray[np.intp] = group[:, np.newaxis] * sources + np.arange(sources)
    return channels
