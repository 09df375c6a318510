"""The native backend: event-driven, compiled, spike for spike the plain dynamics.

Populations are simulated one after the other over all steps of an image, which a feed-forward
network allows; so one weight matrix at a time is moved through the caches. Images are spread
over threads in slices of bounded memory.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack import __version__
from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE, POTENTIAL_LIMIT
from neuroattack.ir.network import INPUT, FixedPopulation, Network, Population
from neuroattack.simulation import (
    UNKNOWN_WORKLOAD,
    Availability,
    Recording,
    Workload,
    check_inputs,
)
from neuroattack.spikes import SpikeTrains
from neuroattack.validation import check_whole

__all__ = ["NativeBackend", "NativeSimulator"]

# Spikes of one population that a slice of images may hold at most, in bytes.
_SLICE_BYTES = 64 * 2**20
_SLICE_IMAGES = 128


@numba.njit(cache=True, nogil=True)
def _add_arriving_rows(
    current: NDArray[np.int32] | NDArray[np.float64],
    weights: NDArray[np.int32] | NDArray[np.float64],
    rows: NDArray[np.int32],
) -> None:
    """Set `current` to the sum of those rows of `weights`."""
    size = current.size
    # Four rows at a time: the sums then travel to memory a quarter as often.
    fours = rows.size // 4 * 4
    if fours == 0:
        current[:] = 0
    for first in range(0, fours, 4):
        a, b = weights[rows[first]], weights[rows[first + 1]]
        c, d = weights[rows[first + 2]], weights[rows[first + 3]]
        if first == 0:
            for j in range(size):
                current[j] = (a[j] + b[j]) + (c[j] + d[j])
        else:
            for j in range(size):
                current[j] += (a[j] + b[j]) + (c[j] + d[j])
    for last in range(fours, rows.size):
        a = weights[rows[last]]
        for j in range(size):
            current[j] += a[j]


@numba.njit(cache=True, nogil=True)
def _count_spikes(
    offsets: NDArray[np.int64], neurons: NDArray[np.int32], counts: NDArray[np.int32]
) -> None:
    """Fill `counts` as :meth:`SpikeTrains.counts` does, which takes 3 % of a query at T = 100."""
    for image in range(counts.shape[0]):
        for event in range(offsets[image, 0], offsets[image, -1]):
            counts[image, neurons[event]] += 1


@numba.njit(cache=True, nogil=True)
def _gather(
    fired: NDArray[np.uint8],
    fired_by_eight: NDArray[np.uint64],
    neurons: NDArray[np.int32],
    written: int,
) -> int:
    """Write the neurons that fired to `neurons` from `written` on; return the end."""
    # Eight at a time, for most are silent; then without a branch that none could predict.
    for eight in range(fired_by_eight.size):
        if fired_by_eight[eight]:
            for j in range(8 * eight, 8 * eight + 8):
                neurons[written] = j
                written += fired[j]
    return written


# No fastmath: a fused multiply-add would round v * decay + input once instead of twice.
@numba.njit(cache=True, nogil=True)
def _simulate_floating(
    arrivals: NDArray[np.int64],
    rows: NDArray[np.int32],
    weights: NDArray[np.int32] | NDArray[np.float64],
    grid_v: float,
    decay: float,
    threshold_v: NDArray[np.float64],
    bias_v: NDArray[np.float64],
    reset_v: float,
    refractory_steps: int,
    offsets: NDArray[np.int64],
    neurons: NDArray[np.int32],
    counts: NDArray[np.int32],
) -> None:
    """Fill `offsets`, `neurons` and `counts` with the spikes of one population.

    Row ``weights[rows[e]]``, in units of `grid_v`, arrives at step k of image b for the events e
    from ``arrivals[b, k]`` to ``arrivals[b, k + 1]``.
    """
    images = arrivals.shape[0]
    steps = arrivals.shape[1] - 1
    size = weights.shape[1]
    capacity = (neurons.size - 1) // images
    v = np.empty(size)
    current = np.empty(size, weights.dtype)
    fired = np.zeros(-(-size // 8) * 8, np.uint8)
    fired_by_eight = fired.view(np.uint64)
    for image in range(images):
        v[:] = 0.0
        written = image * capacity
        offsets[image, 0] = written
        for k in range(steps):
            _add_arriving_rows(current, weights, rows[arrivals[image, k] : arrivals[image, k + 1]])
            for j in range(size):
                v[j] = v[j] * decay + (current[j] * grid_v + bias_v[j])
            # The refractory neurons are those that spiked in the last R steps.
            for spike in range(offsets[image, max(k - refractory_steps, 0)], written):
                v[neurons[spike]] = reset_v
            for j in range(size):
                fired[j] = v[j] > threshold_v[j]
            first = written
            written = _gather(fired, fired_by_eight, neurons, written)
            for spike in range(first, written):
                v[neurons[spike]] = reset_v
                counts[image, neurons[spike]] += 1
            offsets[image, k + 1] = written


@numba.njit(cache=True, nogil=True)
def _simulate_fixed(
    arrivals: NDArray[np.int64],
    rows: NDArray[np.int32],
    weights: NDArray[np.int32] | NDArray[np.float64],
    shift: int,
    leak: int,
    threshold: NDArray[np.int32],
    bias: NDArray[np.int32],
    refractory_steps: int,
    offsets: NDArray[np.int64],
    neurons: NDArray[np.int32],
    counts: NDArray[np.int32],
) -> None:
    """Do as :func:`_simulate_floating` in integers, with weights in units of ``2**shift``."""
    images = arrivals.shape[0]
    steps = arrivals.shape[1] - 1
    size = weights.shape[1]
    capacity = (neurons.size - 1) // images
    v = np.empty(size, np.int64)
    current = np.empty(size, weights.dtype)
    fired = np.zeros(-(-size // 8) * 8, np.uint8)
    fired_by_eight = fired.view(np.uint64)
    half = CURRENT_SPAN // 2
    for image in range(images):
        v[:] = 0
        written = image * capacity
        offsets[image, 0] = written
        for k in range(steps):
            _add_arriving_rows(current, weights, rows[arrivals[image, k] : arrivals[image, k + 1]])
            for j in range(size):
                kept = abs(v[j]) * (LEAK_ONE - leak) // LEAK_ONE
                leaked = kept if v[j] > 0 else -kept
                # The remainder of a power of two, of negative numbers too.
                wrapped = half - ((half - (np.int64(current[j]) << shift)) & (CURRENT_SPAN - 1))
                new = leaked + (wrapped + bias[j])
                v[j] = min(max(new, -POTENTIAL_LIMIT), POTENTIAL_LIMIT)
            for spike in range(offsets[image, max(k - refractory_steps, 0)], written):
                v[neurons[spike]] = 0
            for j in range(size):
                fired[j] = v[j] > threshold[j]
            first = written
            written = _gather(fired, fired_by_eight, neurons, written)
            for spike in range(first, written):
                v[neurons[spike]] = 0
                counts[image, neurons[spike]] += 1
            offsets[image, k + 1] = written


def _arrivals(
    sources: list[SpikeTrains], delays: list[int], images: int, steps: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return what arrives when: (images, steps + 1) offsets into an array of weight rows.

    The weights of several projections are stacked: the rows of each follow those before it.
    """
    if not sources:
        return np.zeros((images, steps + 1), np.int64), np.empty(0, np.int32)
    if len(sources) == 1:
        offsets, delay = sources[0].offsets, min(delays[0], steps)
        shifted = np.empty_like(offsets)
        shifted[:, :delay] = offsets[:, :1]
        shifted[:, delay:] = offsets[:, : steps + 1 - delay]
        return shifted, sources[0].neurons
    parts = []
    first_row = 0
    for source, delay in zip(sources, delays, strict=True):
        image, step, neuron = source.events()
        arriving = step + delay < steps
        parts.append((image[arriving], step[arriving] + delay, neuron[arriving] + first_row))
        first_row += source.size
    image, step, row = (np.concatenate(column) for column in zip(*parts, strict=True))
    merged = SpikeTrains.from_events(image, step, row, (images, steps, first_row))
    return merged.offsets, merged.neurons


