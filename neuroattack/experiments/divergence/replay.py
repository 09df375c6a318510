"""Replay of a population on recorded spikes, under variations of the reference dynamics.

The input of the population are the recorded spikes of its sources, and its resets and refractory
periods follow its own recorded spikes. Every predicted spike thus depends on the rules of one step
only, not on earlier errors: a simulator with these rules has no mismatches in any step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from neuroattack.experiments.divergence.variation import (
    REFERENCE,
    Variation,
    WeightGrid,
    WeightLimit,
)
from neuroattack.ir.dynamics import update_current_fixed
from neuroattack.ir.fixed_point import LEAK_ONE
from neuroattack.ir.network import AnyProjection, FixedPopulation, Network, Population

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Replay", "Replayed"]

# Larger weight matrices are sparse.
_LARGEST_ARRAY = 2**22

Values = NDArray[np.float64]
Weights: TypeAlias = "NDArray[np.float64] | sp.csr_matrix"
Raster = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Replayed:
    """Replayed population; arrays have the shape (images, steps, neurons).

    Parameters
    ----------
    spikes : bool array
        Predicted spikes.
    potentials, inputs : float64 array
        Membrane potentials compared with the threshold, and sums of the weights that arrive.
    """

    spikes: Raster
    potentials: Values
    inputs: Values


class Replay:
    """Recorded spikes of a population and of its sources.

    Parameters
    ----------
    network : Network
        Network of the reference dynamics.
    name : str
        Name of the population.
    recorded : mapping of str to array, shape (images, steps, size)
        Recorded spikes of the population and of its sources; with direct coding, the values of the
        input.
    neurons : int array, optional
        Neurons to replay; by default all.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        recorded: Mapping[str, NDArray[np.bool_] | Values],
        neurons: NDArray[np.intp] | None = None,
    ) -> None:
        self.population = network.population(name)
        self.projections = network.incoming(name)
        self.neurons = np.arange(self.population.size) if neurons is None else neurons
        self.recorded: Raster = recorded[name][..., self.neurons].astype(bool)
        self.dt_s = network.dt_s
        self._weights = [_weights(p, self.neurons) for p in self.projections]
        # Of all neurons, because steps of quantized weights depend on the largest weight.
        self._extremes = [np.array([p.grid_v.min(), p.grid_v.max()]) for p in self.projections]
        self._sources = [recorded[p.source].astype(np.float64) for p in self.projections]
        self._sums: list[Values] | None = None

    @property
    def steps(self) -> int:
        """Number of time steps per image."""
        return int(self.recorded.shape[1])

    @property
    def largest_weight(self) -> float:
        """Largest magnitude of the weights."""
        return max((float(np.abs(each).max()) for each in self._extremes), default=0.0)

    @property
    def threshold(self) -> Values:
        """Thresholds, shape (neurons,)."""
        if isinstance(self.population, FixedPopulation):
            return self.population.threshold[self.neurons].astype(np.float64)
        return self.population.threshold_v[self.neurons]

    def incoming(self, neuron: int) -> tuple[Values, Values]:
        """Return the weights into a neuron, and the spikes that arrive there.

        Shapes are (weights,) and (images, steps, weights); `neuron` is a position.
        """
        columns = [each[:, [neuron]] for each in self._weights]
        weights = np.concatenate(
            [(e if isinstance(e, np.ndarray) else e.toarray())[:, 0] for e in columns]
        )
        arrived = [np.zeros_like(source) for source in self._sources]
        for array, source, projection in zip(arrived, self._sources, self.projections, strict=True):
            delay = projection.delay_steps
            array[:, delay:] = source[:, : source.shape[1] - delay]
        return weights, np.concatenate(arrived, axis=2)

    def mismatches(self, variation: Variation) -> int:
        """Return the number of recorded spikes that are not predicted, and vice versa."""
        return int((self.run(variation).spikes != self.recorded).sum())

    def run(self, variation: Variation = REFERENCE) -> Replayed:
        """Predict the spikes of every step from the recorded spikes before it."""
        inputs = self._inputs(variation)
        neurons: _Floating | _Fixed
        if isinstance(self.population, FixedPopulation):
            neurons = _Fixed(self.population, self.neurons, variation, len(inputs))
        else:
            neurons = _Floating(self.population, self.neurons, variation, len(inputs), self.dt_s)
        spikes, potentials = np.zeros(inputs.shape, bool), np.zeros(inputs.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(inputs.shape[1]):
                potentials[:, k], spikes[:, k] = neurons.step(inputs[:, k], self.recorded[:, k])
        return Replayed(spikes, potentials, inputs)

    def _inputs(self, variation: Variation) -> Values:
        total = np.zeros(self.recorded.shape)
        shifts = np.broadcast_to(variation.delay_steps or 0, len(self.projections)).tolist()
        for projection, arriving, shift in zip(
            self.projections, self._arriving(variation.weights), shifts, strict=True
        ):
            delay = max(projection.delay_steps + shift, 0)
            if delay < self.steps:
                total[:, delay:] += arriving[:, : self.steps - delay]
        return total

    def _arriving(self, rule: WeightGrid | WeightLimit | None) -> list[Values]:
        """Return the weighted sums of each projection in the steps in which they are sent."""
        if rule is not None:
            return list(map(_sent, self._sources, self._varied(rule)))
        if self._sums is None:
            self._sums = list(map(_sent, self._sources, self._weights))
        return self._sums

    def _varied(self, rule: WeightGrid | WeightLimit) -> list[Weights]:
        if isinstance(rule, WeightLimit):
            return [_changed(weights, rule.clipped) for weights in self._weights]
        extremes = self._extremes
        if rule.is_shared:
            extremes = [np.concatenate(extremes)] * len(extremes)
        return [
            _changed(weights, partial(rule.rounded, step=rule.step(each)))
            for weights, each in zip(self._weights, extremes, strict=True)
        ]


def _weights(projection: AnyProjection, neurons: NDArray[np.intp]) -> Weights:
    """Return the weights into some neurons; as a sparse matrix if an array would be too large."""
    mantissas = projection.sparse()[:, neurons]
    weights: Weights = (
        mantissas if math.prod(mantissas.shape) > _LARGEST_ARRAY else mantissas.toarray()
    ) * 2.0**projection.exponent
    return weights


def _sent(source: Values, weights: Weights) -> Values:
    """Return the weighted sums of spikes, shape (images, steps, neurons)."""
    images, steps, size = source.shape
    sums: Values = source.reshape(-1, size) @ weights
    return sums.reshape(images, steps, -1)


def _changed(weights: Weights, change: Callable[[Values], Values]) -> Weights:
    """Return the weights after a change that leaves 0 as it is."""
    if isinstance(weights, np.ndarray):
        return change(weights)
    changed = weights.copy()
    changed.data = change(weights.data)
    return changed


class _Neurons:
    """Common state: refractory steps left, and the last recorded spikes."""

    def __init__(self, refractory_steps: NDArray[np.int64], shape: tuple[int, int]) -> None:
        self._period = refractory_steps
        self._left = np.zeros(shape, np.int64)
        self._fired = np.zeros(shape, bool)
        self.v = np.zeros(shape)
        self.u = np.zeros(shape)

    def _after(self, fired: Raster) -> None:
        self._left = np.where(fired, self._period, np.maximum(self._left - 1, 0))
        self._fired = fired


class _Floating(_Neurons):
    """Neurons in floating point."""

    def __init__(
        self,
        population: Population,
        neurons: NDArray[np.intp],
        variation: Variation,
        images: int,
        dt_s: float,
    ) -> None:
        period = np.maximum(population.refractory_steps[neurons] + variation.refractory_steps, 0)
        super().__init__(period, (images, len(neurons)))
        self._rule = variation
        self._has_current = population.has_current
        self._late = population.input_after_update != variation.late_input
        self._decay, self._gain = _factors(
            population.decay(dt_s)[neurons], population.tau_m_s[neurons], dt_s, variation
        )
        self._current_decay = population.current_decay(dt_s)[neurons]
        if not variation.exact_current:
            self._current_decay, _ = _factors(
                self._current_decay, population.tau_syn_s[neurons], dt_s, variation
            )
        self._bias, self._current_bias = (
            population.bias_v[neurons],
            population.current_bias_v[neurons],
        )
        self._threshold = population.threshold_v[neurons]
        self._amount = population.reset_v[neurons]
        self._reset = population.reset
        if variation.reset == "zero":
            self._reset, self._amount = "value", np.zeros(len(neurons))
        elif variation.reset in {"subtract", "subtract_next"}:
            self._reset = "subtract" if variation.reset == "subtract" else "subtract_next"
            if population.reset == "value":
                self._amount = np.where(np.isfinite(self._threshold), self._threshold, 0.0)
        self._inclusive = (population.comparison == "inclusive") != (
            variation.comparison == "other"
        )
        if variation.arithmetic == "float32":
            for name in ("_decay", "_gain", "_current_decay", "_bias", "_current_bias",
                         "_threshold", "_amount", "v", "u"):  # fmt: skip
                setattr(self, name, getattr(self, name).astype(np.float32))

    def step(self, arriving: Values, recorded: Raster) -> tuple[Values, Raster]:
        """Return the potentials and the predicted spikes; continue with the recorded ones."""
        rule = self._rule
        arriving = arriving.astype(self.v.dtype)
        drive = arriving
        if self._has_current:
            before = self.u
            self.u = before * self._current_decay + (arriving + self._current_bias)
            drive = before if self._late else self.u
        drive = drive if rule.integration == "exponential" else drive * self._gain
        bias = self._bias if rule.integration == "exponential" else self._bias * self._gain
        later = np.zeros_like(drive)
        if rule.order == "before_leak":
            new = (self.v + (drive + bias)) * self._decay
        elif rule.order == "reference":
            new = self.v * self._decay + (drive + bias)
        else:
            new, later = self.v * self._decay + bias, drive
        if self._reset == "subtract_next" and rule.reset != "none":
            new = np.where(self._fired, new - self._amount, new)
        if np.isfinite(rule.lowest) or np.isfinite(rule.highest):
            new = np.clip(new, rule.lowest, rule.highest)
        active = self._left == 0
        held = self.v
        if rule.while_refractory == "leak":
            held = self.v * self._decay
        elif rule.while_refractory == "integrate":
            held = new
        v = np.where(active, new, held)
        above = v >= self._threshold if self._inclusive else v > self._threshold
        predicted: Raster = active & above
        adds = active | (rule.while_refractory == "integrate")
        self.v = np.where(adds, v + later, v) if rule.order == "after_threshold" else v
        if rule.reset != "none":
            if self._reset == "value":
                self.v = np.where(recorded, self._amount, self.v)
            elif self._reset == "subtract":
                self.v = np.where(recorded, self.v - self._amount, self.v)
        if rule.order == "after_reset":
            self.v = np.where(adds, self.v + later, self.v)
        self._after(recorded)
        return v, predicted


def _factors(
    decay: Values, tau_s: Values, dt_s: float, variation: Variation
) -> tuple[Values, Values]:
    """Return the factor of the old value in a step, and that of its input."""
    gain = np.ones_like(decay)
    with np.errstate(divide="ignore"):
        ratio = dt_s / tau_s
    kept = tau_s > 0
    if variation.integration in {"euler", "euler_unit_gain"}:
        decay = np.where(kept, 1 - ratio, decay)
    elif variation.integration in {"implicit", "implicit_input"}:
        decay = np.where(kept, 1 / (1 + ratio), decay)
    elif variation.integration == "no_leak":
        decay = np.where(kept, 1.0, decay)
    if variation.integration in {"unit_gain", "euler_unit_gain"}:
        gain = 1 - decay
    elif variation.integration == "implicit_input":
        gain = decay
    elif variation.integration == "held_input":
        gain = np.where(ratio > 0, (1 - decay) / np.where(ratio > 0, ratio, 1.0), 1.0)
    if variation.decay_bits:
        one = 2.0**variation.decay_bits
        decay = 1 - np.rint(one * (1 - decay)) / one
    return decay, gain


class _Fixed(_Neurons):
    """Neurons in fixed point."""

    def __init__(
        self,
        population: FixedPopulation,
        neurons: NDArray[np.intp],
        variation: Variation,
        images: int,
    ) -> None:
        period = max(population.refractory_steps + variation.refractory_steps, 0)
        super().__init__(np.full(len(neurons), period), (images, len(neurons)))
        self._rule = variation
        self._population = population
        self._threshold = population.threshold[neurons].astype(np.float64)
        self._bias = population.bias[neurons].astype(np.float64)
        self._lowest = max(float(population.lowest), variation.lowest)
        self._highest = min(float(population.highest), variation.highest)

    def step(self, arriving: Values, recorded: Raster) -> tuple[Values, Raster]:
        """Return the potentials and the predicted spikes; continue with the recorded ones."""
        rule, population = self._rule, self._population
        if rule.arithmetic == "reference":
            self.u = update_current_fixed(self.u, arriving, population)
        else:
            self.u = self._leaked(self.u, population.current_leak) + arriving
        drive, later = self.u + self._bias, np.zeros_like(self.u)
        if rule.order == "before_leak":
            new = self._leaked(self.v + drive, population.leak)
        elif rule.order == "reference":
            new = self._leaked(self.v, population.leak) + drive
        else:
            new, later = self._leaked(self.v, population.leak) + self._bias, self.u
        new = np.clip(new, self._lowest, self._highest)
        active = self._left == 0
        held = self.v
        if rule.while_refractory == "leak":
            held = self._leaked(self.v, population.leak)
        elif rule.while_refractory == "integrate":
            held = new
        v = np.where(active, new, held)
        above = v >= self._threshold if rule.comparison == "other" else v > self._threshold
        predicted: Raster = active & above
        adds = active | (rule.while_refractory == "integrate")
        self.v = np.where(adds, v + later, v) if rule.order == "after_threshold" else v
        if rule.reset in {"subtract", "subtract_next"}:
            self.v = np.where(recorded, self.v - self._threshold, self.v)
        elif rule.reset != "none":
            self.v = np.where(recorded, 0.0, self.v)
        if rule.order == "after_reset":
            self.v = np.where(adds, self.v + later, self.v)
        self._after(recorded)
        return v, predicted

    def _leaked(self, values: Values, leak: int) -> Values:
        exact = values * (LEAK_ONE - leak) / LEAK_ONE
        rounding = {"floor": np.floor, "nearest": np.rint}.get(self._rule.arithmetic, np.trunc)
        leaked: Values = rounding(exact)
        return leaked
