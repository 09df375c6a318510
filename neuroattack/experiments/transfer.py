"""Transfer attacks: adversarial images of each deployment, verified on all deployments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.registry import make_attack, present_name
from neuroattack.attacks.result import check_trials
from neuroattack.datasets import Dataset
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.errors import ValidationError
from neuroattack.experiments.attack_cells import (
    Subject,
    attack_cell,
    keep_images,
    verification_cell,
)
from neuroattack.experiments.common_images import choose_images
from neuroattack.experiments.engine.cells import Cell
from neuroattack.experiments.engine.running import run_cells
from neuroattack.experiments.seeds import random_target_class
from neuroattack.ir.storage import load_network
from neuroattack.statistics import wilson_interval

__all__ = ["Goal", "Transfer", "TransferSettings", "transfer"]

Goal = Literal["untargeted", "random"]

_BOUND = Bound("l2", 2.0)


@dataclass(frozen=True)
class TransferSettings:
    """Settings of a transfer study.

    Parameters
    ----------
    deployments : tuple of DeploymentSpec
        At least two different deployments; each is attacked and verifies the images of all.
    attack : str, optional
        Name of the attack, one of :func:`neuroattack.attacks.registry.attack_names`.
    bound : Bound, optional
        Norm bound on the adversarial images.
    queries : int, optional
        Query budget per search.
    images : int, optional
        Number of test images; all deployments classify them correctly.
    goal : {"untargeted", "random"}, optional
        Untargeted, or a random target class per image.
    trials : int, optional
        Number of fresh trials per image and deployment.
    seed : int, optional
        Random seed of the images, target classes and attacks.

    Raises
    ------
    ValidationError
        If a value is out of range.
    UnknownNameError
        If the attack is not registered.
    """

    deployments: tuple[DeploymentSpec, ...]
    attack: str = "count-regression"
    bound: Bound = _BOUND
    queries: int = 500
    images: int = 20
    goal: Goal = "untargeted"
    trials: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        names = list(map(str, self.deployments))
        if len(set(names)) < max(2, len(names)):
            raise ValidationError(
                "deployments", ", ".join(names) or "none", "at least two different ones"
            )
        if self.goal not in get_args(Goal):
            raise ValidationError("goal", repr(self.goal), " or ".join(get_args(Goal)))
        check_trials(self.trials)
        object.__setattr__(self, "attack", present_name(self.attack))
        make_attack(self.attack, self.bound, self.queries, self.seed)


@dataclass(frozen=True)
class Transfer:
    """Results of a transfer study.

    Parameters
    ----------
    settings : TransferSettings
        Settings of the study.
    image_goals : tuple of (index, target class or None)
        Test images and their target classes.
    success_rates : tuple of tuples of tuples of float
        Success rate on fresh trials, indexed by attacked deployment (row), verifying deployment
        (column) and image. The diagonal uses fresh trials too.
    clean_error_rates : tuple of tuples of float
        The same rate of the clean images, by deployment (column) and image.
    queries : tuple of float
        Mean number of queries per search, by attacked deployment.
    """

    settings: TransferSettings
    image_goals: tuple[tuple[int, int | None], ...]
    success_rates: tuple[tuple[tuple[float, ...], ...], ...]
    clean_error_rates: tuple[tuple[float, ...], ...]
    queries: tuple[float, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Deployment specifications, the labels of rows and columns."""
        return tuple(map(str, self.settings.deployments))

    def success(self, row: int, column: int) -> float:
        """Return the mean success rate over images."""
        return float(np.mean(self.success_rates[row][column]))

    def ci95(self, row: int, column: int) -> tuple[float, float]:
        """Return the 95 % Wilson interval of the success rate over images."""
        success_rates = self.success_rates[row][column]
        return wilson_interval(sum(success_rates), len(success_rates))

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        indices = range(len(self.names))
        return {
            "rows": list(self.names),
            "columns": list(self.names),
            "success": [[self.success(row, column) for column in indices] for row in indices],
            "ci95": [[list(self.ci95(row, column)) for column in indices] for row in indices],
            "clean_error_rates": [float(np.mean(rates)) for rates in self.clean_error_rates],
            "queries": list(self.queries),
            "images": [
                {"index": index, "target_class": target_class}
                for index, target_class in self.image_goals
            ],
            "success_rates": [[list(column) for column in row] for row in self.success_rates],
            "settings": {
                "deployments": list(self.names),
                "attack": self.settings.attack,
                "norm": self.settings.bound.norm,
                "bound": self.settings.bound.maximum,
                "bound_options": self.settings.bound.options,
                "queries": self.settings.queries,
                "images": self.settings.images,
                "goal": self.settings.goal,
                "trials": self.settings.trials,
                "seed": self.settings.seed,
            },
        }


def transfer(
    network: Path | None,
    dnn: Path | None,
    dataset: Dataset,
    settings: TransferSettings,
    folder: Path,
    *,
    workers: int | None = None,
    on_progress: Callable[[str, float, str], None] | None = None,
) -> Transfer:
    """Attack every deployment, and verify the adversarial images on every deployment."""
    loaded = None if network is None else load_network(network)
    specs = tuple(spec.for_samples(loaded, dataset.test.images) for spec in settings.deployments)
    settings = replace(settings, deployments=specs)
    subject = Subject.kept(folder, dataset, specs, network, dnn)
    indices = choose_images(
        dataset.test, specs, network, dnn, count=settings.images, seed=settings.seed
    )
    image_goals = [_image_goal(settings, dataset, index) for index in indices]

    def run(stage: str, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        def report(fraction: float, state: str) -> None:
            if on_progress:
                on_progress(stage, fraction, state)

        return run_cells(folder, cells, workers=workers, on_progress=report)

    count = len(image_goals)
    attacked = run(
        "Attacks",
        [
            attack_cell(
                subject,
                spec,
                attack=settings.attack,
                bound=str(settings.bound),
                budget=settings.queries,
                index=index,
                target_class=target_class,
                seed=settings.seed,
                trials=settings.trials,
            )
            for spec in specs
            for index, target_class in image_goals
        ],
    )
    searches = [attacked[start : start + count] for start in range(0, len(attacked), count)]
    sources = [keep_images([each["adversarial"] for each in row], folder) for row in searches]
    verified = run(
        "Transfer",
        [
            verification_cell(subject, spec, [images], image_goals, settings.trials)
            for images in (*sources, None)
            for spec in specs
        ],
    )
    rates = [tuple(cell["rates"][0]) for cell in verified]
    rows = [tuple(rates[start : start + len(specs)]) for start in range(0, len(rates), len(specs))]
    return Transfer(
        settings,
        tuple(image_goals),
        tuple(rows[:-1]),
        rows[-1],
        tuple(float(np.mean([each["queries"] for each in row])) for row in searches),
    )


def _image_goal(settings: TransferSettings, dataset: Dataset, index: int) -> tuple[int, int | None]:
    if settings.goal == "untargeted":
        return index, None
    label = int(dataset.test.labels[index])
    return index, random_target_class(
        settings.seed, index, label, int(dataset.test.labels.max()) + 1
    )
