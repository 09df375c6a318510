"""Trained networks of Rockpool."""

import nir
import torch
from peers.peer import Peer, Trace
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIFNeuronTorch, LIFTorch, LinearTorch
from rockpool.nn.modules.torch.nir import to_nir

INPUTS, HIDDEN, CLASSES = 784, 100, 10


class Rockpool(Peer):
    """Modules of Rockpool, each of which runs over all steps."""

    exporter = "rockpool"

    def is_neurons(self, layer):
        return isinstance(layer, LIFTorch | LIFNeuronTorch)

    def parameters(self):
        # The neurons' time constants would become negative; their biases are not exported.
        linear = [layer for layer in self.layers if isinstance(layer, LinearTorch)]
        return [parameter for layer in linear for parameter in (layer.weight, layer.bias)]

    def outputs(self, inputs):
        for layer in self.layers:
            layer.reset_state()
            inputs = layer(inputs)[0].to(inputs.dtype)
        return inputs

    def run(self, inputs, dtype=torch.float32):
        peer = self.doubled() if dtype == torch.float64 else self
        x, spikes, margins = torch.tensor(inputs, dtype=dtype), [], []
        with torch.no_grad():
            for layer in peer.layers:
                layer.reset_state().to(dtype)
                x, _, record = layer(x, record=True)
                x = x.to(dtype)
                if self.is_neurons(layer):
                    # The potential is recorded after the reset, by subtraction.
                    margins.append((record["vmem"] + (x - 1) * layer.threshold).numpy())
                    spikes.append(x.numpy() > 0)
        return Trace(spikes, margins, x.numpy())

    def doubled(self):
        other = super().doubled()
        for layer in other.layers:
            if self.is_neurons(layer):
                fire = layer.spike_generation_fn
                # Rockpool returns float32 here, and multiplies it by the recurrent weights.
                layer.spike_generation_fn = lambda *given, fire=fire: fire(*given).double()
            if isinstance(layer, LIFTorch):
                layer.w_rec = layer.w_rec.double()
        return other

    def write(self, path):
        nir.write(path, to_nir(Sequential(*self.layers)))


def single(kind, size, **settings):
    """Return neurons with at most one spike per step; the default is many."""
    return kind(size, max_spikes_per_dt=torch.tensor(1.0), **settings)


def dense(kind=LIFTorch, **settings):
    # With a high threshold, the training would silence the readout.
    readout = single(kind, CLASSES, threshold=0.25, **settings)
    hidden = single(kind, HIDDEN, **settings)
    linear = [LinearTorch((INPUTS, HIDDEN), has_bias=True)]
    linear.append(LinearTorch((HIDDEN, CLASSES), has_bias=True))
    layers = [linear[0], hidden, linear[1], readout]
    return Rockpool(*layers, training={"boost": 0.5})


def with_currents():
    return dense(tau_mem=0.005, tau_syn=0.002)


def without_currents():
    return dense(LIFNeuronTorch, tau_mem=0.02)
