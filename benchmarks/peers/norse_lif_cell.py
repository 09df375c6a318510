"""Norse's LIFCell: a neuron with a synaptic current, set to last one step."""

from __future__ import annotations

import norse.torch
import torch

from benchmarks.peers.norse_encoder import encode
from benchmarks.peers.peer import Neurons, Peer
from neuroattack.ir.network import Population

__all__ = ["PEER"]

_State = norse.torch.LIFFeedForwardState


class _LIFCell(Neurons):
    def __init__(self, population: Population, dt_s: float) -> None:
        leak = 1 - float(population.decay(dt_s)[0])
        self.gain = 1 / leak
        self._cell = norse.torch.LIFCell(
            norse.torch.LIFParameters(
                tau_syn_inv=torch.as_tensor(1 / dt_s),
                tau_mem_inv=torch.as_tensor(leak / dt_s),
                v_th=torch.as_tensor(float(population.threshold_v[0])),
            ),
            dt=dt_s,
        )

    def rest(self, like: torch.Tensor) -> _State:
        return _State(v=torch.zeros_like(like), i=torch.zeros_like(like))

    def step(self, current: torch.Tensor, state: _State) -> tuple[torch.Tensor, _State]:
        return self._cell(current, state)


PEER = Peer(
    package="norse",
    equivalence=(
        "as LIFBoxCell, with tau_syn = dt, so that the synaptic current lasts one step; it is "
        "still computed. No refractory period; float32."
    ),
    neurons=_LIFCell,
    encode=encode,
)
