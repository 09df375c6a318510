"""A fresh process that runs one native query, to measure its time and memory.

``python -m benchmarks.query_process NETWORK IMAGES STEPS`` loads a network file, runs it on the
images of an npy file, and prints its peak memory in KiB (on Linux, from /proc).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.deployment import deploy
from neuroattack.ir.network import Network
from neuroattack.ir.storage import load_network, save_network

__all__ = ["QueryFiles", "run"]

_ROOT = Path(__file__).resolve().parents[1]


class QueryFiles:
    """Input files of such a process.

    Parameters
    ----------
    folder : Path
        Folder for the files.
    network : Network
        Network to run.
    images : float64 array, shape (images, pixels)
        Images to run it on.
    """

    def __init__(self, folder: Path, network: Network, images: NDArray[np.float64]) -> None:
        self._network, self._images = folder / "network.h5", folder / "images.npy"
        save_network(self._network, network)
        np.save(self._images, images)

    def command(self, steps: int) -> list[str]:
        """Return the command line of the process."""
        module = [sys.executable, "-m", "benchmarks.query_process"]
        return [*module, str(self._network), str(self._images), str(steps)]

    def peak_mib(self, steps: int) -> float:
        """Run the process and return its peak memory in MiB."""
        return int(run(self.command(steps))) / 1024


def run(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a process in the repository and return its stdout. Raises RuntimeError if it fails."""
    # With PYTHONDONTWRITEBYTECODE, all modules would be compiled again in every process.
    kept = {name: it for name, it in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command,
        cwd=_ROOT,
        env={**kept, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} failed with exit code {done.returncode}: {done.stderr}"
        )
    return done.stdout


def _query(network: str, images: str, steps: int) -> None:
    rows = np.load(images, allow_pickle=False)
    with deploy(load_network(network), steps=steps) as deployment:
        deployment.record(rows, indices=np.arange(len(rows)))
    # Not ru_maxrss, which starts from that of the parent process.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    sys.stdout.write(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    _query(sys.argv[1], sys.argv[2], int(sys.argv[3]))
