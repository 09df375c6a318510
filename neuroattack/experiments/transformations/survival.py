"""Adversarial images under transformations: what each image was taken for, and all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from neuroattack.attacks.result import Goal, Verification
from neuroattack.datasets.transformations import Transformation
from neuroattack.errors import ValidationError

__all__ = [
    "Criterion",
    "GapCorrelation",
    "GapGroup",
    "ImageSurvival",
    "Summary",
    "Survival",
    "SurvivalStudy",
    "Tally",
]

Criterion = Literal["targeted", "untargeted"]
"""What counts as misclassified: as the target class, or as any wrong one."""


@dataclass(frozen=True)
class Tally:
    """What fresh draws of one image were taken for.

    Parameters
    ----------
    trials : int
        How many.
    targeted : int or None
        Taken for the target class; None without one.
    untargeted : int
        Taken for any wrong class; a tie or silence is none.
    correct : int
        Taken for the true class.
    """

    trials: int
    targeted: int | None
    untargeted: int
    correct: int

    def reached(self, criterion: Criterion) -> Verification:
        """Return how often the image was misclassified, with its interval."""
        successes = self.targeted if criterion == "targeted" else self.untargeted
        if successes is None:
            raise ValidationError("goal", "no target class", "a targeted goal")
        return Verification(successes, self.trials)

    def fooled(self, criterion: Criterion) -> bool:
        """Return whether most draws were misclassified."""
        return self.reached(criterion).rate > 0.5

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "trials": self.trials,
            "correct": self.correct,
            "targeted": None if self.targeted is None else _json(self.reached("targeted")),
            "untargeted": _json(self.reached("untargeted")),
        }


@dataclass(frozen=True)
class ImageSurvival:
    """One case under one transformation.

    Parameters
    ----------
    index : int
        Of the image.
    goal : Goal
        What the attack aimed at.
    gap : float
        Gap it reached.
    adversarial, original : Tally
        Of the transformed images: what the second is misclassified, the transformation did alone.
    untransformed : Tally
        Of the adversarial image as it was, on draws of its own: also where the transformation is
        none, so that the two differ by what chance alone does.
    """

    index: int
    goal: Goal
    gap: float
    adversarial: Tally
    original: Tally
    untransformed: Tally

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "index": self.index,
            "label": self.goal.label,
            "target_class": self.goal.target_class,
            "gap": self.gap,
            "adversarial": self.adversarial.as_json(),
            "original": self.original.as_json(),
            "untransformed": self.untransformed.as_json(),
        }


@dataclass(frozen=True)
class GapGroup:
    """Images of similar gap.

    Parameters
    ----------
    low, high : float
        Least and greatest gap of the group.
    images : int
        How many they are.
    adversarial : Verification
        All draws of the transformed adversarial images.
    """

    low: float
    high: float
    images: int
    adversarial: Verification


@dataclass(frozen=True)
class GapCorrelation:
    """Spearman's rank correlation of the gap with the rate of misclassification, over images.

    Parameters
    ----------
    rho : float
        -1 to 1.
    p_value : float
        Of no monotonic relation, two-sided, from the t distribution as SciPy takes it: rough for
        a dozen images or fewer.
    """

    rho: float
    p_value: float


@dataclass(frozen=True)
class Summary:
    """All images under one transformation, by one criterion.

    Parameters
    ----------
    adversarial, original : Verification
        All draws of all transformed images together. The interval is that of fresh draws of these
        very images; draws of one image resemble each other, so of other images it says less than
        its width seems to.
    images_fooled : Verification
        Images of which most draws of the transformed adversarial image were misclassified, of all
        images; its interval is that of other images.
    survived : Verification or None
        The same of the images only of which most draws were misclassified before they were
        transformed; None where there are none.
    gap_groups : tuple of GapGroup
        Groups of as equal sizes as can be, by rising gap.
    gap_correlation : GapCorrelation or None
        None with fewer than three images, or where all gaps or all rates are equal.
    """

    adversarial: Verification
    original: Verification
    images_fooled: Verification
    survived: Verification | None
    gap_groups: tuple[GapGroup, ...]
    gap_correlation: GapCorrelation | None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        correlation = self.gap_correlation
        return {
            "adversarial": _json(self.adversarial),
            "original": _json(self.original),
            "images_fooled": _json(self.images_fooled),
            "survived": None if self.survived is None else _json(self.survived),
            "gap_groups": [
                {
                    "low": group.low,
                    "high": group.high,
                    "images": group.images,
                    "adversarial": _json(group.adversarial),
                }
                for group in self.gap_groups
            ],
            "gap_correlation": None
            if correlation is None
            else {"rho": correlation.rho, "p_value": correlation.p_value},
        }


@dataclass(frozen=True)
class Survival:
    """All cases under one transformation.

    Parameters
    ----------
    transformation : Transformation
        What was done to the images.
    images : tuple of ImageSurvival
        One a case, in their order.
    gap_groups : int
        Groups of gap in summaries, at most.
    """

    transformation: Transformation
    images: tuple[ImageSurvival, ...]
    gap_groups: int

    def summary(self, criterion: Criterion) -> Summary | None:
        """Return what became of all images; of targeted goals only where that is the criterion.

        None where there are none.
        """
        images = [
            image
            for image in self.images
            if criterion == "untargeted" or image.goal.target_class is not None
        ]
        if not images:
            return None
        fooled = [image.adversarial.fooled(criterion) for image in images]
        before = [image.untransformed.fooled(criterion) for image in images]
        survived = sum(now and then for now, then in zip(fooled, before, strict=True))
        return Summary(
            adversarial=_pooled([image.adversarial for image in images], criterion),
            original=_pooled([image.original for image in images], criterion),
            images_fooled=Verification(sum(fooled), len(images)),
            survived=Verification(survived, sum(before)) if any(before) else None,
            gap_groups=_by_gap(images, criterion, self.gap_groups),
            gap_correlation=_correlation(images, criterion),
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        summaries: dict[str, Any] = {}
        for criterion in get_args(Criterion):
            summary = self.summary(criterion)
            summaries[criterion] = None if summary is None else summary.as_json()
        return {
            **self.transformation.as_json(),
            **summaries,
            "images": [image.as_json() for image in self.images],
        }


@dataclass(frozen=True)
class SurvivalStudy:
    """How adversarial images fared under transformations.

    Parameters
    ----------
    trials, seed : int
        Fresh draws of every transformed image, and seed of what transformations draw.
    survivals : tuple of Survival
        One a transformation, in their order.
    """

    trials: int
    seed: int
    survivals: tuple[Survival, ...] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "trials": self.trials,
            "seed": self.seed,
            "transformations": [one.as_json() for one in self.survivals],
        }


def _json(found: Verification) -> dict[str, Any]:
    return {
        "successes": found.successes,
        "trials": found.trials,
        "rate": found.rate,
        "ci95": list(found.ci95),
    }


def _pooled(tallies: Sequence[Tally], criterion: Criterion) -> Verification:
    reached = [tally.reached(criterion) for tally in tallies]
    return Verification(sum(one.successes for one in reached), sum(one.trials for one in reached))


def _by_gap(
    images: Sequence[ImageSurvival], criterion: Criterion, groups: int
) -> tuple[GapGroup, ...]:
    order = np.argsort([image.gap for image in images], kind="stable")
    found = []
    for part in np.array_split(order, min(groups, len(images))):
        group = [images[i] for i in part]
        found.append(
            GapGroup(
                low=group[0].gap,
                high=group[-1].gap,
                images=len(group),
                adversarial=_pooled([image.adversarial for image in group], criterion),
            )
        )
    return tuple(found)


def _correlation(images: Sequence[ImageSurvival], criterion: Criterion) -> GapCorrelation | None:
    gaps = [image.gap for image in images]
    rates = [image.adversarial.reached(criterion).rate for image in images]
    if len(images) < 3 or len(set(gaps)) == 1 or len(set(rates)) == 1:
        return None
    from scipy.stats import spearmanr

    found = spearmanr(gaps, rates)
    return GapCorrelation(float(found.statistic), float(found.pvalue))
