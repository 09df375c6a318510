"""What a simulator backend is, what it returns, and where backends are found.

Backends are not imported by the toolkit: they register under the entry-point group
``neuroattack.backends``, and so does anyone's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import BackendUnavailableError, UnknownNameError, ValidationError
from neuroattack.ir.network import INPUT, Network

__all__ = [
    "UNKNOWN_WORKLOAD",
    "Availability",
    "Backend",
    "BackendInfo",
    "Recording",
    "Simulator",
    "Workload",
    "check_inputs",
    "list_backends",
    "load_backend",
    "synaptic_operations",
]

ENTRY_POINT_GROUP = "neuroattack.backends"


@dataclass(frozen=True)
class Availability:
    """Whether a backend can run here.

    Parameters
    ----------
    available : bool
        True if it can.
    reason : str
        Why not, and what to install; empty where it is available.
    version : str
        Of the simulator behind it; empty where it is unknown.
    """

    available: bool
    reason: str = ""
    version: str = ""


@dataclass(frozen=True)
class Workload:
    """What a deployment will be asked, as far as it is known: a backend may prepare for it.

    Parameters
    ----------
    images : int
        Images that will be shown, all queries together; 0 where it is unknown.
    steps : int
        Time steps of an image; 0 where it is unknown.
    """

    images: int = 0
    steps: int = 0


UNKNOWN_WORKLOAD = Workload()


@dataclass(frozen=True, eq=False)
class Recording:
    """What a run leaves behind.

    Parameters
    ----------
    counts : mapping of str to int32 array, shape (images, size)
        Spikes of every neuron of every population over all steps, the input's under ``"input"``.
    spikes : mapping of str to SpikeTrains, or None
        The spikes themselves, where they were asked for.
    """

    counts: Mapping[str, NDArray[np.int32]]
    spikes: Mapping[str, SpikeTrains] | None = None

    @classmethod
    def concatenate(cls, parts: Sequence[Recording]) -> Recording:
        """Join recordings of consecutive batches of the same network."""
        if len(parts) == 1:
            return parts[0]
        counts = {
            name: np.concatenate([part.counts[name] for part in parts]) for name in parts[0].counts
        }
        if parts[0].spikes is None:
            return cls(counts)
        return cls(
            counts,
            {
                name: SpikeTrains.concatenate([part.spikes[name] for part in parts if part.spikes])
                for name in parts[0].spikes
            },
        )


class Simulator(Protocol):
    """A network deployed on a backend, ready to run batches."""

    def run(self, inputs: SpikeTrains, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch, each image from rest.

        Parameters
        ----------
        inputs : SpikeTrains
            Spikes of the input population; their steps are the steps simulated.
        record_spikes : bool, optional
            Whether to keep the spikes of all populations.

        Returns
        -------
        Recording
            Equal, spike for spike, to :func:`neuroattack.ir.dynamics.simulate`.

        Raises
        ------
        ValidationError
            If there is no image, or one of another size than the network's input.
        SimulationError
            If the simulator failed; the next run starts from a sound one.
        """
        ...

    def close(self) -> None:
        """Give back what the simulator holds: processes, memory. It is not run again."""
        ...


class Backend(Protocol):
    """A simulator that can hold networks; built without arguments by the registry."""

    name: str

    def availability(self) -> Availability:
        """Say whether the backend can run here, without raising."""
        ...

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> Simulator:
        """Prepare a network to run.

        Parameters
        ----------
        network : Network
            In floating or fixed point.
        workload : Workload, optional
            What it will be asked, which decides nothing but how fast it runs.

        Raises
        ------
        UnsupportedFeatureError
            If the network has a feature that the backend cannot hold exactly.
        BackendUnavailableError
            If what the deployment needs is missing here.
        """
        ...


def check_inputs(network: Network, inputs: SpikeTrains) -> None:
    """Raise ValidationError if there is no image, or one of another size than the input's."""
    if inputs.size != network.input.size or not len(inputs):
        raise ValidationError(
            "input spikes",
            f"{len(inputs)} images of {inputs.size} neurons",
            f"at least one, of {network.input.size}",
        )


@dataclass(frozen=True)
class BackendInfo:
    """A line of the list of backends."""

    name: str
    available: bool
    reason: str
    version: str


def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def list_backends() -> list[BackendInfo]:
    """Return every registered backend, the unavailable ones with the reason."""
    lines = []
    for name, point in sorted(_registered().items()):
        try:
            found: Backend = point.load()()
            state = found.availability()
        except Exception as error:
            state = Availability(False, f"cannot be loaded: {type(error).__name__}: {error}")
        lines.append(BackendInfo(name, state.available, state.reason, state.version))
    return lines


def load_backend(name: str) -> Backend:
    """Return the backend registered under a name.

    Raises
    ------
    UnknownNameError
        If no backend has that name.
    BackendUnavailableError
        If it cannot run here, with the reason.
    """
    registered = _registered()
    if name not in registered:
        raise UnknownNameError("backend", name, registered)
    try:
        backend: Backend = registered[name].load()()
    except Exception as error:
        raise BackendUnavailableError(
            f"backend {name!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    state = backend.availability()
    if not state.available:
        raise BackendUnavailableError(f"backend {name!r} is not available: {state.reason}")
    return backend


def synaptic_operations(network: Network, recording: Recording) -> NDArray[np.int64]:
    """Return the synaptic operations of each image: spikes times their actual nonzero fan-out.

    Parameters
    ----------
    network : Network
        What was simulated.
    recording : Recording
        Of a run of it.

    Returns
    -------
    int64 array, shape (images,)
    """
    images = len(recording.counts[INPUT])
    total = np.zeros(images, np.int64)
    for name, counts in recording.counts.items():
        for projection in network.outgoing(name):
            total += counts.astype(np.int64) @ projection.fan_out()
    return total
