"""A network on a backend, for so many steps with this seed: what is evaluated and attacked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.deployment.backend import Recording, Simulator, Workload, load_backend
from neuroattack.encoding.images import validate_images
from neuroattack.errors import ValidationError
from neuroattack.hardware.quantization.quantization import Rounding, fixed_format, quantize
from neuroattack.ir.network import Network, Precision
from neuroattack.targets.black_box import BlackBox, Randomness
from neuroattack.validation import check_whole

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
    # At run time only where a profile is asked for: reading one takes pydantic.
    from neuroattack.hardware.fitting import Fitted
    from neuroattack.hardware.profiles.profile import Profile

EVALUATION_STREAM = 0
"""Stream of draws for evaluations; attacks have streams of their own, two an image."""

MAX_STEPS = 20_000
"""Steps that an image may be shown for."""

MAX_SEED = 2**63 - 1
_MAX_CLASSES = 1_000_000

# Bound the memory of input spikes and recordings, whatever the number of images and steps.
_BATCH_IMAGES = 256
_BATCH_RASTER = 2**28


def search_stream(index: int, target_class: int | None) -> int:
    """Return the stream of an attack's queries: each image and target class has its own."""
    return 1 + 2 * _attack_number(index, target_class)


def verification_stream(index: int, target_class: int | None) -> int:
    """Return the stream of the fresh draws on which that attack is judged."""
    return 2 + 2 * _attack_number(index, target_class)


def _attack_number(index: int, target_class: int | None) -> int:
    return index * (_MAX_CLASSES + 1) + (0 if target_class is None else target_class + 1)


def check_settings(backend: str, steps: int, seed: int) -> None:
    """Raise what :func:`deploy` would, before there is a network to deploy."""
    load_backend(backend)
    _check_run(steps, seed)


def _check_run(steps: int, seed: int) -> None:
    check_whole("steps", steps, 1, MAX_STEPS)
    check_whole("seed", seed, 0, MAX_SEED)


