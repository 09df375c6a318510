"""Conversion of populations to neurons that a chip supports."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.quantization.losses import Losses
from neuroattack.ir.network import Population
from neuroattack.ir.values import is_uniform, span

__all__ = ["Neurons"]

_LEAST_LEAK = 1e-9
"""Smallest loss of a current per step for which its sum over all steps is computed."""


class Neurons:
    """Populations of a network on a chip.

    Parameters
    ----------
    losses : Losses
        Losses, to which those of the populations are added.
    dt_s : float
        Length of a time step in seconds.

    Attributes
    ----------
    gains : dict of str to float
        Factor of the weights into a population that lost the memory of its synaptic current: the
        sum of the drive of a spike over all steps stays the same.
    late : dict of str to int
        Time steps by which the input of a population is delayed: 1 if its input entered the current
        after the update of the potential.
    """

    def __init__(self, losses: Losses, dt_s: float) -> None:
        self._losses = losses
        self._dt_s = dt_s
        self.gains: dict[str, float] = {}
        self.late: dict[str, int] = {}

    def converted(self, population: Population) -> Population:
        """Return a population without unsupported features."""
        population = self._with_reset(population)
        population = self._with_current(population)
        population = self._with_bias(population)
        population = self._with_leak(population)
        self.late[population.name] = 0
        if population.input_after_update and not population.current_bias_v.any():
            # The current of the previous step is that of input which arrives one step later.
            self.late[population.name] = 1
            population = replace(population, input_after_update=False)
        return self._with_refractory_period(population)

    @property
    def _integer(self) -> bool:
        return self._losses.format.state is not None

    def _with_reset(self, population: Population) -> Population:
        name, chip = population.name, self._losses.format
        lacking = "reset_to_rest" in chip.lacks
        if population.reset != "value":
            if "subtract" in chip.resets and not self._integer:
                return self._with_subtraction(population)
            limit = f"not known to be supported by {chip.name}"
            if self._integer:
                limit = f"neurons of {chip.name} are simulated with a reset to 0 V"
            self._losses.name(f"reset of {name} by subtraction", limit)
            return self._with_reset_to_0(population, limit)
        if lacking:
            self._losses.name(
                f"reset of {name} to a fixed potential", self._losses.lack("reset_to_rest")
            )
        if self._integer and population.reset_v.any():
            limit = f"neurons of {chip.name} reset to 0 V"
            self._losses.name(f"reset of {name} to {span(population.reset_v)} V", limit)
            return self._with_reset_to_0(population, limit)
        return population

    def _with_reset_to_0(self, population: Population, limit: str) -> Population:
        lowest = float(population.threshold_v.min())
        if lowest <= 0:
            raise UnsupportedFeatureError(f"threshold of {population.name}, {lowest:g} V: {limit}")
        return replace(population, reset="value", reset_v=np.zeros(()))

    def _with_subtraction(self, population: Population) -> Population:
        """Return a population with subtraction of the threshold at the spike."""
        name, chip = population.name, self._losses.format.name
        if population.reset == "subtract_next":
            self._losses.name(
                f"reset of {name} in the next time step", f"{chip} subtracts in the step of a spike"
            )
            population = replace(population, reset="subtract")
        spiking = np.isfinite(population.threshold_v)
        if (population.reset_v != population.threshold_v)[spiking].any():
            self._losses.name(
                f"reset of {name} by subtraction of {span(population.reset_v)} V",
                f"{chip} subtracts the threshold",
            )
            lowest = float(population.threshold_v.min())
            if lowest <= 0:
                raise UnsupportedFeatureError(
                    f"threshold of {name}, {lowest:g} V: {chip} subtracts the threshold"
                )
            population = replace(
                population,
                reset_v=np.where(spiking, population.threshold_v, population.reset_v),
            )
        return population

    def _with_current(self, population: Population) -> Population:
        name, chip = population.name, self._losses.format
        lacking = "synaptic_current" in chip.lacks
        if self._integer and not lacking and not is_uniform(population.tau_syn_s):
            self._name_mean(f"synaptic time constants of {name}", population.tau_syn_s)
            decay = float(population.current_decay(self._dt_s).mean())
            population = replace(population, tau_syn_s=np.array(_time_constant(decay, self._dt_s)))
        decay = float(population.current_decay(self._dt_s).mean())
        gain = 1 / max(1 - decay, _LEAST_LEAK)
        if lacking and population.tau_syn_s.any():
            self._losses.name(
                f"synaptic current of {name}, time constant {span(population.tau_syn_s)} s",
                self._losses.lack("synaptic_current"),
            )
            self.gains[name] = gain
            population = replace(population, tau_syn_s=np.zeros(()))
        elif not (self._integer and population.current_bias_v.any()) or "bias" in chip.lacks:
            return population
        elif gain != 1 or population.input_after_update:
            largest = float(np.abs(population.current_bias_v).max())
            self._losses.name(
                f"bias of the synaptic current of {name}, up to {largest:g} V",
                f"biases of {chip.name} are added to the potential",
            )
        # The bias of the potential in the steady state.
        bias_v = population.bias_v + gain * population.current_bias_v
        return replace(population, bias_v=bias_v, current_bias_v=np.zeros(()))

    def _with_bias(self, population: Population) -> Population:
        if "bias" not in self._losses.format.lacks:
            return population
        biases = np.abs([population.bias_v, population.current_bias_v])
        if biases.any():
            self._losses.name(
                f"bias of {population.name}, up to {float(biases.max()):g} V",
                self._losses.lack("bias"),
            )
            nothing = np.zeros(())
            population = replace(population, bias_v=nothing, current_bias_v=nothing)
        return population

    def _with_leak(self, population: Population) -> Population:
        name, tau_m_s = population.name, population.tau_m_s
        if "leak" in self._losses.format.lacks and np.isfinite(tau_m_s).any():
            self._losses.name(
                f"leak of {name}, time constant {span(tau_m_s)} s", self._losses.lack("leak")
            )
            return replace(population, tau_m_s=np.array(np.inf))
        if self._integer and not is_uniform(tau_m_s):
            self._name_mean(f"time constants of {name}", tau_m_s)
            decay = float(population.decay(self._dt_s).mean())
            # A population has no time constant of 0; this one decays to 0 in one step.
            tau_m_s = np.array(_time_constant(decay, self._dt_s) or self._dt_s / 1000)
            return replace(population, tau_m_s=tau_m_s)
        return population

    def _with_refractory_period(self, population: Population) -> Population:
        name = population.name
        steps = population.refractory_steps
        if self._integer and not is_uniform(steps):
            low, high = int(steps.min()), int(steps.max())
            self._losses.name(
                f"refractory periods of {name}, {low} to {high} time steps", self._one_for_all
            )
            steps = np.full(population.size, round(float(steps.mean())))
        steps = self._losses.in_range(f"refractory period of {name}", steps, "refractory_period")
        return replace(population, refractory_steps=steps)

    @property
    def _one_for_all(self) -> str:
        return f"neurons of a population on {self._losses.format.name} are simulated with the mean"

    def _name_mean(self, what: str, values_s: NDArray[np.float64]) -> None:
        self._losses.name(f"{what}, {span(values_s)} s", self._one_for_all)


def _time_constant(decay: float, dt_s: float) -> float:
    """Return the time constant of a decay per step, from 0 to 1."""
    if decay <= 0:
        return 0.0
    return -dt_s / math.log(decay) if decay < 1 else math.inf
