"""State of a population in PyTorch, for a batch of images; see :mod:`neuroattack.ir.dynamics`.

All operations are in float64 and rounded one by one, as in the reference dynamics: none of them
multiplies and adds at once, on no device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE
from neuroattack.ir.network import FixedPopulation, Population
from neuroattack.ir.values import is_uniform

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
        self._torch, self._device = torch, device
        self.v = torch.zeros(images, population.size, dtype=torch.float64, device=device)
        self.updated = self.v
        """Potentials before the reset."""
        self.active: Any = None
        """Mask of the neurons that are not refractory; None if there is no refractory period."""
        self.fired = torch.zeros_like(self.v, dtype=torch.bool)
        """Mask of the neurons that spiked in the last step."""
        self._u = self.v
        # First step in which each neuron is active again.
        self._ready = torch.zeros_like(self.v, dtype=torch.int32)
        self._rest = np.broadcast_to(np.asarray(population.refractory_steps), population.size)
        self._after_spike = (
            int(self._rest[0])
            if is_uniform(self._rest)
            else torch.from_numpy(self._rest.astype(np.int32)).to(device)
        )
        if isinstance(population, FixedPopulation):
            self._threshold = self._tensor(population.threshold)
            self._bias = self._tensor(population.bias)
            return
        self._threshold = self._tensor(population.strict_threshold_v)
        self._decay = self._tensor(population.decay(dt_s))
        self._current_decay = self._tensor(population.current_decay(dt_s))
        self._bias = self._tensor(population.bias_v) if population.bias_v.any() else None
        self._current_bias = self._tensor(population.current_bias_v)
        self._reset_v = self._tensor(population.reset_v)

    def _tensor(self, values: Any) -> Any:
        return self._torch.from_numpy(np.array(values, np.float64)).to(self._device)

    @property
    def threshold(self) -> Any:
        """Potentials above which neurons spike, shape (size,)."""
        return self._threshold

    def step(self, k: int, arriving: Any) -> None:
        """Update the state in time step `k`.

        Parameters
        ----------
        k : int
            Number of the time step.
        arriving : float64 tensor, shape (images, size)
            Sums of the weights that arrive.
        """
        torch, population = self._torch, self.population
        fixed = isinstance(population, FixedPopulation)
        v = self._updated_fixed(arriving) if fixed else self._updated(arriving)
        rests = bool(self._rest.any())
        if rests:
            self.active = self._ready <= k
            v = torch.where(self.active, v, self.v)
        fired = v > self._threshold
        if rests:
            fired = fired & self.active
            self._ready = torch.where(fired, self._after_spike + (k + 1), self._ready)
        self.updated, self.fired = v, fired
        if isinstance(population, FixedPopulation):
            self.v = v.masked_fill(fired, 0.0)
        elif population.reset == "value":
            self.v = torch.where(fired, self._reset_v, v)
        elif population.reset == "subtract":
            self.v = torch.where(fired, v - self._reset_v, v)
        else:
            self.v = v

    def _updated(self, arriving: Any) -> Any:
        population: Any = self.population
        drive = arriving
        if population.has_current:
            before = self._u
            self._u = before * self._current_decay + (arriving + self._current_bias)
            drive = before if population.input_after_update else self._u
        v = self.v * self._decay
        v += drive if self._bias is None else drive + self._bias
        if population.reset == "subtract_next":
            v = self._torch.where(self.fired, v - self._reset_v, v)
        return v

    def _updated_fixed(self, arriving: Any) -> Any:
        torch, population = self._torch, self.population
        assert isinstance(population, FixedPopulation)  # noqa: S101  # for the type checker
        half = CURRENT_SPAN // 2
        current = self._leaked(self._u, population.current_leak) + arriving
        self._u = half - torch.remainder(half - current, CURRENT_SPAN)
        v = self._leaked(self.v, population.leak) + (self._u + self._bias)
        return v.clamp(population.lowest, population.highest)

    def _leaked(self, values: Any, leak: int) -> Any:
        # Integers below 2**53: every operation is exact.
        return self._torch.trunc(values * (LEAK_ONE - leak) / LEAK_ONE)
