"""Section ``remote``: queries of a served network over loopback, compared with direct queries."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

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
        )
    ]


@contextlib.contextmanager
def _served(network: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "neuroattack", "serve", str(network), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline() if process.stderr else ""
            if not line.startswith("Serving "):
                raise NeuroattackError(f"the server did not start: {line.strip()}")
            yield line.split()[1]
        finally:
            process.terminate()


@section("remote", _tables)
def measure_remote(options: Options) -> Figures:
    """Query a deployment and a server of the same network with the same images."""
    batches = 2 if options.quick else 10
    workload = make_workload(options, images=_BATCH * batches, steps=_STEPS)
    images = workload.images.reshape(batches, _BATCH, -1)
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
                1 if options.quick else 15,
            )
    return {
        "network": workload.origin,
        "steps": _STEPS,
        **stated("direct_images_per_s", rates["direct"]),
        **stated("remote_images_per_s", rates["remote"]),
        **stated("remote_share", rates["remote"] / rates["direct"]),
    }
