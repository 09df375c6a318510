r"""Siegert rate model of a feed-forward spiking network, with exact gradients.

Every population is replaced by the mean rates of its neurons, in spikes per time step. A neuron
whose input per step has mean m and variance s^2, and whose potential decays by the factor d per
step, has a free potential of mean ``Y = m / (1 - d)`` and variance ``G^2 = s^2 / (1 - d^2)``, the
values of the discrete-time neuron. Its rate is

.. math::

    r = \Big[ R + \tfrac12 + \sqrt{\tfrac14 + p^2} \, \Big]^{-1}, \qquad
    p = \frac{\tau}{G} \sqrt{\frac{\pi}{2}}
        \int_0^{\theta'} \mathrm{erfcx}\Big(\frac{Y - u}{G\sqrt 2}\Big) \, du

with p the mean first-passage time in steps, tau the membrane time constant in steps and R the
refractory period, as in :mod:`neuroattack.training.siegert`. A neuron integrates its input for at
least one step, and for half a step more than p on average: it spikes every R + 1 steps with strong
input, and every R + 1/2 + p with weak input. A neuron is updated once per step and therefore
crosses its threshold late: the effective threshold is ``theta' = theta + 0.583 s``, the continuity
correction of a random walk with a barrier (Siegmund 1985, "Sequential Analysis", chapter X;
0.583 = ``|zeta(1/2)| / sqrt(2 pi)``). It replaces the shift of the training's formula, which
describes filtered synaptic noise and shifts the reset, too. The reset is exact here.

Spikes of different neurons and steps are treated as independent, ``s^2 = sum w^2 r (1 - r)``, and
rates as stationary. Clipping and rounding of fixed-point potentials are ignored. These
approximations affect the gradient, but not the verification of an attack.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx

from neuroattack.attacks.gradients.differentiable import Pullback
from neuroattack.encoding.encoders import RateEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.fixed_point import LEAK_ONE
from neuroattack.ir.network import INPUT, AnyProjection, FixedPopulation, Network, Population
from neuroattack.ir.projection import Projection
from neuroattack.validation import check_integer

__all__ = ["SiegertModel"]

Values = NDArray[np.float64]

_LATE = 0.5825971579390107
# Longer time constants are indistinguishable from no leak, and would lose precision.
_LONGEST_TAU = 1e6
# The least spread of a potential, relative to the threshold: without noise, rates have a kink.
_LEAST_SPREAD = 0.02
# erfcx overflows below -26; rates are 0 before: erfcx(-12) exceeds 1e62.
_LOWEST = -12.0
_ASYMPTOTIC = 50.0
_NODES, _NODE_WEIGHTS = (each / 2 for each in np.polynomial.legendre.leggauss(6))
_NODES = _NODES + 0.5
_HALF_A_SPIKE = 0.5


@dataclass(frozen=True, eq=False)
class _Layer:
    """A population with its sources: weights of shape (source size, size), and their squares."""

    name: str
    sources: tuple[tuple[str, Any, Any], ...]
    bias: Values
    threshold: Values
    decay: Values
    refractory: Values

    @property
    def tau(self) -> Values:
        """Membrane time constant in time steps."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.minimum(1 / np.abs(np.log(self.decay)), _LONGEST_TAU))


