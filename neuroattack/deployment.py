"""A network on a backend, for so many steps with this seed: what is evaluated and attacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attack.target import BlackBox
from neuroattack.errors import ValidationError
from neuroattack.images import validate_images
from neuroattack.ir.network import Network
from neuroattack.simulation import Recording, Simulator, load_backend

__all__ = ["EVALUATION_STREAM", "Deployment", "deploy", "search_stream", "verification_stream"]

EVALUATION_STREAM = 0
"""Stream of draws for evaluations; attacks have streams of their own, two an image."""

MAX_STEPS = 1_000_000

# Bounds the memory of input spikes and recordings, whatever the number of images.
_BATCH_IMAGES = 256


def search_stream(index: int) -> int:
    """Return the stream of the queries by which the image of that index is attacked."""
    return 1 + 2 * index


def verification_stream(index: int) -> int:
    """Return the stream of the fresh draws on which the attack of that image is judged."""
    return 2 + 2 * index


@dataclass(frozen=True, eq=False)
class Deployment:
    """A network deployed on a backend.

    Parameters
    ----------
    network : Network
        What is deployed.
    simulator : Simulator
        Where it runs.
    backend : str
        Name of the backend, for results.
    steps : int
        Time steps T that an image is shown for, at least 1.
    seed : int
        Of the input spikes, not negative.
    """

    network: Network
    simulator: Simulator
    backend: str
    steps: int
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MAX_STEPS:
            raise ValidationError("steps", self.steps, f"1 to {MAX_STEPS}")
        if self.seed < 0:
            raise ValidationError("seed", self.seed, "a whole number, not negative")

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
        images : float array, shape (images, *image shape) or (images, pixels)
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
        draws = np.asarray(indices, np.int64)
        if draws.shape != (len(rows),):
            raise ValidationError("indices", f"shape {draws.shape}", f"({len(rows)},)")
        parts = []
        for start in range(0, len(rows), _BATCH_IMAGES):
            batch = slice(start, start + _BATCH_IMAGES)
            inputs = self.network.input.encoder.encode(
                rows[batch],
                indices=draws[batch],
                steps=self.steps,
                dt_s=self.network.dt_s,
                seed=self.seed,
                stream=stream,
            )
            parts.append(self.simulator.run(inputs, record_spikes=record_spikes))
        return Recording.concatenate(parts)

    def black_box(self, stream: int, budget: int | None = None) -> BlackBox:
        """Return the deployment as an attacker meets it: spike counts and nothing else.

        Parameters
        ----------
        stream : int
            Stream of draws; every query takes the next draw of it.
        budget : int, optional
            Queries that are answered at most.
        """
        drawn = 0

        def answer(rows: NDArray[np.float64]) -> NDArray[np.int32]:
            nonlocal drawn
            indices = np.arange(drawn, drawn + len(rows))
            drawn += len(rows)
            return self.record(rows, indices=indices, stream=stream).counts[self.network.readout]

        return BlackBox(answer, self.network.input.shape, self.network.classes, budget)


def deploy(
    network: Network, *, backend: str = "native", steps: int = 350, seed: int = 0
) -> Deployment:
    """Deploy a network on the backend of that name.

    Raises
    ------
    UnknownNameError, BackendUnavailableError
        If there is no such backend, or it cannot run here.
    UnsupportedFeatureError
        If the backend cannot hold the network exactly.
    ValidationError
        If `steps` or `seed` is out of range.
    """
    return Deployment(network, load_backend(backend).deploy(network), backend, steps, seed)
