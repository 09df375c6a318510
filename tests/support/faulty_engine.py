"""Plain simulation of a network with a planted fault, written from the equations.

It shares no code with the reference dynamics or with the diagnosis of divergences.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection

FAULTS = (
    "rounding",
    "refractory_period",
    "reset",
    "delay",
    "arrival_order",
    "integration",
    "saturation",
    "weight_quantization",
)

SCHEMES = (
    {"decay": "euler"},
    {"decay": "implicit"},
    {"decay": "implicit", "gain": "held"},
    {"decay": "none"},
    {"gain": "held"},
    {"gain": "unit"},
)


@dataclass
class Engine:
    """Rules of the simulation; the defaults are those of the reference dynamics."""

    single: bool = False
    inclusive: bool = False
    refractory: int = 0
    reset: str = "own"
    delay: int = 0
    order: str = "own"
    decay: str = "exponential"
    gain: str = "none"
    lowest: float = -math.inf
    weights: object = None


def random_network(rng, *, current=False):
    """Return a random feed-forward or recurrent network of 2 or 3 populations."""
    sizes = [int(rng.integers(15, 30)) for _ in range(int(rng.integers(3, 5)))]
    names = [INPUT, *(f"layer{i}" for i in range(1, len(sizes)))]
    populations, projections = [], []
    subtracts = rng.random() < 0.3
    for position, (name, size) in enumerate(zip(names[1:], sizes[1:], strict=True), 1):
        populations.append(
            Population(
                name,
                size,
                tau_m_s=float(rng.choice([0.004, 0.01, 0.02])),
                threshold_v=1.0,
                bias_v=float(rng.choice([0.0, 0.03])),
                reset_v=None if subtracts else float(rng.choice([-0.5, 0.25])),
                reset="subtract" if subtracts else "value",
                refractory_steps=int(rng.integers(1, 4)),
                tau_syn_s=0.005 if current else 0.0,
            )
        )
        scale = (0.12 if current else 0.4) * (20 / sizes[position - 1]) ** 0.5
        weights = rng.normal(0.35 * scale, scale, (sizes[position - 1], size))
        projections.append(
            Projection.from_weights(
                names[position - 1], name, weights, delay_steps=int(rng.integers(2, 4))
            )
        )
        if rng.random() < 0.3:
            loop = rng.normal(0, 0.3 * scale, (size, size))
            projections.append(Projection.from_weights(name, name, loop, delay_steps=2))
    return Network(
        dt_s=1e-3,
        input=Input((1, 1, sizes[0]), PoissonEncoder(200.0)),
        populations=tuple(populations),
        projections=tuple(projections),
        readout=names[-1],
    )


def simulate(network, engine, inputs):
    """Return the spikes of all populations, and the potentials before resets."""
    kind = np.float32 if engine.single else np.float64
    steps = len(inputs)
    spikes = {INPUT: inputs.astype(bool)}
    potentials = {}
    state = {}
    for p in network.populations:
        spikes[p.name] = np.zeros((steps, p.size), bool)
        potentials[p.name] = np.zeros((steps, p.size))
        state[p.name] = [np.zeros(p.size, kind), np.zeros(p.size, kind), np.full(p.size, -(10**6))]
    weights = {}
    for q in network.projections:
        w = np.asarray(q.mantissas, np.float64) * 2.0**q.exponent
        weights[id(q)] = w if engine.weights is None else engine.weights(w)
    for k in range(steps):
        for p in network.populations:
            v, u, last = state[p.name]
            arriving = arriving_at(network, p, engine, spikes, weights, k).astype(kind)
            decay, gain = factors(p.tau_m_s, network.dt_s, engine)
            bias = p.bias_v.astype(kind)
            if p.tau_syn_s.any():
                u = u * kind(math.exp(-network.dt_s / p.tau_syn_s[0])) + arriving
                arriving = u
            free = k - last > np.maximum(p.refractory_steps + engine.refractory, 0)
            if engine.order == "before leak":
                new = (v + arriving + bias) * decay
            elif engine.order == "brian":
                new = v * decay + bias
            else:
                new = v * decay + (arriving + bias) * gain
            v = np.where(free, np.maximum(new, kind(engine.lowest)), v).astype(kind)
            potentials[p.name][k] = v
            threshold = p.threshold_v.astype(kind)
            fired = free & ((v >= threshold) if engine.inclusive else (v > threshold))
            spikes[p.name][k] = fired
            if engine.order == "brian":
                v = np.where(free, v + arriving, v)
            v = after_reset(p, engine, v, fired)
            state[p.name] = [v.astype(kind), u, np.where(fired, k, last)]
    return spikes, potentials


def arriving_at(network, p, engine, spikes, weights, k):
    """Return the sum of the weights that arrive at a population in step k."""
    arriving = np.zeros(p.size)
    for q in network.projections:
        sent = k - q.delay_steps - engine.delay
        if engine.order == "brian":
            sent = k - (q.delay_steps - 1)
        if q.target == p.name and sent >= 0:
            arriving += weights[id(q)][spikes[q.source][sent]].sum(axis=0)
    return arriving


def after_reset(p, engine, v, fired):
    """Return the potentials after the resets."""
    rule = p.reset if engine.reset == "own" else engine.reset
    amount = p.reset_v if p.reset == rule else p.threshold_v
    if rule == "value":
        return np.where(fired, p.reset_v, v)
    if rule == "zero":
        return np.where(fired, 0.0, v)
    return np.where(fired, v - amount, v) if rule == "subtract" else v


def factors(tau_s, dt_s, engine):
    x = dt_s / tau_s
    decay = {
        "exponential": np.array([math.exp(-each) for each in x]),
        "euler": 1 - x,
        "implicit": 1 / (1 + x),
        "none": np.ones_like(x),
    }[engine.decay]
    gain = {"none": np.ones_like(x), "unit": 1 - decay, "held": (1 - decay) / x}[engine.gain]
    if engine.single:
        return decay.astype(np.float32), gain.astype(np.float32)
    return decay, gain


def simulate_batch(network, engine, inputs):
    each = [simulate(network, engine, image)[0] for image in inputs]
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def with_reached_thresholds(network, inputs, rng, below):
    """Set thresholds to potentials that the neurons reach, or to the next float below."""
    populations = []
    for p in network.populations:
        reached = np.concatenate(
            [simulate(network, Engine(), image)[1][p.name] for image in inputs]
        )
        thresholds = []
        for neuron in range(p.size):
            near = np.unique(reached[:, neuron])
            near = near[(near > 0.5) & (near < 2)]
            value = rng.choice(near) if len(near) else 1.0
            thresholds.append(np.nextafter(value, -1) if below else value)
        populations.append(replace(p, threshold_v=np.array(thresholds)))
        network = replace(
            network, populations=(*populations, *network.populations[len(populations) :])
        )
    return network


def plant(fault, rng, inputs_of):
    """Return a random network, its input and an engine with a fault of that class."""
    network = random_network(rng, current=rng.random() < 0.3)
    inputs = inputs_of(network, rng)
    subtracts = network.populations[0].reset == "subtract"
    if fault == "rounding":
        below = bool(rng.random() < 0.5)
        engine = Engine(single=True) if below else Engine(inclusive=True)
        return with_reached_thresholds(network, inputs, rng, below), inputs, engine
    engine = {
        "refractory_period": lambda: Engine(refractory=int(rng.choice([-1, 1]))),
        "reset": lambda: Engine(
            reset=str(rng.choice(["zero", "none"] if subtracts else ["zero", "subtract", "none"]))
        ),
        "delay": lambda: Engine(delay=int(rng.choice([-1, 1]))),
        "arrival_order": lambda: Engine(order=str(rng.choice(["before leak", "brian"]))),
        "integration": lambda: Engine(**SCHEMES[int(rng.integers(len(SCHEMES)))]),
        "saturation": lambda: saturating(rng),
        "weight_quantization": lambda: Engine(weights=quantizer(rng)),
    }[fault]()
    return network, inputs, engine


def saturating(rng):
    if rng.random() < 0.5:
        return Engine(lowest=-float(rng.choice([0.0, 0.3, 0.7])))
    limit = float(rng.uniform(0.2, 0.5))
    return Engine(weights=lambda w: np.clip(w, -limit, limit))


def quantizer(rng):
    bits = int(rng.integers(3, 7))
    kind = str(rng.choice(["nearest", "floor", "stochastic"]))
    seed = int(rng.integers(2**31))

    def rounded(weights):
        step = np.abs(weights).max() / (2 ** (bits - 1) - 1)
        scaled = weights / step
        if kind == "stochastic":
            # The same for every image.
            return np.floor(scaled + np.random.default_rng(seed).random(weights.shape)) * step
        return (np.floor(scaled) if kind == "floor" else np.rint(scaled)) * step

    return rounded
