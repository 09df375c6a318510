"""Networks of other frameworks: trained briefly, and run step by step in float32 or float64."""

import copy
from dataclasses import dataclass

import numpy as np
import torch

from neuroattack.datasets import load_dataset

STEPS = 60
# Trained parameters are rounded to this grid, so that their import rounds nothing.
GRID_BITS = 16
# Intensities of direct coding, on a grid that every encoder contains.
INPUT_BITS = 12


@dataclass(frozen=True)
class Trace:
    """What the neurons of a network did.

    `spikes` (bool) and `margins` (potential minus threshold, before the reset) have one array of
    shape (images, steps, neurons) for each layer of spiking neurons; `output` is that of the last
    layer, shape (images, steps, classes): its spikes, or the potentials of leaky integrators.
    """

    spikes: list
    margins: list
    output: np.ndarray


class Peer:
    """Layers of one framework, which are called one after the other in every step.

    Subclasses know the framework's neurons, and how it exports them.
    """

    exporter = ""

    def __init__(self, *layers, coding="poisson", training=None, **settings):
        self.layers = torch.nn.ModuleList(layers)
        self.coding = coding
        # Arguments of the function train.
        self.training = training or {}
        # Arguments of import_nir that the file does not tell.
        self.settings = settings

    def is_neurons(self, layer):
        raise NotImplementedError

    def fire(self, layer, current, state):
        """Update one layer of neurons; return its spikes, their margins and its state.

        Leaky integrators return their potentials, and None as the margins.
        """
        raise NotImplementedError

    def doubled(self):
        """Return a copy that computes in float64."""
        other = copy.copy(self)
        other.layers = copy.deepcopy(self.layers).double()
        return other

    def parameters(self):
        """Return the parameters to train."""
        return list(self.layers.parameters())

    def module(self):
        """Return the network as users of the framework write it."""
        return torch.nn.Sequential(*self.layers)

    def write(self, path):
        """Export the network to NIR through the framework's own exporter."""
        raise NotImplementedError

    def step(self, x, states, delayed=False):
        margins, spikes = [], []
        for place, layer in enumerate(self.layers):
            if delayed and (place == 0 or self.is_neurons(self.layers[place - 1])):
                x, states["waiting", place] = states.get(("waiting", place), torch.zeros_like(x)), x
            if self.is_neurons(layer):
                dtype = x.dtype
                x, margin, states[place] = self.fire(layer, x, states.get(place))
                # Some frameworks return spikes as float32 whatever the potentials are.
                x = x.to(dtype)
                if margin is not None:
                    spikes.append(x)
                    margins.append(margin)
            else:
                x = layer(x)
        return x, spikes, margins

    def run(self, inputs, dtype=torch.float32, delayed=False):
        """Run the network on inputs of shape (images, steps, *shape).

        If `delayed`, input and spikes wait until the next step before they reach a layer.
        """
        peer = self.doubled() if dtype == torch.float64 else self
        given, states = torch.tensor(inputs, dtype=dtype), {}
        with torch.no_grad():
            steps = [peer.step(given[:, k], states, delayed) for k in range(given.shape[1])]
        outputs, spikes, margins = zip(*steps, strict=True)

        def stacked(each):
            return [torch.stack(layer, 1).flatten(2).numpy() for layer in zip(*each, strict=True)]

        return Trace(
            [layer > 0 for layer in stacked(spikes)],
            stacked(margins),
            torch.stack(outputs, 1).numpy(),
        )

    def outputs(self, inputs):
        """Return what the last layer emitted in each step, for training."""
        states = {}
        return torch.stack([self.step(inputs[:, k], states)[0] for k in range(inputs.shape[1])], 1)


def encoded(images, coding, steps, rng):
    """Return images as inputs of shape (images, steps, 28, 28), in either coding."""
    if coding == "direct":
        constant = np.round(images * 2.0**INPUT_BITS) / 2.0**INPUT_BITS
        return np.repeat(constant[:, None], steps, axis=1).astype(np.float32)
    rates = 0.2 * images[:, None]
    return (rng.random((len(images), steps, *images.shape[1:])) < rates).astype(np.float32)


def example(peer, images=60, steps=STEPS):
    """Return test inputs for a peer in the shape that its first layer expects, and the labels."""
    test = load_dataset("digits").test
    inputs = encoded(test.images[:images], peer.coding, steps, np.random.default_rng(1))
    return shaped(peer, inputs), test.labels[:images]


def shaped(peer, inputs):
    if isinstance(peer.layers[0], torch.nn.Conv2d):
        return inputs[:, :, None]
    return inputs.reshape(*inputs.shape[:2], -1)


def trained(make, *arguments, rounded=True):
    """Make a peer and train it; then round its parameters to the grid, or leave them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    peer = make(*arguments)
    _train(peer, **peer.training)
    peer.layers.requires_grad_(False)
    # States left by the training have a history, with which layers cannot be copied.
    peer.run(example(peer, images=1, steps=1)[0])
    for parameter in peer.parameters() if rounded else ():
        parameter.copy_((parameter * 2**GRID_BITS).round() / 2**GRID_BITS)
    return peer


def _train(peer, epochs=2, images=1442, steps=20, learning_rate=3e-3, boost=1.0):
    """Train until classes can be distinguished.

    `boost` multiplies the weights before: networks without spikes learn nothing.
    """
    with torch.no_grad():
        for layer in peer.layers:
            if hasattr(layer, "weight"):
                layer.weight *= boost
    digits, rng = load_dataset("digits").train, np.random.default_rng(0)
    optimizer = torch.optim.Adam(peer.parameters(), learning_rate)
    for _ in range(epochs):
        for batch in np.array_split(rng.permutation(len(digits.labels))[:images], images // 70):
            drawn = encoded(digits.images[batch], peer.coding, steps, rng)
            outputs = peer.outputs(torch.tensor(shaped(peer, drawn)))
            loss = torch.nn.functional.cross_entropy(
                outputs.sum(1), torch.tensor(digits.labels[batch]).long()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
