"""Deployment: a network on a backend with a number of time steps and a random seed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.deployment.backend import (
    EncodingSimulator,
    Recording,
    Simulator,
    Workload,
    load_backend,
    synaptic_operations,
)
from neuroattack.deployment.features import BASIC, check_supported
from neuroattack.deployment.meters import Meter
from neuroattack.encoding.constant import InputSignal
from neuroattack.encoding.early_exit import EarlyExit
from neuroattack.encoding.encoders import RateEncoder
from neuroattack.encoding.images import validate_images
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.hardware.quantization.quantization import Rounding, fixed_format, quantize
from neuroattack.ir.input import MAX_STEPS, STEPS
from neuroattack.ir.network import INPUT, Network, Precision
from neuroattack.ir.projection import SMALLER_NETWORK
from neuroattack.memory import check_memory
from neuroattack.targets.black_box import BlackBox, Randomness
from neuroattack.validation import check_integer

__all__ = [
    "EVALUATION_STREAM",
    "MAX_STEPS",
    "Deployment",
    "Randomness",
    "check_settings",
    "decision_steps",
    "deploy",
    "search_stream",
    "verification_stream",
]

if TYPE_CHECKING:
    # At run time, imported only if a profile is used, because pydantic is slow to import.
    from neuroattack.hardware.energy.energy import EnergyEstimate
    from neuroattack.hardware.fitting import Fitted
    from neuroattack.hardware.profiles.profile import Profile

EVALUATION_STREAM = 0
"""Random stream for evaluations; attacks use two other streams per image and target class."""

MAX_SEED = 2**63 - 1
_MAX_CLASSES = 1_000_000

# Limits of a batch: images, and spikes of the input and the recording if all neurons always spike.
_BATCH_IMAGES = 256
_BATCH_NUMBERS = 2**28


def search_stream(index: int, target_class: int | None) -> int:
    """Return the random stream of an attack's search, one per image and target class."""
    return 1 + 2 * _attack_number(index, target_class)


def verification_stream(index: int, target_class: int | None) -> int:
    """Return the random stream of the trials in which the result of that attack is verified."""
    return 2 + 2 * _attack_number(index, target_class)


def _attack_number(index: int, target_class: int | None) -> int:
    return index * (_MAX_CLASSES + 1) + (0 if target_class is None else target_class + 1)


def check_settings(backend: str, steps: int | None, seed: int, device: str | None = None) -> None:
    """Check the settings of :func:`deploy` before a network is available."""
    load_backend(backend, device)
    _check_run(STEPS if steps is None else steps, seed)


def _check_run(steps: int, seed: int) -> None:
    check_integer("steps", steps, 1, MAX_STEPS)
    check_integer("seed", seed, 0, MAX_SEED)


