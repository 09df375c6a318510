"""Reference dynamics of a network, which every backend must reproduce spike for spike.

In time step k, for a population with membrane potential v (relative to rest) and a refractory
period of R steps:

1. Input: ``I[k]`` is the sum, over all incoming projections, of the weights of the source neurons
   that spiked in step ``k - delay``.
2. Update: a neuron in its refractory period keeps v at the reset potential and ignores ``I[k]``.
   All other neurons are updated. In floating point, with decay = exp(-dt / tau_m),
   ``v <- v * decay + (I[k] + bias)``; in fixed point, on integers,
   ``v <- clip(leak(v) + (wrap(I[k]) + bias))``, see :func:`update_fixed`.
3. Spike: if ``v > threshold`` (strictly), the neuron spikes, ``v <- reset``, and the next R steps
   are refractory.

Every image starts at rest (v = 0).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import ValidationError
from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE
from neuroattack.ir.network import INPUT, FixedPopulation, Network, Population

__all__ = ["simulate", "update_fixed"]


def update_fixed(
    v: NDArray[np.float64], current: NDArray[np.float64], population: FixedPopulation
) -> NDArray[np.float64]:
    """Return the fixed-point potentials after one step, without the refractory period.

    ``v <- clip(trunc(v * (4096 - leak) / 4096) + (wrap(I) + bias), lowest, highest)``: the leak is
    rounded toward zero, and ``wrap`` maps the current into (-2**23, 2**23] modulo 2**24. Potentials
    and currents have the shape (..., size) and are integers in units of the state's last bit.
    """
    # All values are integers below 2**53, so every operation here is exact in float64.
    leaked = np.trunc(v * (LEAK_ONE - population.leak) / LEAK_ONE)
    half = CURRENT_SPAN // 2
    wrapped = half - (half - current) % CURRENT_SPAN
    return np.clip(leaked + (wrapped + population.bias), population.lowest, population.highest)


def simulate(network: Network, input_spikes: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Simulate one image, given its input spikes of shape (steps, pixels).

    Returns
    -------
    dict of str to bool array, shape (steps, size)
        Spikes of every population, and of the input under ``"input"``.

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
        weights = [projection.weights_v for projection in incoming]
        threshold, reset, updated = _neurons(population, network.dt_s)
        v = np.zeros(population.size)
        refractory = np.zeros(population.size, np.int64)
        fired = np.zeros((steps, population.size), bool)
        for k in range(steps):
            current = np.zeros(population.size)
            for projection, matrix in zip(incoming, weights, strict=True):
                if k >= projection.delay_steps:
                    current += spikes[projection.source][k - projection.delay_steps] @ matrix
            active = refractory == 0
            v = np.where(active, updated(v, current), reset)
            fired[k] = active & (v > threshold)
            v[fired[k]] = reset
            refractory = np.where(
                fired[k], population.refractory_steps, np.maximum(refractory - 1, 0)
            )
        spikes[population.name] = fired
    return spikes


_Update = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def _neurons(
    population: Population | FixedPopulation, dt_s: float
) -> tuple[NDArray[np.float64] | NDArray[np.int32], float, _Update]:
    """Return the threshold, reset potential and update rule (v, current) -> v of a population."""
    if isinstance(population, FixedPopulation):
        fixed = population
        return fixed.threshold, 0, lambda v, current: update_fixed(v, current, fixed)
    decay, bias_v = population.decay(dt_s), population.bias_v
    return (
        population.threshold_v,
        population.reset_v,
        lambda v, current: v * decay + (current + bias_v),
    )
