"""The exact dynamics, as plainly as they can be said: what every backend is held to.

At step k, for a population with potential v (measured from rest), refractory period of R steps
and decay = exp(-dt / tau_m):

1. ``I[k]`` is the sum over incoming projections of the weights of the source neurons that
   spiked at step ``k - delay``;
2. a neuron in its refractory period holds v at reset and ignores ``I[k]``; every other has
   ``v <- v * decay + (I[k] + bias)``;
3. ``v > threshold``, strictly, is a spike: ``v <- reset``, and the next R steps are refractory.

State starts at rest (v = 0) and lasts one image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.ir.network import INPUT, Network

__all__ = ["simulate"]


def simulate(network: Network, input_spikes: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Simulate one image.

    Parameters
    ----------
    network : Network
        What to simulate.
    input_spikes : bool array, shape (steps, pixels)
        Spikes of the input population.

    Returns
    -------
    dict of str to bool array, shape (steps, size)
        The spikes of every population, the input's under ``"input"``.

    Raises
    ------
    ValidationError
        If `input_spikes` has another shape.
    """
    if input_spikes.ndim != 2 or input_spikes.shape[1] != network.input.size:
        raise ValidationError(
            "input spikes", f"shape {input_spikes.shape}", f"(steps, {network.input.size})"
        )
    steps = len(input_spikes)
    spikes = {INPUT: input_spikes.astype(bool)}
    for population in network.populations:
        incoming = network.incoming(population.name)
        weights_v = [projection.weights_v for projection in incoming]
        decay = population.decay(network.dt_s)
        v = np.zeros(population.size)
        refractory = np.zeros(population.size, np.int64)
        fired = np.zeros((steps, population.size), bool)
        for k in range(steps):
            current = np.zeros(population.size)
            for projection, weights in zip(incoming, weights_v, strict=True):
                if k >= projection.delay_steps:
                    current += spikes[projection.source][k - projection.delay_steps] @ weights
            active = refractory == 0
            v = np.where(active, v * decay + (current + population.bias_v), population.reset_v)
            fired[k] = active & (v > population.threshold_v)
            v[fired[k]] = population.reset_v
            refractory = np.where(
                fired[k], population.refractory_steps, np.maximum(refractory - 1, 0)
            )
        spikes[population.name] = fired
    return spikes