@dataclass(frozen=True, eq=False)
class Deployment:
    """A network deployed on a backend; a context manager that closes its simulator.

    Parameters
    ----------
    network : Network
        What is deployed.
    simulator : Simulator
        Where it runs.
    backend, backend_version : str
        Name and version of the simulator, for results.
    steps : int
        Time steps T that an image is shown for, at least 1.
    seed : int
        Of the input spikes, not negative.
    fitted : Fitted or None
        How the network is held by a chip, where it was deployed with a profile.
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
    def needs_spikes(self) -> bool:
        """Whether what happens on the chip is known from the spikes only, not from their counts."""
        return self.fitted is not None and self.fitted.needs_spikes

    def close(self) -> None:
        """Give back what the simulator holds: processes, memory. It is not asked again."""
        self.simulator.close()

    def record(
        self,
        images: ArrayLike,
        *,
        indices: Sequence[int] | NDArray[np.int64],
        stream: int = EVALUATION_STREAM,
        record_spikes: bool = False,
    ) -> Recording:
        """Show images to the network and record what its populations did.

        Parameters
        ----------
        images : float array, shape (images, then that of one) or (images, pixels)
            Intensities in [0, 1].
        indices : sequence of int, shape (images,)
            Index of each image's draw in the stream: the same seed, stream and index give the
            same input spikes.
        stream : int, optional
            Which of the seed's independent streams of draws to use.
        record_spikes : bool, optional
            Whether to keep the spikes of all populations.

        Raises
        ------
        ValidationError
            If the images are not what the network takes.
        """
        rows = validate_images(images, self.network.input.shape)
        randomness = np.asarray(indices, np.int64)
        if randomness.shape != (len(rows),):
            raise ValidationError("indices", f"shape {randomness.shape}", f"({len(rows)},)")
        parts = []
        size = max(1, min(_BATCH_IMAGES, _BATCH_RASTER // (self.steps * rows.shape[1])))
        for start in range(0, len(rows), size):
            batch = slice(start, start + size)
            inputs = self.network.input.encoder.encode(
                rows[batch],
                indices=randomness[batch],
                steps=self.steps,
                dt_s=self.network.dt_s,
                seed=self.seed,
                stream=stream,
            )
            parts.append(self.simulator.run(inputs, record_spikes=record_spikes))
        return Recording.concatenate(parts)

    def black_box(
        self,
        stream: int,
        budget: int | None = None,
        randomness: Randomness = "independent",
        observe: Callable[[Recording], None] | None = None,
    ) -> BlackBox:
        """Return the deployment as an attacker meets it: spike counts and nothing else.

        Parameters
        ----------
        stream : int
            Stream of draws, taken one after the other.
        budget : int, optional
            Queries that are answered at most.
        randomness : {"independent", "shared"}, optional
            Whether each image of a batch takes the next draw, as in the paper, or the whole batch
            the same one and the next batch the next: common random numbers. Images of a common
            draw have the same input spikes where they have the same pixels, so that counts differ
            by what differs in the images. An attacker can have that where the encoder is on its
            side: it then sends the spikes, and decides when to draw anew.
        observe : callable, optional
            Called with what every batch of queries recorded, for the laboratory: the attacker has
            no way to it.

        Raises
        ------
        ValidationError
            If the budget is not a positive whole number, or `randomness` is none of the two.
        """
        if randomness not in get_args(Randomness):
            raise ValidationError("randomness", repr(randomness), " or ".join(get_args(Randomness)))
        drawn = 0

        def answer(rows: NDArray[np.float64]) -> NDArray[np.int32]:
            nonlocal drawn
            if randomness == "shared":
                indices = np.full(len(rows), drawn)
            else:
                indices = np.arange(drawn, drawn + len(rows))
            drawn = int(indices[-1]) + 1
            recording = self.record(
                rows,
                indices=indices,
                stream=stream,
                record_spikes=observe is not None and self.needs_spikes,
            )
            if observe:
                observe(recording)
            return recording.counts[self.network.readout]

        return BlackBox(answer, self.network.input.shape, self.network.classes, budget, randomness)


def deploy(
    network: Network,
    *,
    backend: str = "native",
    precision: Precision | None = None,
    profile: Profile | str | os.PathLike[str] | None = None,
    rounding: Rounding | None = None,
    steps: int = 350,
    seed: int = 0,
    expected_images: int = 0,
) -> Deployment:
    """Deploy a network on the backend of that name.

    Parameters
    ----------
    network : Network
        In floating point, or in fixed point already.
    backend : str, optional
        Where it runs.
    precision : {"floating", "fixed"}, optional
        By default that of the network; ``"fixed"`` rounds one in floating point to Loihi's
        formats, without asking whether it fits on the chip.
    profile : Profile, str or path, optional
        Of a chip, or its name or file: the network is rounded to the chip's numbers and placed on
        its cores.
    rounding : Rounding, optional
        How to round to a profile's numbers.
    steps, seed : int, optional
        As in :class:`Deployment`.
    expected_images : int, optional
        Images that will be shown, all queries together, where that is known: a backend may
        prepare for them.

    Raises
    ------
    UnknownNameError, BackendUnavailableError
        If there is no such backend or profile, or the backend cannot run here.
    FileError
        If a profile's file is none.
    UnsupportedFeatureError
        If the backend cannot hold the network exactly, or the format or chip cannot hold it.
    DoesNotFitError
        If the network does not fit on the profile's chip.
    ValidationError
        If `steps` or `seed` is out of range, the network cannot be had in that precision, or
        settings contradict each other.
    """
    _check_run(steps, seed)
    chosen = load_backend(backend)
    fitted = None
    if profile is not None:
        from neuroattack.hardware.fitting import fit
        from neuroattack.hardware.profiles.files import load_profile
        from neuroattack.hardware.profiles.profile import Profile

        if precision is not None:
            raise ValidationError("precision", repr(precision), "none: the profile decides it")
        if not isinstance(profile, (Profile, str, os.PathLike)):
            raise ValidationError("profile", repr(profile), "a Profile, or the name or file of one")
        chip = profile if isinstance(profile, Profile) else load_profile(profile)
        fitted = fit(network, chip, rounding)
        network = fitted.network
    elif rounding is not None:
        raise ValidationError("rounding", "no profile with it", "a profile to round for")
    network = _in_precision(network, precision)
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
        "'fixed', which the network is in"
        if network.precision == "fixed"
        else "'floating' or 'fixed'",
    )
