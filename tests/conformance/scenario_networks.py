"""Networks of the scenarios; only a few, because some backends take long to deploy one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import load_dataset
from neuroattack.encoding.encoders import DirectEncoder, Encoder, PoissonEncoder
from neuroattack.hardware.quantization.quantization import fixed_format, quantize
from neuroattack.ir.network import (
    INPUT,
    AnyProjection,
    Convolution,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
    ReadoutQuantity,
)
from neuroattack.training.conversion import convert
from neuroattack.training.fine_tuning import FineTuningParameters
from neuroattack.training.rbm import RBMParameters
from neuroattack.training.recipes import RECIPES, train
from neuroattack.training.stages import FineTuningStage, RBMStage, Schedule

__all__ = [
    "STEPS",
    "all_features",
    "all_fixed_features",
    "convolutional",
    "direct",
    "fixed_currents",
    "fixed_edges",
    "long_delays",
    "loops",
    "max_potential",
    "narrow_states",
    "one_neuron",
    "resets",
    "same_step",
    "short_memory",
    "synaptic_currents",
    "ties",
    "trained",
    "trained_fixed",
]

STEPS = 40
"""Number of time steps per image, for which the delays are chosen."""


def _network(
    shape: int | tuple[int, ...],
    populations: Sequence[Population] | Sequence[FixedPopulation],
    projections: Sequence[AnyProjection],
    encoder: Encoder | None = None,
    readout_quantity: ReadoutQuantity = "spike_count",
) -> Network:
    return Network(
        dt_s=1e-3,
        input=Input(
            (shape,) if isinstance(shape, int) else shape, encoder or PoissonEncoder(500.0)
        ),
        populations=tuple(populations),  # type: ignore[arg-type]  # one kind, which mypy forgets
        projections=tuple(projections),
        readout=populations[-1].name,
        readout_quantity=readout_quantity,
    )


def _random(
    seed: int, source: str, target: str, sizes: tuple[int, int], spread: float, delay: int = 1
) -> Projection:
    rng = np.random.default_rng((seed, *sizes))
    weights = rng.normal(spread / 3, spread, sizes)
    weights[rng.random(sizes) < 0.2] = 0
    return Projection.from_weights(source, target, weights, delay)


@functools.cache
def all_features() -> Network:
    """Return a network with all features, and a population without input."""
    rng = np.random.default_rng(11)

    def joined(
        source: str, target: str, sizes: tuple[int, int], spread: float, delay: int
    ) -> Projection:
        weights = rng.normal(spread / 3, spread, sizes)
        weights[rng.random(sizes) < 0.2] = 0
        return Projection.from_weights(source, target, weights, delay)

    return _network(
        12,
        [
            Population(
                "first", 20, 0.02, rng.uniform(0.5, 1, 20), rng.normal(0, 0.05, 20), -0.25, 3
            ),
            Population("second", 15, 5.0, 0.8, 0.0, 0.1, 0),
            Population("unreached", 5, 5.0, 1.0),
            Population("driven", 3, 0.05, 1.0, [0.2, 0.02, -0.1], 0.0, 2),
            Population("output", 4, float("inf"), rng.uniform(0.5, 2, 4), 0.01, 0.0, 1),
        ],
        [
            joined(INPUT, "first", (12, 20), 0.3, 1),
            joined("first", "second", (20, 15), 0.2, 1),
            joined("first", "second", (20, 15), 0.2, 4),
            joined(INPUT, "second", (12, 15), 0.1, 3),
            joined("second", "output", (15, 4), 0.3, 2),
            joined("unreached", "output", (5, 4), 0.3, 1),
            joined("driven", "output", (3, 4), 0.3, 5),
            joined(INPUT, "output", (12, 4), 0.1, 7),
        ],
    )


@functools.cache
def one_neuron() -> Network:
    """Return a network of one pixel and one neuron that needs three input spikes per spike."""
    return _network(
        1,
        [Population("output", 1, float("inf"), 0.875, refractory_steps=1)],
        [Projection.from_weights(INPUT, "output", [[0.375]])],
    )


@functools.cache
def ties() -> Network:
    """Return neurons whose potentials equal the threshold exactly, which is not a spike."""
    return _network(
        4,
        [
            Population("summing", 6, float("inf"), [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]),
            Population("output", 2, float("inf"), [1.0, 0.5], [0.125, 0.0], 0.0, 2),
        ],
        [
            Projection.from_weights(INPUT, "summing", np.full((4, 6), 0.25)),
            Projection.from_weights("summing", "output", np.full((6, 2), 0.125)),
        ],
    )


@functools.cache
def long_delays() -> Network:
    """Return a network with delays and a refractory period longer than an image."""
    return _network(
        3,
        [
            Population("late", 4, 0.1, 0.4, 0.0, 0.0, 25),
            Population("once", 4, 0.1, 0.4, 0.03, 0.0, 3 * STEPS),
            Population("output", 3, 0.1, 0.3),
        ],
        [
            Projection.from_weights(INPUT, "late", np.full((3, 4), 0.2), STEPS // 2),
            Projection.from_weights(INPUT, "once", np.full((3, 4), 0.2), 2),
            Projection.from_weights("late", "output", np.full((4, 3), 0.2), STEPS // 2 - 2),
            Projection.from_weights("once", "output", np.full((4, 3), 0.2), STEPS - 1),
            Projection.from_weights(INPUT, "output", np.full((3, 3), 0.5), STEPS),
            Projection.from_weights(INPUT, "output", np.full((3, 3), 0.5), 10 * STEPS),
        ],
    )


@functools.cache
def synaptic_currents() -> Network:
    """Return populations with synaptic currents of all kinds."""
    rng = np.random.default_rng(21)
    return _network(
        12,
        [
            Population("early", 15, 0.01, 1.0, 0.01, tau_syn_s=5e-3, refractory_steps=2),
            Population(
                "late", 15, 0.02, rng.uniform(0.5, 1, 15), tau_syn_s=3e-3, input_after_update=True
            ),
            Population(
                "mixed",
                9,
                rng.choice([5e-3, 0.02, np.inf], 9),
                0.9,
                rng.normal(0, 0.05, 9),
                tau_syn_s=rng.choice([0.0, 2e-3, 0.05], 9),
                current_bias_v=rng.normal(0.02, 0.05, 9),
            ),
            Population(
                "output", 4, 0.01, 0.7, tau_syn_s=4e-3, current_bias_v=0.03, input_after_update=True
            ),
        ],
        [
            _random(1, INPUT, "early", (12, 15), 0.2),
            _random(2, INPUT, "late", (12, 15), 0.2),
            _random(3, "early", "mixed", (15, 9), 0.3),
            _random(4, "late", "mixed", (15, 9), 0.3, 3),
            _random(5, "mixed", "output", (9, 4), 0.3),
        ],
    )


@functools.cache
def resets() -> Network:
    """Return populations with all kinds of resets and comparisons, per neuron and alike."""
    rng = np.random.default_rng(22)
    eighths = np.arange(1, 9) / 8
    return _network(
        8,
        [
            Population("subtracting", 8, 0.05, 1.0, 0.02, reset="subtract"),
            Population("subtracting_part", 8, 0.05, 0.5, 0.0, eighths, 2, "subtract"),
            Population("subtracting_later", 8, 0.05, eighths, 0.03, reset="subtract_next"),
            Population(
                "per_neuron",
                8,
                rng.choice([2e-3, 0.02, 5.0], 8),
                1.0,
                0.0,
                rng.uniform(-0.5, 0.5, 8),
                rng.integers(0, 5, 8),
            ),
            Population("reached", 8, np.inf, eighths, comparison="inclusive"),
            Population(
                "output", 4, np.inf, [0.25, 0.5, 1.0, 0.5], 0.0, 0.125, comparison="inclusive"
            ),
        ],
        [
            _random(6, INPUT, "subtracting", (8, 8), 0.5),
            _random(7, INPUT, "subtracting_part", (8, 8), 0.5),
            _random(8, INPUT, "subtracting_later", (8, 8), 0.5),
            _random(9, "subtracting", "per_neuron", (8, 8), 0.5),
            _random(10, "subtracting_later", "per_neuron", (8, 8), 0.5),
            Projection.from_weights(INPUT, "reached", np.full((8, 8), 0.125)),
            Projection.from_weights("reached", "output", np.full((8, 4), 0.125)),
            Projection.from_weights("per_neuron", "output", np.full((8, 4), 0.0625)),
            Projection.from_weights("subtracting_part", "output", np.full((8, 4), 0.0625)),
        ],
    )


@functools.cache
def loops() -> Network:
    """Return a network with recurrence within populations, and feedback between them."""
    return _network(
        8,
        [
            Population("first", 12, 0.02, 1.0, 1 / 32),
            Population("second", 10, 0.02, 1.0, refractory_steps=1),
            Population("output", 4, 0.05, 0.8),
        ],
        [
            _random(11, INPUT, "first", (8, 12), 0.4),
            _random(12, "first", "first", (12, 12), 0.2),
            _random(13, "first", "second", (12, 10), 0.4),
            _random(14, "second", "second", (10, 10), 0.2, 3),
            _random(15, "second", "first", (10, 12), 0.3),
            _random(16, "second", "output", (10, 4), 0.4),
            _random(17, "output", "output", (4, 4), 0.4),
        ],
    )


@functools.cache
def same_step() -> Network:
    """Return a network whose spikes arrive in the same step, with biases and a loop."""
    return _network(
        8,
        [
            Population("first", 12, 0.02, 1.0, 0.05),
            Population("second", 10, 0.02, 0.8, 5 / 128),
            Population("output", 4, 0.05, 0.8, 0.11),
        ],
        [
            _random(18, INPUT, "first", (8, 12), 0.4, 0),
            _random(19, "first", "second", (12, 10), 0.4, 0),
            _random(20, "second", "output", (10, 4), 0.4, 0),
            _random(21, INPUT, "output", (8, 4), 0.2, 2),
            _random(22, "second", "second", (10, 10), 0.2, 1),
        ],
    )


@functools.cache
def short_memory() -> Network:
    """Return a recurrent network with fast decay, and biases off the grid of the weights."""
    return _network(
        8,
        [
            Population("first", 12, 1e-3, 0.5, 0.03),
            Population("output", 4, 5e-4, 0.4, 0.07),
        ],
        [
            _random(31, INPUT, "first", (8, 12), 0.4),
            _random(32, "first", "first", (12, 12), 0.3),
            _random(33, "first", "output", (12, 4), 0.4),
        ],
    )


@functools.cache
def convolutional() -> Network:
    """Return a network of convolutions of all kinds, pooling, and a dense readout."""
    rng = np.random.default_rng(23)
    population = functools.partial(Population, tau_m_s=0.02, threshold_v=1.0)
    around = ((1, 1), (2, 0))
    first = Convolution.from_weights(
        INPUT, "first", rng.normal(0.1, 0.4, (4, 2, 3, 3)), (2, 6, 6), padding=around
    )
    grouped = Convolution.from_weights(
        "first",
        "grouped",
        rng.normal(0.1, 0.5, (6, 2, 2, 3)),
        first.target_shape,
        stride=(2, 1),
        dilation=(1, 2),
        groups=2,
    )
    pooled = Convolution.from_weights(
        "first", "pooled", np.full((4, 1, 2, 2), 0.25), first.target_shape, stride=(2, 2), groups=4
    )
    cropped = Convolution.from_weights(
        INPUT, "pooled", rng.normal(0, 0.3, (4, 2, 1, 1)), (2, 6, 6), padding=((-1, -2), (0, -3))
    )
    sizes = {each.target: each.shape[1] for each in (first, grouped, pooled)}
    return _network(
        (2, 6, 6),
        [
            population("first", sizes["first"], bias_v=np.repeat(rng.normal(0, 0.05, 4), 36)),
            population("grouped", sizes["grouped"]),
            population("pooled", sizes["pooled"], threshold_v=0.4),
            population("output", 5, refractory_steps=1),
        ],
        [
            first,
            replace(grouped, delay_steps=2),
            pooled,
            cropped,
            _random(23, "grouped", "output", (sizes["grouped"], 5), 0.15),
            _random(24, "pooled", "output", (sizes["pooled"], 5), 0.2),
        ],
    )


def _direct(readout_quantity: ReadoutQuantity) -> Network:
    # Values of 10 bits, 2 ** 10 for an intensity of 1.
    return _network(
        (1, 5, 5),
        [
            Population("convolved", 27, 0.01, 1.0, 0.02),
            Population("hidden", 10, 0.02, 1.0, 0.0),
            Population("output", 4, [0.005, 0.02, 5.0, np.inf], np.inf, [0.1, 0.0, -0.1, 0.0]),
        ],
        [
            Convolution.from_weights(
                INPUT, "convolved", np.linspace(-0.5, 1, 27).reshape(3, 1, 3, 3), (1, 5, 5)
            ),
            _random(25, INPUT, "hidden", (25, 10), 0.1, 3),
            _random(26, "convolved", "hidden", (27, 10), 0.3),
            _random(27, "hidden", "output", (10, 4), 0.3),
            _random(28, INPUT, "output", (25, 4), 0.02),
        ],
        DirectEncoder(10),
        readout_quantity,
    )


@functools.cache
def direct() -> Network:
    """Return a network with direct coding, read out from final potentials."""
    return _direct("final_potential")


@functools.cache
def max_potential() -> Network:
    """Return a network with direct coding, read out from maximum potentials."""
    return _direct("max_potential")


@functools.cache
def trained() -> Network:
    """Return a small network trained on the built-in digits."""
    recipe = dataclasses.replace(
        RECIPES["fine-tuned"],
        layers=RBMStage(Schedule(1, 5, 50, 0.05), RBMParameters()),
        top=RBMStage(Schedule(1, 5, 50, 0.4), RBMParameters()),
        fine_tuning=FineTuningStage(Schedule(1, 60, 100, 0.01, 0.0), FineTuningParameters()),
    )
    digits = load_dataset("digits").train
    return convert(train(digits.images, digits.labels, recipe=recipe, hidden=(60, 60))).network


@functools.cache
def all_fixed_features() -> Network:
    """Return a fixed-point network with wrapping currents and clipped potentials."""
    rng = np.random.default_rng(12)

    def joined(
        source: str, target: str, sizes: tuple[int, int], exponent: int, delay: int
    ) -> Projection:
        return Projection(source, target, 2 * rng.integers(-80, 128, sizes), exponent, delay)

    return _network(
        12,
        [
            FixedPopulation("first", 20, 100, rng.integers(50, 900, 20) * 64, 300, 3),
            FixedPopulation("wrapping", 15, 4096, rng.integers(0, 2**16, 15) * 64, 0, 0),
            FixedPopulation("clipping", 6, 0, 2**23 - 1 - np.arange(6), -1, 1),
            FixedPopulation("output", 4, 1, 500 * 64, rng.integers(-4095, 4096, 4), 2),
        ],
        [
            joined(INPUT, "first", (12, 20), 6, 1),
            joined(INPUT, "wrapping", (12, 15), 15, 2),
            joined("first", "wrapping", (20, 15), 13, 1),
            joined("first", "clipping", (20, 6), 13, 4),
            joined("first", "output", (20, 4), 6, 1),
            joined("wrapping", "output", (15, 4), 5, 1),
            joined("clipping", "output", (6, 4), 6, 3),
        ],
    )


@functools.cache
def fixed_currents() -> Network:
    """Return fixed-point neurons with synaptic currents, which wrap, and recurrence."""
    rng = np.random.default_rng(24)

    def weights(
        source: str, target: str, sizes: tuple[int, int], exponent: int, delay: int = 1
    ) -> Projection:
        return Projection(source, target, 2 * rng.integers(-80, 128, sizes), exponent, delay)

    return _network(
        8,
        [
            FixedPopulation("fading", 12, 100, 3000 * 64, 300, 3, current_leak=400),
            FixedPopulation("lasting", 9, 4095, 900 * 64, 0, 0, current_leak=0),
            FixedPopulation("wrapping", 9, 4096, rng.integers(0, 2**16, 9) * 64, current_leak=1),
            FixedPopulation("output", 4, 1, 4000 * 64, 0, 2, current_leak=2048),
        ],
        [
            weights(INPUT, "fading", (8, 12), 6),
            weights("fading", "fading", (12, 12), 4, 2),
            weights(INPUT, "lasting", (8, 9), 4),
            weights(INPUT, "wrapping", (8, 9), 15),
            weights("fading", "output", (12, 4), 6),
            weights("lasting", "output", (9, 4), 5),
            weights("wrapping", "output", (9, 4), 6, 3),
        ],
    )


@functools.cache
def fixed_edges() -> Network:
    """Return neurons whose spikes depend on the last bit of each fixed-point rule.

    Pixels 0 to 3 spike once each, in this order: the first two drive a neuron to a limit, the
    others move its potential to a range in which neurons with adjacent thresholds measure it.
    """
    top, far = 2**23 - 1, 8_000_000
    back = (far, top - far + 1000)
    near = range(995, 1006)
    # Pixels 0 to 3 in units of the state, pixel 0 in units of 2**23, bias, thresholds.
    groups: list[tuple[tuple[int, int, int, int], int, int, Sequence[int]]] = [
        ((far, far, 0, 0), 0, 0, (top, top - 1, top - 2)),  # clipped above
        ((-far, -far, *back), 0, 0, near),  # clipped below
        ((0, 0, 0, 0), 1, 0, (top - 1,)),  # the largest current without wrapping
        ((0, 0, 0, 0), 1, 1, (top - 1,)),  # the bias is added after wrapping
        ((0, 0, 0, 0), 1, -1, (top - 3, top - 2, top - 1)),
        ((1, 0, *back), 1, 0, near),  # wraps around by one
        ((0, 0, 0, 0), -1, 0, (top - 1,)),  # -2**23 wraps around
        ((-far, 0, *back), -1, 0, near),
    ]
    neurons = [
        (small, large, bias, threshold)
        for small, large, bias, thresholds in groups
        for threshold in thresholds
    ]
    small, large, bias, threshold = (np.array(column) for column in zip(*neurons, strict=True))
    # Leak of negative and positive potentials, both rounded toward zero.
    falling, rising = np.arange(500, 1000), np.arange(1000, 1500)
    leaks = np.zeros((4, 1000), np.int32)
    leaks[0] = np.repeat([-797, 797], 500)
    leaks[3] = 1000
    return _network(
        4,
        [
            FixedPopulation("edges", len(neurons), 0, threshold, bias),
            FixedPopulation("leaks", 1000, 100, np.concatenate([falling, rising])),
        ],
        [
            Projection(INPUT, "edges", small.T, 0),
            Projection(INPUT, "edges", np.stack([large, *np.zeros((3, len(large)), int)]), 23),
            Projection(INPUT, "leaks", leaks, 0),
        ],
    )


@functools.cache
def narrow_states() -> Network:
    """Return neurons with potentials of 8 bits, signed and unsigned, and of 16 bits.

    Pixels 0 to 3 spike once each, as above, and test the limits to the last bit.
    """
    # Pixels 0 to 3, thresholds.
    unsigned = [
        ((300, 0, 0, 0), (253, 254, 255, 290)),  # clipped at 255
        ((-300, 50, 0, 0), (48, 49, 50)),  # clipped at 0
        ((200, -201, 7, 0), (6, 7)),  # spikes, or is clipped at 0 after 200
    ]
    signed = [
        ((300, 0, 0, 0), (125, 126, 127)),
        ((-300, 150, 0, 0), (48, 49, 50, 51)),  # clipped at -100
        ((-60, -60, 101, 0), (0, 1)),
        ((5, 5, -4, 1), (9, 10)),
    ]

    def columns(
        groups: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        weights = [weights for weights, thresholds in groups for _ in thresholds]
        thresholds = [threshold for _, thresholds in groups for threshold in thresholds]
        return np.array(weights).T, np.array(thresholds)

    rng = np.random.default_rng(13)
    to_unsigned, above = columns(unsigned)
    to_signed, beyond = columns(signed)
    return _network(
        4,
        [
            FixedPopulation("unsigned", len(above), 0, above, lowest=0, highest=255),
            FixedPopulation("signed", len(beyond), 0, beyond, lowest=-100, highest=127),
            FixedPopulation(
                "output", 12, 300, rng.integers(9000, 32767, 12), -40, 2, -(2**15), 2**15 - 1
            ),
        ],
        [
            Projection(INPUT, "unsigned", to_unsigned, 0),
            Projection(INPUT, "signed", to_signed, 0),
            Projection("unsigned", "output", rng.integers(-80, 128, (len(above), 12)), 8),
            Projection("signed", "output", rng.integers(-80, 128, (len(beyond), 12)), 7, 3),
        ],
    )


@functools.cache
def trained_fixed() -> Network:
    """Return the trained network in Loihi's number formats."""
    return quantize(trained(), fixed_format()).network
