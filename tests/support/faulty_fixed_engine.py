"""Plain simulation of a fixed-point network with a planted fault, written from the equations.

It shares no code with the reference dynamics or with the diagnosis of divergences.
"""

import math
from dataclasses import dataclass

import numpy as np

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.ir.network import INPUT, FixedPopulation, Input, Network, Projection

FIXED_FAULTS = ("refractory_period", "delay", "rounding", "saturation")

_LEAK_ONE = 4096


@dataclass
class FixedEngine:
    """Rules of the simulation; the defaults are those of the reference dynamics."""

    refractory: int = 0
    delay: int = 0
    floor: bool = False
    inclusive: bool = False
    lowest: float = -math.inf


def random_fixed_network(rng):
    """Return a random feed-forward or recurrent network of 2 or 3 populations.

    Potentials are small integers, so that their rounding decides some spikes.
    """
    sizes = [int(rng.integers(15, 30)) for _ in range(int(rng.integers(3, 5)))]
    names = [INPUT, *(f"layer{i}" for i in range(1, len(sizes)))]
    populations, projections = [], []
    for position, (name, size) in enumerate(zip(names[1:], sizes[1:], strict=True), 1):
        populations.append(
            FixedPopulation(
                name,
                size,
                leak=int(rng.integers(200, 1200)),
                threshold=rng.integers(40, 80, size),
                bias=int(rng.choice([0, 2])),
                refractory_steps=int(rng.integers(1, 4)),
                current_leak=int(rng.choice([_LEAK_ONE, _LEAK_ONE, 2000])),
            )
        )
        weights = np.rint(rng.normal(6, 18, (sizes[position - 1], size))).astype(int)
        delay = int(rng.integers(2, 4))
        projections.append(Projection(names[position - 1], name, weights, 0, delay_steps=delay))
        if rng.random() < 0.3:
            loop = np.rint(rng.normal(0, 6, (size, size))).astype(int)
            projections.append(Projection(name, name, loop, 0, delay_steps=2))
    return Network(
        dt_s=1e-3,
        input=Input((1, 1, sizes[0]), PoissonEncoder(200.0)),
        populations=tuple(populations),
        projections=tuple(projections),
        readout=names[-1],
    )


def simulate_fixed(network, engine, inputs):
    """Return the spikes of all populations for one image, neuron by neuron."""
    steps = len(inputs)
    spikes = {INPUT: inputs.astype(bool)}
    spikes |= {p.name: np.zeros((steps, p.size), bool) for p in network.populations}
    state = {p.name: [(0, 0, -(10**6))] * p.size for p in network.populations}
    for k in range(steps):
        for p in network.populations:
            arriving = np.zeros(p.size, int)
            for q in network.incoming(p.name):
                sent = k - q.delay_steps - engine.delay
                if sent >= 0:
                    arriving += q.mantissas[spikes[q.source][sent]].sum(axis=0)
            for i in range(p.size):
                v, u, last = state[p.name][i]
                u = leaked(u, p.current_leak, engine) + int(arriving[i])
                fired = False
                if k - last > p.refractory_steps + engine.refractory:
                    v = max(leaked(v, p.leak, engine) + u + int(p.bias[i]), engine.lowest)
                    threshold = int(p.threshold[i])
                    fired = v >= threshold if engine.inclusive else v > threshold
                spikes[p.name][k, i] = fired
                state[p.name][i] = (0, u, k) if fired else (v, u, last)
    return spikes


def leaked(value, leak, engine):
    product = value * (_LEAK_ONE - leak)
    if engine.floor or product >= 0:
        return product // _LEAK_ONE
    return -(-product // _LEAK_ONE)


def simulate_fixed_batch(network, engine, inputs):
    each = [simulate_fixed(network, engine, image) for image in inputs]
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def plant_fixed(fault, rng, inputs_of):
    """Return a random network, its input and an engine with a fault of that class."""
    network = random_fixed_network(rng)
    engine = {
        "refractory_period": lambda: FixedEngine(refractory=int(rng.choice([-1, 1]))),
        "delay": lambda: FixedEngine(delay=int(rng.choice([-1, 1]))),
        "rounding": lambda: FixedEngine(floor=True) if rng.random() < 0.5
        else FixedEngine(inclusive=True),
        "saturation": lambda: FixedEngine(lowest=-int(rng.choice([0, 15, 30]))),
    }[fault]()  # fmt: skip
    return network, inputs_of(network, rng), engine
