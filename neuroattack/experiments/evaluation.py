"""How well a deployed network classifies, and how many spikes it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Labels
from neuroattack.deployment.backend import Recording, synaptic_operations
from neuroattack.deployment.deployment import Deployment
from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.errors import ValidationError
from neuroattack.statistics import wilson_interval

__all__ = ["Evaluation", "evaluate"]

_BATCH_IMAGES = 256


@dataclass(frozen=True)
class Evaluation:
    """Figures over a set of images; an image is correct if its class has strictly most spikes.

    Parameters
    ----------
    accuracy : float
        Share of images classified correctly.
    accuracy_ci95 : (float, float)
        Its 95 % Wilson interval.
    images : int
        Images shown.
    silent_fraction : float
        Share of images without one output spike.
    undecided_fraction : float
        Share of images that are silent or tied, none of them correct.
    images_per_s : float
        Throughput, encoding included.
    spikes_per_image : dict of str to float
        Mean spikes of each population, the input's under ``"input"``.
    synaptic_operations_per_image : float
        Mean of spikes times their actual nonzero fan-out.
    backend : str
        Where it ran.
    precision : str
        In which arithmetic, ``"floating"`` or ``"fixed"``.
    steps : int
        Time steps T an image was shown for.
    """

    accuracy: float
    accuracy_ci95: tuple[float, float]
    images: int
    silent_fraction: float
    undecided_fraction: float
    images_per_s: float
    spikes_per_image: dict[str, float]
    synaptic_operations_per_image: float
    backend: str
    precision: str
    steps: int


def evaluate(
    deployment: Deployment,
    images: NDArray[np.floating[Any]],
    labels: Labels,
    on_progress: Callable[[int, int], None] | None = None,
    observe: Callable[[Recording], None] | None = None,
    record_spikes: bool = False,
) -> Evaluation:
    """Show images to a deployment and count.

    Parameters
    ----------
    deployment : Deployment
        The network where it runs.
    images : float array, shape (images, height, width)
        Intensities in [0, 1]; the position of an image is the index of its draw.
    labels : int array, shape (images,)
        True classes.
    on_progress : callable, optional
        Called with (images done, images correct) after every batch.
    observe : callable, optional
        Called with what every batch recorded: of all images together it may be too much to keep.
    record_spikes : bool, optional
        Whether those recordings hold the spikes themselves.

    Raises
    ------
    ValidationError
        If the images are not what the network takes, or the labels do not fit.
    """
    if len(images) != len(labels):
        raise ValidationError("labels", f"{len(labels)} of them", f"{len(images)}, one an image")
    if labels.size and labels.max() >= deployment.network.classes:
        raise ValidationError(
            "labels", f"class {labels.max()}", f"the network's {deployment.network.classes} classes"
        )
    readout = deployment.network.readout
    correct = silent = undecided = operations = 0
    spikes: dict[str, int] = {}
    started = time.perf_counter()
    for start in range(0, max(len(images), 1), _BATCH_IMAGES):
        batch = slice(start, start + _BATCH_IMAGES)
        indices = np.arange(start, start + len(images[batch]))
        recording = deployment.record(images[batch], indices=indices, record_spikes=record_spikes)
        if observe:
            observe(recording)
        decided = decide(recording.counts[readout])
        correct += int((decided == labels[batch]).sum())
        silent += int((recording.counts[readout].sum(axis=1) == 0).sum())
        undecided += int((decided == UNDECIDED).sum())
        operations += int(synaptic_operations(deployment.network, recording).sum())
        for name, counts in recording.counts.items():
            spikes[name] = spikes.get(name, 0) + int(counts.sum())
        if on_progress:
            on_progress(start + len(indices), correct)
    seconds = time.perf_counter() - started
    n = len(images)
    return Evaluation(
        accuracy=correct / n,
        accuracy_ci95=wilson_interval(correct, n),
        images=n,
        silent_fraction=silent / n,
        undecided_fraction=undecided / n,
        images_per_s=n / seconds,
        spikes_per_image={name: count / n for name, count in spikes.items()},
        synaptic_operations_per_image=operations / n,
        backend=deployment.backend,
        precision=deployment.network.precision,
        steps=deployment.steps,
    )
