"""What a campaign on a cluster costs, and which part of it reaches its limit first.

Times are CPU seconds of the processes concerned, which other load on the machine affects less than
the time of day. Prints one JSON object. Needs the extra `campaigns` and Linux.

    python -m benchmarks.cluster
    python -m benchmarks.cluster --only campaign --items 1000000
    python -m benchmarks.cluster --only suites --figures cost.json dispatch.json
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import math
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.item_cost import cpu_seconds, measure_cost
from benchmarks.machine import describe_machine
from benchmarks.registry import Figures
from benchmarks.store import cells, image_result, stand_in
from benchmarks.suites import suites
from neuroattack.datasets import load_dataset
from neuroattack.experiments.engine.running import do_cells
from neuroattack.experiments.engine.store import STORE, Counts, Packed, Store
from neuroattack.experiments.engine.workers import Task, Workers, attempt

_ROOT = Path(__file__).resolve().parents[1]
_MNIST, _CIFAR, _IMAGENET = (28, 28), (3, 32, 32), (3, 224, 224)
_SHAPES = {"no image": (), "28 x 28": _MNIST, "3 x 32 x 32": _CIFAR, "3 x 224 x 224": _IMAGENET}
_IN_FLIGHT = 8192
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


# Dispatch and data transfer.


def _plan(folder: Path, items: int, shape: tuple[int, ...]) -> None:
    with Store(folder, create=True) as store:
        batch = []
        for cell in cells(items):
            arguments = {**cell.arguments, "shape": list(shape)}
            batch.append(replace(cell, work=stand_in, arguments=arguments))
            if len(batch) == 50_000:
                store.plan(batch)
                batch = []
        store.plan(batch)


@dataclass
class _Cluster:
    address: str
    scheduler: int
    workers: list[int]


@contextlib.contextmanager
def cluster(workers: int, threads: int) -> Iterator[_Cluster]:
    """Start a Dask scheduler and workers, each in a process of its own."""
    from distributed import Client

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        file = Path(name) / "scheduler.json"

        def start(module: str, *options: str) -> int:
            command = [sys.executable, "-m", f"distributed.cli.{module}", *options]
            process = subprocess.Popen(
                [*command, "--scheduler-file", str(file)], **quiet, cwd=_ROOT
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process.pid

        scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        options = ("--no-nanny", "--no-dashboard", "--nthreads", str(threads))
        pids = [start("dask_worker", *options) for _ in range(workers)]
        while not file.exists() or not file.read_text().strip().endswith("}"):
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers)
        yield _Cluster(address, scheduler, pids)


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _memory_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])


def _loopback_bytes() -> int:
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, fields = line.partition(":")
        if name.strip() == "lo":
            return int(fields.split()[0])
    return 0


def dispatch(
    folder: Path, items: int, shape: tuple[int, ...], dask: _Cluster | None = None
) -> Figures:
    """Run cells that only return a result with the engine; return the cost per item."""
    workers = Workers(2) if dask is None else Workers(scheduler=dask.address)
    # Starts the workers.
    _plan(folder / "first", 50, shape)
    do_cells(folder / "first", workers, {})
    _plan(folder, items, shape)
    most = 0

    def note(counts: Counts, _: float) -> None:
        nonlocal most
        most = max(most, counts.running)

    pids = {} if dask is None else {"scheduler": dask.scheduler}
    before = {name: _cpu_of(pid) for name, pid in pids.items()}
    transferred, used, began = _loopback_bytes(), time.process_time(), time.perf_counter()
    counts = do_cells(folder, workers, {}, note)
    taken_s = time.perf_counter() - began
    if counts.failed:
        raise RuntimeError(f"{counts.failed} of {items} items failed")
    figures = {
        "items": counts.done,
        "items_per_s": counts.done / taken_s,
        "stored_bytes_per_item": (folder / STORE).stat().st_size / items,
        "most_in_flight": most,
        "coordinator_ms_per_item": 1000 * (time.process_time() - used) / items,
        **{
            f"{name}_ms_per_item": 1000 * (_cpu_of(pid) - before[name]) / items
            for name, pid in pids.items()
        },
    }
    if dask is not None:
        figures["transferred_bytes_per_item"] = (_loopback_bytes() - transferred) / items
    return figures


def measure_dispatch(items: int) -> Figures:
    """Return the cost of dispatch by workers and by size of the result."""
    figures: Figures = {}

    def one(name: str, count: int, shape: tuple[int, ...], dask: _Cluster | None = None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = dispatch(Path(folder), count, shape, dask)
        print(name, json.dumps(figures[name]), file=sys.stderr)

    for label in ("no image", "28 x 28"):
        one(f"processes, {label}", items, _SHAPES[label])
    with cluster(2, 1) as dask:
        one("Dask with 2 threads, 28 x 28", items // 5, _MNIST, dask)
    # As many cells in flight as with 512 workers.
    with cluster(2, 256) as dask:
        for label, shape in _SHAPES.items():
            one(f"Dask, {label}", items // 4 if shape == _IMAGENET else items, shape, dask)
    return figures


def measure_transfer() -> Figures:
    """Return the bytes of a task and of a result, and the CPU time of packing the result."""
    figures = {}
    for label, shape in _SHAPES.items():
        cell = next(cells(1))
        arguments = {**cell.arguments, "shape": list(shape)}
        task = Task(cell.key, stand_in.__module__, "stand_in", arguments, Path("/results"), 1)
        found = attempt(task)
        figures[label] = {
            "task_bytes": len(pickle.dumps(task)),
            "result_bytes": len(pickle.dumps(found)),
            "image_bytes": 8 * math.prod(shape) if shape else 0,
            "data_set_bytes": _data_set_bytes(shape) if shape else 0,
            "pack_ms": 1000 * cpu_seconds(lambda shape=shape: Packed.of(image_result(shape)), 9),
        }
    return figures


def _data_set_bytes(shape: tuple[int, ...]) -> float:
    """Return the memory per image of a data set of bytes that a worker has loaded."""
    images = 10
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "images.npz"
        labels = np.arange(images)
        np.savez(path, test_images=np.zeros((images, *shape), np.uint8), test_labels=labels)
        return load_dataset(str(path)).test.images.nbytes / images


def measure_futures(numbers: Sequence[int]) -> Figures:
    """Return the cost of futures that are submitted to Dask all at once."""
    from distributed import Client

    figures = {}
    for number in numbers:
        with cluster(2, 1) as dask, Client(dask.address, set_as_default=False) as client:
            client.gather(client.map(abs, range(100), pure=False))
            memory = _memory_of(dask.scheduler), _memory_of(os.getpid())
            used, own = _cpu_of(dask.scheduler), time.process_time()
            began = time.perf_counter()
            futures = client.map(abs, range(number), pure=False, batch_size=1000)
            submitted_s = time.perf_counter() - began
            client.gather(futures)
            taken_s = time.perf_counter() - began
            figures[f"{number:,}"] = {
                "submit_s": submitted_s,
                "all_s": taken_s,
                "scheduler_ms_per_future": 1000 * (_cpu_of(dask.scheduler) - used) / number,
                "client_ms_per_future": 1000 * (time.process_time() - own) / number,
                "scheduler_bytes_per_future": (_memory_of(dask.scheduler) - memory[0]) / number,
                "client_bytes_per_future": (_memory_of(os.getpid()) - memory[1]) / number,
            }
            del futures
    return figures


# A whole campaign without attacks.


def measure_campaign(items: int) -> Figures:
    """Claim and finish all items of a campaign, with as many in flight as on a cluster."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        used = time.process_time()
        _plan(folder, items, _MNIST)
        figures: Figures = {"items": items, "in_flight": _IN_FLIGHT}
        figures["plan_ms_per_item"] = 1000 * (time.process_time() - used) / items
        packed = Packed.of(image_result(_MNIST))
        running: collections.deque[str] = collections.deque()
        used, began = time.process_time(), time.perf_counter()
        with Store(folder) as store:
            while True:
                claimed = store.claim()
                if claimed is not None:
                    running.append(claimed.key)
                if claimed is None or len(running) > _IN_FLIGHT:
                    if not running:
                        break
                    store.finish(running.popleft(), packed)
            figures["seconds"] = time.perf_counter() - began
            figures["ms_per_item"] = 1000 * (time.process_time() - used) / items
            used = time.process_time()
            store.counts()
            figures["counts_ms"] = 1000 * (time.process_time() - used)
        figures["store_bytes_per_item"] = (folder / STORE).stat().st_size / items
        began = time.perf_counter()
        with Store(folder) as store:
            figures["open_s"] = time.perf_counter() - began
            began = time.perf_counter()
            store.claim()
            figures["first_claim_s"] = time.perf_counter() - began
        for label, arguments in (
            ("status", ["status", name, "--json"]),
            ("export", ["export", name, "--json"]),
            ("export_csv", ["export", name, "--csv", str(folder / "rows.csv"), "--json"]),
        ):
            figures[label] = _timed_command(arguments)
        return figures


def _timed_command(arguments: Sequence[str]) -> Figures:
    command = [sys.executable, "-m", "neuroattack", "campaign", *arguments]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "exit_code": process.returncode,
    }


def main() -> None:
    """Measure with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="cost,transfer,dispatch,futures,suites")
    parser.add_argument("--figures", type=Path, nargs="*", default=[])
    parser.add_argument("--network", type=Path)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--items", type=int, default=2_000)
    chosen = parser.parse_args()
    # Cost per core: the backend would use all.
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"
    sections: dict[str, Callable[[], Figures]] = {
        "cost": lambda: measure_cost(
            chosen.network, chosen.dataset, chosen.queries, chosen.repeats
        ),
        "transfer": measure_transfer,
        "dispatch": lambda: measure_dispatch(chosen.items),
        "futures": lambda: measure_futures((10_000, 100_000)),
        "campaign": lambda: measure_campaign(chosen.items),
    }
    figures: Figures = {}
    for file in chosen.figures:
        figures |= json.loads(file.read_text(encoding="utf-8"))
    figures["machine"] = describe_machine()
    for name in chosen.only.split(","):
        if name == "suites":
            figures[name] = suites(figures)
        else:
            figures[name] = sections[name]()
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
