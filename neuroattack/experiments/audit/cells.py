"""Cells of an audit: accuracy, attacks on a few images, and what becomes of their images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.limits import Limit
from neuroattack.attacks.registry import make_attack
from neuroattack.attacks.result import Goal, verify
from neuroattack.datasets.noise import Noise
from neuroattack.datasets.transformations import Transformation
from neuroattack.deployment.deployment import Deployment, deploy, search_stream, verification_stream
from neuroattack.errors import (
    BudgetExceededError,
    DoesNotFitError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.experiments.attack_cost import measure_change
from neuroattack.experiments.engine.cells import digest_of, read_kept
from neuroattack.experiments.evaluation import evaluate
from neuroattack.experiments.model_cells import dataset_of_cell
from neuroattack.experiments.transformations import Case, survival
from neuroattack.files import write_arrays
from neuroattack.ir.storage import load_network
from neuroattack.deployment.spec import DeploymentSpec

__all__ = [
    "Audited",
    "attack_images",
    "judge_images",
    "measure_accuracy",
    "measure_costs",
    "transform_images",
]

# Of the seed's generators, that of the noise on images.
_NOISE_KEY = 7


@dataclass(frozen=True)
class Audited:
    """A network, where it answers, and the images that it is shown.

    Parameters
    ----------
    network : str
        File in the study's folder, named after its content.
    place : DeploymentSpec
        Where it is deployed.
    profile_checksum : str
        Of the place's profile; empty without one.
    dataset, dataset_checksum : str
        Whose test images are shown.
    """

    network: str
    place: DeploymentSpec
    profile_checksum: str
    dataset: str
    dataset_checksum: str

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Audited:
        """Return what :meth:`as_json` described."""
        return cls(**{**values, "place": DeploymentSpec(**values["place"])})

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @contextlib.contextmanager
    def deployed(self, folder: Path) -> Iterator[Deployment]:
        """Open the deployment."""
        place = self.place
        with deploy(
            load_network(folder / self.network),
            backend=place.backend,
            precision=place.precision,
            profile=place.profile,
            steps=place.steps,
            seed=place.seed,
        ) as deployment:
            yield deployment

    def image(self, index: int) -> tuple[NDArray[np.float64], int]:
        """Return a test image and its class."""
        return dataset_of_cell(self.dataset, self.dataset_checksum).test.pick(index)


def measure_accuracy(
    *, audited: Mapping[str, Any], noise: Mapping[str, Any] | None, images: int, folder: Path
) -> dict[str, Any]:
    """Classify the first so many test images, with random noise on them if that is asked for.

    Returns
    -------
    dict
        ``"accuracy"``, its ``"ci95"`` and ``"silent"``, the share of images without any spike.
    """
    given = Audited.from_json(audited)
    test = dataset_of_cell(given.dataset, given.dataset_checksum).test.first(images)
    shown = test.images
    if noise is not None:
        source = np.random.SeedSequence(given.place.seed, spawn_key=(_NOISE_KEY,))
        shown = Noise.from_json(noise).add(shown, np.random.default_rng(source))
    with given.deployed(folder) as deployment:
        found = evaluate(deployment, shown, test.labels)
    return {
        "accuracy": found.accuracy,
        "ci95": list(found.accuracy_ci95),
        "silent": found.silent_fraction,
    }


def attack_images(
    *,
    audited: Mapping[str, Any],
    attack: str,
    limit: str,
    queries: int,
    indices: Sequence[int],
    draws: int,
    folder: Path,
) -> dict[str, Any]:
    """Attack test images, untargeted, and judge what was found on fresh draws.

    Returns
    -------
    dict
        For each image ``"shares"``, of fresh draws that are misclassified, and ``"queries"`` that
        were spent; ``"images"``, an npz file in the folder with the images found.
    """
    given = Audited.from_json(audited)
    shares, spent, adversarial = [], [], []
    with given.deployed(folder) as deployment:
        for index in indices:
            image, label = given.image(index)
            goal = Goal(label)
            chance = np.random.SeedSequence([given.place.seed, index]).generate_state(1)
            search = make_attack(attack, Limit.from_text(limit), queries, int(chance[0]))
            target = deployment.black_box(search_stream(index, None), queries)
            try:
                found = search.run(target, image, goal).adversarial
            except BudgetExceededError:
                # Too few queries for its first step: the attack has failed.
                found = image
            judge = deployment.black_box(verification_stream(index, None))
            shares.append(verify(judge, found, goal, draws).rate)
            spent.append(target.queries)
            adversarial.append(found)
    file = f"images/{digest_of([audited, attack, limit, queries, list(indices)])}.npz"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    write_arrays(folder / file, {"adversarial": np.array(adversarial)})
    return {"shares": shares, "queries": spent, "images": file}


def judge_images(
    *,
    audited: Mapping[str, Any],
    indices: Sequence[int],
    images: Sequence[str],
    draws: int,
    folder: Path,
) -> dict[str, Any]:
    """Show test images and the adversarial images made of them to a deployment.

    Parameters
    ----------
    audited : mapping
        An :class:`Audited`, as JSON.
    indices : sequence of int
        Of the test images.
    images : sequence of str
        Files of :func:`attack_images`, which together have an image for each; none to show the
        test images alone.
    draws : int
        Of every image.
    folder : Path
        The study's.

    Returns
    -------
    dict
        For each image ``"original"`` and ``"adversarial"``, the share of draws that are
        misclassified; or ``"refused"``, why the network cannot be deployed there.
    """
    given = Audited.from_json(audited)
    found = _adversarial(folder, images)
    original, adversarial = [], []
    with contextlib.ExitStack() as stack:
        try:
            deployment = stack.enter_context(given.deployed(folder))
        except (DoesNotFitError, UnsupportedFeatureError, ValidationError) as error:
            return {"refused": str(error)}
        for place, index in enumerate(indices):
            image, label = given.image(index)
            judge = deployment.black_box(verification_stream(index, None))
            if images:
                adversarial.append(verify(judge, found[place], Goal(label), draws).rate)
            original.append(verify(judge, image, Goal(label), draws).rate)
    return {"original": original, "adversarial": adversarial}


def transform_images(
    *,
    audited: Mapping[str, Any],
    indices: Sequence[int],
    images: Sequence[str],
    transformation: Mapping[str, Any],
    draws: int,
    folder: Path,
) -> dict[str, Any]:
    """Show transformed adversarial images, and their originals transformed alike.

    Returns
    -------
    dict
        As :func:`judge_images`.
    """
    given = Audited.from_json(audited)
    cases = []
    for index, adversarial in zip(indices, _adversarial(folder, images), strict=True):
        image, label = given.image(index)
        # What the attack took the gap to be is of no matter here.
        cases.append(Case(index, image, adversarial, Goal(label), gap=0.0))
    with given.deployed(folder) as deployment:
        study = survival(
            deployment.black_box,
            cases,
            [Transformation(**transformation)],
            draws=draws,
            seed=given.place.seed,
        )
    (survived,) = study.survivals
    return {
        "original": [each.original.reached("untargeted").rate for each in survived.images],
        "adversarial": [each.adversarial.reached("untargeted").rate for each in survived.images],
    }


def measure_costs(
    *,
    audited: Mapping[str, Any],
    indices: Sequence[int],
    images: Sequence[str],
    draws: int,
    folder: Path,
) -> dict[str, Any]:
    """Compare what adversarial images make the network do with what their originals do.

    Returns
    -------
    dict
        ``"ratios"``: for each quantity of :class:`AttackCost`, adversarial over original, an image
        each; None where the original has none.
    """
    given = Audited.from_json(audited)
    ratios: dict[str, list[float | None]] = {}
    with given.deployed(folder) as deployment:
        for index, adversarial in zip(indices, _adversarial(folder, images), strict=True):
            changes = measure_change(
                deployment,
                given.image(index)[0],
                adversarial,
                # Those before have judged the image.
                first_draw=draws,
                draws=draws,
                stream=verification_stream(index, None),
            )
            for name, change in changes.items():
                ratios.setdefault(name, []).append(change.ratio)
    return {"ratios": ratios}


def _adversarial(folder: Path, files: Sequence[str]) -> list[NDArray[np.float64]]:
    return [image for file in files for image in read_kept(folder / file, "adversarial")[0]]
