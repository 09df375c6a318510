"""What fits in memory: computed and measured peaks by network, steps and what is recorded.

``python -m benchmarks.capacity`` prints the tables of docs/memory.md; it takes some minutes.
``python -m benchmarks.capacity NETWORK STEPS IMAGES counts`` is the process of one measurement; the
last word is ``spikes`` to record spikes.

All neurons, including the input, spike every 50 steps, 20 Hz: by a constant input, so that the rate
depends neither on the weights nor on the network.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.query_process import run
from benchmarks.registry import Table
from benchmarks.writing import markdown
from neuroattack.deployment.deployment import MAX_STEPS, Deployment, deploy
from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.ir.convolution import Convolution
from neuroattack.ir.network import INPUT, AnyProjection, Input, Network, Population, Projection

__all__ = ["NETWORKS", "computed_bytes", "convolutional", "largest", "layered"]

MACHINE_BYTES = 24 * 2**30

_RATE = 0.02
"""Spikes per neuron and step."""

_EXPONENT = -40
"""Unit of the weights, so small that they do not affect the rate."""


def _network(shape: tuple[int, ...], projections: Sequence[AnyProjection]) -> Network:
    populations = tuple(
        Population(p.target, p.shape[1], math.inf, 1 - _RATE / 2, bias_v=_RATE) for p in projections
    )
    return Network(
        1e-3, Input(shape, PoissonEncoder(1000.0)), populations, tuple(projections), "out"
    )


def _dense(source: str, target: str, sources: int, targets: int) -> Projection:
    mantissas = np.random.default_rng(0).integers(-100, 100, (sources, targets), np.int32)
    return Projection(source, target, mantissas, _EXPONENT)


def layered(*sizes: int) -> Network:
    """Return a network of dense layers."""
    names = [INPUT, *(f"hidden{i}" for i in range(1, len(sizes) - 1)), "out"]
    ends = zip(names, names[1:], sizes, sizes[1:], strict=False)
    return _network((sizes[0],), [_dense(*each) for each in ends])


def convolutional(side: int) -> Network:
    """Return six convolutions, the first with 16 channels, then doubled while sides are halved."""
    projections: list[AnyProjection] = []
    source, shape = INPUT, (3, side, side)
    rng = np.random.default_rng(0)
    for number, channels in enumerate((16, 32, 64, 128, 256, 512), 1):
        kernel = rng.integers(-100, 100, (channels, shape[0], 3, 3), np.int32)
        stride = (1, 1) if number == 1 else (2, 2)
        projection = Convolution(
            source, f"c{number}", kernel, _EXPONENT, shape, stride, ((1, 1), (1, 1))
        )
        projections.append(projection)
        source, shape = projection.target, projection.target_shape
    projections.append(_dense(source, "out", math.prod(shape), 1000))
    return _network((3, side, side), projections)


NETWORKS: dict[str, Callable[[], Network]] = {
    "784-500-500-10": lambda: layered(784, 500, 500, 10),
    "3072-4096-4096-1000": lambda: layered(3072, 4096, 4096, 1000),
    "15000-15000": lambda: layered(15_000, 15_000),
    "conv-3x224x224": lambda: convolutional(224),
}

_MEASURED = (
    ("784-500-500-10", 100, 10_000, "counts"),
    ("784-500-500-10", 350, 10_000, "counts"),
    ("784-500-500-10", 350, 10_000, "spikes"),
    ("784-500-500-10", 10_000, 100, "spikes"),
    ("784-500-500-10", 20_000, 50, "spikes"),
    ("3072-4096-4096-1000", 100, 100, "counts"),
    ("3072-4096-4096-1000", 350, 50, "counts"),
    ("3072-4096-4096-1000", 350, 200, "spikes"),
    ("15000-15000", 100, 10, "counts"),
    ("conv-3x224x224", 100, 2, "counts"),
    ("conv-3x224x224", 100, 4, "spikes"),
)


def per_image_bytes(network: Network, steps: int) -> int:
    """Return the memory of the recorded spikes of an image, and its counts."""
    neurons = sum(network.sizes.values())
    spikes = 4 * round(_RATE * neurons * steps) + 8 * len(network.sizes) * (steps + 1)
    return spikes + 4 * neurons


def deployed_bytes(network: Network) -> tuple[int, int]:
    """Return the memory of a network and its deployment, and the peak while it is deployed."""
    sizes = [projection.grid.size for projection in network.projections]
    # Seven numbers per neuron, in both, and the state.
    neurons = 145 * sum(network.sizes.values())
    peak = 4 * sum(sizes) + max(4 * sum(sizes[:i]) + 16 * sizes[i] for i in range(len(sizes)))
    return 8 * sum(sizes) + neurons, peak + neurons


def batch_of(network: Network, steps: int, *, spikes: bool) -> int:
    """Return the largest number of images per batch."""
    deployment = Deployment(network, None, "", "", steps, 0)  # type: ignore[arg-type]
    return deployment.batches(10**6, record_spikes=spikes)[0].stop


def computed_bytes(network: Network, steps: int, images: int, *, spikes: bool) -> int:
    """Return the peak memory of recording images, without that of the program itself."""
    deployed, deploying = deployed_bytes(network)
    pixels, neurons = network.input.size, sum(network.sizes.values())
    batch = min(images, batch_of(network, steps, spikes=spikes))
    # Images in double precision, and those of the batch times the rate; and the input spikes.
    inputs = 8 * pixels * (images + batch) + batch * (
        4 * round(_RATE * pixels * steps) + 8 * (steps + 1)
    )
    # Parts, and the whole into which they are joined.
    recorded = 2 * images * (per_image_bytes(network, steps) if spikes else 4 * neurons)
    return max(deploying, deployed + inputs + recorded)


def largest(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest number up to `most` for which something fits; 0 if none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _memory_mib(field: str) -> float:
    # Not ru_maxrss, which starts from that of the parent process.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


def _measure(name: str, steps: int, images: int, *, spikes: bool) -> dict[str, float]:
    """Return the peak memory beyond that of the program, and the images per second of a core."""
    for small in (layered(20, 10), convolutional(32)):
        with deploy(small, steps=2) as deployment:
            deployment.record(np.zeros((1, small.input.size)), indices=[0], record_spikes=True)
    program = _memory_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    network = NETWORKS[name]()
    with deploy(network, steps=steps) as deployment:
        rows = np.full((images, network.input.size), _RATE)
        began = time.process_time()
        deployment.record(rows, indices=np.arange(images), record_spikes=spikes)
        seconds = time.process_time() - began
    return {
        "program_mib": program,
        "computed_mib": computed_bytes(network, steps, images, spikes=spikes) / 2**20,
        "measured_mib": _memory_mib("VmHWM") - program,
        "images_per_batch": batch_of(network, steps, spikes=spikes),
        "images_per_s": images / seconds,
    }


def _limits(name: str, program_mib: float) -> list[str]:
    """Return the row of a network in the table of limits."""
    network = NETWORKS[name]()
    room = MACHINE_BYTES - int(program_mib * 2**20)
    weights = sum(projection.grid.size for projection in network.projections)
    # For convolutions, the native backend reserves a spike per neuron and step, and the system
    # reserves no more than the memory of the machine at once.
    most = max(network.sizes.values())
    steps = min(MAX_STEPS, MACHINE_BYTES // (4 * most))

    def fits(images: int, steps: int) -> bool:
        return computed_bytes(network, steps, images, spikes=True) <= room

    return [
        name,
        f"{sum(network.sizes.values()):,}",
        f"{weights:,}",
        f"{largest(lambda n: fits(n, steps), 1) and steps:,}",
        *(f"{largest(lambda n, t=t: fits(n, t), 10**7):,}" for t in (100, 350, 10_000)),
    ]


def main() -> None:
    """Print the tables."""
    rows: list[list[str]] = []
    program = 0.0
    for name, steps, images, recorded in _MEASURED:
        command = [sys.executable, "-m", "benchmarks.capacity", name, f"{steps}", f"{images}"]
        found: dict[str, Any] = json.loads(run([*command, recorded]))
        program = max(program, found["program_mib"])
        rows.append(
            [
                name,
                f"{steps:,}",
                f"{images:,}",
                recorded,
                f"{found['images_per_batch']:,}",
                f"{found['computed_mib']:,.0f}",
                f"{found['measured_mib']:,.0f}",
                f"{float(format(found['images_per_s'], '.3g')):,g}",
            ]
        )
        print(rows[-1], file=sys.stderr)
    peaks = ("computed MiB", "measured MiB", "images per core and second")
    header = ("network", "T", "images", "recorded", "images per batch", *peaks)
    title = f"Peak memory beyond the {program:.0f} MiB of the program, and throughput"
    print(markdown(Table(title, header, rows)), end="\n\n")
    limits = [_limits(name, program) for name in NETWORKS]
    header = ("network", "neurons", "weights", "largest T", "T = 100", "T = 350", "T = 10,000")
    print(markdown(Table("Largest T, and images whose spikes fit at once", header, limits)))


if __name__ == "__main__":
    if sys.argv[1:]:
        _name, _steps, _images, _recorded = sys.argv[1:]
        _found = _measure(_name, int(_steps), int(_images), spikes=_recorded == "spikes")
        sys.stdout.write(json.dumps(_found))
    else:
        main()
