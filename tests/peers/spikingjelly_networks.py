"""Trained networks of SpikingJelly."""

import copy

import torch
from peers.peer import Peer
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from spikingjelly.activation_based.nir_exchange import export_to_nir

INPUTS, HIDDEN, CLASSES = 784, 100, 10
# Larger than any potential, and finite: 0 times it is 0.
NEVER = 1e30


class SpikingJelly(Peer):
    """Nodes of SpikingJelly, which keep their states themselves."""

    exporter = "spikingjelly"

    def is_neurons(self, layer):
        return isinstance(layer, neuron.BaseNode)

    def fire(self, layer, current, state):
        if state is None:
            layer.reset()
        # The potential before the reset is that of neurons that never spike.
        still = copy.copy(layer)
        still._memories, still.v_threshold = dict(layer._memories), NEVER
        with torch.no_grad():
            still(current.detach())
        return layer(current), still.v - layer.v_threshold, True

    def doubled(self):
        functional.reset_net(self.layers)
        return super().doubled()

    def write(self, path):
        functional.reset_net(self.layers)
        layers = copy.deepcopy(self.layers)
        for each in layers:
            # The exporter refuses soft resets, which NIR does not have.
            if self.is_neurons(each) and each.v_reset is None:
                each.v_reset = 0.0
                each.reset()
        convolutional = isinstance(layers[0], torch.nn.Conv2d)
        sample = torch.zeros(1, 1, 28, 28) if convolutional else torch.zeros(1, INPUTS)
        export_to_nir(torch.nn.Sequential(*layers), sample, save_path=path)


def dense(kind=neuron.LIFNode, bias=False, **settings):
    """Return a fully connected network, as in the tutorial: one layer there, two here."""
    settings = {"surrogate_function": surrogate.ATan(), **settings}
    imported = {"reset": "subtract"} if settings.get("v_reset", 0.0) is None else {"reset": "value"}
    layers = [
        *(layer.Linear(INPUTS, HIDDEN, bias=bias), kind(**settings)),
        *(layer.Linear(HIDDEN, CLASSES, bias=bias), kind(**settings)),
    ]
    return SpikingJelly(*layers, **imported)


def lif(**settings):
    return dense(tau=2.0, **settings)


def soft():
    return lif(v_reset=None)


def parametric(**settings):
    return dense(neuron.ParametricLIFNode, init_tau=3.0, **settings)


def shifted():
    """A reset potential that is not 0, and input that is not divided by tau."""
    return dense(tau=10.0, decay_input=False, v_reset=-0.25, bias=True)


def convolutional(v_reset=0.0):
    """Return a network of integrate-and-fire neurons, as in the tutorial but small."""

    def node():
        return neuron.IFNode(v_reset=v_reset, surrogate_function=surrogate.ATan())

    layers = [
        *(layer.Conv2d(1, 8, 3, padding=1, bias=False), node(), layer.AvgPool2d(2, 2)),
        *(layer.Conv2d(8, 8, 3, padding=1, bias=False), node(), layer.AvgPool2d(2, 2)),
        *(layer.Flatten(), layer.Linear(392, CLASSES, bias=False), node()),
    ]
    training = {"images": 700, "steps": 10, "boost": 3.0}
    reset = "value" if v_reset is not None else "subtract"
    return SpikingJelly(*layers, reset=reset, training=training)
