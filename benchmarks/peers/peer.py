"""What a peer has to say about itself to be measured."""

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
        What weights in volts per spike are multiplied by, for peers that scale their input.
    """

    gain: float = 1.0

    @abc.abstractmethod
    def rest(self, like: torch.Tensor) -> Any:
        """Return the state at rest, for currents of shape (batch, neurons)."""

    @abc.abstractmethod
    def step(self, current: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Advance by one step; return spikes and state."""

    def steps(self, currents: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """Advance over currents of shape (steps, batch, neurons)."""
        spikes = []
        for current in currents:
            fired, state = self.step(current, state)
            spikes.append(fired)
        return torch.stack(spikes), state

    def simulate(self, currents: torch.Tensor) -> torch.Tensor:
        """Return the spikes from rest, in the fastest way that the peer itself offers."""
        return self.steps(currents, self.rest(currents[0]))[0]


@dataclass(frozen=True)
class Peer:
    """A peer's neuron model.

    Parameters
    ----------
    package : str
        Name of the distribution.
    equivalence : str
        How its parameters were set, and what differs from neuroattack's dynamics all the same.
    neurons : callable
        Makes the neurons of a population from it and the time step in seconds.
    encode : callable
        The peer's own encoder: takes probabilities of a spike in a step, shape (batch, pixels),
        and the number of steps; returns spikes of shape (steps, batch, pixels).
    """

    package: str
    equivalence: str
    neurons: Callable[[Population, float], Neurons]
    encode: Callable[[torch.Tensor, int], torch.Tensor]
