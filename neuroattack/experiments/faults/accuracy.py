"""Accuracy against the rate of random faults in the memory of chips."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Labels
from neuroattack.deployment.deployment import check_settings, deploy
from neuroattack.errors import DoesNotFitError, UnsupportedFeatureError, ValidationError
from neuroattack.experiments.chips.cells import (
    check_inputs,
    keep_images,
    keep_network,
    read_images,
)
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.running import run_cells
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.faults.stored import Storage, load_memory
from neuroattack.hardware.faults.maps import FaultKind, draw_faults
from neuroattack.hardware.faults.memory import Memory
from neuroattack.hardware.faults.words import BitChoice
from neuroattack.ir.network import Network
from neuroattack.statistics import mean_interval
from neuroattack.validation import check_integer, check_number

__all__ = ["STEPS", "describe_memory", "measure_with_faults", "study_faults"]

MAX_MAPS = 10_000

STEPS = 100
"""Number of time steps per image, except for event samples."""


def study_faults(
    network: Network,
    images: NDArray[np.float32],
    labels: Labels,
    storages: Sequence[Storage],
    *,
    rates: Sequence[float],
    folder: Path,
    maps: int = 20,
    kind: FaultKind = "flip",
    bits: BitChoice = "all",
    steps: int | None = None,
    backend: str = "native",
    seed: int = 0,
    workers: int | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> dict[str, Any]:
    """Measure accuracy with random faults in memory, on the same images and input spikes.

    Each fault map is one cell in the folder; finished cells are not repeated. The n-th map of a
    rate has the n-th random stream of the seed.

    Returns
    -------
    dict
        JSON values: the settings, and under ``"profiles"`` by name the stored words, the accuracy
        without faults, and under ``"points"``, by rate, the mean accuracy over maps with its 95 %
        interval (Student's t), its standard deviation, and the accuracy with each map.
    """
    check_inputs("faults", network, images, storages, rates)
    steps = network.input.time_steps(steps, images.shape, default=STEPS)
    check_settings(backend, steps, seed)
    check_integer("maps", maps, 1, MAX_MAPS)
    rates = sorted({check_number("rate of faults", rate, "[0, 1]") for rate in rates})
    names = [storage.name for storage in storages]
    if len(set(names)) < len(names):
        raise ValidationError("profiles", ", ".join(names), "different ids")
    common = {
        "network": keep_network(folder, network),
        "images": keep_images(folder, images, labels),
        "kind": kind,
        "bits": bits,
        "steps": steps,
        "backend": backend,
        "seed": seed,
    }
    described: dict[str, dict[str, Any]] = {}
    cells: list[Cell] = []
    for storage in storages:
        try:
            memory = storage.store(network)
            draw_faults(memory, 0.0, np.random.default_rng(0), kind=kind, bits=bits)
        except (DoesNotFitError, UnsupportedFeatureError) as error:
            described[storage.name] = {"fits": False, "refused": str(error)}
            continue
        described[storage.name] = {"fits": True, "refused": "", **describe_memory(memory)}
        arguments = common | {"storage": storage.as_json()}
        numbers = [(0.0, 0), *itertools.product(rates, range(maps))]
        cells += [
            Cell(
                f"faults-{storage.name}-{rate:g}-{number}",
                measure_with_faults,
                arguments | {"rate": rate, "number": number},
            )
            for rate, number in numbers
        ]
    results = iter(run_cells(folder, cells, workers=workers, on_progress=on_progress))
    version = ""
    for chip in described.values():
        if chip["fits"]:
            clean = next(results)
            version = clean["backend_version"]
            chip["clean_accuracy"] = clean["accuracy"]
            chip["points"] = [_point(rate, list(itertools.islice(results, maps))) for rate in rates]
    return {
        "images": len(images),
        "steps": steps,
        "backend": backend,
        "backend_version": version,
        "seed": seed,
        "maps": maps,
        "rates": rates,
        "kind": kind,
        "bits": bits,
        "parameters": list(storages[0].parameters),
        "protection": storages[0].protection,
        "profiles": described,
    }


def measure_with_faults(
    *,
    network: str,
    images: str,
    storage: Mapping[str, Any],
    rate: float,
    number: int,
    kind: FaultKind,
    bits: BitChoice,
    steps: int,
    backend: str,
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    """Measure the accuracy of a network with one fault map, in one cell.

    Returns
    -------
    dict
        ``"accuracy"``; the number of ``"faults"``; the numbers of ``"detected"`` errors and
        ``"limited"`` weights of the network that was read; and ``"backend_version"``.
    """
    memory = load_memory(folder / network, storage)
    rng = np.random.default_rng([seed, number])
    faults = draw_faults(memory, rate, rng, kind=kind, bits=bits)
    read = faults.apply(memory).read()
    pixels, labels = read_images(folder, images)
    with deploy(
        read.network, backend=backend, steps=steps, seed=seed, expected_images=len(pixels)
    ) as deployment:
        accuracy = evaluate(deployment, pixels, labels).accuracy
        version = deployment.backend_version
    return {
        "accuracy": accuracy,
        "faults": len(faults),
        "detected": read.detected,
        "limited": read.limited,
        "backend_version": version,
    }


def describe_memory(memory: Memory) -> dict[str, Any]:
    """Return the stored words as JSON values: totals, and their code by parameter and part."""
    return {
        "precision": memory.network.precision,
        "stored_bits": memory.size,
        "extra_bits": memory.extra_bits,
        "words": [
            {
                "parameter": each.parameter,
                "part": each.part,
                "layout": each.format.layout,
                "bits": each.format.bits,
                "words": len(each.codewords),
            }
            for each in memory.words
        ],
    }


def _point(rate: float, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    accuracies = [result["accuracy"] for result in results]
    interval = mean_interval(accuracies)
    several = len(results) > 1
    return {
        "rate": rate,
        "accuracy": statistics.fmean(accuracies),
        "accuracy_ci95": interval and [max(interval[0], 0.0), min(interval[1], 1.0)],
        "standard_deviation": statistics.stdev(accuracies) if several else None,
        "accuracies": accuracies,
        **{
            f"{name}_per_map": statistics.fmean(result[name] for result in results)
            for name in ("faults", "detected", "limited")
        },
    }
