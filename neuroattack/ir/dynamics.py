"""Reference dynamics of a network, which every backend must reproduce spike for spike.

In time step k, populations are updated in the order of the network. For a population with membrane
potential v (relative to rest), synaptic current u, and a refractory period of R steps:

1. Input: ``I[k]`` is the sum, over all incoming projections, of the weights of the source neurons
   that spiked in step ``k - delay``. With direct coding, the weights of projections from the input
   are multiplied by its values, in every step from ``delay`` on.
2. Current, if the population has one: ``u[k] = u[k-1] * current_decay + (I[k] + current_bias)``
   with current_decay = exp(-dt / tau_syn). The drive of the potential is ``u[k]``, or ``u[k-1]`` if
   input enters the current after the update of the potential. Without a current, it is ``I[k]``.
3. Update, with decay = exp(-dt / tau_m): ``v <- v * decay + (drive + bias)``. With the reset
   "subtract_next", ``reset_v`` is then subtracted if the neuron spiked in step k - 1. A neuron in
   its refractory period keeps v instead.
4. Spike: a neuron that is not refractory spikes if ``v > threshold`` (comparison "strict") or
   ``v >= threshold`` ("inclusive"), and the next R steps are refractory.
5. Reset of neurons that spike: ``v <- reset_v`` (reset "value") or ``v <- v - reset_v``
   ("subtract").

In fixed point, on integers, steps 2 and 3 are ``u <- wrap(leak(u) + I[k])`` and
``v <- clip(leak(v) + (u + bias))``, see :func:`update_current_fixed` and :func:`update_fixed`, the
comparison is strict, and the reset is to 0.

Every image starts at rest (v = 0, u = 0). Products and sums are rounded one by one; sums of weights
are exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.errors import ValidationError
from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE
from neuroattack.ir.network import INPUT, FixedPopulation, Network, Population
from neuroattack.memory import check_memory

__all__ = [
    "readout_potentials",
    "simulate",
    "simulate_with_potentials",
    "update_current_fixed",
    "update_fixed",
]

Values = NDArray[np.float64]


def _leaked(values: Values, leak: int) -> Values:
    # All values are integers below 2**53, so every operation is exact in float64.
    return np.trunc(values * (LEAK_ONE - leak) / LEAK_ONE)


def update_current_fixed(u: Values, arriving: Values, population: FixedPopulation) -> Values:
    """Return the fixed-point synaptic currents after one step.

    ``u <- wrap(trunc(u * (4096 - current_leak) / 4096) + I)``: the leak is rounded toward zero, and
    ``wrap`` maps the current into (-2**23, 2**23] modulo 2**24. Arrays have the shape (..., size)
    and are integers in units of the state's last bit.
    """
    half = CURRENT_SPAN // 2
    current = _leaked(u, population.current_leak) + arriving
    return half - (half - current) % CURRENT_SPAN


def update_fixed(v: Values, current: Values, population: FixedPopulation) -> Values:
    """Return the fixed-point potentials after one step, without the refractory period.

    ``v <- clip(trunc(v * (4096 - leak) / 4096) + (u + bias), lowest, highest)``: the leak is
    rounded toward zero. Arrays are as in :func:`update_current_fixed`.
    """
    leaked = _leaked(v, population.leak)
    return np.clip(leaked + (current + population.bias), population.lowest, population.highest)


class _Neurons:
    """State of one population for one image."""

    def __init__(self, population: Population | FixedPopulation, dt_s: float) -> None:
        self.population = population
        self.v = np.zeros(population.size)
        self._u = np.zeros(population.size)
        self._refractory = np.zeros(population.size, np.int64)
        self._fired: NDArray[np.bool_] = np.zeros(population.size, bool)
        if isinstance(population, Population):
            self._decay = population.decay(dt_s)
            self._current_decay = population.current_decay(dt_s)

    def step(self, arriving: Values) -> NDArray[np.bool_]:
        """Update the state with the weights that arrive; return the mask of spikes."""
        population = self.population
        active: NDArray[np.bool_] = self._refractory == 0
        fired: NDArray[np.bool_]
        if isinstance(population, FixedPopulation):
            self._u = update_current_fixed(self._u, arriving, population)
            self.v = np.where(active, update_fixed(self.v, self._u, population), self.v)
            fired = active & (self.v > population.threshold)
            self.v[fired] = 0
        else:
            self.v = np.where(active, self._updated(population, arriving), self.v)
            if population.comparison == "strict":
                fired = active & (self.v > population.threshold_v)
            else:
                fired = active & (self.v >= population.threshold_v)
            if population.reset == "value":
                self.v[fired] = population.reset_v[fired]
            elif population.reset == "subtract":
                self.v[fired] -= population.reset_v[fired]
        self._refractory = np.where(
            fired, population.refractory_steps, np.maximum(self._refractory - 1, 0)
        )
        self._fired = fired
        return fired

    def _updated(self, population: Population, arriving: Values) -> Values:
        drive = arriving
        if population.has_current:
            before = self._u
            self._u = before * self._current_decay + (arriving + population.current_bias_v)
            drive = before if population.input_after_update else self._u
        v = self.v * self._decay + (drive + population.bias_v)
        if population.reset == "subtract_next":
            v[self._fired] -= population.reset_v[self._fired]
        return v


def simulate(
    network: Network, inputs: NDArray[np.bool_] | NDArray[np.float64]
) -> dict[str, NDArray[np.bool_]]:
    """Simulate one image.

    Parameters
    ----------
    network : Network
        Network to simulate.
    inputs : bool or float64 array, shape (steps, pixels)
        Input spikes; or with direct coding, the input values on the encoder's grid.

    Returns
    -------
    dict of str to bool array, shape (steps, size)
        Spikes of every population, and of the input under ``"input"`` if it spikes.

    Raises
    ------
    ValidationError
        If `inputs` has another shape, or values that are not on the grid.
    """
    return simulate_with_potentials(network, inputs)[0]


def readout_potentials(
    network: Network, inputs: NDArray[np.bool_] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the readout population's potentials after each step, shape (steps, classes).

    Arguments and exceptions are those of :func:`simulate`.
    """
    return simulate_with_potentials(network, inputs)[1]


