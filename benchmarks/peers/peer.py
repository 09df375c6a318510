"""Interface of a peer."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from neuroattack.ir.network import Population

__all__ = ["Neurons", "Peer"]


class Neurons(abc.ABC):
    """A population of a peer's neurons.

    Attributes
    ----------
    gain : float
        Factor for weights in volts per spike, for peers that scale their input.
    """

    gain: float = 1.0

    @abc.abstractmethod
    def rest(self, like: torch.Tensor) -> Any:
        """Return the state at rest, for currents of shape (batch, neurons)."""

    @abc.abstractmethod
    def step(self, current: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Advance by one step and return spikes and state."""

    def steps(self, currents: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Advance over currents of shape (steps, batch, neurons)."""
        spikes = []
        for current in currents:
            fired, state = self.step(current, state)
            spikes.append(fired)
        return torch.stack(spikes), state

    def simulate(self, currents: torch.Tensor) -> torch.Tensor:
        """Return the spikes from rest, by the peer's own fastest method."""
        return self.steps(currents, self.rest(currents[0]))[0]


@dataclass(frozen=True)
class Peer:
    """A peer's neuron model.

    Parameters
    ----------
    package : str
        Name of the distribution.
    equivalence : str
        How its parameters were set, and the remaining differences from neuroattack's dynamics.
    neurons : callable
        Creates the neurons of a population, given the population and the time step in seconds.
    encode : callable
        The peer's own encoder: takes spike probabilities per step, shape (batch, pixels), and the
        number of steps; returns spikes of shape (steps, batch, pixels).
    """

    package: str
    equivalence: str
    neurons: Callable[[Population, float], Neurons]
    encode: Callable[[torch.Tensor, int], torch.Tensor]
