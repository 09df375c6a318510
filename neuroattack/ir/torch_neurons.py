"""State of a population in PyTorch, for a batch of images; see :mod:`neuroattack.ir.dynamics`.

All operations are in float64 and rounded one by one, as in the reference dynamics: none of them
multiplies and adds at once, on no device. Masks are 0.0 or 1.0, by which potentials are multiplied,
because PyTorch vectorizes this, but not comparisons to bool nor choices by bool. Without gradients,
and on a processor, potentials are reset one by one instead, as about one percent of neurons spike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE
from neuroattack.ir.network import FixedPopulation, Population

__all__ = ["EventNeurons", "Neurons"]


class Neurons:
    """State of one population for a batch, with gradients and on any device.

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
        self.fired = self.v
        """Mask of the neurons that spiked in the last step."""
        self.active: Any = None
        """Mask of the neurons that were not refractory; None if there is no refractory period."""
        self._before = self._updated = self._u = self.v
        # Where updated potentials are written; None for a new tensor.
        self._into: Any = None
        rest = np.broadcast_to(population.refractory_steps, population.size)
        self._rests = bool(rest.any())
        # First step in which each neuron is active again, and its distance from the spike.
        self._ready = self.v
        self._pause = tensor(rest + 1)
        # Potentials after a spike unless they are 0, or the amounts that are subtracted.
        self._reset_v: Any = None
        self._reset = "value"
        if isinstance(population, FixedPopulation):
            self.threshold = tensor(population.threshold)
            self._bias = tensor(population.bias)
            return
        self.threshold = tensor(population.strict_threshold_v)
        """Potentials above which neurons spike, shape (size,)."""
        self._decay = tensor(population.decay(dt_s))
        self._current_decay = tensor(population.current_decay(dt_s))
        self._bias = tensor(population.bias_v) if population.bias_v.any() else None
        self._current_bias = tensor(population.current_bias_v)
        self._reset = population.reset
        if population.reset != "value" or population.reset_v.any():
            self._reset_v = tensor(population.reset_v)
        self._has_current, self._late = population.has_current, population.input_after_update

    @property
    def updated(self) -> Any:
        """Potentials of the last step before the reset."""
        if self.active is None:
            return self._updated
        return self._torch.where(self.active > 0, self._updated, self._before)

    def step(self, k: int, arriving: Any) -> None:
        """Update the state in time step `k`.

        Parameters
        ----------
        k : int
            Number of the time step.
        arriving : float64 tensor, shape (images, size)
            Sums of the weights that arrive.
        """
        torch = self._torch
        v = self._update(arriving)
        if self._reset == "subtract_next":
            v = v - self.fired * self._reset_v
        fired = torch.gt(v.detach(), self.threshold, out=torch.empty_like(self._ready))
        if self._rests:
            self.active = torch.le(self._ready, k, out=torch.empty_like(self._ready))
            fired *= self.active
            self._ready = torch.maximum(self._ready, fired * (self._pause + k))
        self._before, self._updated, self.fired = self.v, v, fired
        if self._reset == "value":
            # A refractory neuron has stayed at its reset potential since it spiked.
            stays = self.active - fired if self._rests else 1 - fired
            self.v = v * stays
            if self._reset_v is not None:
                self.v = self.v + self._reset_v * (1 - stays)
        elif self._reset == "subtract":
            self.v = self.updated - fired * self._reset_v
        else:
            self.v = v

    def _update(self, arriving: Any) -> Any:
        """Return the potentials after leak and input, without refractory periods and resets."""
        if isinstance(self.population, FixedPopulation):
            return self._update_fixed(self.population, arriving)
        torch = self._torch
        drive = arriving
        if self._has_current:
            before = self._u
            self._u = before * self._current_decay + (arriving + self._current_bias)
            drive = before if self._late else self._u
        v = torch.mul(self.v, self._decay, out=self._into)
        v += drive if self._bias is None else drive + self._bias
        return v

    def _update_fixed(self, population: FixedPopulation, arriving: Any) -> Any:
        half = CURRENT_SPAN // 2
        current = self._leaked(self._u, population.current_leak) + arriving
        self._u = half - self._torch.remainder(half - current, CURRENT_SPAN)
        v = self._leaked(self.v, population.leak) + (self._u + self._bias)
        return self._torch.clamp(v, population.lowest, population.highest, out=self._into)

    def _leaked(self, values: Any, leak: int) -> Any:
        # Integers below 2**53: every operation is exact.
        return self._torch.trunc(values * (LEAK_ONE - leak) / LEAK_ONE)


class EventNeurons(Neurons):
    """State of one population for a batch, without gradients and on a processor.

    Parameters are those of :class:`Neurons`. The potential of a neuron that spiked is NaN until it
    is active again: it is never above the threshold, whatever is multiplied or added.
    """

    def __init__(
        self,
        torch: Any,
        population: Population | FixedPopulation,
        dt_s: float,
        images: int,
        device: Any,
    ) -> None:
        super().__init__(torch, population, dt_s, images, device)
        self._into = self.v = torch.zeros_like(self.v)
        # Arrays of NumPy, which compares and finds spikes several times as fast as PyTorch.
        self._potentials = self.v.numpy()
        self._above = np.empty(self.v.shape, bool)
        threshold = self.threshold.numpy()
        self._limit = threshold[0] if (threshold == threshold[0]).all() else threshold
        amounts = self._reset_v
        self._amounts = np.zeros(population.size) if amounts is None else amounts.numpy()
        self._pauses = self._pause.numpy()
        self._distinct = np.unique(self._pauses).tolist()
        # Neurons that are active again in each step, and their potentials.
        self._waking: dict[int, list[tuple[Any, Any]]] = {}
        self.spikes = np.empty(0, np.int64)
        """``image * size + neuron`` of each spike of the last step, ascending."""

    def step(self, k: int, arriving: Any) -> None:
        """Update the state in time step `k`; see :meth:`Neurons.step`."""
        flat, size = self._potentials.reshape(-1), self.population.size
        for neurons, potentials in self._waking.pop(k, ()):
            flat[neurons] = potentials
        self._update(arriving)
        if self._reset == "subtract_next":
            flat[self.spikes] -= self._amounts[self.spikes % size]
        np.greater(self._potentials, self._limit, out=self._above)
        self.spikes = spikes = np.flatnonzero(self._above)
        if self._reset == "subtract_next":
            return
        neuron = spikes % size
        after = self._amounts[neuron]
        if self._reset == "subtract":
            after = flat[spikes] - after
        flat[spikes] = np.nan
        pauses = self._pauses[neuron]
        for pause in self._distinct:
            chosen = pauses == pause
            if chosen.any():
                ready = self._waking.setdefault(k + int(pause), [])
                ready.append((spikes[chosen], after[chosen]))
