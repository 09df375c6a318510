"""The fixed suite of an audit, which makes the verdicts on two networks comparable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import QUANTITIES
from neuroattack.attacks.protocol import check_fits
from neuroattack.attacks.reference.protocol import needs_network
from neuroattack.attacks.registry import attack_names, make_attack
from neuroattack.attacks.result import check_trials
from neuroattack.datasets import Dataset
from neuroattack.datasets.noise import Noise
from neuroattack.datasets.transformations import TRANSFORMATIONS, Transformation
from neuroattack.deployment.deployment import MAX_SEED, MAX_STEPS
from neuroattack.deployment.spec import DeploymentSpec
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.experiments.substitutes import KEY as SUBSTITUTES
from neuroattack.ir.input import STEPS
from neuroattack.validation import check_integer

__all__ = [
    "AUDIT_TRANSFORMATIONS",
    "FAULT_MAPS",
    "FAULT_RATES",
    "NOISES",
    "QUICK",
    "SENSOR_NOISES",
    "SUITE_VERSION",
    "Suite",
    "other_deployments",
]

SUITE_VERSION = 2
"""Increased whenever the meaning of a figure's key changes."""

NOISES = tuple(Noise(kind, delta) for kind in ("normal", "uniform") for delta in (0.02, 0.05, 0.1))
"""Random noise on the images, in the paper's units: full intensity is 0.2."""

SENSOR_NOISES = ("drop:0.1", "background_hz:5.0", "jitter_s:0.002")
"""Sensor noise of event samples, as in deployments."""

# One transformation per family; digits stay readable under all of them.
_TRANSFORMED = ("jpeg-50", "resize-0.71", "rotation+5", "blur-0.5", "gamma-1.5", "noise-0.05")

AUDIT_TRANSFORMATIONS: tuple[Transformation, ...] = tuple(
    each for each in TRANSFORMATIONS if each.name in _TRANSFORMED
)
"""Transformations applied to adversarial images."""

EVENT_BOUND = Bound("events", 0.05)
"""Bound of audits on event data sets: insertions and deletions of 5 % of the events."""

_CHIP = "loihi1"
_DEPLOYMENTS = ("other-seed", "fixed-point", "half-steps", "double-steps", _CHIP)


_BOUND = Bound("l2", 2.0)
FAULT_RATES, FAULT_MAPS = (1e-4, 1e-3, 1e-2), 10
"""Bit error rates of faults in memory, and number of fault maps per rate."""

_CLASS, _FAULTS = "class", "faults"
_WITH_SUBSTITUTES = ("count-regression", "transfer")


