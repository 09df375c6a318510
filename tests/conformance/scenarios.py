"""Scenarios that every backend must reproduce: networks and batches of input spikes.

Every population, image and step is compared with :func:`neuroattack.ir.dynamics.simulate`. The
scenarios use only a few networks, because some backends take long to deploy one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.conformance.scenario_networks import (
    STEPS,
    all_features,
    all_fixed_features,
    convolutional,
    direct,
    fixed_currents,
    fixed_edges,
    long_delays,
    loops,
    max_potential,
    narrow_states,
    one_neuron,
    resets,
    same_step,
    short_memory,
    synaptic_currents,
    ties,
    trained,
    trained_fixed,
)
from neuroattack.deployment.backend import Simulator
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.dynamics import readout_potentials, simulate
from neuroattack.ir.network import INPUT, Network

__all__ = ["SCENARIOS", "Scenario", "check_batch"]

Raster = NDArray[np.bool_]
"""Input spikes of a batch, shape (images, steps, pixels)."""

Batch = Raster | ConstantInput


@dataclass(frozen=True)
class Scenario:
    """Network and consecutive batches of input spikes.

    Parameters
    ----------
    name : str
        Name of the tested property.
    network : callable
        Function that returns the network.
    batches : callable
        Function of the number of pixels that returns the batches, in order: input spikes, or
        constant input with direct coding.
    """

    name: str
    network: Callable[[], Network]
    batches: Callable[[int], Sequence[Batch]]

    def check(self, simulator: Simulator) -> None:
        """Run all batches on a simulator of the scenario's network.

        Raises
        ------
        AssertionError
            If spikes differ; the message has the population and the first image, step and neuron.
        """
        network = self.network()
        for batch in self.batches(network.input.size):
            check_batch(simulator, network, batch)


def check_batch(simulator: Simulator, network: Network, batch: Batch) -> None:
    """Raise AssertionError if a simulator differs from the reference dynamics on a batch."""
    inputs = batch if isinstance(batch, ConstantInput) else SpikeTrains.from_dense(batch)
    dense = inputs.to_dense()
    recording = simulator.run(inputs, record_spikes=True)
    counted = simulator.run(inputs)
    if recording.spikes is None:
        raise AssertionError("recording: got no spikes, expected spikes with record_spikes=True")
    spikes = _of_each(dense, lambda image: simulate(network, image))
    counts = {INPUT: inputs.counts()}
    for name, expected in spikes.items():
        _check_spikes(name, recording.spikes[name], expected)
        counts[name] = expected.sum(axis=1)
    for how, found in (("recorded", recording), ("counts alone", counted)):
        if set(found.counts) != set(counts):
            raise AssertionError(f"counts of {set(found.counts)}, expected {set(counts)}")
        for name, expected in counts.items():
            _check_counts(f"{name}, {how}", found.counts[name], expected)
        _check_potentials(how, found.potentials, network, dense)


def _of_each(dense: NDArray[Any], simulated: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the stacked results of all images, each simulated once if it occurs several times."""
    found: dict[bytes, Mapping[str, Any]] = {}
    for image in dense:
        if image.tobytes() not in found:
            found[image.tobytes()] = simulated(image)
    each = [found[image.tobytes()] for image in dense]
    return {name: np.stack([result[name] for result in each]) for name in each[0]}


def _check_potentials(
    how: str, found: NDArray[np.float64] | None, network: Network, dense: NDArray[Any]
) -> None:
    if network.readout_quantity == "spike_count":
        if found is not None:
            raise AssertionError(f"{how}: got potentials, expected none")
        return
    course = _of_each(dense, lambda image: {"v": readout_potentials(network, image)})["v"]
    final = network.readout_quantity == "final_potential"
    expected = course[:, -1] if final else course.max(axis=1)
    if found is None or not np.array_equal(found, expected):
        raise AssertionError(f"{how}: potentials differ: {found}, expected {expected}")


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
            f"{what}: counts are {found.dtype} of shape {found.shape}, expected integers "
            f"of shape {expected.shape}"
        )
    differing = np.argwhere(found != expected)
    if len(differing):
        image, neuron = differing[0]
        raise AssertionError(
            f"{what}: {len(differing)} counts differ, first in image {image}: neuron {neuron} has "
            f"{found[image, neuron]}, expected {expected[image, neuron]}"
        )


