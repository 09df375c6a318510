"""Supervised fine-tuning of all layers of a Siegert network, by Adam on the cross-entropy.

The forward pass uses the transfer function. Its slope nearly vanishes for negative drive, where
learning would stop, so the backward pass uses the slope of a smooth surrogate: with the drive
``a = t_ref W x / theta`` in thresholds per refractory time, a noiseless neuron with little leak
fires at the rate ``a / (1 + a)`` for a > 0; in the surrogate, ``a`` is replaced by
``(a + sqrt(a^2 + s^2)) / 2``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack.training.siegert import FloatArray, SiegertParameters, Transfer
from neuroattack.validation import check_fields

__all__ = [
    "AdamState",
    "FineTuningParameters",
    "Surrogate",
    "adam_step",
    "cross_entropy",
    "fine_tuning_step",
    "initial_adam",
    "weight_gradients",
]


Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class FineTuningParameters:
    """Constants of fine-tuning, except the learning rate; raises ValidationError.

    Parameters
    ----------
    logit_gain : float
        Factor of the output rates before the softmax.
    softness : float
        Width s of the surrogate's smooth transition, in thresholds per refractory time.
    input_noise : float
        Standard deviation of the noise on an input at full scale, relative to full scale. It is
        proportional to the square root of the intensity, like that of a spike count.
    beta1, beta2, epsilon : float
        Decay rates and epsilon of Adam (Kingma and Ba 2015).
    """

    logit_gain: float = 30.0
    softness: float = 0.1
    input_noise: float = 0.7
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_fields(
            self,
            "fine-tuning",
            logit_gain="(0, inf)",
            softness="(0, inf)",
            epsilon="(0, inf)",
            beta1="[0, 1)",
            beta2="[0, 1)",
            input_noise="[0, inf)",
        )


@dataclass(frozen=True)
class Surrogate:
    """Smooth surrogate of the transfer function for the backward pass.

    `gain` is ``a`` per unit of ``W x``, t_ref / theta, in 1 / (volts per second); `softness` is the
    width of the transition at a = 0.
    """

    gain: float
    softness: float

    @classmethod
    def of(cls, siegert: SiegertParameters, softness: float) -> Surrogate:
        """Return the surrogate for a neuron."""
        return cls(siegert.t_ref_s / siegert.threshold_v, softness)

    def _softened(self, mean: Floats) -> tuple[Floats, Floats]:
        a = mean * np.asarray(self.gain, mean.dtype)
        root = np.sqrt(a * a + np.asarray(self.softness**2, mean.dtype))
        return a, root

    def rates(self, mean: Floats) -> Floats:
        """Return the surrogate's rates for ``mean = W x``, of any floating type and shape."""
        a, root = self._softened(mean)
        softened = (a + root) / 2
        return softened / (1 + softened)

    def slopes(self, mean: Floats) -> Floats:
        """Return the derivatives of :meth:`rates` with respect to ``mean``."""
        a, root = self._softened(mean)
        below = 1 + (a + root) / 2
        out: Floats = np.asarray(self.gain / 2, mean.dtype) * (1 + a / root) / (below * below)
        return out


def cross_entropy(
    outputs: Floats, labels: NDArray[np.integer], logit_gain: float
) -> tuple[float, Floats]:
    """Return the mean cross-entropy of ``softmax(logit_gain * outputs)`` and its gradient.

    Outputs and gradient have the shape (n, classes), labels (n,); the cross-entropy is in nats.
    """
    logits = outputs * np.asarray(logit_gain, outputs.dtype)
    logits -= logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits)
    total = probabilities.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = float(np.mean(np.log(total[:, 0]) - logits[rows, labels]))
    probabilities /= total
    probabilities[rows, labels] -= 1
    probabilities *= np.asarray(logit_gain / len(labels), outputs.dtype)
    return loss, probabilities


def weight_gradients(
    weights: Sequence[Floats],
    layer_inputs: Sequence[Floats],
    slopes: Sequence[Floats],
    output_gradient: Floats,
    worker: Executor,
) -> list[Floats]:
    """Return the gradient with respect to each layer's weights (inputs, units), by backpropagation.

    Parameters
    ----------
    weights : sequence of float arrays (inputs, units)
        Drive weights of each layer.
    layer_inputs, slopes : sequences of float arrays (n, inputs) and (n, units)
        Input of each layer, and slopes of its units for this input.
    output_gradient : float array (n, classes)
        Gradient of the loss with respect to the output rates.
    worker : Executor
        Executor for the products of a layer, parallel to those of the layer below.
    """
    products = []
    delta = output_gradient
    for layer in range(len(weights) - 1, -1, -1):
        delta = delta * slopes[layer]
        products.append(worker.submit(np.matmul, layer_inputs[layer].T, delta))
        if layer:
            delta = delta @ weights[layer].T
    return [product.result() for product in reversed(products)]


