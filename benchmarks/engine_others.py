"""The native backend compared with other simulators, T = 100, one core, batches of 100 and 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.entrants import BAG, BRIAN, PEER, TORCH, Engine, find_engines
from benchmarks.peers.configuration import BagConfiguration, Configuration
from benchmarks.registry import Figures, Options
from benchmarks.rounds import ratio_to_fastest, stated, throughputs
from benchmarks.workload import Workload
from neuroattack.backends.native import NativeBackend

__all__ = ["NATIVE", "measure_against_others"]

NATIVE = "neuroattack native"

_Subject = tuple[str, str]  # engine, configuration
_Rounds = dict[_Subject, NDArray[np.float64]]

_OURS: _Subject = (NATIVE, "one thread, float64")

# Configurations among which the fastest peer is chosen, by the word in the key.
_KINDS = {
    "": {one.value for one in Configuration},
    "eager_": {Configuration.DENSE.value, Configuration.SPARSE.value},
    "documented_": {Configuration.DENSE.value},
}


def measure_against_others(workload: Workload, options: Options) -> Figures:
    """Return the throughput of every engine and configuration, and the speed-ups of native."""
    singles = 2 if options.quick else 10
    rounds = 1 if options.quick else 9
    simulator = NativeBackend(threads=1).deploy(workload.network)
    recording = simulator.run(workload.inputs)
    engines = list(find_engines(workload, recording, singles, options))
    options.say("timing all simulators in interleaved rounds")

    def ours_one_by_one() -> None:
        for i in range(singles):
            simulator.run(workload.inputs[i : i + 1])

    batch = throughputs(
        {_OURS: lambda: simulator.run(workload.inputs)} | _collect(engines, "batch"),
        workload.inputs.images,
        rounds,
    )
    timed = {
        "batch100": batch,
        "batch1": throughputs(
            {_OURS: ours_one_by_one} | _collect(engines, "one_by_one"), singles, rounds
        ),
        "with_encoding": throughputs(
            {_OURS: lambda: simulator.run(workload.encode())}
            | _fastest_each(_collect(engines, "with_encoding"), batch),
            workload.inputs.images,
            rounds,
        ),
    }
    return {
        "steps": workload.steps,
        "rounds_against_others": rounds,
        **stated("images_per_s", timed["batch100"][_OURS]),
        "native": {
            "configuration": _OURS[1],
            **{name: stated("images_per_s", results[_OURS]) for name, results in timed.items()},
        },
        **_ratios(timed, {engine.name: engine.family for engine in engines}),
        "configurations": {
            one.value: one.description for one in (*Configuration, *BagConfiguration)
        },
        "engines": {engine.name: _engine_figures(engine, timed) for engine in engines},
    }


def _collect(engines: list[Engine], what: str) -> dict[_Subject, Callable[[], object]]:
    return {
        (engine.name, entrant.configuration): getattr(entrant, what)
        for engine in engines
        for entrant in engine.entrants
        if getattr(entrant, what) is not None
    }


def _fastest_each(
    subjects: dict[_Subject, Callable[[], object]], batch: _Rounds
) -> dict[_Subject, Callable[[], object]]:
    """Return each engine in its fastest configuration for batches."""
    ascending = sorted(subjects, key=lambda subject: float(np.median(batch[subject])))
    fastest = {engine: (engine, configuration) for engine, configuration in ascending}
    return {subject: subjects[subject] for subject in fastest.values()}


def _ratios(timed: dict[str, _Rounds], families: dict[str, str]) -> Figures:
    figures: Figures = {}
    for table, results in timed.items():
        for kind, configurations in _KINDS.items():
            if kind and table == "with_encoding":
                # Timed only in the fastest configuration of each peer.
                continue
            figures |= _ratio(
                f"vs_fastest_{kind}peer_{table}", results, families, PEER, configurations
            )
    batch = timed["batch100"]
    plain = {BagConfiguration.PLAIN.value}
    figures |= _ratio("vs_embedding_bag", batch, families, BAG)
    figures |= _ratio("vs_embedding_bag_plain", batch, families, BAG, plain)
    figures |= _ratio("vs_brian2_standalone", batch, families, BRIAN)
    figures |= _ratio("vs_torch_backend", batch, families, TORCH)
    return figures


def _ratio(
    key: str,
    results: _Rounds,
    families: dict[str, str],
    family: str,
    configurations: set[str] | None = None,
) -> Figures:
    """Return the speed-up over the fastest engine of a family in each round."""
    others = [
        rounds
        for (engine, configuration), rounds in results.items()
        if families.get(engine) == family
        and (configurations is None or configuration in configurations)
    ]
    return stated(key, ratio_to_fastest(results[_OURS], others))


def _engine_figures(engine: Engine, timed: dict[str, _Rounds]) -> Figures:
    configurations: dict[str, Figures] = {
        name: {"unavailable": reason} for name, reason in engine.unavailable.items()
    }
    for entrant in engine.entrants:
        one: Figures = {"same_class": entrant.same_class}
        for table, results in timed.items():
            rounds = results.get((engine.name, entrant.configuration))
            if rounds is not None:
                one[table] = {
                    **stated("images_per_s", rounds),
                    **stated("native_ratio", results[_OURS] / rounds),
                }
        configurations[entrant.configuration] = one
    return {"family": engine.family, **engine.about, "configurations": configurations}
