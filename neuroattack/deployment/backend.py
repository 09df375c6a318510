"""Interface, results and registry of simulator backends.

Backends, including those of other packages, register under the entry-point group
``neuroattack.backends``; this package does not import them directly. Emulators register under
``neuroattack.emulators``: independent simulators with the same interface, whose spikes may differ
from the reference dynamics. They serve as a second opinion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.constant import ConstantInput, InputSignal
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.readout import logits_as_scores
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import BackendUnavailableError, UnknownNameError, ValidationError
from neuroattack.ir.network import INPUT, Network

__all__ = [
    "UNKNOWN_WORKLOAD",
    "Availability",
    "Backend",
    "BackendInfo",
    "EncodingSimulator",
    "Recording",
    "Simulator",
    "Workload",
    "check_inputs",
    "list_backends",
    "list_emulators",
    "load_backend",
    "synaptic_operations",
]

ENTRY_POINT_GROUP = "neuroattack.backends"
EMULATOR_GROUP = "neuroattack.emulators"


@dataclass(frozen=True)
class Availability:
    """Availability of a backend on this machine.

    Parameters
    ----------
    available : bool
        Whether the backend can run.
    reason : str
        Reason why it cannot, and what to install; empty if it is available.
    version : str
        Version of the simulator; empty if unknown.
    """

    available: bool
    reason: str = ""
    version: str = ""


@dataclass(frozen=True)
class Workload:
    """Expected workload of a deployment, for which a backend may prepare.

    Parameters
    ----------
    images : int
        Total number of images of all queries; 0 if unknown.
    steps : int
        Number of time steps per image; 0 if unknown.
    """

    images: int = 0
    steps: int = 0


UNKNOWN_WORKLOAD = Workload()


@dataclass(frozen=True, eq=False)
class Recording:
    """Recorded activity of a run.

    Parameters
    ----------
    counts : mapping of str to int32 array, shape (images, size)
        Spike counts of every population, and of the input under ``"input"``.
        With direct coding, the input's are the numbers of steps with a nonzero input.
    spikes : mapping of str to SpikeTrains, or None
        Spikes of the same populations, if recorded; those of the input only if it spikes.
    potentials : float64 array, shape (images, classes), or None
        Membrane potentials of the readout population, if they are the output of the network.
    decision_steps : int64 array, shape (images,), or None
        Number of steps after which each image was decided, if the readout exits early. Counts and
        spikes are then those until the decision.
    """

    counts: Mapping[str, NDArray[np.int32]]
    spikes: Mapping[str, SpikeTrains] | None = None
    potentials: NDArray[np.float64] | None = None
    decision_steps: NDArray[np.int64] | None = None

    def outputs(self, readout: str) -> NDArray[np.int32] | NDArray[np.float64]:
        """Return the outputs of the network, which decide the predicted class.

        They are the potentials, if recorded, or the spike counts of the readout population, shape
        (images, classes).
        """
        return self.counts[readout] if self.potentials is None else self.potentials

    def scores(self, readout: str) -> NDArray[np.int32]:
        """Return the outputs as nonnegative integers, as black boxes do.

        They are spike counts, or the softmax of potentials in units of 1e-9, see
        :func:`neuroattack.encoding.readout.logits_as_scores`.
        """
        if self.potentials is None:
            return self.counts[readout]
        return logits_as_scores(self.potentials)

    @property
    def nbytes(self) -> int:
        """Memory of counts and spikes in bytes."""
        spikes = sum(each.nbytes for each in (self.spikes or {}).values())
        return spikes + sum(each.nbytes for each in self.counts.values())

    def until(self, steps: NDArray[np.int64]) -> Recording:
        """Return the activity until the decision of each image, from recorded spikes.

        Parameters
        ----------
        steps : int64 array, shape (images,)
            Number of steps after which each image is decided.

        Raises
        ------
        ValidationError
            If no spikes were recorded.
        """
        if self.spikes is None:
            raise ValidationError("recording", "spike counts only", "recorded spikes")
        spikes = {name: trains.until(steps) for name, trains in self.spikes.items()}
        # A constant input has no spikes; its counts are numbers of steps.
        counts = {
            name: spikes[name].counts()
            if name in spikes
            else np.where(each > 0, steps[:, np.newaxis], 0).astype(np.int32)
            for name, each in self.counts.items()
        }
        return Recording(counts, spikes, decision_steps=steps)

    @classmethod
    def concatenate(cls, parts: Sequence[Recording]) -> Recording:
        """Join recordings of consecutive batches of the same network."""
        if len(parts) == 1:
            return parts[0]
        counts = {
            name: np.concatenate([part.counts[name] for part in parts]) for name in parts[0].counts
        }
        spikes = potentials = decision_steps = None
        if parts[0].spikes is not None:
            spikes = {
                name: SpikeTrains.concatenate([part.spikes[name] for part in parts if part.spikes])
                for name in parts[0].spikes
            }
        if parts[0].potentials is not None:
            potentials = np.concatenate(
                [part.potentials for part in parts if part.potentials is not None]
            )
        if parts[0].decision_steps is not None:
            decision_steps = np.concatenate(
                [part.decision_steps for part in parts if part.decision_steps is not None]
            )
        return cls(counts, spikes, potentials, decision_steps)


class Simulator(Protocol):
    """Network deployed on a backend, which simulates batches of images."""

    def run(self, inputs: InputSignal, *, record_spikes: bool = False) -> Recording:
        """Simulate a batch; every image starts at rest.

        Parameters
        ----------
        inputs : InputSignal
            Spikes of the input population, or a constant input, which also determine the number of
            time steps.
        record_spikes : bool, optional
            Whether to record the spikes of all populations.

        Returns
        -------
        Recording
            Result, spike-for-spike identical to :func:`neuroattack.ir.dynamics.simulate`.

        Raises
        ------
        ValidationError
            If the batch is empty, or the size of the images differs from the network's input.
        SimulationError
            If the simulator failed; the next run starts a new one.
        """
        ...

    def close(self) -> None:
        """Release processes and memory of the simulator, which cannot be run again."""
        ...


@runtime_checkable
class EncodingSimulator(Protocol):
    """Simulator that encodes images in the threads in which it simulates them."""

    def encode_and_run(
        self,
        encode: Callable[[slice], InputSignal],
        images: int,
        steps: int,
        *,
        record_spikes: bool = False,
    ) -> Recording:
        """Encode and simulate a batch like :meth:`Simulator.run`.

        Parameters
        ----------
        encode : callable
            Function that returns the input of a slice of the batch; called by several threads.
        images, steps : int
            Number of images in the batch, and of time steps.
        record_spikes : bool, optional
            Whether to record the spikes of all populations.
        """
        ...


class Backend(Protocol):
    """Simulator backend; the registry creates it without arguments.

    `supported` are the names of the features of :data:`neuroattack.deployment.features.FEATURES`
    that it supports; networks with others are refused before they are deployed.
    """

    name: str
    supported: frozenset[str]

    def availability(self) -> Availability:
        """Return whether the backend can run here, without raising exceptions."""
        ...

    def deploy(self, network: Network, workload: Workload = UNKNOWN_WORKLOAD) -> Simulator:
        """Prepare a network to run.

        Parameters
        ----------
        network : Network
            Network in floating or fixed point.
        workload : Workload, optional
            Expected workload, which affects speed only.

        Raises
        ------
        UnsupportedFeatureError
            If the backend does not support a feature of the network exactly.
        BackendUnavailableError
            If a requirement of the deployment is missing here.
        """
        ...


def check_inputs(network: Network, inputs: InputSignal) -> None:
    """Raise ValidationError unless the batch is one that the network's encoder may give.

    It must have at least one image, the size of the network's input, and spikes; or with direct
    coding, constant values on the encoder's grid in [0, 1].
    """
    if inputs.size != network.input.size or not len(inputs):
        raise ValidationError(
            "input",
            f"{len(inputs)} images of {inputs.size} neurons",
            f"at least one image of {network.input.size} neurons",
        )
    encoder = network.input.encoder
    if not isinstance(encoder, DirectEncoder):
        if isinstance(inputs, ConstantInput):
            raise ValidationError("input", "constant values", f"spikes ({encoder.kind} encoder)")
        return
    expected = f"multiples of 2**-{encoder.bits} from 0 to 1"
    if not isinstance(inputs, ConstantInput):
        raise ValidationError("input", "spikes", expected)
    if inputs.exponent != -encoder.bits:
        raise ValidationError("input", f"multiples of 2**{inputs.exponent}", expected)
    low, high = int(inputs.values.min()), int(inputs.values.max())
    if low < 0 or high > 2**encoder.bits:
        raise ValidationError("input", f"{low} to {high} times 2**{inputs.exponent}", expected)


@dataclass(frozen=True)
class BackendInfo:
    """Entry of the list of backends."""

    name: str
    available: bool
    reason: str
    version: str


def _registered(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def list_backends() -> list[BackendInfo]:
    """Return all registered backends; unavailable ones with the reason."""
    return _listed(ENTRY_POINT_GROUP)


def list_emulators() -> list[BackendInfo]:
    """Return all registered emulators; unavailable ones with the reason."""
    return _listed(EMULATOR_GROUP)


def _listed(group: str) -> list[BackendInfo]:
    lines = []
    for name, point in sorted(_registered(group).items()):
        try:
            found: Backend = point.load()()
            state = found.availability()
        except Exception as error:
            state = Availability(False, f"cannot be loaded: {type(error).__name__}: {error}")
        lines.append(BackendInfo(name, state.available, state.reason, state.version))
    return lines


def load_backend(name: str, device: str | None = None) -> Backend:
    """Return the backend or emulator registered under a name.

    Parameters
    ----------
    name : str
        Name of the backend or emulator.
    device : str, optional
        Device such as ``"cuda:1"``, for backends with a method `on_device`, which takes it and
        returns a backend.

    Raises
    ------
    UnknownNameError
        If neither a backend nor an emulator has that name.
    BackendUnavailableError
        If it cannot run here, or not on the device; the message has the reason.
    ValidationError
        If it has no devices, or none of this kind.
    """
    registered = _registered(EMULATOR_GROUP) | _registered(ENTRY_POINT_GROUP)
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
    if device is None:
        return backend
    on_device: Callable[[str], Backend] | None = getattr(backend, "on_device", None)
    if on_device is None:
        raise ValidationError(
            f"device of backend {name!r}", repr(device), "none: it runs on the processor only"
        )
    return on_device(device)


def synaptic_operations(network: Network, recording: Recording) -> NDArray[np.int64]:
    """Return the synaptic operations of each image: spikes times nonzero fan-out of their neuron.

    With direct coding, a nonzero input acts in every step like a spike.

    Parameters
    ----------
    network : Network
        Simulated network.
    recording : Recording
        Recording of a run.

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
