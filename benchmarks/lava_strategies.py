"""Cost of a query on Lava: this package's Lava processes compared with Lava's stock processes.

``python -m benchmarks.lava_strategies NETWORK`` measures processor time per image (user and
system, over all processes including the calling one) on the first test images of MNIST, in
interleaved rounds: one long run of stock processes, with images in sequence and one step per
message, and batches of 99 on the Lava backend with 1 and with 10 steps per message. Stock
processes do not combine a refractory period with a reset, so their network has none; its spikes
are checked too. Then it measures the cost of a deployment, and the resources that remain in use
after fifty of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing.shared_memory
import os
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.rounds import spread
from neuroattack.backends.lava.backend import LavaBackend
from neuroattack.backends.lava.simulator import LavaSimulator
from neuroattack.backends.native import NativeBackend
from neuroattack.backends.workers.leftovers import new_prefix, remove_leftovers
from neuroattack.datasets import load_dataset
from neuroattack.deployment.backend import Workload
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import NeuroattackError
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import Network
from neuroattack.ir.storage import load_network
from neuroattack.report.terminal import console

STEPS = 100
BATCH = 99
STOCK_IMAGES = 20
CHECKED_IMAGES = 2
QUERIES = 5
BLOCKS = (1, 10)
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def group_cpu_s(group: int) -> float:
    """Return the processor time used so far by the processes of a group."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_A_SECOND


def group_pss_mib(group: int) -> float:
    """Return the memory of the processes of a group, counting each shared page once."""
    kib = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                lines = (entry / "smaps_rollup").read_text().splitlines()
                kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


def resident_mib() -> float:
    """Return the resident memory of this process."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024


def resources_in_use() -> tuple[float, int, int]:
    """Return this process's resident memory in MiB, its open files and its threads."""
    files, threads = (len(list(Path(f"/proc/self/{kind}").iterdir())) for kind in ("fd", "task"))
    return resident_mib(), files, threads


def draw_inputs(network: Network, images: int) -> SpikeTrains:
    """Return the input spikes of the first test images of MNIST."""
    shown = load_dataset("mnist").test.first(images).images.reshape(images, -1)
    return network.input.encoder.encode(
        shown.astype(np.float64),
        indices=np.arange(images),
        steps=STEPS,
        dt_s=network.dt_s,
        seed=0,
    )


def without_refractory_period(network: Network) -> Network:
    """Return the network without refractory periods, as stock processes support it."""
    populations = tuple(dataclasses.replace(p, refractory_steps=0) for p in network.populations)
    return dataclasses.replace(network, populations=populations)


def stock_part(path: str, prefix: str) -> None:
    """Run the stock graph once for each line on standard input and print the seconds it took.

    This is a separate process, which the caller kills, because Lava does not stop reliably.
    """
    # Not imported from the package "tests": lava-nc installs a package of that name.
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from support.lava_stock import StockGraph

    multiprocessing.shared_memory._SHM_NAME_PREFIX = f"/{prefix}"
    network = without_refractory_period(load_network(path))
    raster = draw_inputs(network, STOCK_IMAGES).to_dense()
    graph = StockGraph(network, raster.reshape(-1, raster.shape[-1]), STEPS, (network.readout,))
    graph.run()  # warms up
    found = graph.spikes()[network.readout].reshape(STOCK_IMAGES, STEPS, -1)
    # The last layer lags by its depth: its window starts later, and ends with the image.
    lag = len(network.populations)
    for image in range(CHECKED_IMAGES):
        expected = simulate(network, raster[image])[network.readout]
        np.testing.assert_array_equal(found[image, lag:], expected[lag:])
    print("ready", flush=True)
    for _ in sys.stdin:
        before = group_cpu_s(os.getpgid(0))
        graph.run()
        print(json.dumps(group_cpu_s(os.getpgid(0)) - before), flush=True)


class Ours:
    """A deployment on the Lava backend, and the cost of its queries."""

    def __init__(self, network: Network, block_steps: int, inputs: SpikeTrains) -> None:
        self._inputs = inputs
        start = time.perf_counter()
        own = time.process_time()
        backend = LavaBackend(block_steps)
        self.simulator = backend.deploy(network, Workload(images=BATCH))
        self.build_s = time.perf_counter() - start
        self.group = worker_group(self.simulator)
        self.build_cpu_s = group_cpu_s(self.group) + time.process_time() - own
        with closing(NativeBackend().deploy(network)) as native:
            expected = native.run(inputs)
        found = self.simulator.run(inputs)
        for name, counts in expected.counts.items():
            np.testing.assert_array_equal(found.counts[name], counts)

    def measure(self) -> tuple[float, float]:
        """Return processor time and elapsed time in milliseconds per image."""
        own, theirs, start = time.process_time(), group_cpu_s(self.group), time.perf_counter()
        for _ in range(QUERIES):
            self.simulator.run(self._inputs)
        elapsed_s = time.perf_counter() - start
        cpu_s = time.process_time() - own + group_cpu_s(self.group) - theirs
        return 1e3 * cpu_s / (QUERIES * BATCH), 1e3 * elapsed_s / (QUERIES * BATCH)


