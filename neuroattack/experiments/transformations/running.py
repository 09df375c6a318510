"""Measure how often misclassifications survive image transformations, and the role of the gap.

Marchisio et al. 2020, Section IV-B, maximize the gap because a larger gap should tolerate larger
changes of the class probabilities.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.result import check_trials
from neuroattack.datasets.transformations import TRANSFORMATIONS, Transformation
from neuroattack.encoding.readout import decide
from neuroattack.errors import ValidationError
from neuroattack.experiments.transformations.survival import (
    ImageSurvival,
    Survival,
    SurvivalStudy,
    Tally,
)
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer

__all__ = ["Case", "survival"]

_Variant = Literal["adversarial", "original", "control"]

_MAX_SEED = 2**63 - 1
_BATCH_TRIALS = 256
# Above the random streams of attacks and evaluations.
_FIRST_STREAM = 2**60
_CONTROL = Transformation("none", "none")


@dataclass(frozen=True, eq=False)
class Case:
    """An adversarial image and the result of its attack.

    Parameters
    ----------
    index : int
        Index of the clean image in its data set; with the goal it selects the random streams.
    original, adversarial : float64 arrays, shape (height, width) or (channels, height, width)
        Intensities in [0, 1].
    goal : Goal
        Goal of the attack.
    gap : float
        Gap reached by the attack (Eq. 3).
    """

    index: int
    original: NDArray[np.float64]
    adversarial: NDArray[np.float64]
    goal: Goal
    gap: float


def survival(
    target_factory: Callable[[int], Target],
    cases: Sequence[Case],
    transformations: Sequence[Transformation] = TRANSFORMATIONS,
    *,
    trials: int = 50,
    noiseless: bool = False,
    seed: int = 0,
    gap_groups: int = 4,
    on_progress: Callable[[float, str], None] | None = None,
) -> SurvivalStudy:
    """Query transformed adversarial images and equally transformed clean images.

    The result for a case and a transformation does not depend on the other cases and
    transformations or on their order.
    """
    check_trials(trials)
    check_integer("seed", seed, 0, _MAX_SEED)
    check_integer("gap groups", gap_groups, 1)
    _check_cases(cases)
    runner = _Runner(target_factory, trials, noiseless, seed)
    total = len(cases) * (len(transformations) + 1)
    done = 0

    def report(status: str) -> None:
        nonlocal done
        done += 1
        if on_progress:
            on_progress(done / total, status)

    controls = []
    for case in cases:
        controls.append(runner.tally(case, _CONTROL, "control"))
        report("untransformed")
    survivals = []
    for transformation in transformations:
        images = []
        for case, control in zip(cases, controls, strict=True):
            adversarial = runner.tally(case, transformation, "adversarial")
            original = runner.tally(case, transformation, "original")
            images.append(
                ImageSurvival(case.index, case.goal, case.gap, adversarial, original, control)
            )
            report(transformation.name)
        survivals.append(Survival(transformation, tuple(images), gap_groups))
    return SurvivalStudy(trials, seed, tuple(survivals))


@dataclass(frozen=True)
class _Runner:
    target_factory: Callable[[int], Target]
    trials: int
    noiseless: bool
    seed: int

    def tally(self, case: Case, transformation: Transformation, variant: _Variant) -> Tally:
        stream = _stream(case, transformation, variant)
        # Independent of the target's generator, which may use the same seed and stream.
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(stream, 1)))
        target = self.target_factory(stream)
        case.goal.check(target.n_classes)
        image = case.original if variant == "original" else case.adversarial
        once = None if transformation.is_random else transformation.apply(image[None], rng)
        trials = 1 if self.noiseless and once is not None else self.trials
        responses = []
        for start in range(0, trials, _BATCH_TRIALS):
            shape = (min(_BATCH_TRIALS, trials - start), *image.shape)
            if once is None:
                batch = transformation.apply(np.broadcast_to(image, shape), rng)
            else:
                batch = np.broadcast_to(once, shape)
            responses.append(target.query(batch))
        counts = np.concatenate(responses)
        goal = case.goal
        return Tally(
            trials=trials,
            targeted=None if goal.target_class is None else int(goal.reached(counts).sum()),
            untargeted=int(Goal(goal.label).reached(counts).sum()),
            correct=int((decide(counts) == goal.label).sum()),
        )


def _stream(case: Case, transformation: Transformation, variant: _Variant) -> int:
    """Return the random stream of a transformed image, independent of the rest of the study."""
    goal = case.goal
    identity = [
        int(case.index),
        int(goal.label),
        None if goal.target_class is None else int(goal.target_class),
        transformation.family,
        None if transformation.parameter is None else float(transformation.parameter),
        variant,
    ]
    digest = hashlib.sha256(json.dumps(identity).encode()).digest()
    return _FIRST_STREAM + int.from_bytes(digest[:7], "big")


def _check_cases(cases: Sequence[Case]) -> None:
    if not cases:
        raise ValidationError("cases", "none", "at least one adversarial image")
    seen = set()
    for case in cases:
        if not np.isfinite(case.gap):
            raise ValidationError(f"gap of image {case.index}", case.gap, "a finite number")
        if np.shape(case.adversarial) != np.shape(case.original):
            raise ValidationError(
                f"adversarial image of image {case.index}",
                f"shape {np.shape(case.adversarial)}",
                f"{np.shape(case.original)}, the shape of the clean image",
            )
        key = (case.index, case.goal)
        if key in seen:
            raise ValidationError(
                "cases", f"image {case.index} twice with one goal", "one case per image and goal"
            )
        seen.add(key)
