"""The native backend compared with the limit, on one and two cores, and with 8-bit weights.

Batches of 100 images, T = 350 as in the paper, and T = 100 under keys that end in ``_t100``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray

from benchmarks.core_limit import CoreLimit
from benchmarks.limit import PLAIN, TILES, Limit
from benchmarks.registry import Figures, Options
from benchmarks.rounds import seconds, stated
from benchmarks.workload import Workload, check_recording
from neuroattack.backends.native import NativeBackend, NativeSimulator
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.hardware.quantization.quantization import fixed_format, quantize

__all__ = ["measure_itself"]

_CHECKED_IMAGES = 2
_STEPS = 350

_Timed = dict[Hashable, NDArray[np.float64]]


def measure_itself(workload: Workload, options: Options) -> Figures:
    """Return the fractions of the limit, the speed-ups, and the underlying figures."""
    rounds = 1 if options.quick else 15
    options.say("timing the native backend: limit, two cores, 8 bits")
    figures: Figures = {"rounds": rounds, "checked_images": _CHECKED_IMAGES}
    for key, shown in (("", workload.with_steps(_STEPS)), ("_t100", workload)):
        subjects, limit, about = _subjects(shown)
        cores = CoreLimit(seconds({"": subjects["native"]}, 3)[""].min())
        timed = seconds(subjects | limit.subjects() | cores.subjects(), rounds)
        figures |= about
        figures |= _speed_ups(timed, key)
        figures |= stated(f"two_core_limit{key}", cores.speed_up(timed) if _has_cores() else None)
        figures |= _against_limit(timed, limit, shown.inputs.images, key)
        figures |= stated(f"images_per_s_t{shown.steps}", shown.inputs.images / timed["native"])
    return figures


def _subjects(workload: Workload) -> tuple[dict[Hashable, Callable[[], object]], Limit, Figures]:
    """Return the checked callables to time, the limit, and the numbers of spikes."""
    network, inputs = workload.network, workload.inputs
    rounded = quantize(network, fixed_format()).network
    simulators = {
        "native": NativeBackend(threads=1).deploy(network),
        "native, 8 bits": NativeBackend(threads=1).deploy(rounded),
    }
    recordings = {}
    for (name, simulator), what in zip(simulators.items(), (network, rounded), strict=True):
        recordings[name] = simulator.run(inputs, record_spikes=True)
        check_recording(what, inputs, recordings[name], images=_CHECKED_IMAGES)
    if _has_cores():
        simulators["native, two cores"] = NativeBackend(threads=2).deploy(network)
    about = {
        f"spikes_per_image{key}_t{workload.steps}": {
            population: float(counts.sum(axis=1).mean())
            for population, counts in recordings[name].counts.items()
        }
        for key, name in (("", "native"), ("_int8", "native, 8 bits"))
    }
    subjects: dict[Hashable, Callable[[], object]] = {
        name: _runs(simulator, inputs) for name, simulator in simulators.items()
    }
    return subjects, Limit(network, recordings["native"]), about


def _has_cores() -> bool:
    return cpu_count() > 1


def _runs(simulator: NativeSimulator, inputs: SpikeTrains) -> Callable[[], object]:
    return lambda: simulator.run(inputs)


def _speed_ups(timed: _Timed, key: str) -> Figures:
    native_s = timed["native"]
    two_cores_s = timed.get("native, two cores")
    return {
        **stated(f"two_core_speedup{key}", None if two_cores_s is None else native_s / two_cores_s),
        **stated(f"int8_speedup{key}", native_s / timed["native, 8 bits"]),
    }


def _against_limit(timed: _Timed, limit: Limit, images: int, key: str) -> Figures:
    native_s = timed["native"]
    limit_s = limit.seconds(timed)
    plain_s = limit.seconds(timed, PLAIN)
    additions = sum(limit.additions.values())
    return {
        **stated(f"limit_ratio_one_core{key}", limit_s / native_s),
        **stated(f"limit_ratio_plain_addition{key}", plain_s / native_s),
        **stated(f"limit_ratio_tiles{key}", limit.seconds(timed, TILES) / native_s),
        f"limit{key}": {
            "additions_per_image": {
                name: count / images for name, count in limit.additions.items()
            },
            "fastest_form": limit.fastest(timed),
            **stated("additions_per_s", additions / limit_s),
            **stated("plain_additions_per_s", additions / plain_s),
            **stated("images_per_s", images / limit_s),
        },
    }
