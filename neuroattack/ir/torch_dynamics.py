"""Dynamics of a network in PyTorch, on a processor or a CUDA device, with surrogate gradients.

The forward pass is that of :mod:`neuroattack.ir.dynamics` in float64, with all features: it has the
same spikes as every backend, given the same input. It is both the backend ``torch`` and, with
gradients, the white-box twin of a network and its training through time.

Backward through time, the derivative of a spike with respect to the potential is replaced by a
surrogate (E. O. Neftci, H. Mostafa and F. Zenke, "Surrogate gradient learning in spiking neural
networks", IEEE Signal Processing Magazine 36(6), 2019). Resets are not differentiated, because
gradients would explode over hundreds of steps; the potential after a reset to a value does not
depend on the one before.

The width of the surrogate of each neuron is its mean distance from the threshold, averaged over
time steps and images. It follows the idea of the adaptive sharpness surrogate gradient (ASSG) of
Wang et al., "Towards Reliable Evaluation of Adversarial Robustness for Spiking Neural Networks"
(arXiv 2512.22522): a surrogate of fixed width vanishes for neurons far from their threshold, which
makes networks appear robust; sharpness inversely proportional to the mean distance bounds the loss.
Not taken from there are a width per time step from running averages over the iterations of an
attack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.errors import BackendUnavailableError, UnknownNameError, UnsupportedFeatureError
from neuroattack.ir.network import INPUT, Network
from neuroattack.ir.structure import recurrent_groups
from neuroattack.ir.torch_neurons import EventNeurons, Neurons
from neuroattack.ir.torch_synapses import Events, Raster, Sums, Synapses
from neuroattack.validation import check_positive

__all__ = [
    "Recording",
    "Surrogate",
    "TorchDynamics",
    "check_differentiable",
    "dense_input",
    "import_torch",
]

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
        Network to simulate; :meth:`run` needs one in floating point.
    surrogate : {"arctangent", "fast_sigmoid", "triangle", "rectangle"}, optional
        Shape of the surrogate gradient.
    sharpness : float, optional
        Mean distance from the threshold over the width of the surrogate. Narrow surrogates without
        tails are more accurate where potentials have a long memory.
    device : str, optional
        Device of all tensors, such as ``"cuda"``.

    Raises
    ------
    BackendUnavailableError
        If PyTorch is not installed.
    UnknownNameError, ValidationError
        If a parameter is invalid.
    """

    def __init__(
        self,
        network: Network,
        *,
        surrogate: Surrogate = "triangle",
        sharpness: float = 16.0,
        device: str = "cpu",
    ) -> None:
        if surrogate not in get_args(Surrogate):
            raise UnknownNameError("surrogate", str(surrogate), get_args(Surrogate))
        self._torch: Any = import_torch()
        self._network = network
        self._device = self._torch.device(device)
        self._sharpness = check_positive("sharpness", sharpness)
        self._spike = _spike_function(self._torch, surrogate)
        self._synapses = [Synapses(self._torch, p, self._device) for p in network.projections]
        self._groups = recurrent_groups(network)
        self._by_events = self._device.type == "cpu"

    @property
    def grids(self) -> list[Any]:
        """Weights of each projection in units of its grid, float64 tensors."""
        # Powers of two: divisions and products are exact.
        return [synapses.weights / synapses.unit for synapses in self._synapses]

    def run(
        self,
        inputs: Any,
        widths: dict[str, Any] | None = None,
        grids: Sequence[Any] | None = None,
    ) -> Recording:
        """Simulate a batch of images, with gradients.

        Parameters
        ----------
        inputs : float64 tensor, shape (images, steps, pixels)
            Input spikes, 0 or 1; or the input values on the encoder's grid.
        widths : dict of str to float64 tensor, shape (size,), optional
            Width of the surrogate of each neuron, by population; 1 by default.
        grids : sequence of float64 tensors, optional
            Weights to use instead of :attr:`grids`.
        """
        spikes: dict[str, list[Any]] = {p.name: [] for p in self._network.populations}
        distances = dict.fromkeys(spikes, 0.0)
        potentials = []

        def emit(neurons: Neurons) -> Any:
            name = neurons.population.name
            # Never infinite, for the surrogates of neurons that never spike.
            spiking = neurons.threshold.isfinite()
            above = neurons.updated - neurons.threshold.where(spiking, 0.0)
            distances[name] = distances[name] + (above.detach().abs() * spiking).mean(0)
            able = spiking if neurons.active is None else neurons.active * spiking
            fired = self._spike.apply(above, 1.0 if widths is None else widths[name]) * able
            spikes[name].append(fired)
            if name == self._network.readout:
                potentials.append(neurons.v)
            return fired

        self._advance(inputs, inputs.shape[1], grids, emit)
        fitting = {}
        for name, total in distances.items():
            mean: Any = total / inputs.shape[1] / self._sharpness
            fitting[name] = mean.clamp(min=_LEAST_WIDTH * float(mean.max()) or 1.0)
        return Recording(spikes, potentials, fitting)

    def simulate(self, inputs: InputSignal) -> tuple[dict[str, Events | Raster], Any]:
        """Simulate a batch of images, without gradients.

        Returns
        -------
        spikes : dict of str to Events or Raster
            Spikes of each population.
        potentials : float64 tensor, shape (images, classes), or None
            Potentials of the readout population, if they are the output of the network.
        """
        torch, network = self._torch, self._network
        quantity = network.readout_quantity
        potentials: Any = None

        def emit(neurons: Neurons) -> Any:
            nonlocal potentials
            if quantity != "spike_count" and neurons.population.name == network.readout:
                if potentials is None or quantity == "final_potential":
                    potentials = neurons.v.clone()
                else:
                    potentials = torch.maximum(potentials, neurons.v)
            return neurons.spikes if isinstance(neurons, EventNeurons) else neurons.fired.bool()

        values: Any
        if isinstance(inputs, ConstantInput):
            values = torch.from_numpy(inputs.intensities()[:, None]).to(self._device)
        elif self._by_events:
            values = Events.from_trains(inputs)
        else:
            values = torch.from_numpy(inputs.to_dense()).to(self._device)
        with torch.no_grad():
            spikes = self._advance(values, inputs.steps, None, emit, by_events=self._by_events)
        del spikes[INPUT]
        return {
            name: each if isinstance(each, Events) else Raster(each)
            for name, each in spikes.items()
        }, potentials

    def _advance(
        self,
        inputs: Any,
        steps: int,
        grids: Sequence[Any] | None,
        emit: Callable[[Neurons], Any],
        *,
        by_events: bool = False,
    ) -> dict[str, Any]:
        """Simulate all populations; `emit` returns the output of one after each step.

        Populations that do not receive their own spikes, not even by way of others, are simulated
        one after another: their input of several steps is summed at once.

        Returns
        -------
        dict of str to Events, or tensor of shape (images, steps, size)
            Outputs of all populations, and of the input.
        """
        torch, network = self._torch, self._network
        kind = EventNeurons if by_events else Neurons
        outputs: dict[str, Any] = {INPUT: inputs}
        images = inputs.images if isinstance(inputs, Events) else len(inputs)
        incoming: dict[str, list[tuple[Synapses, Any]]] = {p.name: [] for p in network.populations}
        for index, synapses in enumerate(self._synapses):
            weights = synapses.weights if grids is None else grids[index] * synapses.unit
            incoming[synapses.target].append((synapses, weights))
        for group in self._groups:
            neurons = [
                kind(torch, network.population(name), network.dt_s, images, self._device)
                for name in group
            ]
            given = {
                id(synapses): _by_step(synapses, outputs[synapses.source], weights, steps)
                for name in group
                for synapses, weights in incoming[name]
                if synapses.source not in group
            }
            for each in neurons:
                size = each.population.size
                outputs[each.population.name] = Events(images, size, []) if by_events else []
            for k in range(steps):
                for each in neurons:
                    name = each.population.name
                    arriving = None
                    for synapses, weights in incoming[name]:
                        past = k - synapses.delay_steps
                        if past < 0:
                            continue
                        if id(synapses) in given:
                            sums = given[id(synapses)][past]
                        else:
                            sums = synapses.sums(outputs[synapses.source][past], weights)
                        arriving = sums if arriving is None else arriving + sums
                    each.step(k, torch.zeros_like(each.v) if arriving is None else arriving)
                    outputs[name].append(emit(each))
            if by_events:
                continue
            for each in neurons:
                name = each.population.name
                nothing = each.fired[:, None][:, :0].bool()
                outputs[name] = torch.stack(outputs[name], 1) if steps else nothing
        return outputs

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


def check_differentiable(network: Network) -> None:
    """Raise UnsupportedFeatureError if a network is in fixed point."""
    if network.precision == "fixed":
        raise UnsupportedFeatureError(
            "network: fixed point, of which PyTorch cannot compute gradients"
        )


def dense_input(signal: InputSignal) -> NDArray[np.float64]:
    """Return an encoded batch as input of :meth:`TorchDynamics.run`."""
    if isinstance(signal, ConstantInput):
        values = np.ldexp(signal.values.astype(np.float64), signal.exponent)
        return np.repeat(values[:, None], signal.steps, axis=1)
    return np.asarray(signal.to_dense(), np.float64)


def _by_step(synapses: Synapses, outputs: Any, weights: Any, steps: int) -> Sums | list[Any]:
    """Return the sums of each step; those of a constant input are the same in all steps."""
    if isinstance(outputs, Events):
        return Sums(synapses, outputs, weights)
    by_step = list(synapses.sums(outputs, weights).unbind(1))
    return by_step * steps if len(by_step) == 1 else by_step


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
            "PyTorch is not installed; run `pip install 'neuroattack[torch]'`"
        ) from None
    return torch