@dataclass(frozen=True)
class _Layer:
    """A population with the weights of all projections into it, in units of ``2**exponent``."""

    population: Population | FixedPopulation
    dt_s: float
    sources: list[str]
    delays: list[int]
    weights: NDArray[np.int32] | NDArray[np.float64]
    exponent: int

    def run(
        self, spikes: dict[str, SpikeTrains], images: int, steps: int
    ) -> tuple[SpikeTrains, NDArray[np.int32]]:
        arrivals, rows = _arrivals(
            [spikes[name] for name in self.sources], self.delays, images, steps
        )
        population = self.population
        # One more, where the gathering without branches may write what it then leaves out.
        capacity = images * _most_spikes(population, steps) + 1
        trains = SpikeTrains(
            population.size,
            np.empty((images, steps + 1), np.int64),
            np.empty(capacity, np.int32),
        )
        counts = np.zeros((images, population.size), np.int32)
        found = (trains.offsets, trains.neurons, counts)
        if isinstance(population, FixedPopulation):
            _simulate_fixed(
                arrivals,
                rows,
                self.weights,
                self.exponent,
                population.leak,
                population.threshold,
                population.bias,
                population.refractory_steps,
                *found,
            )
        else:
            _simulate_floating(
                arrivals,
                rows,
                self.weights,
                2.0**self.exponent,
                population.decay(self.dt_s),
                population.threshold_v,
                population.bias_v,
                population.reset_v,
                population.refractory_steps,
                *found,
            )
        return trains, counts


