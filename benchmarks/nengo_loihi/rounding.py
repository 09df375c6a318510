"""Numbers to which networks in floating point are rounded.

Differences are explained if a formula for nengo-loihi's rounding, which is written here, gives its
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.nengo_loihi.table import LARGEST_THRESHOLD, Row, layer
from neuroattack.hardware.quantization.quantization import fixed_format, quantize
from neuroattack.ir.network import INPUT, Network, Population, Projection


def discretized(weights: Any, threshold: Any, decay_v: Any, decay_u: Any = 1.0) -> Any:
    """Return a block after nengo-loihi's discretization, without its scaling of time constants."""
    from nengo_loihi.block import LoihiBlock, Synapse
    from nengo_loihi.builder.discretize import discretize_block

    block: Any = LoihiBlock(weights.shape[1])
    neurons_of = block.compartment
    neurons_of.vth[:], neurons_of.decay_v[:], neurons_of.decay_u[:] = threshold, decay_v, decay_u
    neurons_of.scale_u = neurons_of.scale_v = False
    synapse = Synapse(len(weights))
    synapse.set_weights(weights)
    block.add_synapse(synapse)
    discretize_block(block)
    return block


def single(name: object, tau_s: float = 1.0, threshold_v: float = 1.0, **given: Any) -> Population:
    """Return a population of one neuron."""
    return Population(f"p{name}", 1, tau_s, threshold_v, **given)


def rounded(populations: list[Population], weights: list[Any]) -> Network:
    """Return a network of one layer in the number formats of the profile."""
    projections = [
        Projection.from_weights(INPUT, each.name, values)
        for each, values in zip(populations, weights, strict=True)
    ]
    return quantize(layer(len(weights[0]), populations, projections), fixed_format()).network


def compared(aspect: str, found: Any, own: Any, explained: Any) -> Row:
    found = np.asarray(found)
    return Row(
        aspect,
        found.size,
        int((found != np.asarray(own)).sum()),
        int((found != np.asarray(explained)).sum()),
    )


def rounded_weights(rng: np.random.Generator) -> Iterator[Row]:
    from nengo_loihi.block import SynapseConfig
    from nengo_loihi.builder.discretize import discretize_weights

    mixed = rng.normal(0, 1, (300, 100)).astype(np.float32).astype(np.float64)
    for aspect, weights in (
        ("weights of both signs", mixed),
        ("weights of one sign", np.abs(mixed)),
    ):
        # A threshold for which both use the weight exponent 0.
        population = Population("p", 100, 1.0, 10 * np.abs(weights).max())
        network = rounded([population], [weights])
        block = discretized(weights, population.threshold_v, 0.01)
        scaled = weights.astype(np.float32) * (255.0 / np.abs(weights).max())
        yield compared(
            aspect,
            np.array(block.synapses[0].weights)[:, 0] // 64,
            network.projections[0].grid,
            2 * np.clip(np.rint(scaled / 2), -127, 127),
        )
        if aspect == "weights of both signs":
            scaled = weights * (254 / np.abs(weights).max())
            config = SynapseConfig(fanout_type=1, weight_bits=7, weight_exp=0)
            own = network.projections[0].grid
            yield compared(
                "weights of both signs at the same scale",
                discretize_weights(config, scaled) // 64,
                own,
                own,
            )
            yield finer_weights(scaled)


def finer_weights(scaled: Any) -> Row:
    """Compare weights with the exponents -2 to -6, in units of the last bit of the state."""
    from nengo_loihi.block import SynapseConfig
    from nengo_loihi.builder.discretize import discretize_weights

    found, own, explained = [], [], []
    for exponent in range(-2, -7, -1):
        config = SynapseConfig(fanout_type=1, weight_bits=7, weight_exp=exponent)
        found.append(discretize_weights(config, scaled))
        steps = np.rint(scaled / 2).clip(-127, 127)
        own.append(2 * steps * 2 ** (6 + exponent))
        lost = -1 - exponent
        coarse = (np.rint(steps / 2**lost) * 2**lost).clip(-127, 127).astype(int)
        explained.append((coarse >> lost) * 64)
    return compared("weights with exponents from -2 to -6 at the same scale", found, own, explained)