# Batches


def _random(density: Sequence[float], pixels: int, steps: int = STEPS, seed: int = 0) -> Raster:
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
    images = _random([0.1, 0.3, 0.6, 0.05, 0.9, 0.2, 0.4], pixels)
    return [images[:1], images[:2], images, images[:3]]


def _alone_and_inside(pixels: int) -> list[Raster]:
    images = _random([0.9, 0.3, 0.9], pixels, seed=1)
    return [images, images[1:2], images[[1, 0, 2]], images[[1, 1, 1]]]


def _larger_than_any_internal_batch(pixels: int) -> list[Raster]:
    images = _random([0.0, 0.1, 0.3, 0.6, 1.0], pixels, seed=2)
    return [images[np.random.default_rng(3).integers(0, len(images), 270)]]


def _repeated(pixels: int) -> list[Raster]:
    return [_random([0.3, 0.6], pixels, seed=4)] * 3


def _other_steps(pixels: int) -> list[Raster]:
    return [
        _random([0.5, 0.9], pixels, steps, seed=5) for steps in (STEPS, 1, STEPS + 13, 7, STEPS)
    ]


def _one_after_the_other(pixels: int) -> list[Raster]:
    images = np.zeros((2, STEPS, pixels), bool)
    images[0, np.arange(pixels) * 3, np.arange(pixels)] = True
    images[1, np.arange(pixels) * 10, np.arange(pixels)] = True
    return [images]


def _ordinary(pixels: int) -> list[Raster]:
    return [_random([0.02, 0.05, 0.1, 0.3, 1.0], pixels, seed=6)]


def _intensities(pixels: int) -> list[ConstantInput]:
    rng = np.random.default_rng(7)
    values = rng.integers(0, 2**10 + 1, (6, pixels)).astype(np.int32)
    values[0], values[1, ::2] = 0, 0
    images = ConstantInput(values, -10, STEPS)
    return [images[:1], images[1:2], images, ConstantInput(values[2:4], -10, 7)]


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
    Scenario("synaptic currents", synaptic_currents, _ordinary),
    Scenario("synaptic currents, image after image", synaptic_currents, _saturated_then_empty),
    Scenario("resets", resets, _ordinary),
    Scenario("resets, image after image", resets, _saturated_then_empty),
    Scenario("recurrence and feedback", loops, _sizes),
    Scenario("recurrence, image after image", loops, _saturated_then_empty),
    Scenario("fast decay and recurrence with biases", short_memory, _sizes),
    Scenario("arrival in the same step", same_step, _sizes),
    Scenario("arrival in the same step, image after image", same_step, _saturated_then_empty),
    Scenario("convolutions", convolutional, _sizes),
    Scenario("direct coding and final potentials", direct, _intensities),
    Scenario("direct coding and maximum potentials", max_potential, _intensities),
    Scenario("fixed point, synaptic currents", fixed_currents, _sizes),
    Scenario("fixed point, currents image after image", fixed_currents, _saturated_then_empty),
    Scenario("fixed point, no input", all_fixed_features, _silence),
    Scenario("fixed point, saturated input", all_fixed_features, _saturation),
    Scenario("fixed point, image after image", all_fixed_features, _saturated_then_empty),
    Scenario("fixed point, batches of 1, 2 and odd sizes", all_fixed_features, _sizes),
    Scenario("fixed point, the last bit of each rule", fixed_edges, _one_after_the_other),
    Scenario("fixed point, narrow states", narrow_states, _one_after_the_other),
    Scenario("fixed point, narrow states in batches", narrow_states, _sizes),
    Scenario("fixed point, a trained network", trained_fixed, _ordinary),
)
