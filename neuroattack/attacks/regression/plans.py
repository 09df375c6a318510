"""Images of largest predicted gap within a norm bound, for linear models of the class scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.planning import best_change
from neuroattack.attacks.regression.effects import Effects
from neuroattack.attacks.regression.quantities import quantity_changes

__all__ = ["plan_images"]

_PLAYS = 30


@dataclass(frozen=True, eq=False)
class _Plan:
    change: NDArray[np.float64]
    gap: float


def plan_images(
    effects: Effects, bound: Bound, original: NDArray[np.float64], goal: Goal, plans: int
) -> list[NDArray[np.float64]]:
    """Return the images with the largest predicted gap.

    Parameters
    ----------
    effects : Effects
        Linear model around the clean image.
    bound : Bound
        Norm bound on the perturbation.
    original : float64 array of the target's image shape
        Clean image.
    goal : Goal
        Goal that defines the gap.
    plans : int
        Maximum number of images.

    Returns
    -------
    list of float64 arrays of the target's image shape
        Different images in order of decreasing predicted gap.

    Notes
    -----
    Untargeted: one candidate per wrong class, which maximizes its score minus that of the true
    class. Targeted: the target class must exceed every other class, a maximin problem. It is
    solved by fictitious play (Brown 1951): each perturbation is optimal against the empirical
    distribution of the rivals so far, then the strongest rival under it is added. The mean of the
    perturbations converges to the solution; it is a candidate too if the bound is convex. Goals
    with a quantity: :func:`neuroattack.attacks.regression.quantities.quantity_changes`.
    """
    if goal.maximize is not None:
        changes = quantity_changes(effects, bound, original, goal)
    else:
        candidates = (
            _untargeted(effects, bound, original, goal.label)
            if goal.target_class is None
            else _targeted(effects, bound, original, goal.target_class)
        )
        changes = [plan.change for plan in sorted(candidates, key=lambda plan: -plan.gap)]
    images: list[NDArray[np.float64]] = []
    for change in changes:
        image = np.clip(original + change.reshape(original.shape), 0.0, 1.0)
        if not any(np.array_equal(image, other) for other in images):
            images.append(image)
        if len(images) == plans:
            break
    return images


def _untargeted(
    effects: Effects, bound: Bound, original: NDArray[np.float64], label: int
) -> list[_Plan]:
    plans = []
    for rival in range(len(effects.base)):
        if rival != label:
            slopes = effects.slopes[:, rival] - effects.slopes[:, label]
            change = best_change(bound, original, slopes)
            scores = effects.predict(change)
            plans.append(_Plan(change, float(scores[rival] - scores[label])))
    return plans


def _targeted(
    effects: Effects, bound: Bound, original: NDArray[np.float64], target_class: int
) -> list[_Plan]:
    others = np.delete(np.arange(len(effects.base)), target_class)
    margins = effects.slopes[:, [target_class]] - effects.slopes[:, others]
    rivals = np.zeros(len(others))
    rivals[(effects.base[others]).argmax()] = 1.0
    mean = np.zeros(original.size)
    plans = []

    def gaps(change: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = effects.predict(change)
        return np.asarray(scores[target_class] - scores[others])

    for play in range(_PLAYS):
        change = best_change(bound, original, margins @ (rivals / rivals.sum()))
        plans.append(_Plan(change, float(gaps(change).min())))
        rivals[gaps(change).argmin()] += 1.0
        mean += (change - mean) / (play + 1)
    if bound.is_convex:
        plans.append(_Plan(mean, float(gaps(mean).min())))
    return plans
