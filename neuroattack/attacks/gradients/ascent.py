"""Projected gradient ascent (PGD) on the margin of a differentiable model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.gradients.differentiable import Differentiable
from neuroattack.attacks.gradients.directions import normalized
from neuroattack.attacks.gradients.projection import project
from neuroattack.attacks.planning import best_change

__all__ = ["Aim", "aims_of", "ascend", "margins"]

Images = NDArray[np.float64]

# Step sizes as a fraction of the bound, from the first step to the last.
_FIRST_STEP, _LAST_STEP = 0.25, 0.01
_MOMENTUM = 0.75
_SPARSE = ("l0", "local_sd")
# To keep the class: margin of log scores, a factor of two in counts, and its weight below.
_KEPT_MARGIN, _KEEPING = 0.7, 2.0


@dataclass(frozen=True)
class Aim:
    """Margin that one image of a batch maximizes.

    Parameters
    ----------
    goal : Goal
        Goal of the attack: the margin is its gap.
    rival : int, optional
        For an untargeted goal: the only wrong class that counts.
    """

    goal: Goal
    rival: int | None = None


def aims_of(goal: Goal, n_classes: int) -> list[Aim]:
    """Return one aim for the goal itself, and one per rival class if it is untargeted."""
    if goal.target_class is not None or goal.maximize is not None:
        return [Aim(goal)]
    return [Aim(goal), *(Aim(goal, k) for k in range(n_classes) if k != goal.label)]


def ascend(
    model: Differentiable,
    originals: Images,
    aims: Sequence[Aim],
    bound: Bound,
    *,
    steps: int = 100,
    starts: Images | None = None,
) -> Images:
    """Maximize margins by projected gradient ascent (Madry et al. 2018), all images at once.

    Parameters
    ----------
    model : Differentiable
        Model of the class scores.
    originals : float64 array, shape (images, ...)
        Clean images.
    aims : sequence of Aim
        One per image.
    bound : Bound
        Norm bound.
    steps : int, optional
        Number of gradient steps.
    starts : float64 array, shape (images, ...), optional
        Images to start from; the clean images by default.

    Returns
    -------
    float64 array, shape (images, ...)
        For each image, the iterate within the bound that has the largest margin.

    Notes
    -----
    ``l2``, ``linf``: projected steps along the normalized gradient or its signs, with momentum
    (MI-FGSM, Dong et al. 2018); their size decreases geometrically. ``l0``, ``local_sd``: each step
    replaces the image by the one that is optimal for the mean gradient of the last steps
    (:func:`~neuroattack.attacks.planning.best_change`), since few pixels change, but by much.
    """
    images = project(bound, originals, originals if starts is None else starts)
    best, best_values = images, np.full(len(images), -np.inf)
    velocity = np.zeros_like(images)
    for step in range(steps + 1):
        scores, pullback = model.linearize(images)
        values, weights = margins(scores, aims)
        better = values > best_values
        best = np.where(better.reshape(_per_image(images)), images, best)
        best_values = np.where(better, values, best_values)
        if step == steps:
            break
        velocity = _MOMENTUM * velocity + _normalized(bound, pullback(weights))
        if bound.norm in _SPARSE or bound.is_of_events:
            images = np.stack(
                [_optimal(bound, *row) for row in zip(originals, velocity, strict=True)]
            )
            continue
        size = _FIRST_STEP * (_LAST_STEP / _FIRST_STEP) ** (step / max(steps - 1, 1))
        # Pixels that are black or white already move in one direction only.
        blocked = np.where(velocity > 0, images >= 1, images <= 0)
        direction = _normalized(bound, np.where(blocked, 0.0, velocity))
        images = project(bound, originals, images + size * bound.maximum * direction)
    return best


def margins(scores: Images, aims: Sequence[Aim]) -> tuple[Images, Images]:
    """Return each row's margin, and its gradient with respect to the scores.

    For a goal with a quantity: its logarithm, minus what the margin of the true class falls short
    of the one to keep. With a meter, the logarithm of the reading is the last score.
    """
    values = np.zeros(len(scores))
    weights = np.zeros_like(scores)
    for row, aim in enumerate(aims):
        goal = aim.goal
        if goal.maximize is not None:
            values[row], weights[row] = _quantity(scores[row], goal)
            continue
        if goal.target_class is not None:
            up, down = goal.target_class, _strongest_but(scores[row], goal.target_class)
        else:
            down = goal.label
            up = _strongest_but(scores[row], down) if aim.rival is None else aim.rival
        values[row] = scores[row, up] - scores[row, down]
        weights[row, up] += 1.0
        weights[row, down] -= 1.0
    return values, weights


def _quantity(scores: NDArray[np.float64], goal: Goal) -> tuple[float, NDArray[np.float64]]:
    """Return the objective of a goal with a quantity and its gradient, for one row of scores."""
    weights = np.zeros_like(scores)
    classes = goal.classes(scores[None])[0]
    rival = _strongest_but(classes, goal.label)
    margin = float(classes[goal.label] - classes[rival])
    if goal.meter is not None:
        value = float(scores[-1])
        weights[-1] = 1.0
    elif goal.maximize == "output-spikes":
        counts = np.exp(classes)
        value = float(np.log(counts.sum()))
        weights[:] = counts / counts.sum()
    else:
        value = -margin
        weights[rival] += 1.0
        weights[goal.label] -= 1.0
    if goal.keep_class and margin < _KEPT_MARGIN:
        value += _KEEPING * (margin - _KEPT_MARGIN)
        weights[goal.label] += _KEEPING
        weights[rival] -= _KEEPING
    return value, weights


def _strongest_but(scores: NDArray[np.float64], excluded: int) -> int:
    others = scores.copy()
    others[excluded] = -np.inf
    return int(others.argmax())


def _normalized(bound: Bound, gradient: Images) -> Images:
    if bound.norm == "linf":
        return np.sign(gradient)
    return normalized(gradient)


def _optimal(bound: Bound, original: Images, gradient: Images) -> Images:
    change = best_change(bound, original, gradient.ravel()).reshape(original.shape)
    return np.asarray(np.clip(original + change, 0.0, 1.0))


def _per_image(images: Images) -> tuple[int, ...]:
    """Return the shape of one value per image that broadcasts to the images."""
    return (len(images), *[1] * (images.ndim - 1))