@dataclass(frozen=True)
class Suite:
    """Settings of an audit.

    Parameters
    ----------
    images : int, optional
        Number of attacked images: the first test images, whether or not the network classifies
        them correctly, so that all networks are attacked on the same images.
    budgets : tuple of int, optional
        Query budgets in increasing order; each attack runs once per budget.
    trials : int, optional
        Number of fresh trials per adversarial image.
    accuracy_images : int, optional
        Number of test images for measuring accuracy with and without noise; all test images if
        there are fewer.
    attacks : tuple of str, optional
        Names of registered attacks. The sections on transfer, transformations and energy use the
        images of the first attack at the largest budget.
    substitutes : tuple of str, optional
        Data sets or files of models of an attacker with data. They add ``transfer``, and
        ``count-regression`` with substitutes, to the attacks.
    bound : Bound, optional
        Norm bound on adversarial images.
    goals : tuple of str, optional
        Goals: ``"class"``, any wrong class, which the verdict is about, and quantities that
        ``count-regression`` maximizes with the largest budget while the class is kept, see
        :class:`neuroattack.attacks.goals.Goal`; ``"faults"`` adds random bit flips in the memory of
        the profile, or in 32-bit floating point without one.
    reference : {"white-box"} or None, optional
        White-box attack that bounds the success of the black-box attacks from above, run once per
        image; None to leave it out. No other result depends on it.

    Raises
    ------
    ValidationError
        If a value is out of range.
    UnknownNameError
        If an attack is not registered.
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
    substitutes: tuple[str, ...] = ()
    bound: Bound = _BOUND
    goals: tuple[str, ...] = (_CLASS,)
    reference: Literal["white-box"] | None = "white-box"

    def __post_init__(self) -> None:
        check_integer("images of an audit", self.images, 1)
        check_integer("images for accuracy", self.accuracy_images, 1)
        check_trials(self.trials)
        for budget in self.budgets:
            check_integer("budget of an audit", budget, 1)
        if not self.budgets or list(self.budgets) != sorted(set(self.budgets)):
            raise ValidationError(
                "budgets of an audit", self.budgets, "one or more in increasing order"
            )
        for name in self.attacks:
            if name not in attack_names():
                raise UnknownNameError("attack", name, attack_names())
        for goal in self.goals:
            if goal not in (known := (_CLASS, *QUANTITIES, _FAULTS)):
                raise UnknownNameError("goal of an audit", goal, known)
        if _CLASS not in self.goals:
            raise ValidationError("goals of an audit", ",".join(self.goals), f"{_CLASS} among them")
        if not self.attacks:
            raise ValidationError("attacks of an audit", "none", "one or more")

    def available(self, image_shape: tuple[int, ...], classes: int) -> tuple[Suite, dict[str, str]]:
        """Return the suite without attacks that cannot run, and the reason for each.

        They are not installed, or do not support images of the shape or the number of classes.
        """
        missing = {}
        for name in self.attacks:
            try:
                attack = make_attack(name, self.bound, self.budgets[0], 0)
                check_fits(attack, image_shape, classes)
            except UnsupportedFeatureError as error:
                missing[name] = str(error)
                continue
            if needs_network(attack):
                missing[name] = "needs the network itself, and is not one of the black-box attacks"
        installed = tuple(name for name in self.attacks if name not in missing)
        return replace(self, attacks=installed), missing

    def fitting(self, dataset: Dataset) -> Suite:
        """Return the suite with a bound on events, if the data set has event samples."""
        if dataset.dt_s is None or self.bound.is_of_events:
            return self
        return replace(self, bound=EVENT_BOUND)

    @property
    def quantities(self) -> tuple[str, ...]:
        """Quantities to maximize, in the order of the goals."""
        return tuple(goal for goal in dict.fromkeys(self.goals) if goal in QUANTITIES)

    @property
    def has_faults(self) -> bool:
        """Whether faults in memory are among the goals."""
        return _FAULTS in self.goals

    @property
    def noises(self) -> tuple[str, ...]:
        """Names of the kinds of random noise: of intensities, or of the sensor of events."""
        if self.bound.is_of_events:
            return SENSOR_NOISES
        return tuple(f"{noise.kind}-{noise.delta:g}" for noise in NOISES)

    @property
    def deployments(self) -> tuple[str, ...]:
        """Names of the other deployments; the number of steps of event samples is fixed."""
        if self.bound.is_of_events:
            return tuple(name for name in _DEPLOYMENTS if not name.endswith("-steps"))
        return _DEPLOYMENTS

    @property
    def transformations(self) -> tuple[Transformation, ...]:
        """Transformations applied to adversarial images; none of event samples."""
        return () if self.bound.is_of_events else AUDIT_TRANSFORMATIONS

    @property
    def runs(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Registered name and settings of every black-box attack, by its name in the figures."""
        runs: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in self.attacks}
        if self.substitutes:
            settings = {SUBSTITUTES: list(self.substitutes)}
            for name in _WITH_SUBSTITUTES:
                runs[f"{name}+substitutes"] = name, settings
        return runs

    def as_json(self, dataset: Dataset) -> dict[str, Any]:
        """Return the settings that two comparable audits share, as JSON values."""
        return {
            "version": SUITE_VERSION,
            "dataset": dataset.name,
            "dataset_checksum": dataset.checksum,
            "images": self.images,
            "budgets": list(self.budgets),
            "trials": self.trials,
            "accuracy_images": min(self.accuracy_images, len(dataset.test.labels)),
            "attacks": list(self.runs),
            **({SUBSTITUTES: list(self.substitutes)} if self.substitutes else {}),
            "bound": str(self.bound),
            **({"quantities": list(self.quantities)} if self.quantities else {}),
            **({"fault_rates": list(FAULT_RATES), "maps": FAULT_MAPS} if self.has_faults else {}),
            "noises": list(self.noises),
            "deployments": list(self.deployments),
            "transformations": [each.name for each in self.transformations],
        }


QUICK = Suite(budgets=(50, 100, 200), trials=20, accuracy_images=200)
"""Suite for less than a minute; its figures are comparable only with other quick audits."""


def other_deployments(deployment: DeploymentSpec) -> dict[str, DeploymentSpec]:
    """Return the deployments on which transfer is measured, by the names in the figures' keys.

    All use the native backend, which gives the same spikes as every other backend.
    """
    steps = deployment.steps or STEPS
    same = replace(deployment, backend="native", seed=(deployment.seed + 1) % (MAX_SEED + 1))
    plain = replace(same, precision=None, profile=None)
    deployments = (
        same,
        replace(plain, precision="fixed"),
        replace(same, steps=max(1, steps // 2)),
        replace(same, steps=min(MAX_STEPS, 2 * steps)),
        replace(plain, profile=_CHIP),
    )
    return dict(zip(_DEPLOYMENTS, deployments, strict=True))
