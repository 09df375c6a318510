"""Methods to run a network in Brian2, timed in the same rounds.

    NEUROATTACK_DATA=mnist python -m benchmarks.brian_strategies NETWORK

NETWORK is a file that 'neuroattack convert' wrote. Each method runs MNIST test images for 100
steps, and its spike counts are compared with the native backend.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from benchmarks.rounds import throughputs
from neuroattack.backends.brian.importing import brian2_version, import_brian2, own_settings
from neuroattack.backends.brian.model import build_model, make_clock
from neuroattack.backends.brian.runtime import RuntimeSimulator
from neuroattack.backends.brian.standalone.builds import build
from neuroattack.backends.brian.standalone.simulation import StandaloneSimulator
from neuroattack.backends.brian.timing import Timing
from neuroattack.datasets import load_dataset
from neuroattack.deployment.backend import load_backend
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import NeuroattackError
from neuroattack.ir.network import Network
from neuroattack.ir.storage import load_network
from neuroattack.report.terminal import console

STEPS = 100
IMAGES = 100
ROUNDS = 5


@dataclass(frozen=True)
class Strategy:
    """A method to run a network; `run` runs it on the first `images` images."""

    name: str
    images: int
    run: Callable[[SpikeTrains], list[dict[str, NDArray[np.int32]]]]


def fresh(network: Network, inputs: SpikeTrains) -> list[dict[str, NDArray[np.int32]]]:
    """Build all Brian2 objects anew for each image, as for a single image."""
    brian2 = import_brian2()
    timing = Timing.of(network, inputs.steps)
    found = []
    with own_settings(brian2):
        for number in range(inputs.images):
            step, neuron = timing.run_steps(inputs[number : number + 1])
            clock = make_clock(brian2, network)
            source: Any = brian2.SpikeGeneratorGroup(
                network.input.size,
                neuron,
                step * network.dt_s * brian2.second,
                clock=clock,
                name="population_input",
            )
            model = build_model(brian2, network, timing, clock, source, images=1)
            model.network.run(timing.period * network.dt_s * brian2.second, namespace={})
            found.append({name: np.array(spikes.count) for name, spikes in model.spikes.items()})
    return found


def measure(network: Network) -> None:
    """Measure all methods and print the table."""
    images = load_dataset("mnist").test.first(IMAGES).images.reshape(IMAGES, -1)
    inputs = network.input.encoder.encode(
        images.astype(np.float64), indices=np.arange(IMAGES), steps=STEPS, dt_s=network.dt_s, seed=0
    )
    in_process = RuntimeSimulator(network)
    start = time.perf_counter()
    build(network, STEPS)
    build_s = time.perf_counter() - start
    compiled = StandaloneSimulator(network)

    def one_by_one(shown: SpikeTrains) -> list[dict[str, NDArray[np.int32]]]:
        return [
            dict(in_process.run(shown[number : number + 1]).counts)
            for number in range(shown.images)
        ]

    strategies = (
        Strategy("a fresh network for each image", 3, lambda shown: fresh(network, shown)),
        Strategy("one network, restored for each image", 8, one_by_one),
        Strategy("brian2 (in process)", IMAGES, lambda shown: [dict(in_process.run(shown).counts)]),
        Strategy("brian2-standalone", IMAGES, lambda shown: [dict(compiled.run(shown).counts)]),
        Strategy(
            "brian2-standalone, one image", 1, lambda shown: [dict(compiled.run(shown).counts)]
        ),
    )
    expected = load_backend("native").deploy(network).run(inputs).counts
    differing = {}
    for strategy in strategies:
        parts = strategy.run(inputs[: strategy.images])
        differing[strategy.name] = sum(
            int(np.abs(np.vstack([part[name] for part in parts]) - counts[: strategy.images]).sum())
            for name, counts in expected.items()
            if name in parts[0]
        )
    calls = throughputs(
        {s.name: lambda s=s: s.run(inputs[: s.images]) for s in strategies}, 1, ROUNDS
    )
    rates = {s.name: calls[s.name] * s.images for s in strategies}
    slowest, restored = rates[strategies[0].name], rates[strategies[1].name]
    rows = {
        name: f"{np.median(rate):8.1f} images/s ({rate.min():.1f} to {rate.max():.1f}), "
        f"{np.median(rate / slowest):5.1f} x fresh, "
        f"{np.median(rate / restored):5.1f} x restored, "
        f"{differing[name]} spikes differ"
        for name, rate in rates.items()
    }
    saved_s = 1 / np.median(rates["brian2 (in process)"])
    saved_s -= 1 / np.median(rates["brian2-standalone"])
    rows["compilation"] = f"{build_s:8.1f} s, pays off after {build_s / saved_s:.0f} images"
    machine = {**describe_machine(), "brian2": brian2_version()}
    console.print_figures("Machine", {name: str(value) for name, value in machine.items()})
    console.print_figures(f"{STEPS} steps, medians of {ROUNDS} rounds", rows)


def main() -> int:
    """Run with the network of the command line and return the exit code."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    try:
        # With an empty cache, so that building is timed.
        with tempfile.TemporaryDirectory() as cache:
            os.environ["XDG_CACHE_HOME"] = cache
            measure(load_network(sys.argv[1]))
    except NeuroattackError as error:
        console.note(f"error: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
