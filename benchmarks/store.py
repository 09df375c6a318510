"""Time per item that a large campaign spends on its store, in all phases of the campaign.

Plans the cells of a campaign, then claims and finishes some of them at the beginning, in the middle
and near the end. In between, cells are marked as finished in bulk, so that a million items take
minutes instead of days. Prints one JSON object.

    python -m benchmarks.store --items 1000000
"""

from __future__ import annotations

import argparse
import collections
import functools
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuroattack.experiments.attack_cells import attack_image
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.store import STORE, Packed, Store

_PHASES = (0.0, 0.5, 0.99)
_PLANNED_AT_ONCE = 50_000


def cells(items: int) -> Iterator[Cell]:
    """Yield cells like those of a campaign on images of 224 x 224 pixels in three channels."""
    for index in range(items):
        arguments = {
            "attack": "count-regression",
            "settings": {},
            "bound": "l2=2",
            "budget": 2000,
            "deployment": "native,profile=loihi1",
            "profile": "0" * 64,
            "index": index,
            "label": index % 1000,
            "target_class": None,
            "seed": index,
        }
        yield Cell("attack", attack_image, arguments)


def result(rng: np.random.Generator, side: int) -> dict[str, Any]:
    """Return a result like that of a campaign, with an adversarial image of 8-bit pixels."""
    image = rng.integers(0, 256, (side, side)) / 255
    return {
        "threat_model": "no data",
        "queries": 2000,
        "stopped_by": "budget",
        "success": {"successes": 40, "trials": 50},
        "clean_success": {"successes": 0, "trials": 50},
        "verification_queries": 100,
        "distance": {"l0": 784.0, "l2": 2.0, "linf": 0.4, "local_sd": 60.0},
        "max_distance": 2.0,
        "seconds": 4.0,
        "adversarial": image,
    }


@functools.lru_cache
def image_result(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return a result like that of a campaign, with an image of this shape, or without one.

    The intensities are not on a grid, as after most attacks, and hardly compress.
    """
    found = result(np.random.default_rng(0), 1)
    del found["adversarial"]
    if shape:
        found["adversarial"] = np.random.default_rng(0).random(shape)
    return found


def stand_in(*, shape: Sequence[int], folder: Path, **arguments: Any) -> dict[str, Any]:
    """Return the result of an attack on an image of this shape, without an attack."""
    del folder, arguments
    return image_result(tuple(shape))


def milliseconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Return the duration of each call."""
    durations = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        durations.append(1000 * (time.perf_counter() - began))
    return durations


def measure(items: int, measured: int, side: int, in_flight: int) -> dict[str, Any]:
    """Return the times per item in milliseconds: median, and 99th percentile."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        with Store(folder, create=True) as store:
            batch: list[Cell] = []
            for cell in cells(items):
                batch.append(cell)
                if len(batch) == _PLANNED_AT_ONCE:
                    store.plan(batch)
                    batch = []
            store.plan(batch)
        planned_s = time.perf_counter() - began
        phases = []
        for phase in _PHASES:
            _finish_up_to(folder, int(phase * items))
            with Store(folder) as store:
                # Workers pack the results.
                found = Packed.of(result(rng, side))
                running: collections.deque[str] = collections.deque()

                def claim(store: Store = store, running: collections.deque[str] = running) -> None:
                    claimed = store.claim()
                    if claimed is not None:
                        running.append(claimed.key)

                def one(
                    store: Store = store,
                    found: Packed = found,
                    running: collections.deque[str] = running,
                    claim: Callable[[], None] = claim,
                ) -> None:
                    claim()
                    store.finish(running.popleft(), found)

                for _ in range(in_flight):
                    claim()

                per_item = milliseconds(one, measured)
                phases.append(
                    {
                        "finished": phase,
                        "ms_per_item": statistics.median(per_item),
                        "ms_per_item_p99": float(np.percentile(per_item, 99)),
                        "counts_ms": statistics.median(milliseconds(store.counts, 3)),
                    }
                )
        began = time.perf_counter()
        with Store(folder) as store:
            finished = sum(1 for _ in store.results())
        return {
            "items": items,
            "measured": measured,
            "image_side": side,
            "in_flight": in_flight,
            "plan_ms_per_item": 1000 * planned_s / items,
            "phases": phases,
            "read_ms_per_finished_item": 1000 * (time.perf_counter() - began) / finished,
            "bytes_per_item": (folder / STORE).stat().st_size / items,
        }


def _finish_up_to(folder: Path, position: int) -> None:
    """Mark all cells up to a position as finished, with a result but without its image."""
    record = result(np.random.default_rng(0), 1)
    del record["adversarial"]
    with sqlite3.connect(folder / STORE) as db:
        db.execute(
            "update items set state = 'done', record = ? where position <= ? and state = 'waiting'",
            (json.dumps(record), position),
        )


def main() -> None:
    """Measure with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--measured", type=int, default=2_000)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--in-flight", type=int, default=0)
    chosen = parser.parse_args()
    figures = measure(chosen.items, chosen.measured, chosen.side, chosen.in_flight)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
