"""Differentiable twin of a spiking network in PyTorch, with surrogate gradients.

The spikes and the surrogate gradients are those of :mod:`neuroattack.ir.torch_dynamics`. The
derivative of an input spike with respect to the intensity is that of its probability,
``max_rate_hz * dt`` (straight-through estimator), or with respect to an event 1. Gradients are
averaged over several trials (expectation over transformation, A. Athalye et al., "Synthesizing
robust adversarial examples", ICML 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.gradients.differentiable import Pullback
from neuroattack.encoding.encoders import RateEncoder
from neuroattack.encoding.events import EventEncoder
from neuroattack.ir.network import INPUT, Network
from neuroattack.ir.torch_dynamics import (
    Surrogate,
    TorchDynamics,
    check_differentiable,
    dense_input,
    import_torch,
)
from neuroattack.validation import check_integer

__all__ = ["SMOOTHING_TRIALS", "Twin", "smoothed_twin"]

Values = NDArray[np.float64]

SMOOTHING_TRIALS = 8
"""Number of trials over which gradients with respect to events are averaged. With two trials,
attacks that retime events succeed a third as often."""

_STREAM = 0
# Fraction of missing events in the trials of a network without sensor noise.
_DROP = 0.05


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
    spike_costs : mapping of str to float64 array, shape (size,), optional
        Cost of a spike of each neuron, by population; the logarithm of the cost of an image is
        then one more score.

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
        spike_costs: Mapping[str, Values] | None = None,
    ) -> None:
        check_differentiable(network)
        self._torch: Any = import_torch()
        self._dynamics = TorchDynamics(network, surrogate=surrogate, sharpness=sharpness)
        self._network = network
        self._steps = check_integer("steps", steps, 1)
        self._trials = check_integer("trials", trials, 1)
        self._seed = check_integer("seed", seed, 0)
        self._costs = dict(spike_costs or {})

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
        torch = self._torch
        with torch.no_grad():
            found = self._dynamics.run(torch.from_numpy(np.asarray(inputs, np.float64)))
        return (
            {name: torch.stack(each, 1).numpy() for name, each in found.spikes.items()},
            torch.stack(found.potentials, 1).numpy(),
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
        return dense_input(signal)

    def _scores(self, inputs: Any) -> Any:
        with self._torch.no_grad():
            widths = self._dynamics.run(inputs).widths
        recording = self._dynamics.run(inputs, widths)
        scores = self._dynamics.log_scores(self._mean(self._dynamics.outputs(recording)))
        if not self._costs:
            return scores
        cost = sum(
            self._mean(self._torch.stack(spikes).sum(0)) @ self._torch.from_numpy(self._costs[name])
            for name, spikes in {INPUT: inputs.unbind(1), **recording.spikes}.items()
            if name in self._costs
        )
        # Never 0, for its logarithm.
        logarithm = self._torch.log(cost.clamp(min=np.finfo(np.float64).tiny))
        return self._torch.cat([scores, logarithm[:, None]], 1)

    def _mean(self, values: Any) -> Any:
        """Return means over trials, shape (images, ...)."""
        return values.reshape(self._trials, -1, values.shape[-1]).mean(0)


def smoothed_twin(network: Network, steps: int, seed: int = 0) -> Twin:
    """Return a twin of a network that reads events, with gradients averaged over noisy trials.

    Gradients of a single spike train are those of its chance alignments. Without sensor noise of
    its own, a twentieth of the events is missing in each trial, and events move by at most one step
    (as in SmoothGrad, Smilkov et al. 2017, arXiv 1706.03825).

    Raises
    ------
    BackendUnavailableError
        If PyTorch is not installed.
    """
    if not network.input.encoder.random:
        noisy = EventEncoder(drop=_DROP, jitter_s=network.dt_s)
        network = replace(network, input=replace(network.input, encoder=noisy))
    return Twin(network, steps, trials=SMOOTHING_TRIALS, seed=seed)
