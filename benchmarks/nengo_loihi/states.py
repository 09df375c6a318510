"""Currents, potentials and spikes of single neurons, after every step.

Differences are explained if a scalar loop over nengo-loihi's rules, which is written here, gives
the states of its emulator.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np

from benchmarks.nengo_loihi.table import LARGEST_THRESHOLD, Integers, Row, layer
from neuroattack.deployment.backend import load_backend
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.dynamics import update_current_fixed, update_fixed
from neuroattack.ir.network import INPUT, FixedPopulation, Network, Projection

_BITS = 21
_GROUPS = ((0, range(8)), (8, range(8, 16)), (13, range(16, _BITS)))


def driven(populations: list[FixedPopulation]) -> Network:
    """Return a network in which any sum below 2**21 can be sent to each neuron.

    For each neuron of a population, there is one input per bit and sign. All populations have the
    same size and input.
    """
    size = populations[0].size
    projections = []
    for sign in (0, 1):
        for exponent, bits in _GROUPS:
            mantissas = np.zeros((2, size, _BITS, size), np.int64)
            for bit in bits:
                mantissas[sign, np.arange(size), bit, np.arange(size)] = 2 ** (bit - exponent)
            signed = (1 - 2 * sign) * mantissas.reshape(-1, size)
            projections += [Projection(INPUT, p.name, signed, exponent) for p in populations]
    return layer(2 * size * _BITS, populations, projections)


def raster_of(drive: Integers) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return the input of a driven network; row k of the drive arrives in step k + 1."""
    bits = (np.abs(drive)[..., None] >> np.arange(_BITS)) & 1
    signs = np.stack([drive > 0, drive < 0], axis=1)
    return (signs[..., None] & (bits[:, None] > 0)).reshape(len(drive), -1)


def arriving(network: Network, raster: Any, name: str) -> Integers:
    """Return the sums of weights that arrive from the input, shape (steps, size)."""
    sums = np.zeros((len(raster), network.sizes[name]), np.int64)
    for each in network.incoming(name):
        weights = each.sparse() * 2**each.exponent
        late = min(each.delay_steps, len(raster))
        sums[late:] += raster[: len(raster) - late].astype(np.int64) @ weights.toarray()
    return sums


def ours(population: FixedPopulation, sums: Integers) -> Integers:
    """Return current, potential and spike after each step by our rules."""
    u, v, waiting = np.zeros((3, population.size))
    states = np.empty((*sums.shape, 3), np.int64)
    for k, each in enumerate(sums):
        active = waiting == 0
        u = update_current_fixed(u, each.astype(float), population)
        v = np.where(active, update_fixed(v, u, population), v)
        fired = active & (v > population.threshold)
        v = np.where(fired, 0, v)
        waiting = np.where(fired, population.refractory_steps, np.maximum(waiting - 1, 0))
        states[k] = np.stack([u, v, fired], axis=1)
    return states


def wrapped(value: int, bits: int) -> int:
    """Return a number in two's complement, of some bits and a sign."""
    return (value + 2**bits) % 2 ** (bits + 1) - 2**bits


def decayed(value: int, factor: int) -> int:
    """Return a product with factor / 4096, rounded toward zero."""
    return (abs(value) * factor >> 12) * (1 if value >= 0 else -1)


def nengo_loihis(population: FixedPopulation, sums: Integers) -> Integers:
    """Return the same by nengo-loihi's rules, one number after the other."""
    states = np.empty((*sums.shape, 3), np.int64)
    for neuron in range(population.size):
        u = v = waiting = 0
        for k in range(len(sums)):
            total = wrapped(int(sums[k, neuron]), 21)
            u = wrapped(decayed(u, 4096 - population.current_leak) + total, 23)
            drive = wrapped(u + int(population.bias[neuron]), 23)
            v = decayed(v, 4096 - population.leak) + drive
            v = min(max(v, population.lowest), population.highest) if not waiting else 0
            fired = v > population.threshold[neuron]
            waiting = population.refractory_steps if fired else max(waiting - 1, 0)
            v = 0 if fired else v
            states[k, neuron] = u, v, fired
    return states


def emulated(network: Network, raster: Any) -> dict[str, Integers]:
    """Return current, potential and spike of each population in nengo-loihi's emulator."""
    with closing(load_backend("nengo-loihi").deploy(network)) as simulator:
        found = simulator.states(SpikeTrains.from_dense(raster[None]))
    return {
        name: np.stack([each.currents[0], each.potentials[0], each.spikes[0]], axis=2)
        for name, each in found.items()
    }


def states_row(aspect: str, network: Network, raster: Any) -> Row:
    """Compare all states of a network of one layer."""
    found = emulated(network, raster)
    compared = differing = unexplained = 0
    for population in network.populations:
        sums = arriving(network, raster, population.name)
        states = found[population.name]
        compared += states.size
        differing += int((states != ours(population, sums)).sum())
        unexplained += int((states != nengo_loihis(population, sums)).sum())
    return Row(aspect, compared, differing, unexplained)


def neurons(name: object, size: int, **changed: Any) -> FixedPopulation:
    """Return neurons that do not leak, with the highest threshold."""
    usual = {"leak": 0, "threshold": np.full(size, LARGEST_THRESHOLD)}
    return FixedPopulation(**{"name": f"p{name}", "size": size, **usual, **changed})


