"""Section ``remote``: queries of a served network over loopback, compared with direct queries.

Clients that query single images at once are measured with and without batches of several requests.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import Figures, Options, Table, section
from benchmarks.rounds import stated, throughputs
from benchmarks.workload import make_workload
from benchmarks.writing import with_spread
from neuroattack.deployment.deployment import deploy
from neuroattack.errors import NeuroattackError
from neuroattack.ir.storage import save_network
from neuroattack.remote.client import RemoteTarget

__all__ = ["measure_remote"]

_STEPS = 350
_BATCH = 99
_CLIENTS = 16


def _tables(figures: Figures) -> list[Table]:
    return [
        Table(
            "Batches of 99, T = 350: median (lowest to highest)",
            ("", ""),
            [
                ["images per second, direct", with_spread(figures, "direct_images_per_s")],
                [
                    "images per second, over HTTP on loopback",
                    with_spread(figures, "remote_images_per_s"),
                ],
                ["HTTP relative to direct", with_spread(figures, "remote_share")],
            ],
        ),
        Table(
            f"{_CLIENTS} clients, one image per request, T = 350: median (lowest to highest)",
            ("", ""),
            [
                [
                    "queries per second, one request after another",
                    with_spread(figures, "unbatched_queries_per_s"),
                ],
                [
                    "queries per second, waiting requests in one batch",
                    with_spread(figures, "batched_queries_per_s"),
                ],
                ["speed-up", with_spread(figures, "batching_speedup")],
            ],
        ),
    ]


@contextlib.contextmanager
def _served(network: Path, *options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "neuroattack", "serve", str(network), "--port", "0"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline() if process.stderr else ""
            if not line.startswith("Serving "):
                raise NeuroattackError(f"the server did not start: {line.strip()}")
            yield line.split()[1]
        finally:
            process.terminate()


class _Clients:
    """Clients in threads of this process; each sends its images one by one."""

    def __init__(self, url: str, images: NDArray[np.float64]) -> None:
        self._parts = np.array_split(images, _CLIENTS)
        self._open = contextlib.ExitStack()
        self._targets = [self._open.enter_context(RemoteTarget(url)) for _ in self._parts]
        self._pool = self._open.enter_context(ThreadPoolExecutor(_CLIENTS))

    def __enter__(self) -> _Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def query(self) -> None:
        """Query all images."""
        list(self._pool.map(self._query_each, self._targets, self._parts))

    @staticmethod
    def _query_each(target: RemoteTarget, images: NDArray[np.float64]) -> None:
        for image in images:
            target.query(image[np.newaxis])


@section("remote", _tables)
def measure_remote(options: Options) -> Figures:
    """Query a deployment and a server of the same network with the same images."""
    batches = 2 if options.quick else 10
    rounds = 1 if options.quick else 15
    workload = make_workload(options, images=_BATCH * batches, steps=_STEPS)
    images = workload.images.reshape(batches, _BATCH, -1)
    single = workload.images[: _CLIENTS * (2 if options.quick else 20)]
    with (
        tempfile.TemporaryDirectory(prefix="neuroattack-benchmarks-") as folder,
        deploy(workload.network, steps=_STEPS) as deployment,
    ):
        path = Path(folder) / "network.h5"
        save_network(path, workload.network)
        with _served(path) as url, RemoteTarget(url) as remote:
            direct = deployment.black_box(0)
            if not np.array_equal(remote.query(images[0]), direct.query(images[0])):
                raise NeuroattackError("the served network returns different counts")
            options.say("querying directly and over HTTP")
            rates = throughputs(
                {
                    "direct": lambda: [direct.query(batch) for batch in images],
                    "remote": lambda: [remote.query(batch) for batch in images],
                },
                _BATCH * batches,
                rounds,
            )
        with (
            _served(path, "--max-batch", "1") as unbatched_url,
            _served(path) as batched_url,
            _Clients(unbatched_url, single) as unbatched,
            _Clients(batched_url, single) as batched,
        ):
            options.say(f"querying by {_CLIENTS} clients")
            subjects = {"unbatched": unbatched.query, "batched": batched.query}
            rates.update(throughputs(subjects, len(single), rounds))
    return {
        "network": workload.origin,
        "steps": _STEPS,
        **stated("direct_images_per_s", rates["direct"]),
        **stated("remote_images_per_s", rates["remote"]),
        **stated("remote_share", rates["remote"] / rates["direct"]),
        "clients": _CLIENTS,
        **stated("unbatched_queries_per_s", rates["unbatched"]),
        **stated("batched_queries_per_s", rates["batched"]),
        **stated("batching_speedup", rates["batched"] / rates["unbatched"]),
    }
