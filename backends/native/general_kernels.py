"""Compiled loops of the native backend for all neuron models and kinds of projections.

In every step of every image, the runs of weights of the arriving events are added to the current
(see :mod:`.incoming`), then all neurons are updated, and those that spike are collected. The loops
do a number of steps of all images in one call: all steps of feed-forward populations, single steps
of populations that receive their own spikes. All operations on potentials are those of
:mod:`neuroattack.ir.dynamics`, in volts.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from neuroattack.ir.fixed_point import CURRENT_SPAN, LEAK_ONE

from .vectors import BLOCKS, PACK, POSITIONS, Weights, add_blocks, write_8

__all__ = [
    "RESETS",
    "advance_fixed",
    "advance_floating",
    "place_events",
]

RESETS = {"value": 0, "subtract": 1, "subtract_next": 2}
"""Numbers of the resets in compiled code."""

_VALUE, _SUBTRACT, _SUBTRACT_NEXT = RESETS.values()

# Weights, rows, shapes and blocks of an `Incoming`.
_Wiring = tuple[Weights, NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]

# Arriving events: offsets (images, steps + 1), and rows.
_Events = tuple[NDArray[np.int64], NDArray[np.int32]]

# Spikes of the population: offsets (images, all steps + 1), and neurons; and their counts.
_Spikes = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]

# Unsigned, because numba checks signed indices for negative values before every access.
_0, _1, _2, _3, _4, _5, _6, _7, _8, _56 = (np.uint64(n) for n in (*range(9), 56))


@numba.njit(cache=True, nogil=True)
def place_events(
    given: _Events, first_row: int, free: NDArray[np.int64], rows: NDArray[np.int32]
) -> None:
    """Write the events of a source as rows, from the index `free` of each image and step.

    `free` is moved behind them; its shape is (images, steps).
    """
    offsets, neurons = given
    for image in range(free.shape[0]):
        for k in range(free.shape[1]):
            for event in range(offsets[image, k], offsets[image, k + 1]):
                rows[free[image, k]] = neurons[event] + first_row
                free[image, k] += 1


@numba.njit(cache=True, nogil=True)
def _add_events(current: Weights, wiring: _Wiring, events: NDArray[np.uint32]) -> None:
    """Add the weights of all events to `current`.

    Up to eight consecutive events with the same targets are added at once, to reduce memory
    accesses for the sums.
    """
    weights, rows, shapes, blocks = wiring
    event, end = _0, np.uint64(events.size)
    while event < end:
        shape = np.uint64(rows[events[event], _1])
        count, most = _1, min(end - event, _8)
        while count < most and np.uint64(rows[events[event + count], _1]) == shape:
            count += _1
        # First weights of the next events, at most eight.
        last = end - _1
        a = np.uint64(rows[events[event], _0])
        b = np.uint64(rows[events[min(event + _1, last)], _0])
        c = np.uint64(rows[events[min(event + _2, last)], _0])
        d = np.uint64(rows[events[min(event + _3, last)], _0])
        e = np.uint64(rows[events[min(event + _4, last)], _0])
        f = np.uint64(rows[events[min(event + _5, last)], _0])
        g = np.uint64(rows[events[min(event + _6, last)], _0])
        h = np.uint64(rows[events[min(event + _7, last)], _0])
        if count == _1:
            add_blocks(current, weights, shapes, blocks, shape, (a,))
        elif count == _2:
            add_blocks(current, weights, shapes, blocks, shape, (a, b))
        elif count == _3:
            add_blocks(current, weights, shapes, blocks, shape, (a, b, c))
        elif count < _6:
            count = _4
            add_blocks(current, weights, shapes, blocks, shape, (a, b, c, d))
        elif count < _8:
            count = _6
            add_blocks(current, weights, shapes, blocks, shape, (a, b, c, d, e, f))
        else:
            add_blocks(current, weights, shapes, blocks, shape, (a, b, c, d, e, f, g, h))
        event += count


@numba.njit(cache=True, nogil=True)
def _add_constant(
    constant: NDArray[np.float64],
    wiring: _Wiring,
    values: NDArray[np.int32],
    first_row: int,
    unit: float,
) -> None:
    """Add the weights of all inputs, multiplied by their values and `unit`, to `constant`."""
    weights, rows, shapes, blocks = wiring
    for source in range(values.size):
        if values[source] == 0:
            continue
        value = values[source] * unit
        first = rows[first_row + source, 0]
        shape = shapes[rows[first_row + source, 1]]
        for size in range(5):
            for block in range(shape[1 + size], shape[2 + size]):
                target = np.uint64(shape[0] + blocks[block, 0])
                weight = np.uint64(first + blocks[block, 1])
                for k in range(np.uint64(BLOCKS[size])):
                    constant[target + k] += value * weights[weight + k]


@numba.njit(cache=True, nogil=True)
def _collect(fired: NDArray[np.uint8], neurons: NDArray[np.int32], written: int) -> Any:
    """Write the neurons that fired from an index on; return the next index.

    Eight at a time and without branches, which would be unpredictable: `neurons` needs space for
    eight more entries.
    """
    positions, counts = POSITIONS
    eights = fired.view(np.uint64)
    end = np.uint64(written)
    for eight in range(np.uint64(eights.size)):
        packed = (eights[eight] * PACK) >> _56
        write_8(neurons, end, positions, _8 * packed, np.int32(_8 * eight))
        end += counts[packed]
    return np.int64(end)


@numba.njit(cache=True, nogil=True)
def _update_uniform(
    current: Weights,
    unit: float,
    base: NDArray[np.float64],
    v: NDArray[np.float64],
    fired: NDArray[np.uint8],
    counts: NDArray[np.int32],
    decay: float,
    threshold: float,
    amount: float,
    bias: NDArray[np.float64],
    reset: int,
) -> None:
    """Update neurons without synaptic current and refractory period, with the same parameters.

    The threshold is not negative, so that before the first step, no potential is above it.
    """
    size = v.size
    if reset == _VALUE:
        for j in range(size):
            potential = v[j] * decay + ((current[j] * unit + base[j]) + bias[j])
            current[j] = 0
            fires = potential > threshold
            fired[j] = fires
            counts[j] += fires
            v[j] = amount if fires else potential
    elif reset == _SUBTRACT:
        for j in range(size):
            potential = v[j] * decay + ((current[j] * unit + base[j]) + bias[j])
            current[j] = 0
            fires = potential > threshold
            fired[j] = fires
            counts[j] += fires
            v[j] = potential - (amount if fires else 0.0)
    else:
        for j in range(size):
            potential = v[j] * decay + ((current[j] * unit + base[j]) + bias[j])
            current[j] = 0
            # A neuron has just spiked if its potential is above the threshold.
            potential -= amount if v[j] > threshold else 0.0
            fires = potential > threshold
            fired[j] = fires
            counts[j] += fires
            v[j] = potential


@numba.njit(cache=True, nogil=True)
def _update_current(
    drive: NDArray[np.float64],
    u: NDArray[np.float64],
    decay: NDArray[np.float64],
    bias: NDArray[np.float64],
    late: bool,
) -> None:
    """Update the synaptic current with the input in `drive`, and set `drive` to the result."""
    for j in range(u.size):
        before = u[j]
        u[j] = before * decay[j] + (drive[j] + bias[j])
        drive[j] = before if late else u[j]


@numba.njit(cache=True, nogil=True)
def _update(
    k: int,
    drive: NDArray[np.float64],
    v: NDArray[np.float64],
    fired: NDArray[np.uint8],
    counts: NDArray[np.int32],
    released: NDArray[np.int64],
    decay: NDArray[np.float64],
    threshold: NDArray[np.float64],
    amount: NDArray[np.float64],
    bias: NDArray[np.float64],
    refractory_steps: NDArray[np.int64],
    reset: int,
) -> None:
    """Update neurons with any parameters; they may spike from the step `released` on."""
    for j in range(v.size):
        potential = v[j] * decay[j] + (drive[j] + bias[j])
        if reset == _SUBTRACT_NEXT:
            potential -= amount[j] if fired[j] else 0.0
        active = released[j] <= k
        potential = potential if active else v[j]
        fires = active & (potential > threshold[j])
        if reset == _VALUE:
            potential = amount[j] if fires else potential
        elif reset == _SUBTRACT:
            potential -= amount[j] if fires else 0.0
        fired[j] = fires
        counts[j] += fires
        v[j] = potential
        released[j] = k + 1 + refractory_steps[j] if fires else released[j]


@numba.njit(cache=True, nogil=True)
def advance_floating(  # noqa: PLR0912 (calls with arrays cost time in every step)
    first_step: int,
    events: _Events,
    wiring: _Wiring,
    unit: float,
    values: NDArray[np.int32],
    constants: tuple[_Wiring, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    parameters: Any,
    state: Any,
    room: int,
    spikes: _Spikes,
    potentials: NDArray[np.float64],
    maximum: bool,
) -> None:
    """Simulate steps of all images.

    Parameters
    ----------
    first_step : int
        Number of the first step in the image; `events` determine the number of steps.
    wiring, unit : tuple and float
        Weights of the events, and their unit in volts.
    values : int32 array, shape (images or 0, pixels)
        Constant input, if any.
    constants : tuple
        Wiring of constant input, and for each projection of it: first row, delay, and unit in volts
        of the products with the values.
    parameters : tuple
        Of the neurons; see :class:`.general.GeneralLayer`.
    state : tuple
        Of the neurons: constant input, potentials, currents, end of the refractory period and
        spikes, each of shape (images, size), or (1, size) if all steps are simulated at once; and
        zeros for the arriving weights of a step.
    room : int
        Distance in `spikes` of the first spikes of consecutive images; 0 to store them without
        gaps, if all steps are simulated at once.
    potentials : float64 array, shape (images or 0, size)
        Output: final or maximum potentials, if any.
    maximum : bool
        Whether `potentials` are maximum potentials.
    """
    arrivals, rows = events
    offsets, neurons, counts = spikes
    constant_wiring, first_rows, delays, units = constants
    uniform, has_current, late, reset, decay, threshold, amount, bias, steps, u_decay, u_bias = (
        parameters
    )
    bases, vs, us, releases, fires, current = state
    size = threshold.size
    drive = np.empty(size)
    written = 0
    for image in range(arrivals.shape[0]):
        i = min(image, vs.shape[0] - 1)
        base, v, u, released, fired = bases[i], vs[i], us[i], releases[i], fires[i]
        counted = counts[image]
        if first_step == 0:
            base[:], v[:], u[:], released[:], fired[:] = 0.0, 0.0, 0.0, 0, 0
            if room:
                written = image * room
            offsets[image, 0] = written
            if len(potentials):
                potentials[image] = -np.inf
        else:
            written = offsets[image, first_step]
        for step in range(arrivals.shape[1] - 1):
            k = first_step + step
            if len(values):
                for number in range(delays.size):
                    if k == delays[number]:
                        _add_constant(
                            base,
                            constant_wiring,
                            values[image],
                            first_rows[number],
                            units[number],
                        )
            arriving = rows.view(np.uint32)[arrivals[image, step] : arrivals[image, step + 1]]
            _add_events(current, wiring, arriving)
            if uniform:
                _update_uniform(
                    current,
                    unit,
                    base,
                    v,
                    fired,
                    counted,
                    decay[0],
                    threshold[0],
                    amount[0],
                    bias,
                    reset,
                )
            else:
                for j in range(size):
                    drive[j] = current[j] * unit + base[j]
                    current[j] = 0
                if has_current:
                    _update_current(drive, u, u_decay, u_bias, late)
                _update(
                    k,
                    drive,
                    v,
                    fired,
                    counted,
                    released,
                    decay,
                    threshold,
                    amount,
                    bias,
                    steps,
                    reset,
                )
            written = _collect(fired, neurons, written)
            offsets[image, k + 1] = written
            if len(potentials):
                potential = potentials[image]
                for j in range(size):
                    potential[j] = max(potential[j], v[j]) if maximum else v[j]


@numba.njit(cache=True, nogil=True)
def advance_fixed(
    first_step: int,
    events: _Events,
    wiring: _Wiring,
    unit: np.int32,
    parameters: Any,
    state: Any,
    room: int,
    spikes: _Spikes,
) -> None:
    """Simulate steps of all images in fixed point; arguments as of :func:`advance_floating`.

    Weights are in 32 bits, of which the lower 24 are correct even after an overflow.
    """
    arrivals, rows = events
    offsets, neurons, counts = spikes
    leak, current_leak, threshold, bias, refractory_steps, lowest, highest = parameters
    vs, us, releases, fires, current = state
    size = threshold.size
    written = 0
    for image in range(arrivals.shape[0]):
        i = min(image, vs.shape[0] - 1)
        v, u, released, fired = vs[i], us[i], releases[i], fires[i]
        counted = counts[image]
        if first_step == 0:
            v[:], u[:], released[:], fired[:] = 0, 0, 0, 0
            if room:
                written = image * room
            offsets[image, 0] = written
        else:
            written = offsets[image, first_step]
        for step in range(arrivals.shape[1] - 1):
            k = first_step + step
            arriving = rows.view(np.uint32)[arrivals[image, step] : arrivals[image, step + 1]]
            _add_events(current, wiring, arriving)
            for j in range(size):
                u[j] = _wrap(_leaked(u[j], current_leak) + np.int32(current[j] * unit))
                current[j] = 0
                active = released[j] <= k
                moved = _leaked(v[j], leak) + (u[j] + bias[j])
                moved = min(max(moved, lowest), highest)
                potential = moved if active else v[j]
                fired_now = active & (potential > threshold[j])
                fired[j] = fired_now
                counted[j] += fired_now
                v[j] = 0 if fired_now else potential
                released[j] = k + 1 + refractory_steps if fired_now else released[j]
            written = _collect(fired, neurons, written)
            offsets[image, k + 1] = written


@numba.njit(inline="always")
def _leaked(value: Any, leak: int) -> Any:
    product = value * (LEAK_ONE - leak)
    # Round toward zero: add 4095 to negative products before the shift.
    return (product + ((product >> 63) & (LEAK_ONE - 1))) >> 12


@numba.njit(inline="always")
def _wrap(current: Any) -> Any:
    half = CURRENT_SPAN // 2
    return half - ((half - current) & (CURRENT_SPAN - 1))
