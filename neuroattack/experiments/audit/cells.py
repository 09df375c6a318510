"""Cells of an audit: accuracy, transformed images and energy under attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuroattack.attacks.goals import Goal
from neuroattack.datasets.noise import Noise
from neuroattack.datasets.transformations import Transformation
from neuroattack.deployment.deployment import Deployment, verification_stream
from neuroattack.errors import BackendUnavailableError, UnsupportedFeatureError, ValidationError
from neuroattack.experiments.attack_cells import Subject, attack_image, open_once
from neuroattack.experiments.attack_cost import measure_change
from neuroattack.experiments.engine.cells import read_kept
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.model_cells import dataset_of_cell
from neuroattack.experiments.transformations.running import Case, survival

__all__ = ["attack_openly", "measure_accuracy", "measure_costs", "transform_images"]

# Spawn key of the random generator for noise on images.
_NOISE_KEY = 7

# The twin simulates every gradient step and takes about a hundred times as long: fewer steps keep
# its duration in proportion to that of the black-box attacks.
_REFERENCE_SETTINGS: tuple[dict[str, Any], ...] = (
    {"model": "siegert"},
    {"model": "twin", "steps": 10, "restarts": 0},
)


def _deployment(audited: Mapping[str, Any], folder: Path) -> Deployment:
    """Return the audited deployment; raise ValidationError if it is not a simulated network."""
    opened = open_once(
        audited["deployment"], audited["profile"], audited["network"], audited["dnn"], folder
    )
    if opened.deployment is None:
        raise ValidationError("audited deployment", str(opened.spec), "a simulated network")
    return opened.deployment


def _subject(audited: Mapping[str, Any]) -> Subject:
    return Subject(*(audited[key] for key in ("network", "dnn", "dataset", "checksum")))


def attack_openly(**arguments: Any) -> dict[str, Any]:
    """Attack one image with the white-box reference.

    The arguments are those of :func:`~neuroattack.experiments.attack_cells.attack_image`.

    Returns
    -------
    dict
        As from that function; or ``"refused"``: the reason why the reference does not support the
        network.
    """
    refused = []
    for settings in _REFERENCE_SETTINGS:
        try:
            return attack_image(**{**arguments, "settings": settings})
        except (BackendUnavailableError, UnsupportedFeatureError) as error:
            refused.append(str(error))
    return {"refused": "; ".join(refused)}


def measure_accuracy(
    *, audited: Mapping[str, Any], noise: Mapping[str, Any] | None, images: int, folder: Path
) -> dict[str, Any]:
    """Measure accuracy on the first `images` test images, optionally with random noise.

    Returns
    -------
    dict
        ``"accuracy"``, its ``"ci95"`` and ``"silent"``, the fraction of images without output
        spikes.
    """
    deployment = _deployment(audited, folder)
    test = dataset_of_cell(audited["dataset"], audited["checksum"]).test.first(images)
    pixels = test.images
    if noise is not None:
        source = np.random.SeedSequence(deployment.seed, spawn_key=(_NOISE_KEY,))
        pixels = Noise.from_json(noise).add(pixels, np.random.default_rng(source))
    result = evaluate(deployment, pixels, test.labels)
    return {
        "accuracy": result.accuracy,
        "ci95": list(result.accuracy_ci95),
        "silent": result.silent_fraction,
    }


def transform_images(
    *,
    audited: Mapping[str, Any],
    indices: Sequence[int],
    images: str,
    transformation: Mapping[str, Any],
    trials: int,
    folder: Path,
) -> dict[str, Any]:
    """Measure how often adversarial and clean images are misclassified after a transformation.

    Returns
    -------
    dict
        ``"rates"``: two lists, the misclassified fractions of the trials of each adversarial
        image and of each clean image.
    """
    deployment, subject = _deployment(audited, folder), _subject(audited)
    cases = []
    for index, adversarial in zip(indices, read_kept(folder / images, "images")[0], strict=True):
        image, label = subject.image(index)
        # Survival does not use the score gap.
        cases.append(Case(index, image, adversarial, Goal(label), gap=0.0))
    study = survival(
        deployment.black_box,
        cases,
        [Transformation(**transformation)],
        trials=trials,
        seed=deployment.seed,
    )
    (survived,) = study.survivals
    return {
        "rates": [
            [each.adversarial.reached("untargeted").rate for each in survived.images],
            [each.original.reached("untargeted").rate for each in survived.images],
        ]
    }


def measure_costs(
    *,
    audited: Mapping[str, Any],
    indices: Sequence[int],
    images: str,
    trials: int,
    folder: Path,
) -> dict[str, Any]:
    """Compare activity and energy on adversarial images with those on clean images.

    Returns
    -------
    dict
        ``"ratios"``: for each quantity of :class:`AttackCost`, adversarial over clean, one per
        image; None where the clean value is 0.
    """
    deployment, subject = _deployment(audited, folder), _subject(audited)
    ratios: dict[str, list[float | None]] = {}
    for index, adversarial in zip(indices, read_kept(folder / images, "images")[0], strict=True):
        changes = measure_change(
            deployment,
            subject.image(index)[0],
            adversarial,
            # Earlier trials were used to verify the image.
            first_trial=trials,
            trials=trials,
            stream=verification_stream(index, None),
        )
        for name, change in changes.items():
            ratios.setdefault(name, []).append(change.ratio)
    return {"ratios": ratios}
