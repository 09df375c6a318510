"""Results for adversarial images under transformations, per image and in summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.result import Verification
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
"""Definition of misclassification: as the target class, or as any wrong class."""


@dataclass(frozen=True)
class Tally:
    """Predictions of one image in fresh trials.

    Parameters
    ----------
    trials : int
        Number of trials.
    targeted : int or None
        Number of predictions of the target class; None without one.
    untargeted : int
        Number of predictions of wrong classes, not including ties and silence.
    correct : int
        Number of predictions of the true class.
    """

    trials: int
    targeted: int | None
    untargeted: int
    correct: int

    def reached(self, criterion: Criterion) -> Verification:
        """Return the misclassification rate of the image."""
        successes = self.targeted if criterion == "targeted" else self.untargeted
        if successes is None:
            raise ValidationError("goal", "no target class", "a targeted goal")
        return Verification(successes, self.trials)

    def fooled(self, criterion: Criterion) -> bool:
        """Return whether most trials were misclassified."""
        return self.reached(criterion).rate > 0.5

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        return {
            "trials": self.trials,
            "correct": self.correct,
            "targeted": None if self.targeted is None else _json(self.reached("targeted")),
            "untargeted": _json(self.reached("untargeted")),
        }


@dataclass(frozen=True)
class ImageSurvival:
    """Results of one case under one transformation.

    Parameters
    ----------
    index : int
        Index of the image.
    goal : Goal
        Goal of the attack.
    gap : float
        Gap reached by the attack.
    adversarial, original : Tally
        Predictions of the transformed adversarial image and of the transformed clean image, whose
        misclassifications are due to the transformation alone.
    untransformed : Tally
        Predictions of the adversarial image without a transformation, on separate trials.
    """

    index: int
    goal: Goal
    gap: float
    adversarial: Tally
    original: Tally
    untransformed: Tally

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
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
        Smallest and largest gap of the group.
    images : int
        Number of images.
    adversarial : Verification
        All trials of the transformed adversarial images.
    """

    low: float
    high: float
    images: int
    adversarial: Verification


@dataclass(frozen=True)
class GapCorrelation:
    """Spearman's rank correlation of gap and misclassification rate, over images.

    Parameters
    ----------
    rho : float
        Correlation coefficient, -1 to 1.
    p_value : float
        Two-sided p-value from SciPy's approximation by the t distribution, which is inaccurate for
        about a dozen images or fewer.
    """

    rho: float
    p_value: float


@dataclass(frozen=True)
class Summary:
    """Summary of all images under one transformation, by one criterion.

    Parameters
    ----------
    adversarial, original : Verification
        All trials of all transformed images, pooled. The interval applies to further trials of
        these images; since trials of one image are correlated, it is too narrow for other images.
    images_fooled : Verification
        Number of images with most trials of the transformed adversarial image misclassified; the
        interval applies to other images.
    survived : Verification or None
        The same among the images with most trials misclassified before the transformation; None if
        there are none.
    gap_groups : tuple of GapGroup
        Groups of nearly equal size, in order of increasing gap.
    gap_correlation : GapCorrelation or None
        Correlation of gap and rate; None for fewer than three images or constant gaps or rates.
    """

    adversarial: Verification
    original: Verification
    images_fooled: Verification
    survived: Verification | None
    gap_groups: tuple[GapGroup, ...]
    gap_correlation: GapCorrelation | None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
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
    """Results of all cases under one transformation.

    Parameters
    ----------
    transformation : Transformation
        Applied transformation.
    images : tuple of ImageSurvival
        One result per case, in order.
    gap_groups : int
        Maximum number of gap groups in summaries.
    """

    transformation: Transformation
    images: tuple[ImageSurvival, ...]
    gap_groups: int

    def summary(self, criterion: Criterion) -> Summary | None:
        """Return the summary of all images; None if there are none.

        The criterion ``"targeted"`` includes only images with a target class.
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
        """Return the JSON values."""
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
    """Results of adversarial images under transformations.

    Parameters
    ----------
    trials, seed : int
        Number of fresh trials per transformed image, and random seed of the transformations.
    survivals : tuple of Survival
        One result per transformation, in order.
    """

    trials: int
    seed: int
    survivals: tuple[Survival, ...] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        return {
            "trials": self.trials,
            "seed": self.seed,
            "transformations": [each.as_json() for each in self.survivals],
        }


def _json(result: Verification) -> dict[str, Any]:
    return {
        "successes": result.successes,
        "trials": result.trials,
        "rate": result.rate,
        "ci95": list(result.ci95),
    }


def _pooled(tallies: Sequence[Tally], criterion: Criterion) -> Verification:
    reached = [tally.reached(criterion) for tally in tallies]
    return Verification(
        sum(each.successes for each in reached), sum(each.trials for each in reached)
    )


def _by_gap(
    images: Sequence[ImageSurvival], criterion: Criterion, groups: int
) -> tuple[GapGroup, ...]:
    order = np.argsort([image.gap for image in images], kind="stable")
    result = []
    for part in np.array_split(order, min(groups, len(images))):
        group = [images[i] for i in part]
        result.append(
            GapGroup(
                low=group[0].gap,
                high=group[-1].gap,
                images=len(group),
                adversarial=_pooled([image.adversarial for image in group], criterion),
            )
        )
    return tuple(result)


def _correlation(images: Sequence[ImageSurvival], criterion: Criterion) -> GapCorrelation | None:
    gaps = [image.gap for image in images]
    rates = [image.adversarial.reached(criterion).rate for image in images]
    if len(images) < 3 or len(set(gaps)) == 1 or len(set(rates)) == 1:
        return None
    from scipy.stats import spearmanr

    result = spearmanr(gaps, rates)
    return GapCorrelation(float(result.statistic), float(result.pvalue))
