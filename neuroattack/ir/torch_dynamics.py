"""Dynamics of a network in PyTorch, with surrogate gradients.

The forward pass is that of :mod:`neuroattack.ir.dynamics` in float64, with all features: it has the
same spikes as every backend, given the same input. Backward through time, the derivative of a spike
with respect to the potential is replaced by a surrogate (E. O. Neftci, H. Mostafa and F. Zenke,
"Surrogate gradient learning in spiking neural networks", IEEE Signal Processing Magazine 36(6),
2019). Resets are not differentiated, because gradients would explode over hundreds of steps; the
potential after a reset to a value does not depend on the one before.

The width of the surrogate of each neuron is its mean distance from the threshold, averaged over
time steps and images. It follows the idea of the adaptive sharpness surrogate gradient (ASSG) of
Wang et al., "Towards Reliable Evaluation of Adversarial Robustness for Spiking Neural Networks"
(arXiv 2512.22522): a surrogate of fixed width vanishes for neurons far from their threshold, which
makes networks appear robust; sharpness inversely proportional to the mean distance bounds the loss.
Not taken from there are a width per time step from running averages over the iterations of an
attack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.errors import BackendUnavailableError, UnknownNameError, UnsupportedFeatureError
from neuroattack.ir.network import INPUT, AnyProjection, Convolution, Network, Population
from neuroattack.validation import check_positive

__all__ = ["Recording", "Surrogate", "TorchDynamics", "dense_input", "import_torch"]

Surrogate = Literal["arctangent", "fast_sigmoid", "triangle", "rectangle"]
"""Derivative h(x) of a spike at distance x from the threshold, in units of the width: all have the
integral 1, except the fast sigmoid, whose integral is 2."""

_HALF_A_SPIKE = 0.5
# A neuron that is always at its threshold would have a surrogate without width.
_LEAST_WIDTH = 1e-3


@dataclass(frozen=True, eq=False)
class Recording:
    """Spikes and potentials of a batch of images.

    Parameters
    ----------
    spikes : dict of str to list of float64 tensors, shape (images, size)
        Spikes of each population in each step, 0 or 1.
    potentials : list of float64 tensors, shape (images, classes)
        Potentials of the readout population after each step.
    widths : dict of str to float64 tensor, shape (size,)
        Widths of the surrogates that fit the distances from the threshold in this recording.
    """

    spikes: dict[str, list[Any]]
    potentials: list[Any]
    widths: dict[str, Any]


class TorchDynamics:
    """Spiking network in PyTorch.

    Parameters
    ----------
    network : Network
        Network in floating point.
    surrogate : {"arctangent", "fast_sigmoid", "triangle", "rectangle"}, optional
        Shape of the surrogate gradient.
    sharpness : float, optional
        Mean distance from the threshold over the width of the surrogate. Narrow surrogates without
        tails are more accurate where potentials have a long memory.

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
        self, network: Network, *, surrogate: Surrogate = "triangle", sharpness: float = 16.0
    ) -> None:
        if network.precision == "fixed":
            raise UnsupportedFeatureError(
                "network: fixed point, of which PyTorch cannot compute gradients"
            )
        if surrogate not in get_args(Surrogate):
            raise UnknownNameError("surrogate", str(surrogate), get_args(Surrogate))
        self._torch: Any = import_torch()
        self._network = network
        self._sharpness = check_positive("sharpness", sharpness)
        self._spike = _spike_function(self._torch, surrogate)
        self._synapses = [_Synapses(self._torch, p) for p in network.projections]

    @property
    def grids(self) -> list[Any]:
        """Weights of each projection in units of its grid, float64 tensors."""
        return [synapses.grid for synapses in self._synapses]

    def run(
        self,
        inputs: Any,
        widths: dict[str, Any] | None = None,
        grids: Sequence[Any] | None = None,
    ) -> Recording:
        """Simulate a batch of images.

        Parameters
        ----------
        inputs : float64 tensor, shape (images, steps, pixels)
            Input spikes, 0 or 1; or the input values on the encoder's grid.
        widths : dict of str to float64 tensor, shape (size,), optional
            Width of the surrogate of each neuron, by population; 1 by default.
        grids : sequence of float64 tensors, optional
            Weights to use instead of :attr:`grids`.
        """
        network = self._network
        neurons = [
            _Neurons(self._torch, p, network.dt_s, len(inputs), self._spike)
            for p in network.populations
        ]
        incoming: dict[str, list[tuple[_Synapses, Any]]] = {p.name: [] for p in network.populations}
        for synapses, grid in zip(self._synapses, grids or self.grids, strict=True):
            incoming[synapses.target].append((synapses, grid))
        spikes: dict[str, list[Any]] = {p.name: [] for p in network.populations}
        potentials = []
        distances = {p.name: 0.0 for p in network.populations}
        sources = {INPUT: inputs.unbind(1), **spikes}
        for k in range(inputs.shape[1]):
            for each in neurons:
                name = each.population.name
                arriving = inputs.new_zeros((len(inputs), each.population.size))
                for synapses, grid in incoming[name]:
                    if k >= synapses.delay_steps:
                        arrived = sources[synapses.source][k - synapses.delay_steps]
                        arriving = arriving + synapses.apply(arrived, grid)
                spikes[name].append(each.step(arriving, 1.0 if widths is None else widths[name]))
                distances[name] = distances[name] + each.distance.mean(0)
                if name == network.readout:
                    potentials.append(each.v)
        fitting = {}
        for name, total in distances.items():
            mean: Any = total / inputs.shape[1] / self._sharpness
            fitting[name] = mean.clamp(min=_LEAST_WIDTH * float(mean.max()) or 1.0)
        return Recording(spikes, potentials, fitting)

    def outputs(self, recording: Recording) -> Any:
        """Return the readout quantity: spike counts or potentials, shape (images, classes)."""
        quantity = self._network.readout_quantity
        if quantity == "final_potential":
            return recording.potentials[-1]
        if quantity == "max_potential":
            return self._torch.stack(recording.potentials).amax(0)
        return self._torch.stack(recording.spikes[self._network.readout]).sum(0)

    def log_scores(self, outputs: Any) -> Any:
        """Return the logarithms of spike counts plus half a spike; potentials as they are."""
        if self._network.readout_quantity == "spike_count":
            return self._torch.log(outputs + _HALF_A_SPIKE)
        return outputs


