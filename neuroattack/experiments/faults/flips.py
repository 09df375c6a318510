"""Accuracy against the number of bits that an attacker flips in the memory of a chip."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.flips.halving import search_by_queries
from neuroattack.attacks.reference.bit_search import search_bits
from neuroattack.datasets import Labels
from neuroattack.deployment.deployment import check_settings, deploy, search_stream
from neuroattack.errors import ValidationError
from neuroattack.experiments.chips.cells import (
    check_inputs,
    keep_images,
    keep_network,
    read_images,
)
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.running import run_cells
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.faults.accuracy import STEPS, describe_memory
from neuroattack.experiments.faults.stored import Storage, load_memory
from neuroattack.hardware.faults.maps import FaultMap, all_addresses, draw_flips
from neuroattack.hardware.faults.memory import Memory
from neuroattack.ir.network import Network
from neuroattack.statistics import mean_interval, wilson_interval
from neuroattack.validation import check_integer

__all__ = ["METHODS", "Method", "find_flips", "measure_flips", "study_flips"]

Method = Literal["gradient", "queries", "random", "random-msb"]
"""Progressive bit search (white box); successive halving by queries; or random bits."""

METHODS: tuple[Method, ...] = ("gradient", "queries", "random", "random-msb")

_MAX_FLIPS = 100_000


def study_flips(
    network: Network,
    images: NDArray[np.float32],
    labels: Labels,
    batch: tuple[NDArray[np.float32], Labels],
    storage: Storage,
    *,
    folder: Path,
    methods: Sequence[Method] = METHODS,
    flips: int = 50,
    maps: int = 20,
    queries: int = 20_000,
    block: int = 1,
    steps: int | None = None,
    backend: str = "native",
    seed: int = 0,
    workers: int | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> dict[str, Any]:
    """Search for flips on a batch of images, and measure the accuracy on others.

    Returns
    -------
    dict
        JSON values: the settings and stored words, and under ``"methods"`` by name the accuracy
        after 0, 1, 2, 5, 10, ... flips, with its 95 % interval (Wilson over images for searches,
        Student's t over maps for random flips), and the addresses that a search found.
    """
    check_inputs("flips", network, images, methods, batch[1])
    steps = network.input.time_steps(steps, images.shape, default=STEPS)
    check_settings(backend, steps, seed)
    check_integer("flips", flips, 1, _MAX_FLIPS)
    check_integer("maps", maps, 1)
    unknown = [each for each in methods if each not in METHODS]
    if unknown:
        raise ValidationError("methods", ", ".join(unknown), f"of {', '.join(METHODS)}")
    memory = storage.store(network)
    common = {
        "network": keep_network(folder, network),
        "storage": storage.as_json(),
        "steps": steps,
        "backend": backend,
        "seed": seed,
    }
    sought = [each for each in methods if not each.startswith("random")]
    searches = [
        Cell(
            f"flips-{method}",
            find_flips,
            common
            | {"images": keep_images(folder, *batch), "method": method, "flips": flips}
            | ({"queries": queries, "block": block} if method == "queries" else {}),
            cost=100.0,
        )
        for method in sought
    ]
    found = dict(
        zip(
            sought,
            run_cells(folder, searches, workers=workers, on_progress=on_progress),
            strict=True,
        )
    )
    counts = _counts(flips)
    images_file = keep_images(folder, images, labels)
    cells: list[Cell] = []
    plan: list[tuple[Method, int, int]] = []
    for method in methods:
        largest = len(found[method]["addresses"]) if method in found else flips
        for count in sorted({*counts, largest}):
            sets = [found[method]["addresses"][:count]] if method in found else None
            if sets is not None and len(sets[0]) < count:
                continue
            if sets is None:
                bits: Literal["all", "msb"] = "msb" if method == "random-msb" else "all"
                sets = [
                    draw_flips(
                        memory, count, np.random.default_rng([seed, number]), bits=bits
                    ).addresses.tolist()
                    for number in range(maps if count else 1)
                ]
            cells += [
                Cell(
                    f"flips-{method}-{count}-{number}",
                    measure_flips,
                    common | {"images": images_file, "addresses": sorted(addresses)},
                )
                for number, addresses in enumerate(sets)
            ]
            plan.append((method, count, len(sets)))
    results = iter(run_cells(folder, cells, workers=workers, on_progress=on_progress))
    points: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
    version = ""
    for method, count, number_of_sets in plan:
        measured = [next(results) for _ in range(number_of_sets)]
        version = measured[0]["backend_version"]
        points[method].append(_point(count, [each["accuracy"] for each in measured], len(images)))
    return {
        "profile": storage.name,
        "protection": storage.protection,
        **describe_memory(memory),
        "images": len(images),
        "batch": len(batch[1]),
        "steps": steps,
        "backend": backend,
        "backend_version": version,
        "seed": seed,
        "maps": maps,
        "methods": {
            method: {
                "points": points[method],
                **{
                    key: found[method][key]
                    for key in ("addresses", "scores", "queries")
                    if method in found
                },
            }
            for method in methods
        },
    }


def find_flips(
    *,
    network: str,
    images: str,
    storage: Mapping[str, Any],
    method: Method,
    flips: int,
    steps: int,
    backend: str,
    seed: int,
    folder: Path,
    queries: int = 0,
    block: int = 1,
) -> dict[str, Any]:
    """Search for flips on a batch of images, in one cell.

    Returns
    -------
    dict
        ``"addresses"`` of the flips in order; ``"scores"``, the losses of the rate model or the
        mean fractions of output spikes in wrong classes; and the number of ``"queries"``.
    """
    memory = load_memory(folder / network, storage)
    pixels, labels = read_images(folder, images)
    classes = np.asarray(labels, np.int64)
    if method == "gradient":
        search = search_bits(memory, pixels.astype(np.float64), classes, flips=flips, steps=steps)
        return {
            "addresses": search.addresses.tolist(),
            "scores": search.losses.tolist(),
            "queries": 0,
        }

    def score(addresses: NDArray[np.int64], count: int) -> float:
        read = FaultMap("flip", addresses).apply(memory).read()
        with deploy(read.network, backend=backend, steps=steps, seed=seed) as deployment:
            recording = deployment.record(
                pixels[:count], indices=np.arange(count), stream=search_stream(0, None)
            )
            counts = recording.scores(deployment.network.readout) + 0.5
        rows = np.arange(count)
        return float(1 - (counts[rows, classes[:count]] / counts.sum(axis=1)).mean())

    found = search_by_queries(
        score,
        _candidates(memory, seed),
        flips=flips,
        images=len(pixels),
        queries=queries,
        seed=seed,
        block=block,
    )
    return {
        "addresses": found.addresses.tolist(),
        "scores": found.scores.tolist(),
        "queries": found.queries,
    }


def measure_flips(
    *,
    network: str,
    images: str,
    storage: Mapping[str, Any],
    addresses: Sequence[int],
    steps: int,
    backend: str,
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    """Measure the ``"accuracy"`` with flipped bits, in one cell."""
    memory = load_memory(folder / network, storage)
    flips = FaultMap("flip", np.array(addresses, np.int64))
    pixels, labels = read_images(folder, images)
    with deploy(
        flips.apply(memory).read().network,
        backend=backend,
        steps=steps,
        seed=seed,
        expected_images=len(pixels),
    ) as deployment:
        accuracy = evaluate(deployment, pixels, labels).accuracy
        return {"accuracy": accuracy, "backend_version": deployment.backend_version}


def _candidates(memory: Memory, seed: int) -> NDArray[np.int64]:
    """Return addresses of most significant bits, equally many of each projection.

    The attacker knows the addresses of the words of each projection, but not their values.
    """
    rng = np.random.default_rng(seed)
    addresses, start = all_addresses(memory, "msb"), 0
    parts = []
    for words in memory.words:
        first, last = np.searchsorted(addresses, (start, start + words.size))
        parts.append(addresses[first:last])
        start += words.size
    each = min(map(len, parts))
    return np.concatenate([rng.choice(part, each, replace=False) for part in parts])


def _counts(most: int) -> list[int]:
    """Return 0, 1, 2, 5, 10, ... up to a number, and that number."""
    counts, power = {0, most}, 1
    while power <= most:
        counts |= {power * digit for digit in (1, 2, 5) if power * digit <= most}
        power *= 10
    return sorted(counts)


def _point(count: int, accuracies: Sequence[float], images: int) -> dict[str, Any]:
    interval = mean_interval(accuracies)
    mean = statistics.fmean(accuracies)
    if interval is None:
        interval = wilson_interval(round(mean * images), images)
    return {
        "flips": count,
        "accuracy": mean,
        "accuracy_ci95": [max(interval[0], 0.0), min(interval[1], 1.0)],
        "accuracies": list(accuracies),
    }
