"""Deployment: a network on a backend with a number of time steps and a random seed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.deployment.backend import Recording, Simulator, Workload, load_backend
from neuroattack.deployment.features import BASIC, check_supported
from neuroattack.encoding.encoders import RateEncoder
from neuroattack.encoding.images import validate_images
from neuroattack.errors import ValidationError
from neuroattack.hardware.quantization.quantization import Rounding, fixed_format, quantize
from neuroattack.ir.input import STEPS
from neuroattack.ir.network import INPUT, Network, Precision
from neuroattack.targets.black_box import BlackBox, Randomness
from neuroattack.validation import check_integer

__all__ = [
    "EVALUATION_STREAM",
    "MAX_STEPS",
    "Deployment",
    "Randomness",
    "check_settings",
    "deploy",
    "search_stream",
    "verification_stream",
]

if TYPE_CHECKING:
    # At run time, imported only if a profile is used, because pydantic is slow to import.
    from neuroattack.hardware.fitting import Fitted
    from neuroattack.hardware.profiles.profile import Profile

EVALUATION_STREAM = 0
"""Random stream for evaluations; attacks use two other streams per image and target class."""

MAX_STEPS = 20_000
"""Maximum number of time steps per image."""

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


def check_settings(backend: str, steps: int | None, seed: int) -> None:
    """Check the settings of :func:`deploy` before a network is available."""
    load_backend(backend)
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
    """

    network: Network
    simulator: Simulator
    backend: str
    backend_version: str
    steps: int
    seed: int
    fitted: Fitted | None = None

    def __post_init__(self) -> None:
        _check_run(self.steps, self.seed)

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
        """
        rows = validate_images(images, self.image_shape)
        indices = np.asarray(indices, np.int64)
        if indices.shape != (len(rows),):
            raise ValidationError("indices", f"shape {indices.shape}", f"shape ({len(rows)},)")
        parts = []
        for batch in self.batches(len(rows), record_spikes=record_spikes):
            inputs = self.network.input.encoder.encode(
                rows[batch],
                indices=indices[batch],
                steps=self.steps,
                dt_s=self.network.dt_s,
                seed=self.seed,
                stream=stream,
            )
            parts.append(self.simulator.run(inputs, record_spikes=record_spikes))
        return Recording.concatenate(parts)

    def batches(self, images: int, *, record_spikes: bool) -> list[slice]:
        """Return the batches in which a number of images are simulated, to limit the memory."""
        size = self._images_per_batch(record_spikes)
        return [slice(start, start + size) for start in range(0, images, size)]

    def _images_per_batch(self, record_spikes: bool) -> int:
        """Return the maximum number of images per batch, limited by the memory of their spikes."""
        sizes = self.network.sizes
        numbers = sum(sizes.values())  # counts
        if record_spikes:
            numbers *= self.steps
        elif isinstance(self.network.input.encoder, RateEncoder):
            numbers = max(numbers, sizes[INPUT] * self.steps)
        return max(1, min(_BATCH_IMAGES, _BATCH_NUMBERS // numbers))

    def black_box(
        self,
        stream: int,
        budget: int | None = None,
        randomness: Randomness = "independent",
        observe: Callable[[Recording], None] | None = None,
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

        Raises
        ------
        ValidationError
            If the budget is not a positive integer, or `randomness` is unknown.
        """
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
            recording = self.record(
                rows,
                indices=indices,
                stream=stream,
                record_spikes=observe is not None and self.needs_spikes,
            )
            if observe:
                observe(recording)
            return recording.scores(self.network.readout)

        return BlackBox(simulate, self.image_shape, self.network.classes, budget, randomness)


def deploy(
    network: Network,
    *,
    backend: str = "native",
    precision: Precision | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    rounding: Rounding | None = None,
    steps: int | None = None,
    seed: int = 0,
    expected_images: int = 0,
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
    expected_images : int, optional
        Total number of images of all queries, if known, for which a backend may prepare.

    Raises
    ------
    UnknownNameError, BackendUnavailableError
        If there is no such backend or profile, or the backend cannot run here.
    FileError
        If the file of a profile is missing or invalid.
    UnsupportedFeatureError
        If the backend does not support the network exactly, or the chip does not support it.
    DoesNotFitError
        If the network does not fit on the chip of the profile.
    ValidationError
        If `steps` or `seed` is out of range, the precision is not available for the network, or
        settings are contradictory.
    """
    steps = network.input.time_steps(steps)
    _check_run(steps, seed)
    chosen = load_backend(backend)
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
    simulator = chosen.deploy(network, Workload(expected_images, steps))
    return Deployment(
        network, simulator, backend, chosen.availability().version, steps, seed, fitted
    )


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
