"""Cells that attack one image on a deployment, or verify images on one."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal, Quantity
from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.protocol import (
    Attack,
    AttackKind,
    ThreatModel,
    threat_model,
    valid_original,
)
from neuroattack.attacks.reference.protocol import needs_network
from neuroattack.attacks.registry import make_attack
from neuroattack.attacks.result import SearchResult, verify
from neuroattack.datasets import Dataset
from neuroattack.deployment.deployment import verification_stream
from neuroattack.deployment.opening import OpenDeployment, open_target
from neuroattack.deployment.spec import DNN, DeploymentSpec, profile_checksum
from neuroattack.errors import (
    DoesNotFitError,
    FileError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.experiments.attack import AttackedImage, attack_and_verify
from neuroattack.experiments.attack_cost import increases, measure_change
from neuroattack.experiments.engine.cells import Cell, read_kept
from neuroattack.experiments.model_cells import dataset_of_cell, keep_model, keep_network
from neuroattack.experiments.seeds import attack_seed
from neuroattack.experiments.substitutes import kept_substitutes, with_kept_substitutes
from neuroattack.files import write_arrays
from neuroattack.ir.input import STEPS
from neuroattack.targets.black_box import Target

__all__ = [
    "REFERENCE",
    "Subject",
    "attack_cell",
    "attack_image",
    "keep_images",
    "open_once",
    "query_cost",
    "verification_cell",
    "verify_images",
]

REFERENCE = "greedy-window"
"""Reference attack of bounds such as ``l2@greedy-window``: the distance it used for each image."""

# Algorithm 1 as the paper runs it (N = 7, M = 10, delta = 0.1, D_max = 22).
_REFERENCE_SIDE = 7
# Seconds on one core per query, for STEPS time steps and for the conventional network.
_SPIKING_COST, _DNN_COST = 6e-4, 6e-5
_MAX_OPEN = 8


@dataclass(frozen=True)
class Subject:
    """Networks and images of an experiment, identified by content.

    Parameters
    ----------
    network, dnn : str or None
        Files in the experiment's folder, named by content.
    dataset, checksum : str
        Name and checksum of the data set.
    """

    network: str | None
    dnn: str | None
    dataset: str
    checksum: str

    @classmethod
    def kept(
        cls,
        folder: Path,
        dataset: Dataset,
        deployments: Sequence[DeploymentSpec],
        network: Path | None,
        dnn: Path | None = None,
    ) -> Subject:
        """Copy the network files that the deployments need into the folder.

        Raises
        ------
        FileError, OutputError
            If a file cannot be read or written.
        ValidationError
            If a file is missing.
        """
        if dnn is None and any(spec.kind == "dnn" for spec in deployments):
            raise ValidationError(
                "deployment", DNN, "the model file of the conventional network in addition"
            )
        return cls(
            None if network is None else keep_network(network, folder),
            None if dnn is None else keep_model(dnn, "dnn", folder),
            dataset.name,
            dataset.checksum,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the arguments for a cell."""
        return asdict(self)

    def image(self, index: int) -> tuple[NDArray[np.float64], int]:
        """Return a test image and its class."""
        return dataset_of_cell(self.dataset, self.checksum).test.pick(index)


# Deployments stay open until the process ends or more than _MAX_OPEN are open.
_opened: dict[tuple[Any, ...], tuple[contextlib.ExitStack, OpenDeployment]] = {}


def open_once(
    deployment: str, profile: str, network: str | None, dnn: str | None, folder: Path
) -> OpenDeployment:
    """Open a deployment, or return it if this process has it open."""
    key = (deployment, profile, network, dnn, folder)
    if key not in _opened:
        spec = DeploymentSpec.from_text(deployment)
        if profile_checksum(spec) != profile:
            raise FileError(
                spec.profile, "the profile differs from the one used to plan the experiment"
            )
        while len(_opened) >= _MAX_OPEN:
            _opened.pop(next(iter(_opened)))[0].close()
        stack = contextlib.ExitStack()
        opened = stack.enter_context(
            open_target(
                spec,
                None if network is None else folder / network,
                None if dnn is None else folder / dnn,
            )
        )
        _opened[key] = stack, opened
    return _opened[key][1]


