"""State of a population in PyTorch, for a batch of images; see :mod:`neuroattack.ir.dynamics`.

All operations are in float64 and rounded one by one, as in the reference dynamics: none of them
multiplies and adds at once, on no device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE
from neuroattack.ir.network import FixedPopulation, Population

__all__ = ["Neurons"]


class Neurons:
    """State of one population for a batch.

    Parameters
    ----------
    torch : module
        PyTorch.
    population : Population or FixedPopulation
        Neurons to simulate.
    dt_s : float
        Length of a time step in seconds.
    images : int
        Number of images.
    device : torch.device
        Device of the state.
    """

    def __init__(
        self,
        torch: Any,
        population: Population | FixedPopulation,
        dt_s: float,
        images: int,
        device: Any,
    ) -> None:
        self.population = population
        self._torch = torch

        def tensor(values: Any) -> Any:
            return torch.from_numpy(np.array(values, np.float64)).to(device)

        self.v = torch.zeros(images, population.size, dtype=torch.float64, device=device)
        self.fired = torch.zeros_like(self.v, dtype=torch.bool)
        """Mask of the neurons that spiked in the last step."""
        self.active: Any = None
        """Mask of the neurons that were not refractory; None if there is no refractory period."""
        self._before = self._updated = self._u = self.v
        rest = np.broadcast_to(population.refractory_steps, population.size)
        self._rests = bool(rest.any())
        # First step in which each neuron is active again, and its distance from a spike.
        self._ready = torch.zeros_like(self.v, dtype=torch.int32)
        self._pause = torch.from_numpy((rest + 1).astype(np.int32)).to(device)
        # Potentials after a spike, or the amounts subtracted at a spike or in the next step.
        self._to: Any = None
        self._amount: Any = None
        self._subtracts_next = False
        if isinstance(population, FixedPopulation):
            self.threshold = tensor(population.threshold)
            self._bias = tensor(population.bias)
            self._to = tensor(0.0)
            return
        self.threshold = tensor(population.strict_threshold_v)
        """Potentials above which neurons spike, shape (size,)."""
        self._decay = tensor(population.decay(dt_s))
        self._current_decay = tensor(population.current_decay(dt_s))
        self._bias = tensor(population.bias_v) if population.bias_v.any() else None
        self._current_bias = tensor(population.current_bias_v)
        if population.reset == "value":
            self._to = tensor(population.reset_v)
        else:
            self._amount = tensor(population.reset_v)
            self._subtracts_next = population.reset == "subtract_next"
        self._has_current, self._late = population.has_current, population.input_after_update

    @property
    def updated(self) -> Any:
        """Potentials of the last step before the reset."""
        if self.active is None:
            return self._updated
        return self._torch.where(self.active, self._updated, self._before)

    def step(self, k: int, arriving: Any) -> None:
        """Update the state in time step `k`.

        Parameters
        ----------
        k : int
            Number of the time step.
        arriving : float64 tensor, shape (images, size)
            Sums of the weights that arrive.
        """
        where = self._torch.where
        fixed = isinstance(self.population, FixedPopulation)
        v = self._update_fixed(arriving) if fixed else self._update(arriving)
        fired = v > self.threshold
        if self._rests:
            self.active = self._ready <= k
            fired &= self.active
            self._ready = where(fired, self._pause + k, self._ready)
        self._before, self._updated, self.fired = self.v, v, fired
        if self._to is not None:
            # A refractory neuron has stayed at its reset potential since it spiked.
            self.v = where(self.active & ~fired if self._rests else ~fired, v, self._to)
        elif self._subtracts_next:
            self.v = v
        else:
            v = self.updated
            self.v = where(fired, v - self._amount, v)

    def _update(self, arriving: Any) -> Any:
        drive = arriving
        if self._has_current:
            before = self._u
            self._u = before * self._current_decay + (arriving + self._current_bias)
            drive = before if self._late else self._u
        v = self.v * self._decay
        v += drive if self._bias is None else drive + self._bias
        if self._subtracts_next:
            v = self._torch.where(self.fired, v - self._amount, v)
        return v

    def _update_fixed(self, arriving: Any) -> Any:
        population: Any = self.population
        half = CURRENT_SPAN // 2
        current = self._leaked(self._u, population.current_leak) + arriving
        self._u = half - self._torch.remainder(half - current, CURRENT_SPAN)
        v = self._leaked(self.v, population.leak) + (self._u + self._bias)
        return v.clamp(population.lowest, population.highest)

    def _leaked(self, values: Any, leak: int) -> Any:
        # Integers below 2**53: every operation is exact.
        return self._torch.trunc(values * (LEAK_ONE - leak) / LEAK_ONE)
