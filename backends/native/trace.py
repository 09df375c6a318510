"""Recorded activity of a layer for one image, and simulation of its neighbors from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains

from .differences import compare_trains, find_touched, measure_margins
from .events import delayed
from .layer import Layer

__all__ = ["Differences", "Trace", "find_differences"]

# Number of differences per image above which nearly all neurons may be affected.
_FEW_DIFFERENCES = 32


@dataclass(frozen=True)
class Differences:
    """Spikes of a population as differences from one image, the base.

    `rows[offsets[b, k] : offsets[b, k + 1]]` are the differences in step k of image b: n if neuron
    n spikes in addition, ``~n`` if it does not spike.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int32]

    @property
    def steps(self) -> int:
        """Number of time steps per image."""
        return int(self.offsets.shape[1]) - 1

    def __getitem__(self, images: NDArray[np.intp]) -> Differences:
        return Differences(self.offsets[images], self.rows)

    def delayed(self, delay: int) -> Differences:
        """Return the differences delayed by `delay` steps."""
        return Differences(delayed(self.offsets, delay), self.rows)

    def first_steps(self) -> NDArray[np.int64]:
        """Return the step of each image's first difference; the number of steps without any."""
        same = self.offsets[:, 1:] == self.offsets[:, :1]
        first_steps: NDArray[np.int64] = same.sum(axis=1, dtype=np.int64)
        return first_steps

    def few(self) -> bool:
        """Return whether there are so few that most neurons spike as in the base."""
        each = self.offsets[:, -1] - self.offsets[:, 0]
        return bool(each.mean() <= _FEW_DIFFERENCES)


class Trace:
    """Layer in floating point with one source, and its recorded activity for the base image."""

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
        """Return the differences caused by a few differences of the source.

        Only neurons that may be affected are simulated.
        """
        arriving = given.delayed(self.layer.delays[0])
        touched = np.flatnonzero(self._touched(arriving)).astype(np.int32)
        if not len(touched):
            return Differences(np.zeros_like(given.offsets), np.empty(0, np.int32))
        part = Trace(self.layer.part(touched), self._inputs)
        trains = part.take_up(given, arriving.first_steps())
        found, _ = find_differences(
            trains, part.spikes, 2 * part.layer.population.most_spikes(trains.steps)
        )
        rows = found.rows[: found.offsets[-1, -1]]
        return Differences(found.offsets, np.where(rows >= 0, touched[rows], ~touched[~rows]))

    def take_up(
        self, given: Differences | SpikeTrains, first_steps: NDArray[np.int64]
    ) -> SpikeTrains:
        """Return the spikes of images that are identical to the base before the given steps."""
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
        # Bound of rounding errors: all potentials are in this range, each step rounds three times
        # in both simulations, by at most 1/8 of 1e-15 of the range, and errors decay.
        largest_input = self.layer.largest_sum * grid + float(np.abs(self._bias).max())
        rounding = 1e-15 * steps * (abs(reset) + steps * largest_input)
        touched = np.zeros(size, bool)
        find_touched(arriving.offsets, arriving.rows, weights, grid, margins, rounding, touched)
        return touched


def find_differences(
    inputs: SpikeTrains, base: SpikeTrains, most: int
) -> tuple[Differences, NDArray[np.bool_]]:
    """Return the differences of images from a base, and a mask of those with at most `most` events.

    Differences of the other images are not stored.
    """
    offsets = np.empty_like(inputs.offsets)
    rows = np.empty(inputs.images * most, np.int32)
    near = np.empty(inputs.images, bool)
    compare_trains(
        (inputs.offsets, inputs.neurons), (base.offsets, base.neurons), most, offsets, rows, near
    )
    return Differences(offsets, rows), near
