"""Hypothesis strategies for networks and input spikes."""

import numpy as np
from hypothesis import strategies as st

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.ir.fixed_point import POTENTIAL_LIMIT
from neuroattack.ir.network import INPUT, FixedPopulation, Input, Network, Population, Projection

# Limits of potentials: 24 bits, 16 bits, 8 bits unsigned, and asymmetric limits.
_LIMITS = (
    (-POTENTIAL_LIMIT, POTENTIAL_LIMIT),
    (-(2**15), 2**15 - 1),
    (0, 255),
    (-3, 100),
)


@st.composite
def networks(draw: st.DrawFn, max_size: int = 50, max_layers: int = 4) -> Network:
    """Generate feed-forward networks with skip connections, delays, biases and ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="network seed"))
    layers = draw(st.integers(1, max_layers), label="layers")
    sizes = [draw(st.integers(1, max_size), label="size") for _ in range(layers + 1)]
    names = [INPUT, *(f"layer{i}" for i in range(1, layers + 1))]
    populations, projections = [], []
    for i in range(1, layers + 1):
        n = sizes[i]
        reset = draw(st.sampled_from([0.0, -0.25]), label="reset")
        threshold = rng.integers(1, 12, n) / 8 + reset
        populations.append(
            Population(
                name=names[i],
                size=n,
                tau_m_s=draw(st.sampled_from([1e-3, 0.02, 5.0, float("inf")])),
                threshold_v=threshold if draw(st.booleans()) else float(threshold[0]),
                bias_v=rng.normal(0, 0.05, n) if draw(st.booleans()) else 0.0,
                reset_v=reset,
                refractory_steps=draw(st.integers(0, 5)),
            )
        )
        sources = {i - 1} if draw(st.booleans()) else set(range(i))
        for source in sources:
            gain = draw(st.sampled_from([0.0, 0.1, 0.5, 4.0]))
            weights = rng.normal(gain / 4, gain, (sizes[source], n))
            weights[rng.random(weights.shape) < 0.2] = 0.0
            if draw(st.booleans()):
                weights = np.round(weights * 8) / 8
            projections.append(
                Projection.from_weights(names[source], names[i], weights, draw(st.integers(1, 4)))
            )
    return Network(
        dt_s=1e-3,
        input=Input((sizes[0],), PoissonEncoder(200.0)),
        populations=tuple(populations),
        projections=tuple(projections),
        readout=names[-1],
    )


@st.composite
def fixed_networks(draw: st.DrawFn, max_size: int = 50, max_layers: int = 4) -> Network:
    """Generate fixed-point networks with wrapping currents, clipping and narrow states."""
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
            )
        )
        for source in {i - 1} if draw(st.booleans()) else set(range(i)):
            mantissas = 2 * rng.integers(-100, 128, (sizes[source], n))
            mantissas[rng.random(mantissas.shape) < 0.2] = 0
            exponent = draw(st.sampled_from([0, 6, 13, 17]), label="exponent")
            projections.append(
                Projection(names[source], names[i], mantissas, exponent, draw(st.integers(1, 4)))
            )
    return Network(
        dt_s=1e-3,
        input=Input((sizes[0],), PoissonEncoder(200.0)),
        populations=tuple(populations),
        projections=tuple(projections),
        readout=names[-1],
    )


@st.composite
def rasters(draw: st.DrawFn, size: int) -> np.ndarray:
    """Generate input spikes of shape (images, steps, size), from silent to saturated."""
    images = draw(st.integers(1, 5), label="images")
    steps = draw(st.integers(1, 40), label="steps")
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="raster seed"))
    density = rng.choice([0.0, 0.05, 0.3, 1.0], size=images)
    return rng.random((images, steps, size)) < density[:, None, None]
