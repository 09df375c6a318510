"""Duration and limits of suites that are too large to measure, from measured costs per item."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.registry import Figures

__all__ = ["CORES", "PLANNED", "Costs", "Suite", "capacities", "extrapolate", "suites"]

CORES = (2, 64, 1024, 4096)
_BYTES_PER_S = 10e9 / 8
_HOUR_S = 3600.0
# VGG-16 has 15.5 billion connections. At 12 Hz and T = 100 these are about a hundred times the
# synaptic operations of the measured network.
_DEEP = 100.0


@dataclass(frozen=True)
class Suite:
    """Attacks on a test set.

    Parameters
    ----------
    images, attacks, queries : int
        Number of images, of attacks, and of queries per search.
    network : str
        Measured network, by its name in the figures of the section ``cost``.
    shape : str
        Images, by their name in the figures of the section ``dispatch``.
    factor : float
        Synaptic operations relative to the measured network.
    """

    images: int
    attacks: int
    queries: int
    network: str
    shape: str
    factor: float = 1.0

    @property
    def items(self) -> int:
        """Number of attacked images."""
        return self.images * self.attacks


_IMAGENET_NETWORK = "3x224x224: 32C7/4-64C5/2-128C3/2-1000"

PLANNED = {
    "MNIST": Suite(10_000, 6, 1_000, "784-500-500-10", "28 x 28"),
    "CIFAR-10": Suite(10_000, 6, 1_000, "3x32x32: 32C5-64C5/2-10", "3 x 32 x 32"),
    "ImageNet": Suite(50_000, 6, 10_000, _IMAGENET_NETWORK, "3 x 224 x 224"),
    "ImageNet, deep network": Suite(
        50_000, 6, 10_000, _IMAGENET_NETWORK, "3 x 224 x 224", factor=_DEEP
    ),
}


@dataclass(frozen=True)
class Costs:
    """Measured costs of a suite's items.

    Parameters
    ----------
    query_s : float
        CPU time of the simulation per query.
    search_s : float
        CPU time of the attack per query, without the simulation.
    trials : int
        Fresh trials per image, of the adversarial and of the clean one.
    limits : mapping of str to float
        Largest number of items per second of each shared part.
    stored_bytes : float
        Size of an item in the store.
    """

    query_s: float
    search_s: float
    trials: int
    limits: Mapping[str, float]
    stored_bytes: float

    def item_s(self, suite: Suite) -> float:
        """Return the CPU time of an item."""
        simulated = (suite.queries + 2 * self.trials) * self.query_s * suite.factor
        return simulated + suite.queries * self.search_s


def extrapolate(suite: Suite, costs: Costs) -> Figures:
    """Return the duration of a suite by number of cores, and the part that limits it first.

    Cores share the items equally; the last item of a core ends at most one item later. A shared
    part handles at most its number of items per second.
    """
    item_s = costs.item_s(suite)
    first = min(costs.limits, key=lambda name: costs.limits[name])
    most = costs.limits[first]
    return {
        **asdict(suite),
        "items": suite.items,
        "item_s": item_s,
        "core_hours": suite.items * item_s / _HOUR_S,
        "hours": {
            str(cores): max(math.ceil(suite.items / cores) * item_s, suite.items / most) / _HOUR_S
            for cores in CORES
        },
        "items_per_s": {str(cores): min(cores / item_s, most) for cores in CORES},
        "store_gb": suite.items * costs.stored_bytes / 1e9,
        "first_limit": first,
        "first_limit_items_per_s": most,
        "first_limit_cores": most * item_s,
    }


def capacities(dispatched: Mapping[str, Any]) -> dict[str, float]:
    """Return the largest number of items per second of each shared part.

    The coordinating process, which also writes the store, and the scheduler are limited by one
    core; the link of the scheduler by 10 Gbit/s.
    """
    return {
        "coordinator and store": 1000 / dispatched["coordinator_ms_per_item"],
        "scheduler": 1000 / dispatched["scheduler_ms_per_item"],
        "link of 10 Gbit/s": _BYTES_PER_S / dispatched["transferred_bytes_per_item"],
    }


def suites(figures: Figures) -> Figures:
    """Return the extrapolation of all suites from the sections cost and dispatch."""
    cost = figures["cost"]
    found = {}
    for name, suite in PLANNED.items():
        attacks = cost["attacks"][suite.network].values()
        dispatched = figures["dispatch"][f"Dask, {suite.shape}"]
        costs = Costs(
            query_s=statistics.fmean(each["simulation_ms_per_query"] for each in attacks) / 1000,
            search_s=statistics.fmean(each["attack_ms_per_query"] for each in attacks) / 1000,
            trials=cost["trials"],
            limits=capacities(dispatched),
            stored_bytes=dispatched["stored_bytes_per_item"],
        )
        found[name] = extrapolate(suite, costs)
    return found