def rounded_thresholds(rng: np.random.Generator) -> Iterator[Row]:
    from nengo_loihi.builder.discretize import vth_to_manexp

    # Weights of 1 and thresholds between 1 and 60,000 times as high.
    threshold_v = np.exp(rng.uniform(0, np.log(60000), 2000))
    populations = [single(i, 1.0, float(each)) for i, each in enumerate(threshold_v)]
    network = rounded(populations, [np.array([[1.0], [-1.0]])] * 2000)
    blocks = [discretized(np.array([[1.0], [-1.0]]), each, 0.01) for each in threshold_v]
    own_exponents = [each.exponent - 6 for each in network.projections]
    found = [each.synapses[0].synapse_cfg.weight_exp for each in blocks]
    fits = [
        max(
            e
            for e in range(-7, 1)
            if np.rint(np.float32(t) * 255 * 2.0 ** (6 + e)) <= LARGEST_THRESHOLD
        )
        for t in threshold_v
    ]
    # Weights keep the exponent -6 where the threshold is scaled for -7.
    yield compared("weight exponent", found, own_exponents, np.maximum(fits, -6))
    own = [int(each.threshold[0]) for each in network.populations]
    again = [
        64 * np.rint(np.rint(np.float32(t) * 255 * 2.0 ** (6 + e)) / 64)
        for t, e in zip(threshold_v, fits, strict=True)
    ]
    yield compared("scaled threshold", [int(b.compartment.vth[0]) for b in blocks], own, again)
    exact = rng.uniform(64, LARGEST_THRESHOLD, 100_000)
    mantissa, _ = vth_to_manexp(np.round(exact))
    yield compared(
        "threshold at the same scale",
        mantissa,
        np.rint(exact / 64),
        np.rint(np.rint(exact) / 64),
    )


def rounded_leaks() -> Iterator[Row]:
    steps = np.arange(1, 2001)
    decay = -np.expm1(-1 / steps)
    weights = np.ones((1, 2000))
    block = discretized(weights, 10.0, decay, decay).compartment
    populations = [single(k, k * 1e-3, 10.0, tau_syn_s=k * 1e-3) for k in steps]
    network = rounded(populations, [weights[:, :1]] * 2000)
    single_precision = decay.astype(np.float32)
    own = [each.leak for each in network.populations]
    yield compared(
        "leak constant of the potential", block.decay_v, own, np.rint(single_precision * 4095)
    )
    own = [each.current_leak for each in network.populations]
    expected = np.clip(np.rint(single_precision * np.float32(4095) - 1), 0, 4095) + 1
    yield compared("leak constant of the current", block.decay_u + 1, own, expected)


def rounded_biases(rng: np.random.Generator) -> Iterator[Row]:
    from nengo_loihi.builder.discretize import bias_to_manexp

    bias_v = rng.uniform(-1, 1, (200, 50)) * 2 ** rng.uniform(-8, 3, (200, 1))
    populations = [Population(f"p{i}", 50, 1.0, 4.0, bias_v=each) for i, each in enumerate(bias_v)]
    fitted = quantize(
        layer(
            2,
            populations,
            [Projection.from_weights(INPUT, p.name, np.full((2, 50), 0.02)) for p in populations],
        ),
        fixed_format(),
    )
    own = np.array([each.bias for each in fitted.network.populations])
    units = bias_v / np.array([[each.state_bit_v] for each in fitted.populations])
    mantissa, exponent = bias_to_manexp(np.round(units))
    integers = np.round(units)
    needed = np.ceil(np.log2(np.maximum(np.abs(integers) / 4095, 1)))
    yield compared(
        "bias at the same scale",
        mantissa * 2**exponent,
        own,
        np.round(integers / 2**needed) * 2**needed,
    )
