"""Trained networks of snnTorch."""

import nir
import snntorch as snn
import torch
from peers.peer import Peer
from snntorch.export_nir import export_to_nir

INPUTS, HIDDEN, CLASSES = 784, 100, 10


class SnnTorch(Peer):
    """Layers of snnTorch, in the default order: the reset acts in the step after the spike."""

    exporter = "snntorch"

    def is_neurons(self, layer):
        return isinstance(layer, snn.SpikingNeuron)

    def fire(self, layer, current, state):
        # The potential is always the last state, and is not yet reset.
        outputs = layer(current, *(self._start(layer, current) if state is None else state))
        spikes, potential = outputs[0], outputs[-1]
        states = outputs if isinstance(layer, snn.RLeaky | snn.RSynaptic) else outputs[1:]
        return spikes, potential - layer.threshold, [each.to(current.dtype) for each in states]

    def _start(self, layer, current):
        states = {snn.Leaky: 1, snn.Synaptic: 2, snn.RLeaky: 2, snn.RSynaptic: 3}[type(layer)]
        return [torch.zeros_like(current)] * states

    def write(self, path):
        sequence = torch.nn.Sequential(*self.layers)
        for layer in sequence:
            if self.is_neurons(layer):
                layer.init_hidden = True
        sample = torch.zeros(1, *self._input_shape())
        try:
            nir.write(path, export_to_nir(sequence, sample, ignore_dims=[0]))
        finally:
            for layer in sequence:
                if self.is_neurons(layer):
                    layer.init_hidden = False

    def _input_shape(self):
        return (1, 28, 28) if isinstance(self.layers[0], torch.nn.Conv2d) else (INPUTS,)


def per_neuron(kind, shape, beta=0.95, **settings):
    """Return neurons with one beta and threshold each: the exporter does not support scalars."""
    if "alpha" in settings:
        settings["alpha"] = torch.full(shape, settings["alpha"])
    return kind(beta=torch.full(shape, beta), threshold=torch.ones(shape), **settings)


def dense(kind=snn.Leaky, bias=True, **settings):
    linear = torch.nn.Linear
    return [
        *(linear(INPUTS, HIDDEN, bias=bias), per_neuron(kind, (HIDDEN,), **settings)),
        *(
            linear(HIDDEN, CLASSES, bias=bias),
            per_neuron(snn.Leaky, (CLASSES,), **_plain(settings)),
        ),
    ]


def _plain(settings):
    return {key: settings[key] for key in ("beta", "reset_mechanism") if key in settings}


def leaky(coding="poisson", reset="subtract"):
    """Architecture of tutorial 5, smaller."""
    imported = {"subtract": "subtract_next", "zero": "value"}[reset]
    return SnnTorch(*dense(reset_mechanism=reset), coding=coding, reset=imported)


def learned_beta():
    return SnnTorch(*dense(learn_beta=True, beta=0.9), reset="subtract_next")


def synaptic(reset="subtract"):
    imported = {"subtract": "subtract_next", "zero": "value"}[reset]
    layers = dense(snn.Synaptic, alpha=0.8, beta=0.9, reset_mechanism=reset)
    return SnnTorch(*layers, reset=imported)


def recurrent(all_to_all=True, reset="subtract"):
    imported = {"subtract": "subtract_next", "zero": "value"}[reset]
    kind = {"linear_features": HIDDEN} if all_to_all else {"V": torch.full((HIDDEN,), 0.3)}
    layers = dense(snn.RLeaky, all_to_all=all_to_all, reset_mechanism=reset, beta=0.9, **kind)
    return SnnTorch(*layers, reset=imported)


def recurrent_synaptic():
    layers = dense(snn.RSynaptic, alpha=0.8, beta=0.9, linear_features=HIDDEN)
    return SnnTorch(*layers, reset="subtract_next")


def convolutional(coding="direct"):
    """Architecture of tutorial 6, with average pooling before the neurons."""
    layers = [
        *(torch.nn.Conv2d(1, 12, 5), torch.nn.AvgPool2d(2), per_neuron(snn.Leaky, (12, 12, 12))),
        *(torch.nn.Conv2d(12, 64, 5), torch.nn.AvgPool2d(2), per_neuron(snn.Leaky, (64, 4, 4))),
        *(torch.nn.Flatten(), torch.nn.Linear(1024, CLASSES), per_neuron(snn.Leaky, (CLASSES,))),
    ]
    training = {"epochs": 1, "images": 700, "steps": 10}
    return SnnTorch(*layers, coding=coding, reset="subtract_next", training=training)
