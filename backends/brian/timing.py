"""Timing of the images of a batch, which are simulated one after the other in one run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import AnyProjection, Network
from neuroattack.ir.structure import lags

__all__ = ["Timing"]


@dataclass(frozen=True)
class Timing:
    """Timing of images in a run: `steps` steps each, followed by a gap.

    Parameters
    ----------
    steps : int
        Number of time steps per image.
    gap : int
        Number of silent steps until all delayed spikes of an image have arrived.
    lags : dict of str to int
        Number of steps by which each population is simulated later than the input, because Brian2
        needs at least one step from one population to another; see
        :func:`neuroattack.ir.structure.lags`.
    """

    steps: int
    gap: int
    lags: dict[str, int]

    @classmethod
    def of(cls, network: Network, steps: int) -> Timing:
        """Return the shortest timing for which the images of a network do not interact."""
        shifts = lags(network)
        # Input that arrives one step after the last is cleared when the next image starts, unless
        # input of the next image may have arrived before.
        silent = [
            p.delay_steps - (not shifts[p.target])
            for p in network.projections
            if p.delay_steps < steps
        ]
        return cls(steps, max(*silent, *shifts.values(), 0), shifts)

    @property
    def period(self) -> int:
        """Number of steps from the start of one image to the start of the next."""
        return self.steps + self.gap

    def delay(self, projection: AnyProjection) -> int:
        """Return the delay of a projection between the shifted populations, at least 1."""
        return projection.delay_steps + self.lags[projection.target] - self.lags[projection.source]

    def arrives(self, projection: AnyProjection) -> bool:
        """Return whether spikes can arrive through the projection before the image ends."""
        return projection.delay_steps < self.steps and projection.connections > 0

    def step_of_image(self, population: str) -> str:
        """Return an expression of Brian2 for the step in the image of a population."""
        lag = self.lags[population]
        # Not negative, because integers are divided differently in C++.
        return f"{f'(t_in_timesteps + {self.period - lag})' if lag else 't_in_timesteps'} % period"

    def run_steps(self, inputs: SpikeTrains) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the step in the run and the neuron of every input spike, in order."""
        image, step, neuron = inputs.events()
        return image * self.period + step, neuron

    def split(
        self,
        population: str,
        run_steps: NDArray[np.int64],
        neurons: NDArray[np.int32],
        images: int,
        size: int,
    ) -> SpikeTrains:
        """Return the recorded spikes of a population in a run by image."""
        image, step = np.divmod(run_steps - self.lags[population], self.period)
        return SpikeTrains.from_events(image, step, neurons, (images, self.steps, size))

    def window(
        self, population: str, recorded: NDArray[np.float64], images: int
    ) -> NDArray[np.float64]:
        """Return values of the steps of images.

        Parameters
        ----------
        population : str
            Name of the population.
        recorded : float64 array, shape (run steps, size)
            Value of each neuron in every step of the run.
        images : int
            Number of images.

        Returns
        -------
        float64 array, shape (images, steps, size)
        """
        by_image = recorded.reshape(images, self.period, -1)
        lag = self.lags[population]
        return by_image[:, lag : lag + self.steps]