@dataclass(frozen=True, eq=False)
class Deployment:
    """Network deployed on a backend; a context manager that closes its simulator.

    Parameters
    ----------
    network : Network
        Deployed network.
    simulator : Simulator
        Simulator of the network.
    backend, backend_version : str
        Name and version of the simulator, for results.
    steps : int
        Number of time steps T per image, at least 1.
    seed : int
        Random seed of the input spikes, not negative.
    fitted : Fitted or None
        Mapping to the chip, if the network was deployed with a hardware profile.
    exit : EarlyExit or None
        Rule by which the network decides before step T. Recordings then end at the decision.
    device : str or None
        Device of the backend; None for its default.

    Raises
    ------
    ValidationError
        If a number is out of range.
    UnsupportedFeatureError
        If there is a rule of early exit and the output of the network is a potential.
    """

    network: Network
    simulator: Simulator
    backend: str
    backend_version: str
    steps: int
    seed: int
    fitted: Fitted | None = None
    exit: EarlyExit | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        _check_run(self.steps, self.seed)
        _check_exit(self.network, self.exit)

    def __enter__(self) -> Deployment:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_random(self) -> bool:
        """Whether repeated trials of an image can differ: not with direct or regular coding."""
        return self.network.input.encoder.random

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image; with events, of a sample: (steps, ...)."""
        return self.network.input.sample_shape(self.steps)

    @property
    def needs_spikes(self) -> bool:
        """Whether energy estimates need spike times, not only spike counts."""
        return self.fitted is not None and self.fitted.needs_spikes

    def close(self) -> None:
        """Release processes and memory of the simulator, which cannot be used again."""
        self.simulator.close()

    def record(
        self,
        images: ArrayLike,
        *,
        indices: Sequence[int] | NDArray[np.int64],
        stream: int = EVALUATION_STREAM,
        record_spikes: bool = False,
    ) -> Recording:
        """Simulate images and record the activity of all populations.

        With an early exit, all T steps are simulated, and the activity after the decision of each
        image is left out.

        Parameters
        ----------
        images : float array, shape (images, ...) or (images, pixels)
            Intensities in [0, 1].
        indices : sequence of int, shape (images,)
            Index of each image's random numbers in the stream: the same seed, stream and index
            give the same input spikes for an image.
        stream : int, optional
            Number of one of the seed's independent random streams.
        record_spikes : bool, optional
            Whether to record the spikes of all populations.

        Raises
        ------
        ValidationError
            If the images are invalid for the network.
        MemoryLimitError
            If the recording of all images needs more memory than is available, as estimated from
            the images simulated so far.
        """
        rows, numbers = self._checked(images, indices)
        return self._record(rows, numbers, stream, record_spikes)

    def _checked(
        self, images: ArrayLike, indices: Sequence[int] | NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        rows = validate_images(images, self.image_shape)
        numbers = np.asarray(indices, np.int64)
        if numbers.shape != (len(rows),):
            raise ValidationError("indices", f"shape {numbers.shape}", f"shape ({len(rows)},)")
        return rows, numbers

    def _record(
        self,
        rows: NDArray[np.float64],
        indices: NDArray[np.int64],
        stream: int,
        record_spikes: bool,
    ) -> Recording:
        parts = []
        held_bytes = 0
        recorded = record_spikes or self.exit is not None
        for batch in self.batches(len(rows), record_spikes=recorded):
            part = self._simulate(rows[batch], indices[batch], stream, recorded)
            if self.exit is not None:
                part = part.until(_decided_after(self.exit, part, self.network.readout))
                part = part if record_spikes else replace(part, spikes=None)
            parts.append(part)
            if batch.stop < len(rows):
                held_bytes += part.nbytes
                check_memory(
                    f"recording {len(rows):,} images of {self.steps:,} time steps",
                    # The remaining batches, and all of them a second time to join them.
                    held_bytes / batch.stop * (2 * len(rows) - batch.stop),
                    "record fewer images at once",
                )
        return Recording.concatenate(parts)

    def _simulate(
        self,
        rows: NDArray[np.float64],
        indices: NDArray[np.int64],
        stream: int,
        record_spikes: bool,
    ) -> Recording:
        def encode(part: slice) -> InputSignal:
            return self.network.input.encoder.encode(
                rows[part],
                indices=indices[part],
                steps=self.steps,
                dt_s=self.network.dt_s,
                seed=self.seed,
                stream=stream,
            )

        # Images with the same random numbers are encoded as changes of the first one.
        if self._encoder is not None and len(set(indices.tolist())) == len(rows):
            return self._encoder.encode_and_run(
                encode, len(rows), self.steps, record_spikes=record_spikes
            )
        return self.simulator.run(encode(slice(None)), record_spikes=record_spikes)

    @cached_property
    def _encoder(self) -> EncodingSimulator | None:
        return self.simulator if isinstance(self.simulator, EncodingSimulator) else None

    def quantities(
        self, recording: Recording
    ) -> tuple[dict[str, NDArray[np.float64]], EnergyEstimate | None]:
        """Return quantities of recorded images, and the energy estimate if there are coefficients.

        Quantities, each of shape (images,), are ``spikes`` (all populations except the input),
        ``input_spikes``, ``output_spikes``, ``synaptic_operations``, and for profiles with energy
        coefficients ``energy_pj_lower`` and ``energy_pj_upper``, over the terms that have one. With
        early exit, they are until the decision, and ``latency`` is its time step.
        """
        counts = recording.counts
        hidden = [each.sum(axis=1) for name, each in counts.items() if name != INPUT]
        quantities = {
            "spikes": np.sum(hidden, axis=0),
            "input_spikes": counts[INPUT].sum(axis=1),
            "output_spikes": counts[self.network.readout].sum(axis=1),
            "synaptic_operations": synaptic_operations(self.network, recording),
        }
        if self.exit is not None:
            quantities["latency"] = decision_steps(self, recording)
        estimate = None
        if self.fitted is not None and self.fitted.has_energy:
            activity = self.fitted.activity(
                counts, self.steps, recording.spikes, recording.decision_steps
            )
            estimate = self.fitted.estimate(activity)
            bounds = estimate.subtotal_per_image_pj
            if bounds is None:
                estimate = None
            else:
                quantities["energy_pj_lower"], quantities["energy_pj_upper"] = bounds
        return {name: values.astype(np.float64) for name, values in quantities.items()}, estimate

    def batches(self, images: int, *, record_spikes: bool, trials: int = 1) -> list[slice]:
        """Return the batches in which a number of images are simulated, to limit the memory.

        Each image is simulated in a number of trials.
        """
        if images == 1:
            # Queries of single images are short.
            return [slice(0, 1)]
        size = max(1, self._images_per_batch(record_spikes) // trials)
        return [slice(start, start + size) for start in range(0, images, size)]

    def _images_per_batch(self, record_spikes: bool) -> int:
        """Return the maximum number of images per batch, limited by the memory of their spikes."""
        sizes = self.network.sizes
        numbers = sum(sizes.values())  # counts
        if record_spikes:
            numbers *= self.steps
        elif isinstance(self.network.input.encoder, RateEncoder):
            numbers = max(numbers, sizes[INPUT] * self.steps)
        if self.network.input.reads_events:
            # Samples are in double precision.
            numbers = max(numbers, 2 * sizes[INPUT] * self.steps)
        return max(1, min(_BATCH_IMAGES, _BATCH_NUMBERS // numbers))

    def respond(
        self,
        images: ArrayLike,
        *,
        indices: Sequence[int] | NDArray[np.int64],
        stream: int,
        observe: Callable[[Recording], None] | None = None,
        meter: Meter | None = None,
    ) -> NDArray[np.int32]:
        """Simulate images; return what :meth:`black_box` responds, with the same parameters.

        Returns
        -------
        int32 array, shape (images, classes); with a meter (images, classes + 1)
        """
        rows, numbers = self._checked(images, indices)
        return self._respond(rows, numbers, stream, observe, meter)

    def _respond(
        self,
        rows: NDArray[np.float64],
        indices: NDArray[np.int64],
        stream: int,
        observe: Callable[[Recording], None] | None,
        meter: Meter | None,
    ) -> NDArray[np.int32]:
        record_spikes = (observe or meter) is not None and self.needs_spikes
        responses = []
        for batch in self.batches(len(rows), record_spikes=record_spikes):
            recording = self._record(rows[batch], indices[batch], stream, record_spikes)
            if observe:
                observe(recording)
            response = recording.scores(self.network.readout)
            if meter is not None:
                quantities, _ = self.quantities(recording)
                readings = meter.read(
                    quantities, seed=self.seed, stream=stream, indices=indices[batch]
                )
                response = np.column_stack([response, readings])
            responses.append(response)
        return responses[0] if len(responses) == 1 else np.concatenate(responses)

    def black_box(
        self,
        stream: int,
        budget: int | None = None,
        randomness: Randomness = "independent",
        observe: Callable[[Recording], None] | None = None,
        meter: Meter | None = None,
    ) -> BlackBox:
        """Return the deployment as a black box, which returns only the outputs of the network.

        The outputs are spike counts, or scores in units of 1e-9 if the network's output is a
        membrane potential, see :meth:`neuroattack.deployment.backend.Recording.scores`.

        Parameters
        ----------
        stream : int
            Random stream; indices are used in order.
        budget : int, optional
            Query budget.
        randomness : {"independent", "shared"}, optional
            Whether each image of a batch has independent random numbers, as in the paper, or all
            images of a batch share them (common random numbers), with new ones for the next batch.
            With shared randomness, equal pixels have the same input spikes, so that counts differ
            only due to differences between the images. This corresponds to an attacker who controls
            the encoder, sends spikes, and decides when to use new random numbers.
        observe : callable, optional
            Function called with the recording of every batch of queries, for measurements; the
            attacker has no access to it.
        meter : Meter, optional
            Meter that the attacker reads: its readings are a last column of the response.

        Raises
        ------
        ValidationError
            If the budget is not a positive integer, or `randomness` is unknown.
        UnsupportedFeatureError
            If the deployment does not have the quantity of the meter.
        """
        if meter is not None:
            meter.check(self)
        if randomness not in get_args(Randomness):
            raise ValidationError("randomness", repr(randomness), " or ".join(get_args(Randomness)))
        next_index = 0

        def simulate(rows: NDArray[np.float64]) -> NDArray[np.int32]:
            nonlocal next_index
            if randomness == "shared":
                indices = np.full(len(rows), next_index)
            else:
                indices = np.arange(next_index, next_index + len(rows))
            next_index = int(indices[-1]) + 1
            return self._respond(rows, indices, stream, observe, meter)

        return BlackBox(
            simulate,
            self.image_shape,
            self.network.classes,
            budget,
            randomness,
            meter=None if meter is None else meter.quantity,
        )


def decision_steps(deployment: Deployment, recording: Recording) -> NDArray[np.int64]:
    """Return the number of time steps after which each image was decided.

    Multiplied by ``network.dt_s`` it is the network's time to decision in seconds.

    Parameters
    ----------
    deployment : Deployment
        Deployment of the recording.
    recording : Recording
        Recording of :meth:`Deployment.record`, or of its simulator with spikes.

    Returns
    -------
    int64 array, shape (images,)
        From 1 to T; T without an early exit.

    Raises
    ------
    ValidationError
        If the deployment exits early and the recording has neither decisions nor spikes.
    """
    if deployment.exit is None:
        return np.full(len(recording.counts[INPUT]), deployment.steps, np.int64)
    if recording.decision_steps is not None:
        return recording.decision_steps
    return _decided_after(deployment.exit, recording, deployment.network.readout)


def _decided_after(rule: EarlyExit, recording: Recording, readout: str) -> NDArray[np.int64]:
    if recording.spikes is None:
        raise ValidationError("recording", "spike counts only", "recorded spikes")
    return rule.decision_steps(recording.spikes[readout])


def _check_exit(network: Network, rule: EarlyExit | None) -> None:
    if rule is not None and network.readout_quantity != "spike_count":
        raise UnsupportedFeatureError(
            f"early exit {str(rule)!r}: got population {network.readout!r} with a potential as the "
            "output, expected spike counts"
        )


def deploy(
    network: Network,
    *,
    backend: str = "native",
    precision: Precision | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    rounding: Rounding | None = None,
    steps: int | None = None,
    seed: int = 0,
    exit: EarlyExit | str | None = None,  # noqa: A002  # the name of the setting
    expected_images: int = 0,
    device: str | None = None,
) -> Deployment:
    """Deploy a network on a backend.

    Parameters
    ----------
    network : Network
        Network in floating or fixed point.
    backend : str, optional
        Name of the backend.
    precision : {"floating", "fixed"}, optional
        Precision; by default that of the network. ``"fixed"`` quantizes a floating-point network to
        Loihi's number formats, without checking whether it fits on the chip.
    profile : Profile, str or path, optional
        Hardware profile, or its name or file: the network is quantized to the chip's number formats
        and placed on its cores.
    rounding : Rounding, optional
        Settings of the quantization for a profile.
    steps : int, optional
        Number of time steps; by default 350. A network that reads events needs the number of its
        samples.
    seed : int, optional
        Random seed of the input spikes.
    exit : EarlyExit or str, optional
        Rule by which the network decides before the last step, such as ``"margin:5"`` or
        ``"first-spike"``. By default it runs all steps.
    expected_images : int, optional
        Total number of images of all queries, if known, for which a backend may prepare.
    device : str, optional
        Device of the backend ``torch``: ``"cpu"`` (default), ``"cuda"``, or one of several such as
        ``"cuda:1"``.

    Raises
    ------
    UnknownNameError, BackendUnavailableError
        If there is no such backend, profile or device, or the backend cannot run here.
    FileError
        If the file of a profile is missing or invalid.
    UnsupportedFeatureError
        If the backend does not support the network exactly, the chip does not support it, or it
        has an early exit and a potential as the output.
    DoesNotFitError
        If the network does not fit on the chip of the profile.
    ValidationError
        If `steps` or `seed` is out of range, the precision is not available for the network, or
        settings are contradictory.
    """
    steps = network.input.time_steps(steps)
    _check_run(steps, seed)
    rule = EarlyExit.from_text(exit) if isinstance(exit, str) else exit
    if not isinstance(rule, EarlyExit | None):
        raise ValidationError("exit", repr(exit), "a rule such as 'margin:5' or 'first-spike'")
    _check_exit(network, rule)
    chosen = load_backend(backend, device)
    fitted = None
    if profile is not None:
        from neuroattack.hardware.fitting import fit
        from neuroattack.hardware.profiles.files import load_profile
        from neuroattack.hardware.profiles.profile import Profile

        if precision is not None:
            raise ValidationError(
                "precision", repr(precision), "none: the profile determines the precision"
            )
        if not isinstance(profile, (Profile, str, os.PathLike)):
            raise ValidationError("profile", repr(profile), "a Profile, or its name or file")
        chip = profile if isinstance(profile, Profile) else load_profile(profile)
        fitted = fit(network, chip, rounding)
        network = fitted.network
    elif rounding is not None:
        raise ValidationError("rounding", "no profile", "a profile, to which the settings apply")
    network = _in_precision(network, precision)
    check_supported(backend, getattr(chosen, "supported", BASIC), network)
    check_memory(
        f"deploying the network on backend {backend!r}", _deployed_bytes(network), SMALLER_NETWORK
    )
    simulator = chosen.deploy(network, Workload(expected_images, steps))
    version = chosen.availability().version
    return Deployment(network, simulator, backend, version, steps, seed, fitted, rule, device)


def _deployed_bytes(network: Network) -> int:
    """Return the least memory of a deployment: all weights, and converting the largest array."""
    sizes = [projection.grid.size for projection in network.projections]
    return 4 * sum(sizes) + 12 * max(sizes, default=0)


def _in_precision(network: Network, precision: Precision | None) -> Network:
    if precision in (None, network.precision):
        return network
    if precision == "fixed":
        return quantize(network, fixed_format()).network
    raise ValidationError(
        "precision",
        repr(precision),
        "'fixed', the precision of the network"
        if network.precision == "fixed"
        else "'floating' or 'fixed'",
    )
