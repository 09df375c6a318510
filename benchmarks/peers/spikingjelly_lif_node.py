"""SpikingJelly's LIFNode."""

from __future__ import annotations

import torch
from spikingjelly.activation_based import encoding, functional, neuron

from benchmarks.peers.peer import Neurons, Peer
from neuroattack.ir.network import Population

__all__ = ["PEER"]


class _LIFNode(Neurons):
    def __init__(self, population: Population, dt_s: float) -> None:
        self._node = neuron.LIFNode(
            tau=1 / (1 - float(population.decay(dt_s)[0])),
            decay_input=False,
            v_threshold=float(population.threshold_v[0]),
            v_reset=0.0,
            step_mode="m",
        ).eval()

    def rest(self, like: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(like)

    def step(self, current: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        node = self._node
        return functional.lif_step(
            current,
            state,
            node.tau,
            node.decay_input,
            node.v_threshold,
            node.v_reset,
            node.surrogate_function,
            node.detach_reset,
        )

    def simulate(self, currents: torch.Tensor) -> torch.Tensor:
        self._node.reset()
        return self._node(currents)


def _encode(probability: torch.Tensor, steps: int) -> torch.Tensor:
    encoder = encoding.PoissonEncoder()
    return torch.stack([encoder(probability) for _ in range(steps)])


PEER = Peer(
    package="spikingjelly",
    equivalence=(
        "tau = 1 / (1 - exp(-dt / tau)), input not decayed, hard reset to 0; multi-step mode. "
        "Spikes at v >= threshold instead of v > threshold. No refractory period; float32."
    ),
    neurons=_LIFNode,
    encode=_encode,
)
