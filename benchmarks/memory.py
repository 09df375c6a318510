"""Peak memory of native queries, each in a separate process."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.query_process import QueryFiles
from benchmarks.registry import Figures
from benchmarks.workload import Workload
from neuroattack.ir.network import Network

__all__ = ["measure_memory"]


def measure_memory(workload: Workload, wide: Network, few: int, many: int) -> Figures:
    """Return the peak memory of a wide network, and its growth with the number of images.

    Parameters
    ----------
    workload : Workload
        Network, images and steps; its images are repeated.
    wide : Network
        Wide network, run once on the images of the workload.
    few, many : int
        Number of images in the two queries that are compared.
    """
    steps = workload.steps
    peaks = [_peak_mib(workload.network, _repeated(workload, n), steps) for n in (few, many)]
    counted = workload.network.input.size + sum(p.size for p in workload.network.populations)
    # Images (float64) and counts (int32).
    handed_over = (many - few) * (8 * workload.network.input.size + 4 * counted)
    return {
        "memory_steps": steps,
        "wide_network_peak_mib": _peak_mib(wide, workload.images, steps),
        "wide_network_images": len(workload.images),
        "memory_images": [few, many],
        "memory_peak_mib": peaks,
        "memory_growth_mib": peaks[1] - peaks[0],
        "images_and_counts_mib": handed_over / 2**20,
    }


def _repeated(workload: Workload, images: int) -> NDArray[np.float64]:
    return np.resize(workload.images, (images, workload.images.shape[1]))


def _peak_mib(network: Network, images: NDArray[np.float64], steps: int) -> float:
    with tempfile.TemporaryDirectory(prefix="neuroattack-benchmarks-") as folder:
        return QueryFiles(Path(folder), network, images).peak_mib(steps)
