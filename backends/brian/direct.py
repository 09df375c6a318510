"""Direct coding: constant input of each population, which Brian2 reads from timed arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.ir.network import INPUT, AnyProjection, Network

from .timing import Timing

__all__ = ["DirectInput", "direct_inputs", "is_direct"]


@dataclass(frozen=True, eq=False)
class DirectInput:
    """Constant input of a population through all projections from the input with the same delay.

    Parameters
    ----------
    name : str
        Name of the timed array.
    population : str
        Name of the target population.
    delay_steps : int
        First step of the image with this input.
    projections : tuple of Projection or Convolution
        The projections.
    """

    name: str
    population: str
    delay_steps: int
    projections: tuple[AnyProjection, ...]

    @property
    def size(self) -> int:
        """Number of neurons of the target population."""
        return self.projections[0].shape[1]

    def values(self, inputs: ConstantInput) -> NDArray[np.float64]:
        """Return the exact input of each neuron in volts per step, shape (images, size)."""
        intensities = inputs.values.astype(np.int64)
        return sum(
            (
                # Integers below 2**53.
                np.ldexp(
                    (intensities @ projection.sparse()).astype(np.float64),
                    projection.exponent + inputs.exponent,
                )
                for projection in self.projections
            ),
            np.zeros((inputs.images, self.size)),
        )


def is_direct(network: Network) -> bool:
    """Return whether the input of a network is constant."""
    return isinstance(network.input.encoder, DirectEncoder)


def direct_inputs(network: Network, timing: Timing) -> list[DirectInput]:
    """Return all constant inputs of a network with direct coding; none of one with spikes."""
    if not is_direct(network):
        return []
    found: dict[tuple[str, int], list[AnyProjection]] = {}
    for projection in network.outgoing(INPUT):
        if timing.arrives(projection):
            found.setdefault((projection.target, projection.delay_steps), []).append(projection)
    return [
        DirectInput(f"direct_input_{number}", population, delay_steps, tuple(projections))
        for number, ((population, delay_steps), projections) in enumerate(found.items())
    ]
