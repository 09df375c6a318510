"""Measure the accuracy and spike counts of a deployed network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Labels
from neuroattack.deployment.backend import Recording, synaptic_operations
from neuroattack.deployment.deployment import Deployment, decision_steps
from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.errors import ValidationError
from neuroattack.statistics import wilson_interval

__all__ = ["Evaluation", "TimeToDecision", "evaluate"]


@dataclass(frozen=True)
class TimeToDecision:
    """Number of time steps until the readout decides, over a set of trials.

    Parameters
    ----------
    mean, median, percentile_95 : float
        Mean, median and 95th percentile in time steps.
    """

    mean: float
    median: float
    percentile_95: float

    @classmethod
    def of(cls, steps: NDArray[np.int64]) -> TimeToDecision:
        """Summarize the numbers of steps of trials, shape (trials,)."""
        return cls(float(steps.mean()), float(np.median(steps)), float(np.percentile(steps, 95)))


@dataclass(frozen=True)
class Evaluation:
    """Figures over a set of images.

    An image is correct if its class has strictly the most spikes, or the highest potential. With an
    early exit, spikes and operations are those until the decision.

    Parameters
    ----------
    accuracy : float
        Fraction of images classified correctly.
    accuracy_ci95 : (float, float)
        95 % Wilson interval of the accuracy.
    images : int
        Number of images.
    silent_fraction : float
        Fraction of images without output spikes; 0 if the output is a potential.
    undecided_fraction : float
        Fraction of images that are silent or tied; they count as incorrect.
    images_per_s : float
        Throughput including encoding.
    spikes_per_image : dict of str to float
        Mean number of spikes of each population, including ``"input"`` (with direct coding, of
        steps with a nonzero input).
    synaptic_operations_per_image : float
        Mean number of synaptic operations: spikes times nonzero fan-out.
    backend : str
        Backend.
    precision : str
        Arithmetic, ``"floating"`` or ``"fixed"``.
    steps : int
        Number of time steps T per image.
    exit : str or None
        Rule of early exit; None if all steps are run.
    decision_steps : TimeToDecision or None
        Time to decision of the trials; None without an early exit.
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
    exit: str | None = None
    decision_steps: TimeToDecision | None = None


def evaluate(
    deployment: Deployment,
    images: NDArray[np.floating[Any]],
    labels: Labels,
    on_progress: Callable[[int, int], None] | None = None,
    observe: Callable[[Recording], None] | None = None,
    record_spikes: bool = False,
    trials: int = 1,
) -> Evaluation:
    """Classify images on a deployment.

    Parameters
    ----------
    deployment : Deployment
        Deployed network.
    images : float array, shape (images, ...)
        Intensities in [0, 1]; the position of an image, times `trials`, is the first of its indices
        in the random stream.
    labels : int array, shape (images,)
        True classes.
    on_progress : callable, optional
        Called with the numbers of processed and correct images after every batch.
    observe : callable, optional
        Called with the recording of every batch.
    record_spikes : bool, optional
        Whether the recordings include spike trains.
    trials : int, optional
        Number of trials per image, whose outputs are summed. Spikes and operations are those of all
        trials.

    Raises
    ------
    ValidationError
        If the images or the labels do not fit the network.
    """
    if len(images) != len(labels):
        raise ValidationError("labels", f"{len(labels)} labels", f"{len(images)}, one per image")
    if labels.size and labels.max() >= deployment.network.classes:
        raise ValidationError(
            "labels", f"class {labels.max()}", f"classes below {deployment.network.classes}"
        )
    readout = deployment.network.readout
    correct = silent = undecided = operations = 0
    spikes: dict[str, int] = {}
    decided_after = []
    started = time.perf_counter()
    # At least one batch, so that a recording without images is refused.
    for batch in deployment.batches(
        max(len(images), 1), record_spikes=record_spikes, trials=trials
    ):
        start, chosen = batch.start, images[batch]
        recording = deployment.record(
            chosen if trials == 1 else np.repeat(chosen, trials, axis=0),
            indices=np.arange(start * trials, (start + len(chosen)) * trials),
            record_spikes=record_spikes,
        )
        if observe:
            observe(recording)
        outputs = recording.outputs(readout).reshape(len(chosen), trials, -1).sum(axis=1)
        decided = decide(outputs)
        correct += int((decided == labels[batch]).sum())
        if recording.potentials is None:
            silent += int((outputs.sum(axis=1) == 0).sum())
        undecided += int((decided == UNDECIDED).sum())
        decided_after.append(decision_steps(deployment, recording))
        operations += int(synaptic_operations(deployment.network, recording).sum())
        for name, counts in recording.counts.items():
            spikes[name] = spikes.get(name, 0) + int(counts.sum())
        if on_progress:
            on_progress(start + len(chosen), correct)
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
        exit=None if deployment.exit is None else str(deployment.exit),
        decision_steps=None
        if deployment.exit is None
        else TimeToDecision.of(np.concatenate(decided_after)),
    )
