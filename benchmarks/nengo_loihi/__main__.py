"""Compare the arithmetic of the profile ``loihi1`` with that of nengo-loihi's emulator.

``python -m benchmarks.nengo_loihi DEMO MNIST`` prints the table of ``docs/hardware.md`` without its
reasons, and writes it to ``docs/hardware/nengo-loihi.json``. DEMO is the network that
``neuroattack demo`` writes, MNIST a network trained on MNIST. It needs Python 3.10 and the extra
``nengo-loihi``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.nengo_loihi.networks import random_network, spikes_row, trained
from benchmarks.nengo_loihi.rounding import (
    rounded_biases,
    rounded_leaks,
    rounded_thresholds,
    rounded_weights,
)
from benchmarks.nengo_loihi.states import DYNAMICS, states_row
from benchmarks.nengo_loihi.table import Row
from neuroattack.encoding.spikes import SpikeTrains

RESULTS = Path(__file__).parents[2] / "docs" / "hardware" / "nengo-loihi.json"

STEPS = 150


def study(demo: str, mnist: str) -> tuple[list[Row], dict[str, dict[str, int]]]:
    """Return all rows of the table, and figures of the networks."""
    rng = np.random.default_rng(0)
    rows = [
        *rounded_weights(rng),
        *rounded_thresholds(rng),
        *rounded_leaks(),
        *rounded_biases(rng),
    ]
    rows += [states_row(aspect, *case(rng, STEPS)) for aspect, case in DYNAMICS.items()]
    figures = {}
    random = [random_network(rng) for _ in range(30)]
    for aspect, cases in (
        ("random networks", [(n, SpikeTrains.from_dense(raster)) for n, raster in random]),
        ("network of the demo", trained(demo, "digits")),
        ("network trained on MNIST", trained(mnist, "mnist")),
    ):
        row, figures[aspect] = spikes_row(aspect, cases)
        rows.append(row)
    return rows, figures


def main(demo: str, mnist: str) -> None:
    """Print the table and write the results."""
    rows, figures = study(demo, mnist)
    print("| aspect | compared | differing | unexplained |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.aspect} | {row.compared:,} | {row.differing:,} | {row.unexplained:,} |")
    versions = {name: version(name) for name in ("nengo-loihi", "nengo", "numpy")}
    results = {"versions": versions, "rows": [asdict(row) for row in rows], "networks": figures}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
