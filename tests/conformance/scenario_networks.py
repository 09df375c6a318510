"""Networks of the scenarios; only a few, because some backends take long to deploy one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import load_dataset
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.hardware.quantization.quantization import fixed_format, quantize
from neuroattack.ir.network import (
    INPUT,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
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
    "fixed_edges",
    "long_delays",
    "narrow_states",
    "one_neuron",
    "ties",
    "trained",
    "trained_fixed",
]

STEPS = 40
"""Number of time steps per image, for which the delays are chosen."""


def _network(
    pixels: int,
    populations: Sequence[Population] | Sequence[FixedPopulation],
    projections: Sequence[Projection],
) -> Network:
    return Network(
        dt_s=1e-3,
        input=Input((pixels,), PoissonEncoder(500.0)),
        populations=tuple(populations),  # type: ignore[arg-type]  # one kind, which mypy forgets
        projections=tuple(projections),
        readout=populations[-1].name,
    )


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