class SiegertModel:
    """Rate model of a network, for gradient ascent on its input.

    It is a :class:`~neuroattack.attacks.gradients.differentiable.Differentiable`.

    Parameters
    ----------
    network : Network
        Feed-forward network of LIF neurons with a reset to 0 and no synaptic currents, in floating
        or fixed point, with Poisson or regular input, whose output are spike counts.
    steps : int
        Number of time steps T; it determines the floor of the scores, half a spike in T steps.
    spike_costs : mapping of str to float64 array, shape (size,), optional
        Cost of a spike of each neuron, by population; the logarithm of the expected cost of an
        image is then one more score.

    Raises
    ------
    UnsupportedFeatureError
        If the network has other features; the message names the first.
    """

    def __init__(
        self, network: Network, steps: int, *, spike_costs: Mapping[str, Values] | None = None
    ) -> None:
        _check_supported(network)
        self._shape = network.input.shape
        self._classes = network.classes
        self._steps = check_integer("steps", steps, 1)
        encoder: Any = network.input.encoder  # a RateEncoder, as was checked
        self._spikes_per_step = float(encoder.max_rate_hz) * network.dt_s
        self._random_input = encoder.random
        self._readout = network.readout
        self._costs = dict(spike_costs or {})
        self._layers = [
            _layer(population, network.incoming(population.name), network.dt_s)
            for population in network.populations
        ]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._shape

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._classes

    def rates(self, images: Values) -> dict[str, Values]:
        """Return the rates of all populations, in spikes per time step.

        Parameters
        ----------
        images : float64 array, shape (images, ...)
            Intensities in [0, 1].

        Returns
        -------
        dict of str to float64 array, shape (images, size)
            Rates by population, and of the input under ``"input"``.
        """
        return self._forward(images)[0]

    def log_scores(self, images: Values) -> Values:
        """Return the logarithms of the expected output spike counts plus half a spike.

        Parameters
        ----------
        images : float64 array, shape (images, ...)
            Intensities in [0, 1].

        Returns
        -------
        float64 array, shape (images, classes)
        """
        return self._scores(self.rates(images))

    def linearize(self, images: Values) -> tuple[Values, Pullback]:
        """Return :meth:`log_scores` of images, and the function that gives their gradients."""
        rates, slopes = self._forward(images)

        def pullback(weights: Values) -> Values:
            back, _ = self._backward(rates, slopes, weights)
            return np.asarray((back[INPUT] * self._spikes_per_step).reshape(images.shape))

        return self._scores(rates), pullback

    def cross_entropy(self, images: Values, labels: Sequence[int] | NDArray[np.integer]) -> float:
        """Return the mean cross-entropy of the output spike fractions, in nats.

        The fraction of a class is that of its expected count plus half a spike.
        """
        scores = self.log_scores(images)
        scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        return -float(scores[np.arange(len(scores)), labels].mean())

    def weight_gradients(
        self, images: Values, labels: Sequence[int] | NDArray[np.integer]
    ) -> list[Values]:
        """Return the gradients of :meth:`cross_entropy` with respect to all weights.

        Returns
        -------
        list of float64 array, shape (source size, size)
            One array per projection, by population in the order of the network, and for a
            population in the order of its incoming projections; in nats per unit of the weights.
        """
        rates, slopes = self._forward(images)
        scores = self._scores(rates)
        outer = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
        outer[np.arange(len(outer)), labels] -= 1
        _, deltas = self._backward(rates, slopes, outer / len(outer))
        gradients = []
        for layer in self._layers:
            mean, variance = deltas[layer.name]
            for source, matrix, _ in layer.sources:
                gradient = rates[source].T @ mean
                if source != INPUT or self._random_input:
                    spread = (rates[source] * (1 - rates[source])).T @ variance
                    dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
                    gradient = gradient + 2 * dense * spread
                gradients.append(gradient)
        return gradients

    def _backward(
        self,
        rates: dict[str, Values],
        slopes: dict[str, tuple[Values, Values]],
        weights: Values,
    ) -> tuple[dict[str, Values], dict[str, tuple[Values, Values]]]:
        """Return derivatives of the weighted scores: by all rates, and by the layers' inputs."""
        back = {name: np.zeros_like(values) for name, values in rates.items()}
        deltas = {}
        counts = rates[self._readout] * self._steps
        classes = weights[:, : self._classes]
        back[self._readout] += classes * self._steps / (counts + _HALF_A_SPIKE)
        if self._costs:
            per_spike = weights[:, -1:] * self._steps / self._cost(rates)[:, None]
            for name, costs in self._costs.items():
                back[name] += per_spike * costs
        for layer in reversed(self._layers):
            by_mean, by_variance = slopes[layer.name]
            mean, variance = back[layer.name] * by_mean, back[layer.name] * by_variance
            deltas[layer.name] = (mean, variance)
            for source, matrix, squares in layer.sources:
                back[source] += mean @ matrix.T
                if source != INPUT or self._random_input:
                    back[source] += (variance @ squares.T) * (1 - 2 * rates[source])
        return back, deltas

    def _scores(self, rates: dict[str, Values]) -> Values:
        scores = np.log(rates[self._readout] * self._steps + _HALF_A_SPIKE)
        if self._costs:
            scores = np.column_stack([scores, np.log(self._cost(rates))])
        return np.asarray(scores)

    def _cost(self, rates: dict[str, Values]) -> Values:
        """Return the expected cost of each image; never 0, for its logarithm."""
        total = sum(rates[name] @ costs for name, costs in self._costs.items())
        return np.asarray(np.maximum(total * self._steps, np.finfo(np.float64).tiny))

    def _forward(
        self, images: Values
    ) -> tuple[dict[str, Values], dict[str, tuple[Values, Values]]]:
        """Return all rates, and their derivatives with respect to the input's mean and variance."""
        rates = {INPUT: images.reshape(len(images), -1) * self._spikes_per_step}
        slopes = {}
        for layer in self._layers:
            mean = np.broadcast_to(layer.bias, (len(images), layer.bias.size)).copy()
            variance = np.zeros_like(mean)
            for source, matrix, squares in layer.sources:
                mean += rates[source] @ matrix
                if source != INPUT or self._random_input:
                    variance += (rates[source] * (1 - rates[source])) @ squares
            rates[layer.name], *both = _transfer(layer, mean, variance)
            slopes[layer.name] = (both[0], both[1])
        return rates, slopes


