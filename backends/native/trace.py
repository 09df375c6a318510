"""What a layer did with one image, step by step, and from there what it does with neighbors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains

from .differences import compare_trains, find_touched, measure_margins
from .layer import Layer, delayed

__all__ = ["Differences", "Trace", "find_differences"]

# An image's differences above which nearly every neuron is touched.
_FEW_DIFFERENCES = 32


@dataclass(frozen=True)
class Differences:
    """Spikes of a population by what differs from those of one image, the base.

    `rows[offsets[b, k] : offsets[b, k + 1]]` are those of step k of image b: the neuron n that
    spikes besides, or ``~n`` where it does not.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]

    def __getitem__(self, images: NDArray[np.intp]) -> Differences:
        return Differences(self.offsets[images], self.rows)

    def delayed(self, delay: int) -> Differences:
        """Return them as they arrive so many steps later."""
        return Differences(delayed(self.offsets, delay), self.rows)

    def first_steps(self) -> NDArray[np.int64]:
        """Return the step of each image's first difference, or the number of steps."""
        same = self.offsets[:, 1:] == self.offsets[:, :1]
        first_steps: NDArray[np.int64] = same.sum(axis=1, dtype=np.int64)
        return first_steps

    def few(self) -> bool:
        """Return whether they are so few that most neurons go on as in the base."""
        each = self.offsets[:, -1] - self.offsets[:, 0]
        return bool(each.mean() <= _FEW_DIFFERENCES)


class Trace:
    """A layer, in floating point and with one source, and what it did with one image, the base."""

    def __init__(self, layer: Layer, spikes: dict[str, SpikeTrains]) -> None:
        given = spikes[layer.sources[0]]
        columns, size = layer.weights.shape[1], layer.population.size
        self.layer = layer
        self._bias = layer.bias
        self._currents = np.empty((given.steps, columns), layer.weights.dtype)
        self._states = np.empty((given.steps, size))
        self._inputs = spikes
        self.spikes = layer.run_floating(
            delayed(given.offsets, layer.delays[0]),
            given.neurons,
            trace=(self._currents, self._states),
        )

    def follow(self, given: Differences) -> Differences:
        """Return the differences that few differences of its source make.

        Only neurons that they may touch are simulated.
        """
        arriving = given.delayed(self.layer.delays[0])
        touched = np.flatnonzero(self._touched(arriving)).astype(np.int32)
        if not len(touched):
            return Differences(np.zeros_like(given.offsets), np.empty(0, np.int32))
        part = Trace(self.layer.part(touched), self._inputs)
        trains = part.take_up(given, arriving.first_steps())
        found, _ = find_differences(trains, part.spikes, 2 * part.layer.most_spikes(trains.steps))
        rows = found.rows[: found.offsets[-1, -1]]
        return Differences(found.offsets, np.where(rows >= 0, touched[rows], ~touched[~rows]))

    def take_up(
        self, given: Differences | SpikeTrains, first_steps: NDArray[np.int64]
    ) -> SpikeTrains:
        """Return the spikes of images that are as the base before those steps."""
        start = (first_steps, self._states, self.spikes.offsets, self.spikes.neurons)
        arrivals = delayed(given.offsets, self.layer.delays[0])
        if isinstance(given, Differences):
            return self.layer.run_floating(arrivals, given.rows, start, self._currents)
        return self.layer.run_floating(arrivals, given.neurons, start)

    def _touched(self, arriving: Differences) -> NDArray[np.bool_]:
        weights, grid, decay, threshold, reset, _ = self.layer.constants
        steps, size = len(self._currents), self.layer.population.size
        margins = np.empty((steps + 1, size))
        measure_margins(grid, decay, threshold, self._bias, self._currents, self._states, margins)
        # No potential leaves this range; each step rounds three times in either simulation, by
        # an eighth of 1e-15 of it at most, and what is rounded decays.
        largest_input = self.layer.largest_sum * grid + float(np.abs(self._bias).max())
        rounding = 1e-15 * steps * (abs(reset) + steps * largest_input)
        touched = np.zeros(size, bool)
        find_touched(arriving.offsets, arriving.rows, weights, grid, margins, rounding, touched)
        return touched


def find_differences(
    inputs: SpikeTrains, base: SpikeTrains, most: int
) -> tuple[Differences, NDArray[np.bool_]]:
    """Return how images differ from a base, and in which images by at most so many events.

    Of the other images no differences are kept.
    """
    offsets = np.empty_like(inputs.offsets)
    rows = np.empty(inputs.images * most, np.int32)
    near = np.empty(inputs.images, bool)
    compare_trains(
        (inputs.offsets, inputs.neurons), (base.offsets, base.neurons), most, offsets, rows, near
    )
    return Differences(offsets, rows), near
