"""Section ``engine``: images per second of the native backend and of its peers, on one core.

All get the same input spikes, drawn outside the timed part, at T = 100, in batches of 100 and
of 1. What is timed is checked: the native backend against the executable dynamics, spike for
spike; the peers, whose models have no refractory period and use float32, by the share of images
whose predicted class is the native backend's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import INSTALL, MissingPeer, find_peers
from benchmarks.peers.configuration import Configuration
from benchmarks.registry import Figures, Options, section
from benchmarks.rounds import ratio_to_fastest, spread, throughputs
from benchmarks.workload import Workload, make_workload
from neuroattack import console
from neuroattack.backends.native import NativeBackend, NativeSimulator
from neuroattack.ir.dynamics import simulate
from neuroattack.readout import decide

if TYPE_CHECKING:
    from benchmarks.peers.simulation import PeerInputs, PeerSimulation

__all__ = ["measure_engine"]

_STEPS = 100
_BATCH = 100
_CHECKED_IMAGES = 3

_Subject = tuple[str, str]  # engine, configuration
_Subjects = dict[_Subject, Callable[[], object]]
_Rounds = dict[_Subject, NDArray[np.float64]]

# The peers of which the fastest is compared with, by the word for them in the keys.
_KINDS = {
    "": {one.value for one in Configuration},
    "eager_": {Configuration.DENSE.value, Configuration.SPARSE.value},
    "documented_": {Configuration.DENSE.value},
}

_NATIVE: _Subject = ("neuroattack native", "threads=1, float64")


def _show(figures: Figures) -> None:
    console.print_figures("Engine", _summary(figures))
    native = figures["native"]
    rows = [
        [
            *_NATIVE,
            *_row_figures(native["batch100"]),
            *_row_figures(native["batch1"]),
            "",
        ]
    ]
    missing = {}
    for name, peer in figures["peers"].items():
        if not peer["installed"]:
            missing[name] = f"missing ({peer['reason']}); to install: {peer['install']}"
        for configuration, one in peer.get("configurations", {}).items():
            if "unavailable" in one:
                missing[f"{name}, {configuration}"] = one["unavailable"]
                continue
            rows.append(
                [
                    f"{name} {peer['version']}",
                    configuration,
                    *_row_figures(one["batch100"]),
                    *_row_figures(one["batch1"]),
                    f"{100 * one['same_class']:.0f} %",
                ]
            )
    console.print_rows(
        f"Images per second, T = {figures['steps']}, one core: median (lowest to highest round)",
        ["engine", "configuration", "batch 100", "native is", "batch 1", "native is", "same class"],
        rows,
    )
    if missing:
        console.print_figures("Not measured", missing)


def _row_figures(one: Figures) -> list[str]:
    ratio = one.get("native_ratio")
    return [
        _with_spread(one["images_per_s"], one["images_per_s_spread"]),
        "" if ratio is None else f"{ratio:.1f} x",
    ]


def _with_spread(value: float | None, ends: list[float] | None, unit: str = "") -> str:
    if value is None or ends is None:
        return "no peer measured"
    digits = 1 if value < 100 else 0
    return f"{value:,.{digits}f}{unit} ({ends[0]:,.{digits}f} to {ends[1]:,.{digits}f})"


def _summary(figures: Figures) -> dict[str, str]:
    shown = {
        "network": f"{figures['network']} ({figures['network_checksum'][:12]})",
        "images": f"{figures['dataset']}, {figures['rounds']} rounds",
        "spikes an image": ", ".join(
            f"{name} {count:.0f}" for name, count in figures["spikes_per_image"].items()
        ),
        "checked": (
            f"native equals the dynamics spike for spike on {figures['checked_images']} images"
        ),
        "native, with encoding": _with_spread(
            figures["native"]["with_encoding"]["images_per_s"],
            figures["native"]["with_encoding"]["images_per_s_spread"],
            " images/s",
        ),
    }
    for kind, title in (
        ("", "fastest peer"),
        ("eager_", "fastest peer, not compiled"),
        ("documented_", "fastest peer, as documented"),
    ):
        for batch, name in (("batch100", "batch 100"), ("batch1", "batch 1")):
            key = f"vs_fastest_{kind}peer_{batch}"
            shown[f"against {title}, {name}"] = _with_spread(
                figures[key], figures[f"{key}_spread"], " x"
            )
    shown["against fastest peer, batch 100, with encoding"] = _with_spread(
        figures["vs_fastest_peer_with_encoding"],
        figures["vs_fastest_peer_with_encoding_spread"],
        " x",
    )
    return shown


@section("engine", _show)
def measure_engine(options: Options) -> Figures:
    """Measure the native backend and every installed peer in every configuration."""
    workload = make_workload(options.model, options.dataset, images=_BATCH, steps=_STEPS)
    singles = 2 if options.quick else 10
    rounds = {"batch100": 1 if options.quick else 15, "batch1": 1 if options.quick else 9}

    simulator = NativeBackend(threads=1).deploy(workload.network)
    recording = simulator.run(workload.inputs)
    _check_native(workload, simulator)
    expected = decide(recording.counts[workload.network.readout])

    peers: dict[str, Figures] = {}
    batches: _Subjects = {_NATIVE: lambda: simulator.run(workload.inputs)}
    one_by_one: _Subjects = {
        _NATIVE: lambda: [simulator.run(workload.inputs[i : i + 1]) for i in range(singles)]
    }
    encoding: _Subjects = {}
    for name, peer in find_peers().items():
        if isinstance(peer, MissingPeer):
            peers[name] = {"installed": False, "reason": peer.reason, "install": INSTALL}
            continue
        peers[name] = _prepare_peer(
            name, peer, workload, expected, singles, options, batches, one_by_one, encoding
        )

    options.say("timing: rounds in which every engine takes its turn")
    timed = {
        "batch100": throughputs(batches, _BATCH, rounds["batch100"]),
        "batch1": throughputs(one_by_one, singles, rounds["batch1"]),
    }
    with_encoding = _time_encoding(workload, simulator, timed, encoding, rounds["batch100"])
    figures: Figures = {
        "network": workload.origin,
        "network_checksum": workload.network.checksum(),
        "dataset": workload.dataset,
        "steps": workload.steps,
        "rounds": rounds["batch100"],
        "spikes_per_image": {
            name: float(counts.sum(axis=1).mean()) for name, counts in recording.counts.items()
        },
        "checked_images": _CHECKED_IMAGES,
        **_native_figures(timed, with_encoding),
        "configurations": {one.value: one.description for one in Configuration},
        "peers": peers,
    }
    for name, peer_figures in peers.items():
        for configuration, one in peer_figures.get("configurations", {}).items():
            subject = (name, configuration)
            if "unavailable" in one:
                continue
            for batch, results in timed.items():
                one[batch] = _figures(results[subject], results[_NATIVE])
            if subject in with_encoding:
                one["with_encoding"] = _figures(with_encoding[subject], with_encoding[_NATIVE])
    return figures


def _check_native(workload: Workload, simulator: NativeSimulator) -> None:
    """Raise RuntimeError unless the native spikes are those of the executable dynamics."""
    inputs = workload.inputs[:_CHECKED_IMAGES]
    recording = simulator.run(inputs, record_spikes=True)
    for image, raster in enumerate(inputs.to_dense()):
        for name, spikes in simulate(workload.network, raster).items():
            found = recording.spikes[name].to_dense()[image]
            if not np.array_equal(found, spikes):
                raise RuntimeError(f"native spikes of {name!r} differ from the dynamics")


def _prepare_peer(
    name: str,
    peer: Any,
    workload: Workload,
    expected: NDArray[np.int64],
    singles: int,
    options: Options,
    batches: _Subjects,
    one_by_one: _Subjects,
    encoding: _Subjects,
) -> Figures:
    """Add what to time of a peer to the three tables of subjects; return what is known of it."""
    import torch

    from benchmarks.peers.simulation import PeerSimulation

    torch.set_num_threads(1)
    configurations: dict[str, Figures] = {}
    for configuration in Configuration:
        if options.quick and configuration is Configuration.COMPILED:
            continue
        options.say(f"preparing {name}, {configuration.value}")
        one: Figures = {}
        configurations[configuration.value] = one
        simulation = PeerSimulation(peer, workload.network, configuration)
        inputs = simulation.prepare(workload.inputs)
        images = [simulation.prepare(workload.inputs[i : i + 1]) for i in range(singles)]
        try:
            predicted = decide(simulation.run(inputs))
            simulation.run(images[0])
        except RuntimeError as error:
            # torch.compile, where there is no C++ compiler or none that it can use.
            one["unavailable"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            continue
        one["same_class"] = float(np.mean(predicted == expected))
        subject = (name, configuration.value)
        batches[subject] = _bind(simulation.run, inputs)
        one_by_one[subject] = _bind(_run_each, simulation, images)
        encoding[subject] = _bind(_encode_and_run, simulation, workload)
    return {
        "installed": True,
        "version": version(peer.package),
        "torch": torch.__version__,
        "equivalence": peer.equivalence,
        "configurations": configurations,
    }


def _run_each(simulation: PeerSimulation, images: list[PeerInputs]) -> None:
    for image in images:
        simulation.run(image)


def _encode_and_run(simulation: PeerSimulation, workload: Workload) -> None:
    simulation.run(simulation.encode(workload.images, workload.steps))


def _bind(function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: function(*arguments)


def _time_encoding(
    workload: Workload,
    simulator: NativeSimulator,
    timed: dict[str, _Rounds],
    encoding: _Subjects,
    rounds: int,
) -> _Rounds:
    """Time batches from images on, each peer with its own encoder, in its fastest configuration."""
    medians = {subject: np.median(timed["batch100"][subject]) for subject in encoding}
    # Ascending, so that each peer's fastest configuration is the one that stays.
    fastest = {subject[0]: subject for subject in sorted(medians, key=medians.__getitem__)}
    subjects: _Subjects = {_NATIVE: lambda: simulator.run(workload.encode())}
    subjects.update((subject, encoding[subject]) for subject in fastest.values())
    return throughputs(subjects, _BATCH, rounds)


def _native_figures(timed: dict[str, _Rounds], with_encoding: _Rounds) -> Figures:
    native = {batch: _figures(results[_NATIVE]) for batch, results in timed.items()}
    native["with_encoding"] = _figures(with_encoding[_NATIVE])
    figures: Figures = {
        **native["batch100"],
        "native": {"configuration": _NATIVE[1], **native},
    }
    tables = {**timed, "with_encoding": with_encoding}
    for batch, results in tables.items():
        for kind, configurations in _KINDS.items():
            if kind and batch == "with_encoding":
                # Timed in each peer's fastest configuration only.
                continue
            others = [
                rounds
                for (_, configuration), rounds in results.items()
                if configuration in configurations
            ]
            key = f"vs_fastest_{kind}peer_{batch}"
            figures[key], figures[f"{key}_spread"] = spread(
                ratio_to_fastest(results[_NATIVE], others)
            )
    return figures


def _figures(rounds: NDArray[np.float64], native: NDArray[np.float64] | None = None) -> Figures:
    median, ends = spread(rounds)
    figures: Figures = {"images_per_s": median, "images_per_s_spread": ends}
    if native is not None:
        figures["native_ratio"] = float(np.median(native / rounds))
    return figures
