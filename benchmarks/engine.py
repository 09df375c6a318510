"""Section ``engine``: the native backend against a limit, against itself and against its peers.

All get the same input spikes, drawn outside the timed part. What is timed is checked: the native
backend against the executable dynamics, Brian2 against the native backend, and peers, which
compute in float32, by the share of images with the same class.
"""

from __future__ import annotations

from benchmarks.engine_itself import measure_itself
from benchmarks.engine_others import measure_against_others
from benchmarks.engine_tables import engine_plots, engine_tables
from benchmarks.registry import Figures, Options, section
from benchmarks.workload import make_workload

__all__ = ["measure_engine"]

_BATCH = 100


@section("engine", engine_tables, engine_plots)
def measure_engine(options: Options) -> Figures:
    """Measure the native backend and all that it is compared with."""
    workload = make_workload(options, images=_BATCH, steps=100)
    return {
        "network": workload.origin,
        "network_checksum": workload.network.checksum(),
        "dataset": workload.dataset,
        "batch": _BATCH,
        **measure_itself(workload, options),
        **measure_against_others(workload, options),
    }
