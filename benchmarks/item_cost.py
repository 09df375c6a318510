"""CPU time of an attacked image: simulation, computation of the attack, and verification."""

from __future__ import annotations

import functools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.registry import Figures
from benchmarks.workload import encode, layered_network
from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.registry import make_attack
from neuroattack.backends.native import NativeBackend
from neuroattack.datasets import load_dataset
from neuroattack.deployment.backend import synaptic_operations
from neuroattack.deployment.deployment import Deployment, deploy
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.experiments.attack import attack_and_verify
from neuroattack.ir.network import INPUT, Convolution, Input, Network, Population, Projection
from neuroattack.ir.storage import load_network
from neuroattack.targets.black_box import Randomness, Target
from neuroattack.targets.defenses import TargetWrapper

__all__ = ["cpu_seconds", "measure_cost"]

_STEPS = 100
_TRIALS = 50
_RATE_HZ = 12.0
_MNIST, _CIFAR, _IMAGENET = (28, 28), (3, 32, 32), (3, 224, 224)
_ATTACKS = ("count-regression", "square", "simba", "hop-skip-jump", "boundary", "random-noise")
# The computation of count-regression on 3 x 224 x 224 pixels takes minutes and gigabytes.
_FEW_ATTACKS = ("random-noise", "square")
_FEW_QUERIES, _FEW_TRIALS = 40, 5


class _Timed(TargetWrapper):
    """Target that adds up the CPU time of its queries."""

    seconds = 0.0

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        began = time.process_time()
        counts = super().query(images)
        self.seconds += time.process_time() - began
        return counts


def convolutional_network(
    shape: tuple[int, int, int], layers: Sequence[tuple[int, int, int]], classes: int
) -> Network:
    """Return convolutional layers and a dense one with random weights, each firing at 12 Hz.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width of an image.
    layers : sequence of (int, int, int)
        Channels, side of the kernel, and stride of each convolutional layer.
    classes : int
        Number of output neurons.
    """
    rng = np.random.default_rng(0)
    image = rng.random((1, math.prod(shape)))
    populations: list[Population] = []
    projections: list[Convolution | Projection] = []
    before, name = shape, INPUT
    for layer in [*layers, None]:
        target = "output" if layer is None else f"conv{len(populations)}"
        weights = (
            rng.normal(0, 1, (math.prod(before), classes))
            if layer is None
            else rng.normal(0, 1, (layer[0], before[0], layer[1], layer[1]))
        )
        make = functools.partial(_connect, name, target, weights, before, layer)
        after = make(1.0)[1]
        size = math.prod(after)
        population = Population(
            target, size, tau_m_s=5.0, threshold_v=np.asarray(5e-3), refractory_steps=1
        )
        populations.append(population)
        deviation_v = 5e-4
        for _ in range(6):
            projection = make(deviation_v)[0]
            network = Network(
                dt_s=1e-3,
                input=Input(shape, PoissonEncoder(100.0)),
                populations=tuple(populations),
                projections=(*projections, projection),
                readout=target,
            )
            counts = NativeBackend(threads=1).deploy(network).run(encode(network, image, _STEPS))
            rate_hz = float(counts.counts[target].mean()) / (_STEPS * network.dt_s)
            deviation_v *= (_RATE_HZ / max(rate_hz, 1.0)) ** 0.5
        projections.append(projection)
        before, name = after, target
    return network


def _connect(
    source: str,
    target: str,
    weights: NDArray[np.float64],
    before: tuple[int, int, int],
    layer: tuple[int, int, int] | None,
    scale: float,
) -> tuple[Convolution | Projection, tuple[int, int, int]]:
    if layer is None:
        return Projection.from_weights(source, target, scale * weights), (weights.shape[1], 1, 1)
    made = Convolution.from_weights(
        source, target, scale * weights, before, stride=(layer[2], layer[2])
    )
    return made, made.target_shape


