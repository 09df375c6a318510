"""What every backend must reproduce: networks, and batches of input spikes to show them.

A scenario is checked against :func:`neuroattack.ir.dynamics.simulate`, image by image, in every
population and every step. Few networks carry all scenarios, for some backends take long to
prepare one.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.conversion import convert
from neuroattack.datasets import load_dataset
from neuroattack.hardware.quantisation import quantise
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import (
    INPUT,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
)
from neuroattack.simulation import Simulator
from neuroattack.spikes import PoissonEncoder, SpikeTrains
from neuroattack.training.fine_tuning import FineTuningParameters
from neuroattack.training.rbm import RBMParameters
from neuroattack.training.recipes import RECIPES, train
from neuroattack.training.stages import FineTuningStage, RBMStage, Schedule

__all__ = ["SCENARIOS", "Scenario", "check_batch", "one_neuron"]

STEPS = 40

Raster = NDArray[np.bool_]
"""Input spikes of a batch, shape (images, steps, pixels)."""


@dataclass(frozen=True)
class Scenario:
    """A network, and the batches it is shown one after the other.

    Parameters
    ----------
    name : str
        What is tried.
    network : callable
        Returns the network.
    batches : callable
        Takes its number of pixels and returns the batches, in order.
    """

    name: str
    network: Callable[[], Network]
    batches: Callable[[int], Sequence[Raster]]

    def check(self, simulator: Simulator) -> None:
        """Show all batches to a simulator of the scenario's network.

        Raises
        ------
        AssertionError
            Naming the first image, population, step and neuron that differs.
        """
        network = self.network()
        for batch in self.batches(network.input.size):
            check_batch(simulator, network, batch)


def check_batch(simulator: Simulator, network: Network, batch: Raster) -> None:
    """Raise AssertionError unless a simulator does on a batch exactly as the plain dynamics."""
    inputs = SpikeTrains.from_dense(batch)
    recording = simulator.run(inputs, record_spikes=True)
    counted = simulator.run(inputs)
    if recording.spikes is None:
        raise AssertionError("no spikes were kept though they were asked for")
    expected = _expected(network, batch)
    for name, spikes in expected.items():
        _check_spikes(name, recording.spikes[name], spikes)
        for how, counts in (("recorded", recording.counts), ("counts alone", counted.counts)):
            _check_counts(f"{name}, {how}", counts[name], spikes.sum(axis=1))
    if set(recording.counts) != set(expected) or set(counted.counts) != set(expected):
        raise AssertionError(f"counts of {set(recording.counts)}, expected {set(expected)}")


def _expected(network: Network, batch: Raster) -> dict[str, Raster]:
    found: dict[bytes, dict[str, Raster]] = {}
    for image in batch:
        if image.tobytes() not in found:
            found[image.tobytes()] = simulate(network, image)
    each = [found[image.tobytes()] for image in batch]
    return {name: np.stack([spikes[name] for spikes in each]) for name in each[0]}


def _check_spikes(name: str, trains: SpikeTrains, expected: Raster) -> None:
    shape = (trains.images, trains.steps, trains.size)
    if shape != expected.shape:
        raise AssertionError(f"{name}: spikes of shape {shape}, expected {expected.shape}")
    found = trains.to_dense()
    if len(trains.events()[0]) != found.sum():
        raise AssertionError(f"{name}: a neuron spikes twice in a step")
    differing = np.argwhere(found != expected)
    if len(differing):
        image, step, neuron = differing[0]
        what = "spikes" if found[image, step, neuron] else "is silent"
        raise AssertionError(
            f"{name}: {len(differing)} spikes differ, first in image {image}, step {step}: "
            f"neuron {neuron} {what}"
        )


def _check_counts(what: str, found: NDArray[np.int32], expected: NDArray[np.int64]) -> None:
    if found.shape != expected.shape or found.dtype.kind != "i":
        raise AssertionError(
            f"{what}: counts are {found.dtype} of shape {found.shape}, expected whole numbers "
            f"of shape {expected.shape}"
        )
    differing = np.argwhere(found != expected)
    if len(differing):
        image, neuron = differing[0]
        raise AssertionError(
            f"{what}: {len(differing)} counts differ, first in image {image}: neuron {neuron} has "
            f"{found[image, neuron]}, expected {expected[image, neuron]}"
        )


# Networks


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
    """Return a network that has every feature, and a population that nothing reaches."""
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
    """Return one pixel and one neuron, which spikes a step after every third input spike."""
    return _network(
        1,
        [Population("output", 1, float("inf"), 0.875, refractory_steps=1)],
        [Projection.from_weights(INPUT, "output", [[0.375]])],
    )


@functools.cache
def ties() -> Network:
    """Return neurons whose potential meets the threshold exactly, which is no spike."""
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
    """Return delays up to beyond the end of an image, and a refractory period as long."""
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
    """Return a network in fixed point whose currents wrap around and whose potentials clip."""
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
    """Return neurons whose spikes tell the last bit of each rule of fixed point.

    Pixels 0 to 3 spike once each, in this order: the first two take a neuron to an edge, the
    others bring its potential to where neurons with neighbouring thresholds tell what it was.
    """
    top, far = 2**23 - 1, 8_000_000
    back = (far, top - far + 1000)
    near = range(995, 1006)
    # Pixels 0 to 3 in units of the state, pixel 0 in units of 2**23, bias, thresholds.
    groups: list[tuple[tuple[int, int, int, int], int, int, Sequence[int]]] = [
        ((far, far, 0, 0), 0, 0, (top, top - 1, top - 2)),  # clipped above
        ((-far, -far, *back), 0, 0, near),  # clipped below
        ((0, 0, 0, 0), 1, 0, (top - 1,)),  # the largest current that does not wrap around
        ((0, 0, 0, 0), 1, 1, (top - 1,)),  # the bias is added after wrapping
        ((0, 0, 0, 0), 1, -1, (top - 3, top - 2, top - 1)),
        ((1, 0, *back), 1, 0, near),  # wraps around by one
        ((0, 0, 0, 0), -1, 0, (top - 1,)),  # the smallest does
        ((-far, 0, *back), -1, 0, near),
    ]
    neurons = [
        (small, large, bias, threshold)
        for small, large, bias, thresholds in groups
        for threshold in thresholds
    ]
    small, large, bias, threshold = (np.array(column) for column in zip(*neurons, strict=True))
    # The leak of a negative and of a positive potential, both rounded toward zero.
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
def trained_fixed() -> Network:
    """Return the trained network in Loihi's formats."""
    return quantise(trained()).network


