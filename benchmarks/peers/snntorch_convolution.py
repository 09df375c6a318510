"""The convolutional network in snnTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import snntorch
import torch
from numpy.typing import NDArray
from torch import nn

from neuroattack.encoding.constant import ConstantInput, InputSignal

if TYPE_CHECKING:
    from benchmarks.convolution import Layer

__all__ = ["VERSIONS", "PeerNetwork"]

VERSIONS = {"snntorch": snntorch.__version__, "torch": torch.__version__}


class PeerNetwork:
    """Network of convolutions, average pooling and ``snntorch.Leaky`` neurons, in float32.

    All layers are simulated step by step, without gradients and on one core, as in the tutorial.
    If it is tuned, tensors have the layout with adjacent channels, and the first convolution of a
    constant input is computed only once.

    Parameters
    ----------
    layers : list of Layer
        Weights and biases.
    beta : float
        Decay of potentials per step.
    inputs : InputSignal
        Input of all images.
    tuned : bool
        Whether to simulate the faster form.
    """

    def __init__(
        self, layers: list[Layer], beta: float, inputs: InputSignal, *, tuned: bool
    ) -> None:
        torch.set_num_threads(1)
        self._modules = [nn.Conv2d(1, 12, 5), nn.Conv2d(12, 64, 5), nn.Linear(1024, 10)]
        self._pool = nn.AvgPool2d(2)
        self._neurons = [snntorch.Leaky(beta=beta) for _ in layers]
        for module, layer in zip(self._modules, layers, strict=True):
            module.weight = _parameter(layer.weights)
            module.bias = _parameter(layer.biases)
            if tuned:
                module.to(memory_format=torch.channels_last)
        self._steps = inputs.steps
        constant = isinstance(inputs, ConstantInput)
        self._once = tuned and constant
        values = inputs.intensities()[:, None] if constant else inputs.to_dense()
        images = torch.from_numpy(values.astype(np.float32)).transpose(0, 1)
        # One tensor per step, or one for all.
        self._inputs = [image.reshape(-1, 1, 28, 28).contiguous() for image in images]

    def run(self) -> NDArray[np.int64]:
        """Return the spike counts of the output, shape (images, classes)."""
        first, second, last = self._modules
        with torch.inference_mode():
            potentials = [neurons.init_leaky() for neurons in self._neurons]
            counts: torch.Tensor | int = 0
            current = self._pool(first(self._inputs[0]))
            for k in range(self._steps):
                if not self._once:
                    current = self._pool(first(self._inputs[k % len(self._inputs)]))
                spikes, potentials[0] = self._neurons[0](current, potentials[0])
                spikes, potentials[1] = self._neurons[1](self._pool(second(spikes)), potentials[1])
                spikes, potentials[2] = self._neurons[2](last(spikes.flatten(1)), potentials[2])
                counts = counts + spikes
            return counts.long().numpy()


def _parameter(values: NDArray[np.float64]) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(values.astype(np.float32)), requires_grad=False)
