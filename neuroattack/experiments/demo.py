"""Complete workflow: train, convert, deploy, evaluate and attack a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.registry import make_attack
from neuroattack.datasets import Dataset
from neuroattack.deployment.deployment import Deployment, check_settings
from neuroattack.deployment.opening import open_target
from neuroattack.deployment.provenance import provenance_of
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.encoding.events import EventEncoder
from neuroattack.encoding.readout import decide
from neuroattack.errors import NeuroattackError, ValidationError
from neuroattack.experiments.attack import AttackResult, attack_images
from neuroattack.experiments.evaluation import Evaluation, evaluate
from neuroattack.experiments.training import checkpoint_of, describe_progress, train_to_file
from neuroattack.ir.input import Input
from neuroattack.ir.storage import save_network
from neuroattack.provenance import Provenance
from neuroattack.training.conversion import convert
from neuroattack.training.recipes import DEFAULT_RECIPE
from neuroattack.training.sdbn import SDBN
from neuroattack.training.storage import load_model

__all__ = ["MODEL", "Demo", "run_demo"]

MODEL = "model.h5"
"""Name of the model file in the demo's folder."""

IMAGES = 8
QUERIES = 1000
TRIALS = 50


@dataclass(frozen=True)
class _Settings:
    """Settings that differ between images and event samples."""

    bound: Bound
    attacks: tuple[str, ...]
    sensor_noise: str | None = None
    conversion: Mapping[str, Any] = field(default_factory=dict)


_OF_IMAGES = _Settings(Bound("l2", 2.0), ("greedy-window", "count-regression"))
_OF_EVENTS = _Settings(
    Bound("events", 0.05),
    ("dvs-pattern", "count-regression"),
    "drop:0.05+background_hz:1+jitter_s:0.001",
    {"encoder": EventEncoder, "tau_m_s": 0.02, "gain": 1.5},
)

Progress = Callable[[str, float, str], None]


@dataclass(frozen=True, eq=False)
class Demo:
    """Results of the demo.

    Parameters
    ----------
    model : SDBN
        Trained model.
    evaluation : Evaluation
        Evaluation of the spiking network on all test images.
    results : tuple of AttackResult
        Results of Algorithm 1 of the paper, or of a pattern of events, and of CountRegression on
        the same images.
    provenance : Provenance
        Provenance of the results.
    """

    model: SDBN
    evaluation: Evaluation
    results: tuple[AttackResult, ...]
    provenance: Provenance

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "rate_accuracy": self.model.rate_accuracy,
            "spiking_accuracy": self.evaluation.accuracy,
            "evaluation": asdict(self.evaluation),
            "attacks": [result.as_json() for result in self.results],
            "provenance": asdict(self.provenance),
        }


def run_demo(
    dataset: Dataset,
    out: Path,
    *,
    seed: int = 0,
    backend: str = "native",
    steps: int | None = None,
    resume: bool = False,
    command: str = "",
    on_progress: Progress,
) -> Demo:
    """Train, evaluate and attack a network on a data set.

    The first correctly classified test images are attacked with Algorithm 1 of the paper and with
    CountRegression, untargeted and with the same norm bound and query budget. On event samples, a
    pattern of inserted events takes the place of Algorithm 1, and the sensor is noisy.
    """
    settings, dt_s = _OF_IMAGES, 1e-3
    if dataset.dt_s is not None:
        settings, dt_s = _OF_EVENTS, dataset.dt_s
        shape = dataset.test.images.shape
        steps = Input(shape[2:], EventEncoder()).time_steps(steps, shape)
    check_settings(backend, steps, seed)
    model = _finished_model(out / MODEL, dataset, seed) if resume else None
    if model is None:
        model = train_to_file(
            out / MODEL,
            dataset,
            seed=seed,
            resume=resume and checkpoint_of(out / MODEL).exists(),
            progress=lambda p: on_progress("Training", p.fraction, describe_progress(p)),
        ).model
    network = convert(model, dt_s=dt_s, **settings.conversion).network
    save_network(out / "network.h5", network)
    images = len(dataset.test.images)
    spec = DeploymentSpec(backend, steps=steps, seed=seed, sensor_noise=settings.sensor_noise)
    expected = images + len(settings.attacks) * IMAGES * (QUERIES + 3 * TRIALS)
    with open_target(spec, network, expected_images=expected) as opened:
        deployment = opened.deployment
        if deployment is None:
            raise ValidationError("backend", backend, "a simulator")
        evaluation = evaluate(
            deployment,
            dataset.test.images,
            dataset.test.labels,
            lambda done, correct: on_progress(
                "Evaluating", done / images, f"{correct}/{done} correct"
            ),
        )
        chosen = _correct_images(deployment, dataset)
        results = [
            attack_images(
                opened,
                make_attack(name, settings.bound, QUERIES, seed),
                [dataset.test.pick(index)[0] for index in chosen],
                [Goal(dataset.test.pick(index)[1]) for index in chosen],
                indices=chosen,
                seed=seed,
                trials=TRIALS,
                costs=opened,
                on_progress=partial(on_progress, name),
            )
            for name in settings.attacks
        ]
        provenance = provenance_of(deployment, dataset.name, dataset.checksum, command)
        return Demo(model, evaluation, tuple(results), provenance)


def _correct_images(deployment: Deployment, dataset: Dataset) -> list[int]:
    """Return the indices of the first test images classified correctly in a single trial."""
    labels = dataset.test.labels[:1000]
    counts = deployment.record(dataset.test.images[:1000], indices=np.arange(len(labels))).counts
    correct = np.flatnonzero(decide(counts[deployment.network.readout]) == labels)
    if not correct.size:
        raise NeuroattackError("demo: no test image is classified correctly, nothing to attack")
    return [int(index) for index in correct[:IMAGES]]


def _finished_model(path: Path, dataset: Dataset, seed: int) -> SDBN | None:
    """Return the trained model of an interrupted demo, or None."""
    if checkpoint_of(path).exists() or not path.exists():
        return None
    model = load_model(path)
    same = (model.recipe, model.seed, model.dataset_checksum) == (
        DEFAULT_RECIPE,
        seed,
        dataset.checksum,
    )
    return model if same else None
