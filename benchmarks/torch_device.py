"""The backend ``torch`` on a device, compared with the native backend in the same rounds.

    NEUROATTACK_DATA=mnist python -m benchmarks.torch_device --device cuda [--network FILE]

Spikes must be equal in all scenarios of the conformance suite, and on MNIST test images. Prints one
JSON object; its ratios are the speed relative to the native backend on one thread. The exit status
is 1 if spikes differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.registry import Figures
from benchmarks.rounds import stated, throughputs
from benchmarks.workload import encode, layered_network
from neuroattack.backends.native import NativeBackend
from neuroattack.conformance.scenarios import SCENARIOS
from neuroattack.datasets import load_dataset
from neuroattack.deployment.backend import Recording, Simulator, load_backend
from neuroattack.encoding.constant import ConstantInput
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import Network
from neuroattack.ir.storage import load_network

BATCHES = (1, 100, 4096)
STEPS = 100
ROUNDS = 5


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--device", default="cpu", help="device of PyTorch")
    parser.add_argument("--network", type=Path, help="network; default: random weights")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="images per call")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each batch")
    options = parser.parse_args()
    figures = measure(options.device, options.network, options.batches, options.rounds)
    print(json.dumps(figures, indent=1))
    sys.exit(1 if figures["differing_spikes"] else 0)


def measure(device: str, path: Path | None, batches: list[int], rounds: int) -> Figures:
    """Return differing spikes and speeds of a device."""
    import torch

    backend = load_backend("torch", device)
    images = load_dataset("mnist").test.images
    rows = images.reshape(len(images), -1)[: max(batches)].astype(np.float64)
    network = layered_network((784, 500, 500, 10), rows) if path is None else load_network(path)
    native, simulator = NativeBackend(threads=1).deploy(network), backend.deploy(network)
    differing = 0
    for scenario in SCENARIOS:
        case = scenario.network()
        pair = NativeBackend(threads=1).deploy(case), backend.deploy(case)
        for batch in scenario.batches(case.input.size):
            spikes = batch if isinstance(batch, ConstantInput) else SpikeTrains.from_dense(batch)
            differing += _differing(case, *(_recorded(each, spikes) for each in pair))
    speeds: Figures = {}
    for size in batches:
        inputs = encode(network, rows[:size], STEPS)
        differing += _differing(
            network, _recorded(native, inputs[:100]), _recorded(simulator, inputs[:100])
        )
        found = throughputs(
            {
                "native": lambda inputs=inputs: native.run(inputs),
                "torch": lambda inputs=inputs: simulator.run(inputs),
            },
            size,
            rounds,
        )
        speeds[f"batch{size}"] = {
            **stated("native_images_per_s", found["native"]),
            **stated("torch_images_per_s", found["torch"]),
            **stated("relative_to_native", found["torch"] / found["native"]),
        }
    return {
        "device": device,
        "device_name": "" if device == "cpu" else torch.cuda.get_device_name(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "machine": describe_machine(),
        "network": "random weights" if path is None else str(path),
        "steps": STEPS,
        "scenarios": len(SCENARIOS),
        "differing_spikes": differing,
        **speeds,
    }


def _recorded(simulator: Simulator, inputs: SpikeTrains | ConstantInput) -> Recording:
    return simulator.run(inputs, record_spikes=True)


def _differing(network: Network, expected: Recording, found: Recording) -> int:
    """Return how many spikes, or potentials of the output, differ."""
    total = 0
    for name in network.sizes:
        if expected.spikes and name in expected.spikes and found.spikes:
            a, b = expected.spikes[name].to_dense(), found.spikes[name].to_dense()
            total += int(np.count_nonzero(a != b))
        total += int(np.count_nonzero(expected.counts[name] != found.counts[name]))
    if expected.potentials is not None and found.potentials is not None:
        total += int(np.count_nonzero(expected.potentials != found.potentials))
    return total


if __name__ == "__main__":
    main()