def random_drive(rng: np.random.Generator, steps: int, size: int, bits: int = 20) -> Integers:
    """Return sums of both signs and all magnitudes up to a power of two."""
    drive = rng.uniform(-1, 1, (steps, size)) * 2 ** rng.uniform(0, bits, (steps, size))
    return drive.astype(np.int64)


def leak_of_potential(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    leaks = [0, 1, 2, 4094, 4095, *rng.integers(3, 4094, 59)]
    populations = [neurons(i, 8, leak=int(leak)) for i, leak in enumerate(leaks)]
    return driven(populations), raster_of(random_drive(rng, steps, 8))


def leak_of_current(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    leaks = [1, 2, 4095, 4096, *rng.integers(3, 4095, 60)]
    populations = [
        neurons(i, 8, current_leak=int(leak), leak=int(rng.integers(0, 4096)))
        for i, leak in enumerate(leaks)
    ]
    return driven(populations), raster_of(random_drive(rng, steps, 8, 18))


def thresholds(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    """The potential is one below, at, and one above the threshold."""
    threshold = 64 * rng.integers(1, 2**14, 64)
    drive = np.zeros((steps, 64), np.int64)
    drive[0::6], drive[2::6], drive[4::6] = threshold - 1, 1, 1
    return driven([neurons(0, 64, threshold=threshold)]), raster_of(drive)


def refractory_periods(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    populations = [
        neurons(late, 8, refractory_steps=late, leak=100, threshold=64 * rng.integers(1, 2**13, 8))
        for late in range(63)
    ]
    return driven(populations), raster_of(np.abs(random_drive(rng, steps, 8)))


def biases(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    populations = [
        neurons(
            exponent,
            64,
            bias=rng.integers(-4095, 4096, 64) << exponent,
            leak=50,
            threshold=64 * rng.integers(1, 2**14, 64),
        )
        for exponent in range(8)
    ]
    return driven(populations), raster_of(random_drive(rng, steps, 64, 16))


def exponents(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    """Weights of all exponents and sign modes, with delays of the input from 1 to 62 steps."""
    populations, projections = [], []
    for exponent in range(14):
        for kind, low, high, step in (
            ("mixed", -128, 128, 2),
            ("excitatory", 0, 256, 1),
            ("inhibitory", -255, 1, 1),
        ):
            name = f"{kind}{exponent}"
            populations.append(
                FixedPopulation(name, 8, 40, 64 * rng.integers(1, 2**14, 8), refractory_steps=1)
            )
            mantissas = step * rng.integers(low, high, (20, 8))
            delay = int(rng.integers(1, 63))
            projections.append(Projection(INPUT, name, mantissas, exponent, delay))
    # At most one spike of the input per step: sums stay below 2**21.
    raster = np.zeros((steps, 20), bool)
    raster[np.arange(steps), rng.integers(0, 20, steps)] = True
    return layer(20, populations, projections), raster


def clipped_potentials(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    """Potentials at all limits; where the upper one is below the threshold, nothing spikes."""
    limits = [(1 - 2**k, 2 ** (9 + 2 * (k % 8)) - 1) for k in range(24)]
    populations = [
        neurons(i, 8, lowest=low, highest=high, leak=i % 3) for i, (low, high) in enumerate(limits)
    ]
    signs = np.sign(np.sin(np.arange(steps) / 9))[:, None]
    return driven(populations), raster_of(
        (signs * rng.integers(0, 2**21, (steps, 8))).astype(np.int64)
    )


def wrapped_currents(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    populations = [neurons(i, 8, current_leak=i + 1, leak=2000) for i in range(16)]
    return driven(populations), raster_of(rng.integers(-(2**18), 2**21, (steps, 8)))


def current_at_limit(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    """The current is 2**23 or -2**23 in one step, after which its sign matters."""
    population = neurons(0, 64, current_leak=1, leak=4000)
    drive = np.zeros((steps, 64), np.int64)
    for neuron in range(64):
        u, limit = 0, 2**23 if neuron % 2 else -(2**23)
        for k in range(8):
            kept = decayed(u, 4095)
            rest = limit - kept
            drive[k, neuron] = (
                rest if abs(rest) < 2**21 else np.sign(rest) * rng.integers(2**20, 2**21)
            )
            u = kept + int(drive[k, neuron])
            if u == limit:
                break
    return driven([population]), raster_of(drive)


def bias_beyond_24_bits(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    population = neurons(0, 64, current_leak=1, leak=2000, bias=np.full(64, 4095 * 128))
    return driven([population]), raster_of(rng.integers(2**18, 2**19, (steps, 64)))


def sum_beyond_22_bits(rng: np.random.Generator, steps: int) -> tuple[Network, Any]:
    population = neurons(0, 32, leak=100)
    mantissas = 2 * rng.integers(-20, 128, (400, 32))
    raster = rng.random((steps, 400)) < rng.uniform(0, 1, (steps, 1))
    return layer(400, [population], [Projection(INPUT, "p0", mantissas, 6)]), raster


DYNAMICS: dict[str, Callable[[np.random.Generator, int], tuple[Network, Any]]] = {
    "leak of the potential": leak_of_potential,
    "leak of the current": leak_of_current,
    "comparison with the threshold": thresholds,
    "reset and refractory period": refractory_periods,
    "bias": biases,
    "weight exponents, signs and input delays": exponents,
    "clipping of the potential": clipped_potentials,
    "wrapping of the current": wrapped_currents,
    "current of exactly 2**23": current_at_limit,
    "sum of current and bias beyond 24 bits": bias_beyond_24_bits,
    "sum of weights beyond 22 bits": sum_beyond_22_bits,
}
