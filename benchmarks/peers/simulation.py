"""Simulation of a network with a peer's neurons, layer by layer, in three configurations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch._dynamo.config
from numpy.typing import NDArray

from benchmarks.peers.configuration import COMPILED_STEPS, Configuration
from benchmarks.peers.peer import Neurons, Peer
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import Network

__all__ = ["PeerInputs", "PeerSimulation"]


@dataclass(frozen=True, eq=False)
class PeerInputs:
    """Input spikes in the format of a peer.

    Parameters
    ----------
    spikes : tensor, shape (steps * batch, pixels)
        Dense or CSR.
    steps, batch : int
        Number of steps and images.
    """

    spikes: torch.Tensor
    steps: int
    batch: int


class PeerSimulation:
    """A network with a peer's neurons, in float32 and without gradients.

    Each layer is simulated over all steps before the next one, so that the synapses of all steps
    are one matrix product. As in the network, a spike arrives one step after it was fired. An
    input spike therefore needs as many steps to reach the output's count as there are layers, and
    the last steps of the input, which never reach it, are left out.

    Parameters
    ----------
    peer : Peer
        Neuron model.
    network : Network
        A chain of layers with delays of one step, without biases.
    configuration : Configuration
        Configuration to run.
    """

    def __init__(self, peer: Peer, network: Network, configuration: Configuration) -> None:
        self._peer = peer
        self._network = network
        self._configuration = configuration
        self._layers = []
        for population, projection in zip(network.populations, network.projections, strict=True):
            neurons = peer.neurons(population, network.dt_s)
            weights = torch.from_numpy((projection.weights_v * neurons.gain).astype(np.float32))
            self._layers.append((weights.T.contiguous(), neurons, _kernel(neurons, configuration)))

    def prepare(self, inputs: SpikeTrains) -> PeerInputs:
        """Convert input spikes to the format of :meth:`run`."""
        dense = torch.from_numpy(inputs.to_dense().astype(np.float32)).transpose(0, 1)
        return self._arrange(dense)

    def encode(self, images: NDArray[np.float64], steps: int) -> PeerInputs:
        """Generate input spikes with the peer's own encoder."""
        network = self._network
        scale = network.input.encoder.max_rate_hz * network.dt_s
        probability = torch.from_numpy((images * scale).astype(np.float32))
        return self._arrange(self._peer.encode(probability, steps))

    def run(self, inputs: PeerInputs) -> NDArray[np.int64]:
        """Return the spike counts of the output, shape (batch, classes)."""
        with torch.inference_mode():
            spikes = inputs.spikes
            for weights, neurons, kernel in self._layers:
                flat = spikes @ weights.T if spikes.is_sparse_csr else _linear(spikes, weights)
                currents = flat.view(inputs.steps, inputs.batch, -1)
                trains = neurons.simulate(currents) if kernel is None else kernel(currents)
                spikes = trains.flatten(0, 1)
            return trains.sum(0).long().numpy()

    def _arrange(self, dense: torch.Tensor) -> PeerInputs:
        steps = dense.shape[0] - len(self._layers)
        spikes = dense[:steps].reshape(steps * dense.shape[1], dense.shape[2])
        if self._configuration is not Configuration.DENSE:
            with warnings.catch_warnings():
                # The warning that CSR tensors are in beta. Their use is checked by the counts.
                warnings.simplefilter("ignore", UserWarning)
                spikes = spikes.to_sparse_csr()
        return PeerInputs(spikes, steps, dense.shape[1])


_linear = torch.nn.functional.linear


def _kernel(
    neurons: Neurons, configuration: Configuration
) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Return a compiled ``neurons.simulate``, or None to use the peer's own."""
    if configuration is not Configuration.COMPILED:
        return None
    # Every population and batch size needs its own kernel of the function `steps`. Beyond its
    # recompilation limit torch would silently run it uncompiled, and the peer would seem slower.
    torch._dynamo.config.recompile_limit = 256
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    compiled = torch.compile(neurons.steps, dynamic=False, fullgraph=True)

    def simulate(currents: torch.Tensor) -> torch.Tensor:
        state = neurons.rest(currents[0])
        trains = []
        whole = len(currents) - len(currents) % COMPILED_STEPS
        for start in range(0, whole, COMPILED_STEPS):
            spikes, state = compiled(currents[start : start + COMPILED_STEPS], state)
            trains.append(spikes)
        if whole < len(currents):
            # The remaining steps are too few for a separate kernel.
            trains.append(neurons.steps(currents[whole:], state)[0])
        return torch.cat(trains)

    return simulate