def worker_group(simulator: LavaSimulator) -> int:
    """Return the process group of a simulator's worker."""
    worker = simulator._worker
    if worker is None:
        raise RuntimeError("no worker")
    return worker._processes._group


def measure_queries(path: str, rounds: int) -> dict[str, object]:
    """Return the cost per image of each method."""
    network = load_network(path)
    inputs = draw_inputs(network, BATCH)
    prefix = new_prefix()
    stock = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.lava_strategies", path, "--stock-part", prefix],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    ours = {}
    try:
        if stock.stdin is None or stock.stdout is None:
            raise RuntimeError("no pipes")
        if stock.stdout.readline() != "ready\n":
            raise RuntimeError("the stock graph failed")
        ours = {block: Ours(network, block, inputs) for block in BLOCKS}
        cpu: dict[str, list[float]] = {"stock": [], **{f"K={block}": [] for block in BLOCKS}}
        elapsed: dict[int, list[float]] = {block: [] for block in BLOCKS}
        for turn in range(rounds):
            stock.stdin.write("go\n")
            stock.stdin.flush()
            cpu["stock"].append(1e3 * json.loads(stock.stdout.readline()) / STOCK_IMAGES)
            for block in BLOCKS[turn % 2 :] + BLOCKS[: turn % 2]:
                cpu_ms, elapsed_ms = ours[block].measure()
                cpu[f"K={block}"].append(cpu_ms)
                elapsed[block].append(elapsed_ms)
        figures: dict[str, object] = {}
        for name, values in cpu.items():
            figures[f"cpu_ms_an_image_{name}"] = spread(np.array(values))
        for block in BLOCKS:
            ratios = np.array(cpu["stock"]) / np.array(cpu[f"K={block}"])
            figures[f"times_better_than_stock_K={block}"] = spread(ratios)
            figures[f"elapsed_ms_an_image_K={block}"] = spread(np.array(elapsed[block]))
            figures[f"build_s_K={block}"] = ours[block].build_s
            figures[f"build_cpu_s_K={block}"] = ours[block].build_cpu_s
            figures[f"worker_mib_K={block}"] = group_pss_mib(ours[block].group)
        return figures
    finally:
        for one in ours.values():
            one.simulator.close()
        with suppress(OSError):
            os.killpg(stock.pid, 9)
        stock.communicate()
        remove_leftovers(prefix)


def measure_leaks(path: str, deployments: int) -> dict[str, object]:
    """Return the growth of this process after many deployments, each queried and closed."""
    network = load_network(path)
    inputs = draw_inputs(network, 4)

    def deploy_ask_close() -> None:
        with closing(LavaBackend().deploy(network)) as simulator:
            simulator.run(inputs)

    deploy_ask_close()
    before = resources_in_use()
    for _ in range(deployments):
        deploy_ask_close()
    after = resources_in_use()
    return {
        "deployments": deployments,
        "growth_mib": after[0] - before[0],
        "growth_files": after[1] - before[1],
        "growth_threads": after[2] - before[2],
    }


def shown(value: object) -> str:
    """Return a figure as text: a median with its minimum and maximum."""
    if isinstance(value, tuple):
        median, (low, high) = value
        return f"{median:.3g} ({low:.3g} to {high:.3g})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lava_strategies",
        description="Compare the Lava backend with Lava's stock processes on MNIST.",
    )
    parser.add_argument(
        "network", metavar="NETWORK", help="Network file, as 'neuroattack convert' writes it."
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON object on stdout.")
    parser.add_argument("--rounds", type=int, default=5, help="Number of timing rounds.")
    parser.add_argument(
        "--deployments", type=int, default=50, help="Number of deployments for the leak check."
    )
    parser.add_argument("--stock-part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stock_part:
        stock_part(arguments.network, arguments.stock_part)
        return 0
    try:
        machine = describe_machine()
        queries = measure_queries(arguments.network, arguments.rounds)
        leaks = measure_leaks(arguments.network, arguments.deployments)
    except NeuroattackError as error:
        console.note(f"error: {error}")
        return 2
    if arguments.json:
        console.print_json({"machine": machine, "queries": queries, "leaks": leaks})
        return 0
    for title, figures in (("Machine", machine), ("Queries", queries), ("Leaks", leaks)):
        console.print_figures(title, {name: shown(value) for name, value in figures.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
