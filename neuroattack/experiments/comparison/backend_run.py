"""Run one backend in a separate process to measure its start-up time and memory.

The process is ``python -m neuroattack.experiments.comparison.backend_run FOLDER START``. It reads
its inputs from FOLDER and writes its results there; START is the monotonic clock at its start.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.backend import Recording
from neuroattack.deployment.deployment import deploy
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import NeuroattackError, SimulationError, UnsupportedFeatureError
from neuroattack.ir.network import Network
from neuroattack.ir.storage import load_network, save_network

__all__ = ["BackendRun", "run_backend"]

# Fast backends are timed repeatedly, slow ones once.
_REPEATS = 5
_REPEAT_WITHIN_S = 5.0

_SAMPLE_S = 0.05
_GRACE_S = 5.0

# Arrays stored for each population.
_PARTS = ("counts", "recorded_counts", "offsets", "neurons")
# Arrays stored once.
_POTENTIALS = ("potentials", "recorded_potentials")


@dataclass(frozen=True, eq=False)
class BackendRun:
    """Results of a backend on a batch of images, and its speed and memory.

    Parameters
    ----------
    recording : Recording
        Counts and output potentials of a run without recorded spikes, and spikes of a second run.
    recorded_counts : dict of str to int32 array, shape (images, size)
        Counts of the run that recorded spikes.
    recorded_potentials : float64 array, shape (images, classes), or None
        Output potentials of the run that recorded spikes.
    backend_version : str
        Version of the simulator.
    setup_s : float
        Seconds from process start to the first result: imports, deployment and one image.
    images_per_s : float
        Median throughput of the following runs, including encoding.
    peak_rss_mib : float
        Peak resident memory in MiB of all processes of the backend, with shared memory counted
        once.
    """

    recording: Recording
    recorded_counts: dict[str, NDArray[np.int32]]
    recorded_potentials: NDArray[np.float64] | None
    backend_version: str
    setup_s: float
    images_per_s: float
    peak_rss_mib: float


def run_backend(
    network: Network, images: NDArray[np.float32], *, backend: str, steps: int, seed: int
) -> BackendRun:
    """Run a backend in a separate process.

    Parameters
    ----------
    network : Network
        Network in floating or fixed point.
    images : float array, shape (images, height, width)
        Intensities in [0, 1]; the position of an image is its index in the random stream.
    backend : str
        Registered name.
    steps, seed : int
        Number of time steps T per image, and random seed of the input spikes.

    Raises
    ------
    UnsupportedFeatureError
        If the backend does not support the network.
    SimulationError
        If the backend cannot run or failed.
    """
    with tempfile.TemporaryDirectory(prefix="neuroattack-backend-") as name:
        folder = Path(name)
        save_network(folder / "network.h5", network)
        np.save(folder / "images.npy", images)
        request = {"backend": backend, "steps": steps, "seed": seed}
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        errors = folder / "stderr.txt"
        with errors.open("wb") as stderr:
            # The child ends when this pipe closes, so that it does not outlive its parent.
            # The monotonic clock is the same in both processes.
            child = subprocess.Popen(  # noqa: S603  # this Python, on a folder of our own
                [sys.executable, "-m", "neuroattack.experiments.comparison.backend_run", name,
                 str(time.monotonic())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                # An empty cache, so that the compilation time is measured.
                env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
            )  # fmt: skip
        try:
            peak_mib = _peak_mib(child)
        finally:
            _end(child)
        result = folder / "result.json"
        if not result.exists():
            last = errors.read_text(errors="replace").strip().splitlines()[-1:]
            raise SimulationError(
                f"backend {backend!r} ended with exit code {child.returncode}"
                + (f": {last[0]}" if last else "")
            )
        values = json.loads(result.read_text(encoding="utf-8"))
        if "unsupported" in values:
            raise UnsupportedFeatureError(values["unsupported"])
        if "error" in values:
            raise SimulationError(f"backend {backend!r} failed: {values['error']}")
        with np.load(folder / "recording.npz", allow_pickle=False) as arrays:
            return BackendRun(*_unpacked(dict(arrays)), peak_rss_mib=peak_mib, **values)


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin:
        child.stdin.close()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _peak_mib(child: subprocess.Popen[bytes]) -> float:
    """Wait for a process to end; return the peak memory of it and its descendants."""
    peak_kib = 0
    while child.poll() is None:
        private, shared = zip(*map(_resident_kib, _descendants(child.pid)), strict=True)
        # Forked processes share memory, so only the largest shared part is counted.
        peak_kib = max(peak_kib, sum(private) + max(shared))
        time.sleep(_SAMPLE_S)
    return peak_kib / 1024


def _resident_kib(pid: int) -> tuple[int, int]:
    """Return the private and the shared memory of a process."""
    kib = {"Private": 0, "Shared": 0}
    # The process may have ended.
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            kind = line.partition("_")[0]
            if kind in kib and "Hugetlb" not in line:
                kib[kind] += int(line.split()[1])
    return kib["Private"], kib["Shared"]


def _descendants(pid: int) -> list[int]:
    pids = [pid]
    for parent in pids:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return pids


def _packed(recording: Recording, recorded: Recording) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for name, trains in (recorded.spikes or {}).items():
        parts = recording.counts[name], recorded.counts[name], trains.offsets, trains.neurons
        arrays |= {f"{name}.{part}": array for part, array in zip(_PARTS, parts, strict=True)}
    for key, potentials in zip(
        _POTENTIALS, (recording.potentials, recorded.potentials), strict=True
    ):
        if potentials is not None:
            arrays[key] = potentials
    return arrays


def _unpacked(
    arrays: dict[str, NDArray[Any]],
) -> tuple[Recording, dict[str, NDArray[np.int32]], NDArray[np.float64] | None]:
    potentials, recorded_potentials = (arrays.pop(key, None) for key in _POTENTIALS)
    counts, recorded_counts, spikes = {}, {}, {}
    for name in dict.fromkeys(key.rpartition(".")[0] for key in arrays):
        counts[name], recorded_counts[name], *events = (arrays[f"{name}.{p}"] for p in _PARTS)
        spikes[name] = SpikeTrains(counts[name].shape[1], *events)
    return Recording(counts, spikes, potentials), recorded_counts, recorded_potentials


def _measure(folder: Path, started_s: float) -> dict[str, Any]:
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    images = np.load(folder / "images.npy", allow_pickle=False)
    indices = np.arange(len(images))
    with deploy(
        load_network(folder / "network.h5"), **request, expected_images=len(images)
    ) as deployment:
        deployment.record(images[:1], indices=indices[:1])
        setup_s = time.monotonic() - started_s
        seconds: list[float] = []
        while len(seconds) < _REPEATS and sum(seconds) < _REPEAT_WITHIN_S:
            before = time.perf_counter()
            recording = deployment.record(images, indices=indices)
            seconds.append(time.perf_counter() - before)
        recorded = deployment.record(images, indices=indices, record_spikes=True)
        if recorded.spikes is None:
            raise SimulationError("the backend recorded no spikes")
        np.savez(folder / "recording.npz", **_packed(recording, recorded))
        return {
            "backend_version": deployment.backend_version,
            "setup_s": setup_s,
            "images_per_s": len(images) / statistics.median(seconds),
        }


def _main(folder: Path, started_s: float) -> None:
    # The signal is ignored if a shell started the parent in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def end_with_parent() -> None:
        # Not through sys.stdin, whose lock Python needs at exit.
        os.read(0, 1)
        shutil.rmtree(folder, ignore_errors=True)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_GRACE_S)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        result: dict[str, Any] = _measure(folder, started_s)
    except UnsupportedFeatureError as error:
        result = {"unsupported": str(error)}
    except NeuroattackError as error:
        result = {"error": str(error)}
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    _main(Path(sys.argv[1]), float(sys.argv[2]))
