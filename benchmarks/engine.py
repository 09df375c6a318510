"""Section ``engine``: the native backend compared with a limit, with itself and with others.

All simulators get the same input spikes, generated outside the timed part. Everything that is
timed is checked: the native backend against the reference dynamics, Brian2 against the native
backend, and the other libraries, which use float32, by the fraction of images with the same
predicted class.
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
    """Measure the native backend and the simulators that it is compared with."""
    workload = make_workload(options, images=_BATCH, steps=100)
    return {
        "network": workload.origin,
        "network_checksum": workload.network.checksum(),
        "dataset": workload.dataset,
        "batch": _BATCH,
        **measure_itself(workload, options),
        **measure_against_others(workload, options),
    }
