"""What an audit tries: a fixed suite, so that the verdicts on two networks can be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.registry import attack_names, make_attack
from neuroattack.attacks.result import check_trials
from neuroattack.datasets import Dataset
from neuroattack.datasets.noise import Noise
from neuroattack.datasets.transformations import TRANSFORMATIONS, Transformation
from neuroattack.deployment.deployment import MAX_SEED, MAX_STEPS
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.validation import check_whole

__all__ = ["NOISES", "QUICK", "SHOWN_TRANSFORMED", "SUITE_VERSION", "Suite", "other_deployments"]

SUITE_VERSION = 2
"""Raised whenever figures of the same key come to mean something else."""

NOISES = tuple(Noise(kind, delta) for kind in ("normal", "uniform") for delta in (0.02, 0.05, 0.1))
"""Random noise on the images, in the paper's units: full intensity is 0.2."""

# One of each family, of those that leave the digits readable.
_TRANSFORMED = ("jpeg-50", "resize-0.71", "rotation+5", "blur-0.5", "gamma-1.5", "noise-0.05")

SHOWN_TRANSFORMED: tuple[Transformation, ...] = tuple(
    each for each in TRANSFORMATIONS if each.name in _TRANSFORMED
)
"""What may happen to an adversarial image on its way to the network."""

_CHIP = "loihi1"
_DEPLOYMENTS = ("other-draws", "fixed-point", "half-steps", "double-steps", _CHIP)


_BOUND = Bound("l2", 2.0)


@dataclass(frozen=True)
class Suite:
    """What is tried, and on how much.

    Parameters
    ----------
    images : int, optional
        Test images that are attacked, the first so many, whatever the network takes them for: so
        two networks are attacked on the same.
    budgets : tuple of int, optional
        Queries of an attack, rising; each attack runs once for each.
    trials : int, optional
        Fresh draws by which an image is judged.
    accuracy_images : int, optional
        Test images by which accuracy is measured, with noise and without; fewer if there are not
        as many.
    attacks : tuple of str, optional
        Names of the catalogue. The images of the first, at the largest budget, are those that
        the other sections show elsewhere, transform and measure.
    bound : Bound, optional
        How far adversarial images may be from their originals.

    Raises
    ------
    ValidationError, UnknownNameError
        If a value is out of range, or there is no such attack.
    """

    images: int = 20
    budgets: tuple[int, ...] = (100, 500, 2000)
    trials: int = 50
    accuracy_images: int = 500
    attacks: tuple[str, ...] = (
        "count-regression",
        "greedy-window",
        "sparse-rs",
        "random-noise",
        "square",
    )
    bound: Bound = _BOUND

    def __post_init__(self) -> None:
        check_whole("images of an audit", self.images, 1)
        check_whole("images for accuracy", self.accuracy_images, 1)
        check_trials(self.trials)
        for budget in self.budgets:
            check_whole("budget of an audit", budget, 1)
        if not self.budgets or list(self.budgets) != sorted(set(self.budgets)):
            raise ValidationError("budgets of an audit", self.budgets, "one or more, rising")
        for name in self.attacks:
            if name not in attack_names():
                raise UnknownNameError("attack", name, attack_names())
        if not self.attacks:
            raise ValidationError("attacks of an audit", "none", "one or more")

    def available(self) -> tuple[Suite, dict[str, str]]:
        """Return the suite without attacks that are not installed, and why each is left out."""
        missing = {}
        for name in self.attacks:
            try:
                make_attack(name, self.bound, self.budgets[0], 0)
            except UnsupportedFeatureError as error:
                missing[name] = str(error)
        left = tuple(name for name in self.attacks if name not in missing)
        return replace(self, attacks=left), missing

    def as_json(self, dataset: Dataset) -> dict[str, Any]:
        """Return all that has to be the same for verdicts to be compared, as JSON values."""
        return {
            "version": SUITE_VERSION,
            "dataset": dataset.name,
            "dataset_checksum": dataset.checksum,
            "images": self.images,
            "budgets": list(self.budgets),
            "trials": self.trials,
            "accuracy_images": min(self.accuracy_images, len(dataset.test.labels)),
            "attacks": list(self.attacks),
            "bound": str(self.bound),
            "noises": [f"{noise.kind}-{noise.delta:g}" for noise in NOISES],
            "deployments": list(_DEPLOYMENTS),
            "transformations": [each.name for each in SHOWN_TRANSFORMED],
        }


QUICK = Suite(budgets=(50, 100, 200), trials=20, accuracy_images=200)
"""A look in less than a minute; its figures compare with those of its like alone."""


def other_deployments(deployment: DeploymentSpec) -> dict[str, DeploymentSpec]:
    """Return where images made at a place are tried, by the name that their figures have.

    All on the native backend, whose spikes are those of every other.
    """
    here = replace(deployment, backend="native", seed=(deployment.seed + 1) % (MAX_SEED + 1))
    plain = replace(here, precision=None, profile=None)
    deployments = (
        here,
        replace(plain, precision="fixed"),
        replace(here, steps=max(1, deployment.steps // 2)),
        replace(here, steps=min(MAX_STEPS, 2 * deployment.steps)),
        replace(plain, profile=_CHIP),
    )
    return dict(zip(_DEPLOYMENTS, deployments, strict=True))