def query_cost(spec: DeploymentSpec) -> float:
    """Return the approximate duration of a query, in seconds on one core."""
    trial = _SPIKING_COST * (spec.steps or STEPS) / STEPS if spec.kind == "network" else _DNN_COST
    return trial * spec.trials_per_query


def attack_cell(
    subject: Subject,
    deployment: DeploymentSpec,
    *,
    attack: str,
    bound: str,
    budget: int,
    index: int,
    seed: int,
    trials: int,
    target_class: int | None = None,
    maximize: Quantity | None = None,
    settings: Mapping[str, Any] | None = None,
    substitutes: Mapping[str, str] | None = None,
) -> Cell:
    """Return the cell of :func:`attack_image`.

    `seed` is the random seed of the experiment, `substitutes` are the files in its folder by name.
    """
    return Cell(
        f"attack-{attack}-{index}",
        attack_image,
        {
            **subject.as_json(),
            "deployment": str(deployment),
            "profile": profile_checksum(deployment),
            "attack": attack,
            "settings": dict(settings or {}),
            "bound": bound,
            "budget": budget,
            "index": index,
            "target_class": target_class,
            "seed": attack_seed(seed, index),
            "trials": trials,
            **({} if maximize is None else {"maximize": maximize}),
            **kept_substitutes(settings or {}, substitutes or {}),
        },
        (budget + 2 * trials) * query_cost(deployment),
    )


