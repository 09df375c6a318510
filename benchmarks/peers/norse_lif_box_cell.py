"""Norse's LIFBoxCell: a neuron without synaptic current."""

from __future__ import annotations

import norse.torch
import torch

from benchmarks.peers.norse_encoder import encode
from benchmarks.peers.peer import Neurons, Peer
from neuroattack.ir.network import Population

__all__ = ["PEER"]

_State = norse.torch.LIFBoxFeedForwardState


class _LIFBoxCell(Neurons):
    def __init__(self, population: Population, dt_s: float) -> None:
        leak = 1 - float(population.decay(dt_s)[0])
        self.gain = 1 / leak
        self._cell = norse.torch.LIFBoxCell(
            norse.torch.LIFBoxParameters(
                tau_mem_inv=torch.as_tensor(leak / dt_s),
                v_th=torch.as_tensor(float(population.threshold_v[0])),
            ),
            dt=dt_s,
        )

    def rest(self, like: torch.Tensor) -> _State:
        return _State(v=torch.zeros_like(like))

    def step(self, current: torch.Tensor, state: _State) -> tuple[torch.Tensor, _State]:
        return self._cell(current, state)


PEER = Peer(
    package="norse",
    equivalence=(
        "dt / tau_mem = 1 - exp(-dt / tau), so that its Euler step has the same decay, and weights "
        "divided by it, because Norse scales the input too. No refractory period; float32."
    ),
    neurons=_LIFBoxCell,
    encode=encode,
)
