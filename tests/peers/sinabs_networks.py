"""Trained networks of sinabs."""

import nir
import sinabs.layers as sl
import torch
from peers.peer import Peer
from sinabs.activation import MembraneReset, MultiSpike, SingleSpike
from sinabs.layers.functional.lif import lif_forward_single
from sinabs.nir import to_nir

INPUTS, HIDDEN, CLASSES = 784, 100, 10
# Larger than any potential, and finite: 0 times it is 0.
NEVER = torch.tensor(1e30)


class Sinabs(Peer):
    """Layers of sinabs, which keep their states themselves."""

    exporter = "sinabs"

    def is_neurons(self, layer):
        return isinstance(layer, sl.StatefulLayer)

    def fire(self, layer, current, state):
        if state is None:
            layer.v_mem = torch.zeros_like(current)
        before = layer.v_mem
        # Layers of the "squeeze" kind take (images * steps, ...).
        outputs = layer(current)
        if layer.spike_fn is None:
            return outputs, None, True
        with torch.no_grad():
            after = lif_forward_single(
                current,
                layer.alpha_mem_calculated,
                None,
                {"v_mem": before},
                NEVER,
                SingleSpike,
                layer.reset_fn,
                None,
                layer.min_v_mem,
                layer.norm_input,
            )[1]
        return outputs, after["v_mem"] - layer.spike_threshold, True

    def write(self, path):
        for layer in self.layers:
            if self.is_neurons(layer):
                layer.reset_states()
        convolutional = isinstance(self.layers[0], torch.nn.Conv2d)
        sample = torch.zeros(1, 1, 28, 28) if convolutional else torch.zeros(1, INPUTS)
        graph = to_nir(torch.nn.Sequential(*self.layers), sample)
        # Convolutions need the shape of their input.
        graph.infer_types()
        nir.write(path, graph)


def iaf(**settings):
    return sl.IAFSqueeze(num_timesteps=1, **{"spike_fn": SingleSpike, **settings})


def lif(size, tau=10.0, threshold=0.2, **settings):
    """Return neurons with a time constant each: scalars are not exported."""
    return sl.LIFSqueeze(
        num_timesteps=1,
        tau_mem=torch.full((size,), tau),
        spike_threshold=torch.full((size,), threshold),
        **{"spike_fn": SingleSpike, **settings},
    )


def dense(kind=lambda size: iaf(), reset="subtract", boost=1.0):
    linear = torch.nn.Linear
    layers = [linear(INPUTS, HIDDEN), kind(HIDDEN), linear(HIDDEN, CLASSES), kind(CLASSES)]
    return Sinabs(*layers, reset=reset, training={"boost": boost})


def leaky():
    return dense(lif, boost=3.0)


def resetting():
    return dense(lambda size: iaf(reset_fn=MembraneReset()), reset="value")


def several_spikes():
    """Return a network with many spikes per step: sinabs' default, which is not exported."""
    return dense(lambda size: iaf(spike_fn=MultiSpike))


def convolutional():
    """Return a network of integrate-and-fire neurons with sum pooling."""
    layers = [
        *(torch.nn.Conv2d(1, 8, 5, bias=False), iaf(), sl.SumPool2d(2)),
        *(torch.nn.Conv2d(8, 8, 5, bias=False), iaf(), sl.SumPool2d(2)),
        *(torch.nn.Flatten(), torch.nn.Linear(128, CLASSES), iaf()),
    ]
    return Sinabs(*layers, reset="subtract", training={"images": 700, "steps": 10})


def integrating():
    """A readout of leaky integrators."""
    layers = [torch.nn.Linear(INPUTS, HIDDEN), lif(HIDDEN), torch.nn.Linear(HIDDEN, CLASSES)]
    readout = sl.ExpLeakSqueeze(num_timesteps=1, tau_mem=torch.full((CLASSES,), 10.0))
    return Sinabs(*layers, readout, readout="final_potential", training={"boost": 3.0})