def attack_image(
    *,
    deployment: str,
    profile: str,
    attack: str,
    settings: Mapping[str, Any],
    bound: str,
    budget: int | None,
    index: int,
    target_class: int | None,
    seed: int,
    trials: int,
    network: str | None,
    dnn: str | None,
    dataset: str,
    checksum: str,
    folder: Path,
    label: int | None = None,
    substitutes: Mapping[str, str] | None = None,
    maximize: Quantity | None = None,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Attack one test image, and verify the result on fresh trials.

    `substitutes` are files in the folder, by their names in the settings.

    Returns
    -------
    dict
        Figures as JSON values, and ``"adversarial"``, the adversarial image. With a quantity to
        maximize, ``"increases"`` are the relative increases of all quantities.
    """
    del label
    began = time.perf_counter()
    subject = Subject(network, dnn, dataset, checksum)
    opened = open_once(deployment, profile, network, dnn, folder)
    max_distance = None if before is None else float(before["distance"][bound.partition("@")[0]])
    image, true_class = subject.image(index)
    goal = Goal(true_class, target_class, maximize)
    metered = opened.spec.metered(goal.meter)
    if metered != opened.spec:
        opened = open_once(str(metered), profile, network, dnn, folder)
    settings = with_kept_substitutes(settings, substitutes or {}, folder)
    made = _attack(attack, settings, bound, max_distance, budget, seed, opened.image_shape)
    attacked = attack_and_verify(
        opened,
        made,
        image,
        goal,
        index=index,
        trials=trials,
        budget=budget,
        search_randomness=opened.spec.search_randomness,
        deployment=opened.deployment,
    )
    found = {} if maximize is None else {"increases": _increases(opened, attacked, trials)}
    return {
        "threat_model": threat_model(made),
        "queries": attacked.search.queries,
        "stopped_by": attacked.search.stopped_by,
        "success": {"successes": attacked.success.successes, "trials": attacked.success.trials},
        "clean_success": {"successes": attacked.clean.successes, "trials": attacked.clean.trials},
        "verification_queries": attacked.verification_queries,
        "distance": attacked.distances,
        "max_distance": max_distance,
        "seconds": time.perf_counter() - began,
        "adversarial": attacked.search.adversarial,
        **found,
    }


def _increases(opened: OpenDeployment, attacked: AttackedImage, trials: int) -> dict[str, float]:
    """Return the relative increase of each quantity, in trials after the verification."""
    if opened.deployment is None:
        return {}
    search = attacked.search
    changes = measure_change(
        opened.deployment,
        search.original,
        search.adversarial,
        first_trial=attacked.verification_queries * opened.spec.trials_per_query,
        trials=trials,
        stream=verification_stream(attacked.index, search.goal.target_class),
        goal=search.goal,
    )
    return increases(changes)


def _attack(
    name: str,
    settings: Mapping[str, Any],
    bound: str,
    max_distance: float | None,
    budget: int | None,
    seed: int,
    shape: tuple[int, ...],
) -> Attack:
    if not bound:
        return GreedyWindow(queries=None, window=min(_REFERENCE_SIDE, *shape))
    if max_distance is not None:
        bound = f"{bound.partition('@')[0]}={max_distance or 1.0!r}"
    made = make_attack(name, Bound.from_text(bound), budget or 1, seed, settings)
    if budget is None and not needs_network(made):
        raise ValidationError("queries of an attack", "none", "a number")
    return _NoChange(name, threat_model(made)) if max_distance == 0 else made


@dataclass(frozen=True)
class _NoChange:
    """Attack within a distance of 0: returns the clean image."""

    name: str
    threat_model: ThreatModel

    @property
    def kind(self) -> AttackKind:
        return "decision"

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        original = valid_original(target, image, goal)
        return SearchResult(original, original, goal, 0, "no distance allowed")


def keep_images(images: Sequence[NDArray[np.float64]], folder: Path) -> str:
    """Write images to a file in the folder named by their content, and return its name."""
    stacked = np.array(images)
    file = f"images/{hashlib.sha256(stacked.tobytes()).hexdigest()[:16]}.npz"
    if not (folder / file).is_file():
        (folder / "images").mkdir(parents=True, exist_ok=True)
        write_arrays(folder / file, {"images": stacked})
    return file


def verification_cell(
    subject: Subject,
    deployment: DeploymentSpec,
    sources: Sequence[str | None],
    image_goals: Sequence[tuple[int, int | None]],
    trials: int,
) -> Cell:
    """Return the cell of :func:`verify_images`."""
    return Cell(
        "verify",
        verify_images,
        {
            **subject.as_json(),
            "deployment": str(deployment),
            "profile": profile_checksum(deployment),
            "sources": list(sources),
            "image_goals": [list(image_goal) for image_goal in image_goals],
            "trials": trials,
        },
        len(sources) * len(image_goals) * trials * query_cost(deployment),
    )


def verify_images(
    *,
    deployment: str,
    profile: str,
    sources: Sequence[str | None],
    image_goals: Sequence[tuple[int, int | None]],
    trials: int,
    network: str | None,
    dnn: str | None,
    dataset: str,
    checksum: str,
    folder: Path,
) -> dict[str, Any]:
    """Measure success rates of images on a deployment, with the random streams of verification.

    Returns
    -------
    dict
        ``"rates"``: per source, the success rate of each image; or ``"refused"``: the reason why
        the network cannot be deployed.
    """
    subject = Subject(network, dnn, dataset, checksum)
    try:
        opened = open_once(deployment, profile, network, dnn, folder)
    except (DoesNotFitError, UnsupportedFeatureError, ValidationError) as error:
        return {"refused": str(error)}
    kept = [None if file is None else read_kept(folder / file, "images")[0] for file in sources]
    rates: list[list[float]] = [[] for _ in sources]
    for position, (index, target_class) in enumerate(image_goals):
        image, label = subject.image(index)
        verifier = opened(verification_stream(index, target_class))
        for images, row in zip(kept, rates, strict=True):
            queried = image if images is None else images[position]
            row.append(verify(verifier, queried, Goal(label, target_class), trials).rate)
    return {"rates": rates}