def _most_spikes(population: Population | FixedPopulation, steps: int) -> int:
    return population.size * -(-steps // (population.refractory_steps + 1))


class NativeSimulator:
    """A network on the native backend.

    Parameters
    ----------
    network : Network
        What to run.
    threads : int
        Threads that share the images of a batch; the spikes do not depend on it.
    """

    def __init__(self, network: Network, threads: int) -> None:
        self._threads = threads
        self._network = network
        self._layers = [_layer(network, population) for population in network.populations]
        # Compiles now, so that what is timed later is simulation.
        self.run(SpikeTrains.from_events([], [], [], (1, 1, network.input.size)))

    def run(self, inputs: SpikeTrains, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; see :meth:`neuroattack.simulation.Simulator.run`."""
        check_inputs(self._network, inputs)
        largest = max(_most_spikes(layer.population, inputs.steps) for layer in self._layers)
        slice_images = max(
            1,
            min(
                _SLICE_IMAGES,
                _SLICE_BYTES // max(4 * largest, 1),
                -(-inputs.images // self._threads),
            ),
        )
        slices = [
            inputs[start : start + slice_images] for start in range(0, inputs.images, slice_images)
        ]
        if self._threads == 1 or len(slices) == 1:
            parts = [self._run_slice(part, record_spikes) for part in slices]
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                parts = list(pool.map(lambda part: self._run_slice(part, record_spikes), slices))
        return Recording.concatenate(parts)

    def close(self) -> None:
        """Give nothing back: the simulator holds arrays only."""

    def _run_slice(self, inputs: SpikeTrains, record_spikes: bool) -> Recording:
        spikes = {INPUT: inputs}
        counts = {INPUT: np.zeros((inputs.images, inputs.size), np.int32)}
        _count_spikes(inputs.offsets, inputs.neurons, counts[INPUT])
        for layer in self._layers:
            name = layer.population.name
            spikes[name], counts[name] = layer.run(spikes, inputs.images, inputs.steps)
        if not record_spikes:
            return Recording(counts)
        return Recording(
            counts, {name: SpikeTrains.concatenate([trains]) for name, trains in spikes.items()}
        )


def _layer(network: Network, population: Population | FixedPopulation) -> _Layer:
    incoming = network.incoming(population.name)
    exponent = min((projection.exponent for projection in incoming), default=0)
    mantissas = np.concatenate(
        [
            np.empty((0, population.size), np.int64),
            *(p.mantissas.astype(np.int64) << (p.exponent - exponent) for p in incoming),
        ]
    )
    # Whole numbers either way, and exact: a network's sums stay below 2**53.
    narrow = int(np.abs(mantissas).sum(axis=0).max(initial=0)) < 2**31
    return _Layer(
        population,
        network.dt_s,
        [projection.source for projection in incoming],
        [projection.delay_steps for projection in incoming],
        mantissas.astype(np.int32 if narrow else np.float64),
        exponent,
    )


class NativeBackend:
    """neuroattack's own simulator.

    Parameters
    ----------
    threads : int, optional
        Threads to run images on; by default all cores this process may use.
    """

    name = "native"

    def __init__(self, threads: int | None = None) -> None:
        self._threads = check_whole(
            "native backend threads", _usable_cores() if threads is None else threads, 1
        )

    def availability(self) -> Availability:
        """Return that it can run: numba is a dependency of neuroattack."""
        return Availability(True, version=__version__)

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> NativeSimulator:
        """Prepare a network to run; holds every feature of the IR."""
        del workload
        return NativeSimulator(network, self._threads)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
