"""Section ``query``: one query of one image, and the part of its time that is Python.

The compiled functions that a query calls are recorded with their arguments, and called again with
these. The rest of the time of a query is Python: validation, encoding and simulation around the
compiled functions, and the black box.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.registry import Figures, Options, Table, section
from benchmarks.rounds import seconds, stated
from benchmarks.workload import make_workload
from benchmarks.writing import with_spread
from neuroattack.backends.native import NativeBackend, layer, simulation
from neuroattack.deployment.deployment import Deployment
from neuroattack.encoding import poisson

__all__ = ["measure_query"]

_STEPS = 100
_IMAGES = 50

_COMPILED = (
    (poisson, "_draw_batch"),
    (layer, "simulate"),
    (simulation, "count_spikes"),
)

_Call = tuple[Callable[..., object], tuple[object, ...]]


def _tables(figures: Figures) -> list[Table]:
    title = (
        f"A query of one image, T = {figures['steps']}, one core: median (lowest to highest of "
        f"{figures['rounds']} rounds of {_IMAGES} images)"
    )
    rows = [
        ["time, microseconds", with_spread(figures, "query_us")],
        ["encoding and simulation, compiled", with_spread(figures, "compiled_us")],
        ["Python around them", with_spread(figures, "python_us")],
        ["network", figures["network"]],
    ]
    return [Table(title, ("", ""), rows)]


@section("query", _tables)
def measure_query(options: Options) -> Figures:
    """Measure queries of single images, and their compiled part."""
    workload = make_workload(options, images=_IMAGES, steps=_STEPS)
    backend = NativeBackend(threads=1)
    network, version = workload.network, backend.availability().version
    deployment = Deployment(network, backend.deploy(network), "native", version, _STEPS, seed=0)
    images = [workload.images[i : i + 1] for i in range(_IMAGES)]

    def query_each() -> None:
        # The same random numbers in every round.
        target = deployment.black_box(stream=1)
        for image in images:
            target.query(image)

    query_each()
    with _recorded() as calls:
        query_each()

    def call_compiled() -> None:
        for function, arguments in calls:
            function(*arguments)

    options.say("timing queries of single images")
    rounds = 3 if options.quick else 40
    timed = seconds({"query": query_each, "compiled": call_compiled}, rounds)
    each_us = {name: 1e6 * spent_s / _IMAGES for name, spent_s in timed.items()}
    return {
        "network": workload.origin,
        "network_checksum": network.checksum(),
        "dataset": workload.dataset,
        "steps": _STEPS,
        "rounds": rounds,
        **stated("query_us", each_us["query"]),
        **stated("compiled_us", each_us["compiled"]),
        **stated("python_us", each_us["query"] - each_us["compiled"]),
    }


@contextlib.contextmanager
def _recorded() -> Iterator[list[_Call]]:
    """Record the calls of the compiled functions."""
    calls: list[_Call] = []

    def recording(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: Any) -> object:
            calls.append((function, arguments))
            return function(*arguments)

        return call

    originals = [getattr(module, name) for module, name in _COMPILED]
    for (module, name), original in zip(_COMPILED, originals, strict=True):
        setattr(module, name, recording(original))
    try:
        yield calls
    finally:
        for (module, name), original in zip(_COMPILED, originals, strict=True):
            setattr(module, name, original)
