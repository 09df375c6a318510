"""Differentiable twin of a spiking network in PyTorch, with surrogate gradients.

The forward pass is that of :mod:`neuroattack.ir.dynamics` in float64, with all features: it has the
same spikes as every backend, given the same input. Backward through time, the derivative of a spike
with respect to the potential is replaced by a surrogate (Neftci, Mostafa and Zenke 2019), and that
of an input spike with respect to the intensity by that of its probability, ``max_rate_hz * dt``
(straight-through estimator), or with respect to an event by 1. Gradients are averaged over several
trials (expectation over transformation, Athalye et al. 2018). Resets are not differentiated,
because gradients would explode over hundreds of steps; the potential after a reset to a value does
not depend on the one before.

The width of the surrogate of each neuron is its mean distance from the threshold, averaged over
time steps and trials. It follows the idea of the adaptive sharpness surrogate gradient (ASSG) of
Wang et al., "Towards Reliable Evaluation of Adversarial Robustness for Spiking Neural Networks"
(arXiv 2512.22522): a surrogate of fixed width vanishes for neurons far from their threshold, which
makes networks appear robust; sharpness inversely proportional to the mean distance bounds the loss.
Taken from there are this rule, the expectation over trials of Poisson input, and attacks of many
steps. Not taken are a width per time step from running averages over the iterations of an attack,
and their optimizer for L-infinity (SA-PGD):
:mod:`neuroattack.attacks.gradients.ascent` optimizes for all norms.

References: E. O. Neftci et al., IEEE Signal Processing Magazine 36(6), 2019; A. Athalye et al.,
"Synthesizing robust adversarial examples", ICML 2018.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.gradients.differentiable import Pullback
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import RateEncoder
from neuroattack.encoding.events import EventEncoder
from neuroattack.errors import BackendUnavailableError, UnknownNameError, UnsupportedFeatureError
from neuroattack.ir.network import INPUT, AnyProjection, Convolution, Network, Population
from neuroattack.validation import check_integer, check_positive

__all__ = ["Surrogate", "Twin"]

Values = NDArray[np.float64]

Surrogate = Literal["arctangent", "fast_sigmoid", "triangle", "rectangle"]
"""Derivative h(x) of a spike at distance x from the threshold, in units of the width: all have the
integral 1, except the fast sigmoid, whose integral is 2."""

_HALF_A_SPIKE = 0.5
_STREAM = 0
# A neuron that is always at its threshold would have a surrogate without width.
_LEAST_WIDTH = 1e-3


class Twin:
    """Spiking network in PyTorch, for gradient ascent on its input.

    It is a :class:`~neuroattack.attacks.gradients.differentiable.Differentiable`. Memory is
    proportional to images, trials, time steps and neurons.

    Parameters
    ----------
    network : Network
        Network in floating point.
    steps : int
        Number of time steps T.
    trials : int, optional
        Number of trials with different input spikes, over which scores and gradients are averaged.
        All images, and all calls, share their random numbers.
    surrogate : {"arctangent", "fast_sigmoid", "triangle", "rectangle"}, optional
        Shape of the surrogate gradient.
    sharpness : float, optional
        Mean distance from the threshold over the width of the surrogate. Narrow surrogates without
        tails are more accurate where potentials have a long memory.
    seed : int, optional
        Random seed of the input spikes.

    Raises
    ------
    BackendUnavailableError
        If PyTorch is not installed.
    UnsupportedFeatureError
        If the network is in fixed point.
    UnknownNameError, ValidationError
        If a parameter is invalid.
    """

    def __init__(
        self,
        network: Network,
        steps: int,
        *,
        trials: int = 2,
        surrogate: Surrogate = "triangle",
        sharpness: float = 16.0,
        seed: int = 0,
    ) -> None:
        if network.precision == "fixed":
            raise UnsupportedFeatureError(
                "network: fixed point, of which the twin in PyTorch cannot compute gradients"
            )
        if surrogate not in get_args(Surrogate):
            raise UnknownNameError("surrogate", str(surrogate), get_args(Surrogate))
        self._torch: Any = _torch()
        self._network = network
        self._steps = check_integer("steps", steps, 1)
        self._trials = check_integer("trials", trials, 1)
        self._sharpness = check_positive("sharpness", sharpness)
        self._seed = check_integer("seed", seed, 0)
        self._spike = _spike_function(self._torch, surrogate)
        self._incoming = {
            p.name: [_Synapses(self._torch, q) for q in network.incoming(p.name)]
            for p in network.populations
        }

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._network.input.sample_shape(self._steps)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._network.classes

    def simulate(self, inputs: Values) -> tuple[dict[str, Values], Values]:
        """Simulate input spikes, or with direct coding a constant input.

        Parameters
        ----------
        inputs : float64 array, shape (images, steps, pixels)
            Input spikes, 0 or 1; or the input values on the encoder's grid.

        Returns
        -------
        spikes : dict of str to float64 array, shape (images, steps, size)
            Spikes of all populations, 0 or 1.
        potentials : float64 array, shape (images, steps, classes)
            Potentials of the readout population after each step.
        """
        with self._torch.no_grad():
            spikes, potentials = self._run(self._torch.from_numpy(np.asarray(inputs, float)), None)
            return (
                {name: self._torch.stack(each, 1).numpy() for name, each in spikes.items()},
                self._torch.stack(potentials, 1).numpy(),
            )

    def log_scores(self, images: Values) -> Values:
        """Return the logarithms of the mean output counts plus half a spike, or mean potentials.

        Parameters
        ----------
        images : float64 array, shape (images, ...)
            Intensities in [0, 1].

        Returns
        -------
        float64 array, shape (images, classes)
        """
        with self._torch.no_grad():
            scores: Values = self._scores(self._torch.from_numpy(self._encode(images))).numpy()
        return scores

    def linearize(self, images: Values) -> tuple[Values, Pullback]:
        """Return :meth:`log_scores` of images, and the function that gives their gradients."""
        inputs = self._torch.from_numpy(self._encode(images)).requires_grad_()
        scores = self._scores(inputs)
        encoder = self._network.input.encoder
        gain = encoder.max_rate_hz * self._network.dt_s if isinstance(encoder, RateEncoder) else 1.0
        has_time = isinstance(encoder, EventEncoder)

        def pullback(weights: Values) -> Values:
            (gradient,) = self._torch.autograd.grad(
                scores, inputs, self._torch.from_numpy(weights), retain_graph=True
            )
            by_cell = gradient.numpy()
            by_row = by_cell if has_time else by_cell.sum(axis=1)
            return np.asarray(gain * by_row.reshape(self._trials, *images.shape).sum(axis=0))

        return scores.detach().numpy(), pullback

    def _encode(self, images: Values) -> Values:
        """Return the input of all trials, shape (trials * images, steps, pixels)."""
        rows = np.clip(images.reshape(len(images), -1), 0.0, 1.0)
        signal = self._network.input.encoder.encode(
            np.tile(rows, (self._trials, 1)),
            indices=np.repeat(np.arange(self._trials), len(images)),
            steps=self._steps,
            dt_s=self._network.dt_s,
            seed=self._seed,
            stream=_STREAM,
        )
        if isinstance(signal, ConstantInput):
            values = np.ldexp(signal.values.astype(np.float64), signal.exponent)
            return np.repeat(values[:, None], self._steps, axis=1)
        return np.asarray(signal.to_dense(), np.float64)

    def _scores(self, inputs: Any) -> Any:
        torch = self._torch
        widths: dict[str, Any] = {}
        with torch.no_grad():
            self._run(inputs, None, widths)
        spikes, potentials = self._run(inputs, widths)
        quantity = self._network.readout_quantity
        if quantity == "final_potential":
            outputs = potentials[-1]
        elif quantity == "max_potential":
            outputs = torch.stack(potentials).amax(0)
        else:
            outputs = torch.stack(spikes[self._network.readout]).sum(0)
        mean = outputs.reshape(self._trials, -1, self.n_classes).mean(0)
        return torch.log(mean + _HALF_A_SPIKE) if quantity == "spike_count" else mean

    def _run(
        self, inputs: Any, widths: dict[str, Any] | None, measured: dict[str, Any] | None = None
    ) -> tuple[dict[str, list[Any]], list[Any]]:
        """Return the spikes of all populations and the readout's potentials, a tensor per step.

        `widths` of the surrogates per neuron are filled into `measured`.
        """
        network = self._network
        neurons = [
            _Neurons(self._torch, p, network.dt_s, len(inputs), self._spike)
            for p in network.populations
        ]
        spikes: dict[str, list[Any]] = {p.name: [] for p in network.populations}
        potentials = []
        distances = {p.name: 0.0 for p in network.populations}
        sources = {INPUT: inputs.unbind(1), **spikes}
        for k in range(inputs.shape[1]):
            for each in neurons:
                name = each.population.name
                arriving = inputs.new_zeros((len(inputs), each.population.size))
                for synapses in self._incoming[name]:
                    if k >= synapses.delay_steps:
                        arrived = sources[synapses.source][k - synapses.delay_steps]
                        arriving = arriving + synapses.apply(arrived)
                width = 1.0 if widths is None else widths[name]
                spikes[name].append(each.step(arriving, width))
                if measured is not None:
                    distances[name] = distances[name] + each.distance.mean(0)
                if name == network.readout:
                    potentials.append(each.v)
        if measured is not None:
            for name, total in distances.items():
                mean = total / inputs.shape[1] / self._sharpness
                measured[name] = mean.clamp(min=_LEAST_WIDTH * float(mean.max()) or 1.0)
        return spikes, potentials


class _Synapses:
    """A projection; its sums of weights are exact in any order, because they are of integers."""

    def __init__(self, torch: Any, projection: AnyProjection) -> None:
        self.source, self.delay_steps = projection.source, projection.delay_steps
        self._torch = torch
        self._projection = projection
        self._unit = 2.0**projection.exponent
        self._grid = torch.from_numpy(projection.grid.astype(np.float64))

    def apply(self, spikes: Any) -> Any:
        """Return the sums of weights, shape (images, target size)."""
        projection = self._projection
        if not isinstance(projection, Convolution):
            return (spikes @ self._grid) * self._unit
        functional = self._torch.nn.functional
        (top, bottom), (left, right) = projection.padding
        maps = functional.pad(
            spikes.reshape(-1, *projection.source_shape), (left, right, top, bottom)
        )
        sums = functional.conv2d(
            maps,
            self._grid,
            stride=projection.stride,
            dilation=projection.dilation,
            groups=projection.groups,
        )
        return sums.reshape(len(spikes), -1) * self._unit


class _Neurons:
    """State of one population for a batch; see :mod:`neuroattack.ir.dynamics`."""

    def __init__(self, torch: Any, population: Any, dt_s: float, images: int, spike: Any) -> None:
        self.population: Population = population
        self._torch, self._spike = torch, spike

        def tensor(values: Any) -> Any:
            return torch.from_numpy(np.array(values, np.float64))

        self._decay = tensor(population.decay(dt_s))
        self._current_decay = tensor(population.current_decay(dt_s))
        self._bias, self._current_bias = (
            tensor(population.bias_v),
            tensor(population.current_bias_v),
        )
        self._reset_v = tensor(population.reset_v)
        # Never infinite, for the surrogates of neurons that never spike.
        self._spiking = torch.from_numpy(np.isfinite(population.threshold_v))
        self._threshold = tensor(
            np.where(np.isfinite(population.threshold_v), population.strict_threshold_v, 0.0)
        )
        self._refractory_steps = torch.from_numpy(np.array(population.refractory_steps, np.int64))
        self.v = torch.zeros(images, population.size, dtype=torch.float64)
        self._u, self._fired = self.v, self.v
        self._refractory = torch.zeros(images, population.size, dtype=torch.int64)
        self.distance = self.v

    def step(self, arriving: Any, width: Any) -> Any:
        """Update the state; return the spikes, 0.0 or 1.0."""
        torch, population = self._torch, self.population
        drive = arriving
        if population.has_current:
            before = self._u
            self._u = before * self._current_decay + (arriving + self._current_bias)
            drive = before if population.input_after_update else self._u
        v = self.v * self._decay + (drive + self._bias)
        if population.reset == "subtract_next":
            v = v - self._fired * self._reset_v
        active = self._refractory == 0
        v = torch.where(active, v, self.v)
        able = active & self._spiking
        self.distance = (v.detach() - self._threshold).abs() * self._spiking
        fired = self._spike.apply(v - self._threshold, width) * able
        self._fired = fired.detach()
        if population.reset == "value":
            v = torch.where(self._fired > 0, self._reset_v, v)
        elif population.reset == "subtract":
            v = v - self._fired * self._reset_v
        self.v = v
        self._refractory = torch.where(
            self._fired > 0, self._refractory_steps, (self._refractory - 1).clamp(min=0)
        )
        return fired


def _spike_function(torch: Any, surrogate: Surrogate) -> Any:
    """Return a step function whose derivative is a surrogate."""

    class Spike(torch.autograd.Function):  # type: ignore[misc]  # torch is imported late
        @staticmethod
        def forward(context: Any, above: Any, width: Any) -> Any:
            context.save_for_backward(above)
            context.width = width
            return (above > 0).to(above.dtype)

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            (above,) = context.saved_tensors
            x = above / context.width
            return gradient * _derivative(torch, surrogate, x) / context.width, None

    return Spike


def _derivative(torch: Any, surrogate: Surrogate, x: Any) -> Any:
    if surrogate == "arctangent":
        return 1 / (torch.pi * (1 + x**2))
    if surrogate == "fast_sigmoid":
        return 1 / (1 + x.abs()) ** 2
    if surrogate == "triangle":
        return (1 - x.abs()).clamp(min=0)
    return (x.abs() < 0.5).to(x.dtype)


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise BackendUnavailableError(
            "the differentiable twin needs the extra `torch`: pip install 'neuroattack[torch]'"
        ) from None
    return torch
