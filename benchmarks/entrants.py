"""The simulators that section ``engine`` compares with the native backend.

All get the same input spikes, each in its own format, prepared outside the timed part. Each is
checked before it is timed: Brian2 and the backend ``torch`` by their counts, which must equal the
native ones; those that use float32 or have no refractory period by the fraction of images with the
same predicted class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import INSTALL, MissingPeer, find_peers
from benchmarks.peers.configuration import BagConfiguration, Configuration
from benchmarks.registry import Figures, Options
from benchmarks.workload import Workload
from neuroattack.deployment import backend as simulation
from neuroattack.deployment.backend import Recording, load_backend
from neuroattack.encoding.readout import decide
from neuroattack.errors import BackendUnavailableError

if TYPE_CHECKING:
    from benchmarks.peers.simulation import PeerInputs, PeerSimulation

__all__ = ["BAG", "BRIAN", "PEER", "TORCH", "Engine", "Entrant", "find_engines"]

PEER, BAG, BRIAN, TORCH = "peer", "embedding bag", "Brian2 standalone", "backend torch"
"""Families of engines, with a separate comparison each."""

_BRIAN_BACKEND = "brian2-standalone"


@dataclass(frozen=True, eq=False)
class Entrant:
    """An engine in one configuration.

    Parameters
    ----------
    configuration : str
        Name of the configuration.
    batch : callable
        Runs all images at once.
    same_class : float
        Fraction of images with the class that the native backend predicts.
    one_by_one, with_encoding : callable, optional
        Runs the first images one by one; generates the input spikes, then runs all images at once.
    """

    configuration: str
    batch: Callable[[], object]
    same_class: float
    one_by_one: Callable[[], object] | None = None
    with_encoding: Callable[[], object] | None = None


@dataclass(frozen=True, eq=False)
class Engine:
    """An engine in all configurations in which it is measured.

    Parameters
    ----------
    name, family : str
        Name of the engine, and its family.
    about : dict
        Version and how its dynamics compare with the network's; or why it is missing.
    entrants : list of Entrant
        Its configurations; empty if it is missing.
    unavailable : dict of str to str
        Configurations that are not available here, with the reason.
    """

    name: str
    family: str
    about: Figures
    entrants: list[Entrant] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)


def find_engines(
    workload: Workload, recording: Recording, singles: int, options: Options
) -> Iterator[Engine]:
    """Prepare and check all installed engines.

    Parameters
    ----------
    workload : Workload
        Network and images to run.
    recording : Recording
        Recording of the native backend on this workload.
    singles : int
        Number of images to run one by one.
    options : Options
        Options of the suite.
    """
    expected = decide(recording.counts[workload.network.readout])
    for name, peer in find_peers().items():
        if isinstance(peer, MissingPeer):
            yield Engine(name, PEER, _missing(peer.reason))
        else:
            yield _peer(name, peer, workload, expected, singles, options)
    yield _embedding_bag(workload, expected, options)
    yield _torch_backend(workload, recording, singles)
    yield _brian(workload, recording, options)


def _missing(reason: str) -> Figures:
    return {"installed": False, "reason": reason, "install": INSTALL}


def _peer(
    name: str,
    peer: Any,
    workload: Workload,
    expected: NDArray[np.int64],
    singles: int,
    options: Options,
) -> Engine:
    import torch

    from benchmarks.peers.simulation import PeerSimulation

    torch.set_num_threads(1)
    engine = Engine(
        name,
        PEER,
        {
            "installed": True,
            "version": version(peer.package),
            "torch": torch.__version__,
            "equivalence": peer.equivalence,
        },
    )
    for configuration in Configuration:
        if options.quick and configuration is Configuration.COMPILED:
            continue
        options.say(f"preparing {name}, {configuration.value}")
        simulated = PeerSimulation(peer, workload.network, configuration)
        inputs = simulated.prepare(workload.inputs)
        images = [simulated.prepare(workload.inputs[i : i + 1]) for i in range(singles)]
        try:
            predicted = decide(simulated.run(inputs))
            simulated.run(images[0])
        except RuntimeError as error:
            engine.unavailable[configuration.value] = _one_line(error)
            continue
        engine.entrants.append(
            Entrant(
                configuration.value,
                _bind(simulated.run, inputs),
                float(np.mean(predicted == expected)),
                _bind(_run_each, simulated, images),
                _bind(_encode_and_run, simulated, workload),
            )
        )
    return engine


def _embedding_bag(workload: Workload, expected: NDArray[np.int64], options: Options) -> Engine:
    name = "torch embedding_bag"
    try:
        import torch
    except ImportError as error:
        return Engine(name, BAG, _missing(str(error)))
    from benchmarks.peers.embedding_bag import EQUIVALENCE, BagSimulation

    torch.set_num_threads(1)
    engine = Engine(
        name, BAG, {"installed": True, "version": torch.__version__, "equivalence": EQUIVALENCE}
    )
    for configuration in BagConfiguration:
        if options.quick and configuration is BagConfiguration.COMPILED:
            continue
        options.say(f"preparing {name}, {configuration.value}")
        try:
            simulated = BagSimulation(workload.network, configuration)
            inputs = simulated.prepare(workload.inputs)
            predicted = decide(simulated.run(inputs))
        except RuntimeError as error:
            engine.unavailable[configuration.value] = _one_line(error)
            continue
        engine.entrants.append(
            Entrant(
                configuration.value,
                _bind(simulated.run, inputs),
                float(np.mean(predicted == expected)),
            )
        )
    return engine


def _torch_backend(workload: Workload, recording: Recording, singles: int) -> Engine:
    try:
        backend = load_backend("torch")
    except BackendUnavailableError as error:
        return Engine(TORCH, TORCH, _missing(str(error)))
    import torch

    torch.set_num_threads(1)
    simulator = backend.deploy(workload.network)
    _check_counts(TORCH, simulator.run(workload.inputs), recording)
    images = [workload.inputs[i : i + 1] for i in range(singles)]
    about = {
        "installed": True,
        "version": torch.__version__,
        "equivalence": "the network's own dynamics in float64: all counts equal the native ones",
    }
    entrant = Entrant(
        "one thread, float64",
        _bind(simulator.run, workload.inputs),
        1.0,
        lambda: [simulator.run(image) for image in images],
        lambda: simulator.run(workload.encode()),
    )
    return Engine(TORCH, TORCH, about, [entrant])


def _check_counts(name: str, found: Recording, expected: Recording) -> None:
    for population, counts in found.counts.items():
        if not np.array_equal(counts, expected.counts[population]):
            raise RuntimeError(f"{name}: counts of {population!r} differ from the native backend")


def _brian(workload: Workload, recording: Recording, options: Options) -> Engine:
    if options.quick:
        return Engine(BRIAN, BRIAN, {"installed": False, "reason": "not built in quick mode"})
    try:
        backend = load_backend(_BRIAN_BACKEND)
        options.say(f"preparing {BRIAN}: half a minute if it was not built before")
        simulator = backend.deploy(
            workload.network, simulation.Workload(workload.inputs.images, workload.steps)
        )
    except BackendUnavailableError as error:
        return Engine(BRIAN, BRIAN, {"installed": False, "reason": str(error)})
    _check_counts(BRIAN, simulator.run(workload.inputs), recording)
    about = {
        "installed": True,
        "version": backend.availability().version,
        "equivalence": "the network's own dynamics in float64: all counts equal the native ones",
    }
    entrant = Entrant(
        "built before, its process started for every batch",
        _bind(simulator.run, workload.inputs),
        1.0,
    )
    return Engine(BRIAN, BRIAN, about, [entrant])


def _one_line(error: Exception) -> str:
    # torch.compile prints many lines if there is no usable C++ compiler.
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"


def _run_each(simulated: PeerSimulation, images: list[PeerInputs]) -> None:
    for image in images:
        simulated.run(image)


def _encode_and_run(simulated: PeerSimulation, workload: Workload) -> None:
    simulated.run(simulated.encode(workload.images, workload.steps))


def _bind(function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: function(*arguments)