def _networks(path: Path | None) -> dict[str, Network]:
    digits = load_dataset("digits").test.first(10).images.reshape(10, -1).astype(float)
    mnist = layered_network((784, 500, 500, 10), digits) if path is None else load_network(path)
    return {
        "784-500-500-10": mnist,
        "3x32x32: 32C5-64C5/2-10": convolutional_network(_CIFAR, [(32, 5, 1), (64, 5, 2)], 10),
        "3x224x224: 32C7/4-64C5/2-128C3/2-1000": convolutional_network(
            _IMAGENET, [(32, 7, 4), (64, 5, 2), (128, 3, 2)], 1000
        ),
    }


def measure_cost(path: Path | None, dataset: str, queries: int, repeats: int) -> Figures:
    """Return CPU seconds per query: simulation by network, and the computation of attacks."""
    figures: Figures = {"steps": _STEPS, "trials": _TRIALS, "networks": {}, "attacks": {}}
    networks = _networks(path)
    rng = np.random.default_rng(1)
    for name, network in networks.items():
        shape = network.input.shape
        images = rng.random((1, *shape))
        if shape == _MNIST:
            images = load_dataset(dataset).test.first(20).images.astype(float)
        batch = 100 if shape == _MNIST else 10
        with deploy(network, steps=_STEPS) as deployment:
            found = _simulation(deployment, np.resize(images, (batch, *shape)))
            figures["networks"][name] = found
            print(name, json.dumps(found), file=sys.stderr)
            if shape == _MNIST:
                plan = (queries, _TRIALS, repeats)
            else:
                plan = (_FEW_QUERIES, _FEW_TRIALS, 1 if shape == _IMAGENET else repeats)
            figures["attacks"][name] = {}
            for attack in _ATTACKS if shape == _MNIST else _FEW_ATTACKS:
                found = _attack(deployment, attack, images, *plan)
                figures["attacks"][name][attack] = found
                print(name, attack, json.dumps(found), file=sys.stderr)
    return figures


def _simulation(deployment: Deployment, images: NDArray[np.float64]) -> Figures:
    indices = np.arange(len(images))
    recording = deployment.record(images, indices=indices)
    taken = cpu_seconds(lambda: deployment.record(images, indices=indices), 5)
    network = deployment.network
    return {
        "neurons": sum(population.size for population in network.populations),
        "synaptic_operations": float(synaptic_operations(network, recording).mean()),
        "batch": len(images),
        "ms_per_query": 1000 * taken / len(images),
    }


def _attack(
    deployment: Deployment,
    name: str,
    images: NDArray[np.float64],
    queries: int,
    trials: int,
    repeats: int,
) -> Figures:
    """Return the medians over repeats on several images, in milliseconds of CPU time."""
    rows = []
    for repeat in range(repeats + 1):
        opened: list[_Timed] = []

        def boxes(
            stream: int,
            budget: int | None = None,
            randomness: Randomness = "independent",
            opened: list[_Timed] = opened,
        ) -> Target:
            opened.append(_Timed(deployment.black_box(stream, budget, randomness)))
            return opened[-1]

        image = images[repeat % len(images)]
        attack = make_attack(name, Bound.from_text("l2=2"), queries, repeat, {})
        label = int(deployment.black_box(repeat).query(image[None])[0].argmax())
        began = time.process_time()
        found = attack_and_verify(
            boxes, attack, image, Goal(label), index=repeat, trials=trials, budget=queries
        )
        total = time.process_time() - began
        search, verification = (each.seconds for each in opened)
        spent = max(found.search.queries, 1)
        rows.append(
            {
                "queries": spent,
                "trials": trials,
                "simulation_ms_per_query": 1000 * search / spent,
                "attack_ms_per_query": 1000 * (total - search - verification) / spent,
                "verification_ms": 1000 * verification,
                "item_ms": 1000 * total,
            }
        )
    # The first repeat compiles and imports.
    median = {key: statistics.median(row[key] for row in rows[1:]) for key in rows[0]}
    per_query = median["simulation_ms_per_query"] + median["attack_ms_per_query"]
    return {
        **median,
        "queries_per_core_s": 1000 / per_query,
        "images_per_core_hour": 3_600_000 / median["item_ms"],
    }


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    durations = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        durations.append(time.process_time() - began)
    return statistics.median(durations)