def dense_input(signal: InputSignal) -> NDArray[np.float64]:
    """Return an encoded batch as input of :meth:`TorchDynamics.run`."""
    if isinstance(signal, ConstantInput):
        values = np.ldexp(signal.values.astype(np.float64), signal.exponent)
        return np.repeat(values[:, None], signal.steps, axis=1)
    return np.asarray(signal.to_dense(), np.float64)


class _Synapses:
    """A projection; its sums of weights are exact in any order, because they are of integers."""

    def __init__(self, torch: Any, projection: AnyProjection) -> None:
        self.source, self.target = projection.source, projection.target
        self.delay_steps = projection.delay_steps
        self._torch = torch
        self._projection = projection
        self._unit = 2.0**projection.exponent
        self.grid = torch.from_numpy(projection.grid.astype(np.float64))

    def apply(self, spikes: Any, grid: Any) -> Any:
        """Return the sums of weights on a grid, shape (images, target size)."""
        projection = self._projection
        if not isinstance(projection, Convolution):
            return (spikes @ grid) * self._unit
        functional = self._torch.nn.functional
        (top, bottom), (left, right) = projection.padding
        maps = functional.pad(
            spikes.reshape(-1, *projection.source_shape), (left, right, top, bottom)
        )
        sums = functional.conv2d(
            maps,
            grid,
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


def import_torch() -> Any:
    """Return the module torch; raise BackendUnavailableError if it is not installed."""
    try:
        import torch
    except ImportError:
        raise BackendUnavailableError(
            "gradients of spiking networks need the extra `torch`: pip install 'neuroattack[torch]'"
        ) from None
    return torch
