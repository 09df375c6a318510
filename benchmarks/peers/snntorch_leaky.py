"""snnTorch's Leaky."""

from __future__ import annotations

import snntorch
import torch
from snntorch import spikegen

from benchmarks.peers.peer import Neurons, Peer
from neuroattack.ir.network import Population

__all__ = ["PEER"]


class _Leaky(Neurons):
    def __init__(self, population: Population, dt_s: float) -> None:
        self._cell = snntorch.Leaky(
            beta=float(population.decay(dt_s)[0]),
            threshold=float(population.threshold_v[0]),
            reset_mechanism="zero",
        )

    def rest(self, like: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(like)

    def step(self, current: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._cell(current, state)


PEER = Peer(
    package="snntorch",
    equivalence=(
        "beta = exp(-dt / tau), reset to zero in the step after the spike, before decay and input: "
        "the same potentials. No refractory period; float32."
    ),
    neurons=_Leaky,
    encode=lambda probability, steps: spikegen.rate(probability, num_steps=steps),
)
