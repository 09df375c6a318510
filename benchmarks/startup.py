"""Section ``startup``: time from the start of a process to its first result."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.query_process import QueryFiles, run
from benchmarks.registry import Figures, Options, Table, section
from benchmarks.rounds import seconds, stated
from benchmarks.workload import make_workload
from benchmarks.writing import with_spread

__all__ = ["measure_startup"]

_STEPS = 350


def _tables(figures: Figures) -> list[Table]:
    return [
        Table(
            "Time of a fresh process, files in the system's cache: median (lowest to highest)",
            ("", "seconds", "runs"),
            [
                [title, with_spread(figures, f"{key}_s"), str(figures[f"{key}_runs"])]
                for title, key in (
                    ("neuroattack --help", "help"),
                    ("load a network, one native query", "first_query"),
                    ("the same, with an empty compilation cache", "first_query_after_installation"),
                )
            ],
        )
    ]


@section("startup", _tables)
def measure_startup(options: Options) -> Figures:
    """Time fresh processes from start to end."""
    workload = make_workload(options, images=1, steps=_STEPS)
    script = shutil.which("neuroattack", path=str(Path(sys.executable).parent))
    help_command = [script] if script else [sys.executable, "-m", "neuroattack"]
    rounds = 1 if options.quick else 9
    cold_runs = 1 if options.quick else 3
    with tempfile.TemporaryDirectory(prefix="neuroattack-benchmarks-") as name:
        folder = Path(name)
        query = QueryFiles(folder, workload.network, workload.images).command(_STEPS)
        options.say("starting processes")
        timed = seconds(
            {"help": lambda: run([*help_command, "--help"]), "first_query": lambda: run(query)},
            rounds,
            warm_up=1,
        )
        cold_s = np.empty(cold_runs)
        for turn in range(cold_runs):
            options.say("starting a process that compiles everything")
            started = time.perf_counter()
            run(query, {"NUMBA_CACHE_DIR": str(folder / f"cache{turn}")})
            cold_s[turn] = time.perf_counter() - started
    figures: Figures = {"network": workload.origin, "steps": _STEPS}
    for key, taken_s in (*timed.items(), ("first_query_after_installation", cold_s)):
        figures |= stated(f"{key}_s", taken_s)
        figures[f"{key}_runs"] = len(taken_s)
    return figures
