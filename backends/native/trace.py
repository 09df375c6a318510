"""What a layer did with one image, step by step, and from there what it does with neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.network import Population
from neuroattack.spikes import SpikeTrains

from .differences import follow_differences, measure_margins
from .layer import Layer, delayed

__all__ = ["Differences", "Trace"]

# An image's differences above which nearly every neuron is touched, and simulating the whole layer
# is faster.
_FEW_DIFFERENCES = 32


@dataclass(frozen=True)
class Differences:
    """Spikes of a population by what differs from those of one image, the base.

    Attributes
    ----------
    offsets : int64 array, shape (images, steps + 1)
        Where each step's differences start in `rows`.
    rows : int32 array
        The neuron n that spikes besides, or ``~n`` where it does not.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]

    def __getitem__(self, images: NDArray[np.intp]) -> Differences:
        return Differences(self.offsets[images], self.rows)

    def first_steps(self) -> NDArray[np.int64]:
        """Return the step of each image's first difference, or the number of steps."""
        same = self.offsets[:, 1:] == self.offsets[:, :1]
        first_steps: NDArray[np.int64] = same.sum(axis=1, dtype=np.int64)
        return first_steps

    def few(self) -> bool:
        """Return whether following them neuron by neuron pays."""
        each = self.offsets[:, -1] - self.offsets[:, 0]
        return bool(each.mean() <= _FEW_DIFFERENCES)


class Trace:
    """A layer and what it did with one image, the base.

    Parameters
    ----------
    layer : Layer
        In floating point, with one source.
    spikes : dict of str to SpikeTrains
        Of that image, the source's among them.
    """

    def __init__(self, layer: Layer, spikes: dict[str, SpikeTrains]) -> None:
        given = spikes[layer.sources[0]]
        columns, size = layer.weights.shape[1], layer.population.size
        self.layer = layer
        self._bias_v = cast("Population", layer.population).bias_v
        self._currents = np.empty((given.steps, columns), layer.weights.dtype)
        self._states = np.empty((given.steps, size))
        self._margins_v: NDArray[np.float64] | None = None
        self.spikes = layer.run_floating(
            delayed(given.offsets, layer.delays[0]),
            given.neurons,
            trace=(self._currents, self._states),
        )

    def follow(self, given: Differences) -> Differences:
        """Return the differences that differences of its source make, neuron by neuron."""
        images, steps = given.offsets.shape[0], given.offsets.shape[1] - 1
        found = Differences(
            np.empty((images, steps + 1), np.int64),
            # What either of them has and the other has not; one more, as in Layer.
            np.empty(2 * images * self.layer.most_spikes(steps) + 1, np.int32),
        )
        follow_differences(
            delayed(given.offsets, self.layer.delays[0]),
            given.rows,
            *self.layer.constants,
            self._bias_v,
            (self.spikes.offsets, self.spikes.neurons),
            self._currents,
            self._states,
            *self._measured_margins(),
            found.offsets,
            found.rows,
        )
        return found

    def take_up(
        self, given: Differences | SpikeTrains, first_steps: NDArray[np.int64]
    ) -> SpikeTrains:
        """Return the spikes of images that are as the base before those steps."""
        start = (first_steps, self._states, self.spikes.offsets, self.spikes.neurons)
        arrivals = delayed(given.offsets, self.layer.delays[0])
        if isinstance(given, Differences):
            return self.layer.run_floating(arrivals, given.rows, start, self._currents)
        return self.layer.run_floating(arrivals, given.neurons, start)

    def _measured_margins(self) -> tuple[NDArray[np.float64], float]:
        """Return margins, and what rounding may add to a potential, in volts."""
        _, grid_v, decay, threshold_v, reset_v, _ = self.layer.constants
        steps, size = len(self._currents), self.layer.population.size
        if self._margins_v is None:
            margins_v = np.empty((steps + 1, size))
            measure_margins(
                grid_v, decay, threshold_v, self._bias_v, self._currents, self._states, margins_v
            )
            self._margins_v = margins_v
        # No potential leaves this range; each step rounds three times in either simulation, by
        # an eighth of 1e-15 of it at most, and what is rounded decays.
        largest_input_v = self.layer.largest_sum * grid_v + float(np.abs(self._bias_v).max())
        range_v = abs(reset_v) + steps * largest_input_v
        return self._margins_v, 1e-15 * steps * range_v
