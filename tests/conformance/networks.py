"""Hypothesis strategies for networks and their input."""

import math
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder
from neuroattack.errors import ValidationError
from neuroattack.ir.fixed_point import POTENTIAL_LIMIT
from neuroattack.ir.network import (
    INPUT,
    Convolution,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
    ReadoutQuantity,
)
from neuroattack.ir.population import Reset

__all__ = ["fixed_networks", "inputs", "networks", "rasters"]

# Limits of potentials: 24 bits, 16 bits, 8 bits unsigned, and asymmetric limits.
_LIMITS = (
    (-POTENTIAL_LIMIT, POTENTIAL_LIMIT),
    (-(2**15), 2**15 - 1),
    (0, 255),
    (-3, 100),
)


@st.composite
def networks(
    draw: st.DrawFn,
    max_size: int = 50,
    max_layers: int = 4,
    features: frozenset[str] = frozenset(),
) -> Network:
    """Generate networks with skip connections, delays, biases, ties and some of the features.

    `features` are names of :data:`neuroattack.deployment.features.FEATURES`; each may or may not be
    used by a network.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="network seed"))
    layers = draw(st.integers(1, max_layers), label="layers")
    names = [INPUT, *(f"layer{i}" for i in range(1, layers + 1))]
    direct = "direct_input" in features and draw(st.booleans(), label="direct")
    shapes = [draw(_shapes(max_size, features), label="shape")]
    populations: list[Population] = []
    projections: list[Projection | Convolution] = []
    for i in range(1, layers + 1):
        convolution = None
        if "convolution" in features and draw(st.booleans(), label="convolution"):
            convolution = draw(_convolutions(names[i - 1], names[i], shapes[i - 1], max_size))
        if convolution is None:
            shapes.append(draw(_shapes(max_size, features), label="shape"))
        else:
            shapes.append(convolution.target_shape)
            projections.append(_delayed(draw, convolution, features))
        potential = (
            i == layers and "potential_readout" in features and draw(st.booleans(), label="LI")
        )
        populations.append(
            draw(_populations(names[i], math.prod(shapes[i]), rng, features, potential))
        )
        sources = {i - 1} if draw(st.booleans()) else set(range(i))
        if convolution is not None:
            sources -= {i - 1}
        for source in sorted(sources):
            sizes = math.prod(shapes[source]), math.prod(shapes[i])
            projection = _weights(draw, names[source], names[i], sizes, rng)
            projections.append(_delayed(draw, projection, features))
    loops = _backward(draw, layers, features)
    if loops and "recurrent_bias" not in features:
        # On the grid of all weights generated here.
        populations = [replace(p, bias_v=np.round(p.bias_v * 64) / 64) for p in populations]
    for source, target in loops:
        sizes = math.prod(shapes[source]), math.prod(shapes[target])
        loop = _weights(draw, names[source], names[target], sizes, rng)
        # Enough for backends that shift populations in time: see `lags` of the structure module.
        least = 1 + source - target
        delay_steps = draw(st.integers(least, least + 2), label="delay of a loop")
        projections.append(replace(loop, delay_steps=delay_steps))
    quantity: ReadoutQuantity = "spike_count"
    if not populations[-1].spikes:
        quantity = draw(st.sampled_from(["final_potential", "max_potential"]))
    return Network(
        dt_s=1e-3,
        input=Input(shapes[0], DirectEncoder(8) if direct else PoissonEncoder(200.0)),
        populations=tuple(populations),
        projections=tuple(projections),
        readout=names[-1],
        readout_quantity=quantity,
    )


def _shapes(max_size: int, features: frozenset[str]) -> st.SearchStrategy[tuple[int, int, int]]:
    if "convolution" not in features:
        return st.integers(1, max_size).map(lambda size: (1, 1, size))
    side = st.integers(1, 5)
    return st.tuples(st.integers(1, 3), side, side).filter(lambda s: math.prod(s) <= max_size)


@st.composite
def _convolutions(
    draw: st.DrawFn, source: str, target: str, shape: tuple[int, int, int], max_size: int
) -> Convolution | None:
    """Generate a convolution from a shape; None if it does not fit."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="kernel seed"))
    pairs = st.tuples(st.integers(1, 2), st.integers(1, 2))
    groups = draw(st.sampled_from([1, shape[0]]), label="groups")
    channels = groups * draw(st.integers(1, 3), label="channels per group")
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    around = st.tuples(st.integers(-1, 2), st.integers(-1, 2))
    weights = rng.normal(0.2, 0.5, (channels, shape[0] // groups, *kernel))
    weights[rng.random(weights.shape) < 0.2] = 0.0
    try:
        convolution = Convolution.from_weights(
            source,
            target,
            weights,
            shape,
            stride=draw(pairs, label="stride"),
            padding=(draw(around, label="padding"), draw(around)),
            dilation=draw(pairs, label="dilation"),
            groups=groups,
        )
    except ValidationError:
        return None
    return convolution if math.prod(convolution.target_shape) <= max_size else None


@st.composite
def _populations(
    draw: st.DrawFn,
    name: str,
    n: int,
    rng: np.random.Generator,
    features: frozenset[str],
    potential: bool,
) -> Population:
    def may(feature: str) -> bool:
        return feature in features and draw(st.booleans(), label=feature)

    resets: list[Reset] = ["value"]
    resets += ["subtract"] if "subtractive_reset" in features else []
    resets += ["subtract_next"] if "delayed_subtraction" in features else []
    reset = draw(st.sampled_from(resets), label="reset")
    reset_v = draw(st.sampled_from([0.0, -0.25]), label="reset_v") if reset == "value" else 0.0
    each = may("per_neuron_parameters")

    def values(choices: list[float]) -> NDArray[np.float64]:
        return rng.choice(choices, n) if each else np.full(n, draw(st.sampled_from(choices)))

    thresholds = rng.integers(1, 12, n) / 8 + reset_v
    current = may("synaptic_current")
    refractory_steps = values([0, 1, 2, 5]).astype(int)
    return Population(
        name=name,
        size=n,
        tau_m_s=values([1e-3 if "fast_decay" in features else 2e-3, 0.02, 5.0, math.inf]),
        threshold_v=np.inf if potential else thresholds if draw(st.booleans()) else thresholds[0],
        bias_v=rng.normal(0, 0.05, n) if draw(st.booleans()) else 0.0,
        reset_v=None if reset != "value" else np.full(n, reset_v) - each * rng.random(n) / 8,
        refractory_steps=0 if reset == "subtract_next" else refractory_steps,
        reset=reset,
        comparison="inclusive" if may("inclusive_threshold") else "strict",
        tau_syn_s=values([0.0, 2e-3, 0.02]) if current else 0.0,
        current_bias_v=rng.normal(0, 0.05, n) if current and draw(st.booleans()) else 0.0,
        input_after_update=current and may("late_input"),
    )


def _weights(
    draw: st.DrawFn, source: str, target: str, sizes: tuple[int, int], rng: np.random.Generator
) -> Projection:
    gain = draw(st.sampled_from([0.0, 0.1, 0.5, 4.0]))
    weights = rng.normal(gain / 4, gain, sizes)
    weights[rng.random(weights.shape) < 0.2] = 0.0
    if draw(st.booleans()):
        weights = np.round(weights * 8) / 8
    return Projection.from_weights(source, target, weights)


def _delayed(
    draw: st.DrawFn, projection: Projection | Convolution, features: frozenset[str]
) -> Projection | Convolution:
    least = 0 if "same_step_arrival" in features else 1
    return replace(projection, delay_steps=draw(st.integers(least, 4), label="delay"))


def _backward(draw: st.DrawFn, layers: int, features: frozenset[str]) -> list[tuple[int, int]]:
    """Return pairs of layers for loops: self-projections, and feedback to an earlier layer."""
    pairs = []
    if "recurrence" in features:
        pairs += [(i, i) for i in range(1, layers + 1) if draw(st.booleans(), label="recurrence")]
    if "feedback" in features and layers > 1 and draw(st.booleans(), label="feedback"):
        target = draw(st.integers(1, layers - 1))
        pairs.append((draw(st.integers(target + 1, layers)), target))
    return pairs


@st.composite
def fixed_networks(
    draw: st.DrawFn,
    max_size: int = 50,
    max_layers: int = 4,
    features: frozenset[str] = frozenset(),
) -> Network:
    """Generate fixed-point networks with wrapping currents, clipping and narrow states.

    Of the features, synaptic currents and recurrence within populations are used.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="network seed"))
    layers = draw(st.integers(1, max_layers), label="layers")
    sizes = [draw(st.integers(1, max_size), label="size") for _ in range(layers + 1)]
    names = [INPUT, *(f"layer{i}" for i in range(1, layers + 1))]
    populations, projections = [], []
    for i in range(1, layers + 1):
        n = sizes[i]
        lowest, highest = draw(st.sampled_from(_LIMITS), label="limits")
        if highest == POTENTIAL_LIMIT:
            threshold = rng.integers(0, 2 ** draw(st.integers(1, 17)), n) * 64
        else:
            threshold = rng.integers(0, highest + 2, n)
        populations.append(
            FixedPopulation(
                name=names[i],
                size=n,
                leak=draw(st.sampled_from([0, 1, 100, 4095, 4096])),
                threshold=threshold if draw(st.booleans()) else int(threshold[0]),
                bias=rng.integers(-4096, 4096, n) if draw(st.booleans()) else 0,
                refractory_steps=draw(st.integers(0, 5)),
                lowest=lowest,
                highest=highest,
                current_leak=draw(st.sampled_from([4096, 0, 1, 200, 4095]))
                if "synaptic_current" in features
                else 4096,
            )
        )
        for source in {i - 1} if draw(st.booleans()) else set(range(i)):
            mantissas = 2 * rng.integers(-100, 128, (sizes[source], n))
            mantissas[rng.random(mantissas.shape) < 0.2] = 0
            exponent = draw(st.sampled_from([0, 6, 13, 17]), label="exponent")
            projections.append(
                Projection(names[source], names[i], mantissas, exponent, draw(st.integers(1, 4)))
            )
        if "recurrence" in features and draw(st.booleans(), label="recurrence"):
            mantissas = 2 * rng.integers(-100, 128, (n, n))
            projections.append(Projection(names[i], names[i], mantissas, 6))
    return Network(
        dt_s=1e-3,
        input=Input((sizes[0],), PoissonEncoder(200.0)),
        populations=tuple(populations),
        projections=tuple(projections),
        readout=names[-1],
    )


@st.composite
def rasters(draw: st.DrawFn, size: int) -> NDArray[np.bool_]:
    """Generate input spikes of shape (images, steps, size), from silent to saturated."""
    images = draw(st.integers(1, 5), label="images")
    steps = draw(st.integers(1, 40), label="steps")
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="raster seed"))
    density = rng.choice([0.0, 0.05, 0.3, 1.0], size=images)
    return rng.random((images, steps, size)) < density[:, None, None]


@st.composite
def inputs(draw: st.DrawFn, network: Network) -> NDArray[np.bool_] | ConstantInput:
    """Generate input of a network: a raster of :func:`rasters`, or values with direct coding."""
    raster = draw(rasters(network.input.size))
    if not isinstance(network.input.encoder, DirectEncoder):
        return raster
    bits = network.input.encoder.bits
    rng = np.random.default_rng(raster.shape)
    values = rng.integers(0, 2**bits + 1, (len(raster), network.input.size))
    values[rng.random(values.shape) < 0.5] = 0
    return ConstantInput(values.astype(np.int32), -bits, raster.shape[1])