def simulate_with_potentials(
    network: Network, inputs: NDArray[np.bool_] | NDArray[np.float64]
) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.float64]]:
    """Return the results of :func:`simulate` and :func:`readout_potentials` of one simulation."""
    steps = np.shape(inputs)[0] if np.ndim(inputs) else 0
    check_memory(
        f"reference dynamics of {steps:,} time steps",
        # The input in double precision, twice for a moment, and a byte per neuron and step.
        steps * (16 * network.input.size + sum(p.size for p in network.populations)),
        "use fewer time steps or a smaller network",
    )
    values = _checked(network, inputs)
    spikes = {p.name: np.zeros((steps, p.size), bool) for p in network.populations}
    sources = {INPUT: values, **spikes}
    incoming = {
        p.name: [(q, q.sparse().T.tocsr(), 2.0**q.exponent) for q in network.incoming(p.name)]
        for p in network.populations
    }
    neurons = [_Neurons(population, network.dt_s) for population in network.populations]
    potentials = np.zeros((steps, network.classes))
    for k in range(steps):
        for each in neurons:
            name = each.population.name
            arriving = np.zeros(each.population.size)
            for projection, mantissas, unit in incoming[name]:
                if k >= projection.delay_steps:
                    arrived = sources[projection.source][k - projection.delay_steps]
                    arriving += (mantissas @ arrived.astype(np.float64)) * unit
            spikes[name][k] = each.step(arriving)
            if name == network.readout:
                potentials[k] = each.v
    if not isinstance(network.input.encoder, DirectEncoder):
        spikes = {INPUT: values.astype(bool), **spikes}
    return spikes, potentials


def _checked(
    network: Network, inputs: NDArray[np.bool_] | NDArray[np.float64]
) -> NDArray[np.float64]:
    if inputs.ndim != 2 or inputs.shape[1] != network.input.size:
        raise ValidationError("input", f"shape {inputs.shape}", f"(steps, {network.input.size})")
    encoder = network.input.encoder
    values = inputs.astype(np.float64)
    if not isinstance(encoder, DirectEncoder):
        return values.astype(bool).astype(np.float64)
    scaled = np.ldexp(values, encoder.bits)
    if (scaled != np.rint(scaled)).any():
        raise ValidationError("input values", "finer values", f"multiples of 2**-{encoder.bits}")
    return values