def _transfer(layer: _Layer, mean: Values, variance: Values) -> tuple[Values, Values, Values]:
    """Return rates, and their derivatives with respect to mean and variance of the input per step.

    All arrays have the shape (images, size).
    """
    tau, theta = layer.tau, layer.threshold
    decay = np.exp(-1 / tau)
    drive_gain, variance_gain = 1 / (1 - decay), 1 / (1 - decay**2)
    least = (_LEAST_SPREAD * theta) ** 2 / variance_gain
    noisy = variance > least
    s = np.sqrt(np.maximum(variance, least))
    drive, spread = mean * drive_gain, s * np.sqrt(variance_gain)
    height = theta + _LATE * s
    # integral: mean of erfcx over [0, height]. z = (drive - u) / (sqrt(2) spread).
    scale = 1 / (math.sqrt(2) * spread)
    integral, by_drive, by_spread, by_height = (np.zeros_like(mean) for _ in range(4))
    for node, weight in zip(_NODES, _NODE_WEIGHTS, strict=True):
        z = (drive - node * height) * scale
        value, slope = _erfcx(z)
        integral += weight * value
        by_drive += weight * slope * scale
        by_spread -= weight * slope * z / spread
        by_height -= weight * slope * node * scale
    gain = tau * math.sqrt(math.pi / 2)
    passage = gain * height / spread * integral
    integrating = np.sqrt(0.25 + passage**2)
    rates = 1 / (layer.refractory + 0.5 + integrating)
    outer = -(rates**2) * passage / integrating * gain / spread
    by_s = outer * (
        height * (by_spread - integral / spread) * np.sqrt(variance_gain)
        + _LATE * (integral + height * by_height)
    )
    by_variance = np.where(noisy, by_s / (2 * s), 0.0)
    return rates, outer * height * by_drive * drive_gain, by_variance


def _erfcx(z: Values) -> tuple[Values, Values]:
    """Return erfcx and its derivative; constant below the lowest argument."""
    inside = z > _LOWEST
    x = np.maximum(z, _LOWEST)
    value = erfcx(x)
    far = np.maximum(x, _ASYMPTOTIC)
    # 2 x erfcx(x) - 2 / sqrt(pi) cancels for large x.
    asymptotic = -(1 - 1.5 / far**2 + 3.75 / far**4) / (math.sqrt(math.pi) * far**2)
    slope = np.where(x > _ASYMPTOTIC, asymptotic, 2 * x * value - 2 / math.sqrt(math.pi))
    return value, np.where(inside, slope, 0.0)


def _layer(
    population: Population | FixedPopulation, incoming: tuple[AnyProjection, ...], dt_s: float
) -> _Layer:
    ones = np.ones(population.size)
    if isinstance(population, FixedPopulation):
        decay = (LEAK_ONE - population.leak) / LEAK_ONE * ones
        threshold, bias = population.threshold.astype(float), population.bias.astype(float)
    else:
        decay, threshold, bias = population.decay(dt_s), population.threshold_v, population.bias_v
    sources = []
    for projection in incoming:
        matrix: Any
        if isinstance(projection, Projection):
            matrix = projection.weights_v
        else:
            matrix = projection.sparse() * 2.0**projection.exponent
        squares = matrix**2 if isinstance(matrix, np.ndarray) else matrix.multiply(matrix).tocsr()
        sources.append((projection.source, matrix, squares))
    # A threshold of 0 is allowed in fixed point, where it means that 1 unit suffices.
    threshold = np.where(threshold == 0, 0.5, threshold)
    refractory = population.refractory_steps * ones
    return _Layer(population.name, tuple(sources), bias, threshold, decay, refractory)


def _check_supported(network: Network) -> None:
    """Raise UnsupportedFeatureError with the first feature that the model does not describe."""
    need = "which the Siegert model does not describe"
    encoder = network.input.encoder
    if not isinstance(encoder, RateEncoder):
        raise UnsupportedFeatureError(f"input: {encoder.describe()}, {need}")
    if network.readout_quantity != "spike_count":
        raise UnsupportedFeatureError(f"readout: {network.readout_quantity}, {need}")
    for population in network.populations:
        feature = _unsupported(population, network.dt_s)
        if feature:
            raise UnsupportedFeatureError(f"population {population.name!r}: {feature}, {need}")
    position = {name: index for index, name in enumerate(network.sizes)}
    for projection in network.projections:
        if position[projection.source] >= position[projection.target]:
            raise UnsupportedFeatureError(f"{projection.label}: recurrence, {need}")


def _unsupported(population: Population | FixedPopulation, dt_s: float) -> str | None:
    checks: tuple[tuple[bool, str], ...]
    if isinstance(population, FixedPopulation):
        checks = (
            (population.has_current, "a synaptic current"),
            (population.leak == LEAK_ONE, "a potential without memory"),
        )
    else:
        checks = (
            (population.has_current, "a synaptic current"),
            (not np.isfinite(population.threshold_v).all(), "neurons that never spike"),
            (population.reset != "value", "a reset by subtraction"),
            (bool(population.reset_v.any()), "a reset to another value than 0"),
            (bool((population.decay(dt_s) == 0).any()), "a potential without memory"),
        )
    return next(itertools.chain((name for present, name in checks if present), [None]))