@dataclass(frozen=True)
class AdamState:
    """Weights and moments of Adam during training.

    Attributes
    ----------
    weights, first, second : tuples of float32 arrays (inputs, units)
        Drive weights in volts per second, and running means of the gradient and its square.
    steps : int
        Number of steps taken.
    """

    weights: tuple[FloatArray, ...]
    first: tuple[FloatArray, ...]
    second: tuple[FloatArray, ...]
    steps: int


def initial_adam(weights: tuple[FloatArray, ...]) -> AdamState:
    """Return the state before the first step."""
    return AdamState(
        weights,
        tuple(np.zeros_like(w) for w in weights),
        tuple(np.zeros_like(w) for w in weights),
        0,
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _adam32(weights: Any, first: Any, second: Any, gradient: Any, constants: Any) -> Any:
    beta1, beta2, size, guard = constants
    one = np.float32(1)
    new_weights = np.empty_like(weights)
    new_first = np.empty_like(first)
    new_second = np.empty_like(second)
    for i in range(weights.size):
        g = gradient[i]
        m = beta1 * first[i] + (one - beta1) * g
        v = beta2 * second[i] + (one - beta2) * g * g
        new_first[i] = m
        new_second[i] = v
        new_weights[i] = weights[i] - size * m / (math.sqrt(v) + guard)
    return new_weights, new_first, new_second


def adam_step(
    state: AdamState,
    gradients: Sequence[Floats],
    learning_rate: float,
    parameters: FineTuningParameters,
) -> AdamState:
    """Return the state after one step of Adam (Kingma and Ba 2015, Algorithm 1)."""
    steps = state.steps + 1
    # Apply the bias corrections to step size and epsilon instead of to every weight.
    root_correction = math.sqrt(1 - parameters.beta2**steps)
    constants = tuple(
        np.float32(constant)
        for constant in (
            parameters.beta1,
            parameters.beta2,
            learning_rate * root_correction / (1 - parameters.beta1**steps),
            parameters.epsilon * root_correction,
        )
    )
    layers = []
    for arrays in zip(state.weights, state.first, state.second, gradients, strict=True):
        flat_w, flat_m, flat_v, flat_g = (array.reshape(-1) for array in arrays)
        updated = _adam32(flat_w, flat_m, flat_v, flat_g, constants)
        layers.append(tuple(flat.reshape(arrays[0].shape) for flat in updated))
    weights, first, second = zip(*layers, strict=True)
    return AdamState(weights, first, second, steps)


def fine_tuning_step(
    state: AdamState,
    inputs: FloatArray,
    labels: NDArray[np.integer],
    learning_rate: float,
    parameters: FineTuningParameters,
    transfer: Transfer,
    full_scale: float,
    rng: np.random.Generator,
    worker: Executor,
) -> AdamState:
    """Return the state after one step of supervised learning.

    Parameters
    ----------
    inputs : float32 array (batch, inputs)
        Normalized input rates; `full_scale` is the rate of an input at full intensity.
    labels : integer array (batch,)
        True classes.
    learning_rate : float
        Step size of Adam, in volts per second.
    rng : numpy.random.Generator
        Random number generator of the input noise.
    worker : Executor
        Executor for work parallel to this thread.
    """
    surrogate = Surrogate.of(transfer.siegert, parameters.softness)
    variance = np.float32(full_scale * parameters.input_noise**2)
    deviation = worker.submit(lambda: np.sqrt(inputs * variance))
    squares = [worker.submit(np.square, weights) for weights in state.weights]
    rates = rng.standard_normal(inputs.shape, dtype=np.float32)
    rates *= deviation.result()
    rates += inputs
    np.maximum(rates, np.float32(0), out=rates)
    layer_inputs, slopes = [], []
    for weights, squared in zip(state.weights, squares, strict=True):
        layer_inputs.append(rates)
        power = worker.submit(np.matmul, rates, squared.result())
        mean = rates @ weights
        slopes.append(worker.submit(surrogate.slopes, mean))
        rates = transfer.rates(mean, power.result())
    _, gradient = cross_entropy(rates, labels, parameters.logit_gain)
    gradients = weight_gradients(
        state.weights, layer_inputs, [slope.result() for slope in slopes], gradient, worker
    )
    return adam_step(state, gradients, learning_rate, parameters)