# Batches


def _drawn(density: Sequence[float], pixels: int, steps: int = STEPS, seed: int = 0) -> Raster:
    rng = np.random.default_rng((seed, pixels, steps))
    chance = np.asarray(density)[:, None, None]
    return rng.random((len(density), steps, pixels)) < chance


def _silence(pixels: int) -> list[Raster]:
    return [np.zeros((2, STEPS, pixels), bool)]


def _saturation(pixels: int) -> list[Raster]:
    return [np.ones((2, STEPS, pixels), bool)]


def _saturated_then_empty(pixels: int) -> list[Raster]:
    both = np.zeros((4, STEPS, pixels), bool)
    both[::2] = True
    return [both, both[:1], both[1:2], both[::-1]]


def _sizes(pixels: int) -> list[Raster]:
    images = _drawn([0.1, 0.3, 0.6, 0.05, 0.9, 0.2, 0.4], pixels)
    return [images[:1], images[:2], images, images[:3]]


def _alone_and_inside(pixels: int) -> list[Raster]:
    images = _drawn([0.9, 0.3, 0.9], pixels, seed=1)
    return [images, images[1:2], images[[1, 0, 2]], images[[1, 1, 1]]]


def _larger_than_any_internal_batch(pixels: int) -> list[Raster]:
    images = _drawn([0.0, 0.1, 0.3, 0.6, 1.0], pixels, seed=2)
    return [images[np.random.default_rng(3).integers(0, len(images), 270)]]


def _repeated(pixels: int) -> list[Raster]:
    return [_drawn([0.3, 0.6], pixels, seed=4)] * 3


def _other_steps(pixels: int) -> list[Raster]:
    return [_drawn([0.5, 0.9], pixels, steps, seed=5) for steps in (STEPS, 1, STEPS + 13, 7, STEPS)]


def _one_after_the_other(pixels: int) -> list[Raster]:
    images = np.zeros((2, STEPS, pixels), bool)
    images[0, np.arange(pixels) * 3, np.arange(pixels)] = True
    images[1, np.arange(pixels) * 10, np.arange(pixels)] = True
    return [images]


def _ordinary(pixels: int) -> list[Raster]:
    return [_drawn([0.02, 0.05, 0.1, 0.3, 1.0], pixels, seed=6)]


SCENARIOS = (
    Scenario("no input", all_features, _silence),
    Scenario("saturated input", all_features, _saturation),
    Scenario("saturated image, then an empty one", all_features, _saturated_then_empty),
    Scenario("batches of 1, 2 and odd sizes", all_features, _sizes),
    Scenario("the same image alone and in a batch", all_features, _alone_and_inside),
    Scenario("larger than an internal batch", all_features, _larger_than_any_internal_batch),
    Scenario("repeated queries", all_features, _repeated),
    Scenario("other numbers of steps", one_neuron, _other_steps),
    Scenario("one neuron", one_neuron, _sizes),
    Scenario("ties at the threshold", ties, _sizes),
    Scenario("longest delays and refractory periods", long_delays, _sizes),
    Scenario("longest delays, image after image", long_delays, _saturated_then_empty),
    Scenario("a trained network", trained, _ordinary),
    Scenario("fixed point, no input", all_fixed_features, _silence),
    Scenario("fixed point, saturated input", all_fixed_features, _saturation),
    Scenario("fixed point, image after image", all_fixed_features, _saturated_then_empty),
    Scenario("fixed point, batches of 1, 2 and odd sizes", all_fixed_features, _sizes),
    Scenario("fixed point, the last bit of each rule", fixed_edges, _one_after_the_other),
    Scenario("fixed point, a trained network", trained_fixed, _ordinary),
)
