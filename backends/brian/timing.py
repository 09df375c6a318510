"""How images follow one another in a single Brian2 run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import Network, Projection

__all__ = ["Timing"]


@dataclass(frozen=True)
class Timing:
    """Each image has a period of its own: the steps it is shown for, then silence.

    Parameters
    ----------
    steps : int
        Time steps T that an image is shown for, at least 1.
    gap : int
        Silent steps after it, until nothing of it is under way any more.
    """

    steps: int
    gap: int

    @classmethod
    def of(cls, network: Network, steps: int) -> Timing:
        """Return the shortest timing of a network that keeps images apart."""
        delays = [p.delay_steps for p in network.projections if p.delay_steps < steps]
        # What arrives one step after the last is cleared as the next image starts.
        return cls(steps, max(delays, default=1) - 1)

    @property
    def period(self) -> int:
        """Steps from the start of one image to the start of the next."""
        return self.steps + self.gap

    def arrives(self, projection: Projection) -> bool:
        """Whether a spike can cross the projection before its image is over."""
        return projection.delay_steps < self.steps and bool(projection.mantissas.any())

    def run_steps(self, inputs: SpikeTrains) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the step of the run, and the neuron, of every input spike, in order."""
        image, step, neuron = inputs.events()
        return image * self.period + step, neuron

    def split(
        self, run_steps: NDArray[np.int64], neurons: NDArray[np.int32], images: int, size: int
    ) -> SpikeTrains:
        """Return spikes that were recorded in a run as those of its images."""
        image, step = np.divmod(run_steps, self.period)
        return SpikeTrains.from_events(image, step, neurons, (images, self.steps, size))
