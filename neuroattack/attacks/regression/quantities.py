"""Perturbations that maximize a quantity, such as energy, for a linear model of the responses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.planning import best_change
from neuroattack.attacks.regression.effects import Effects

__all__ = ["quantity_changes", "quantity_slopes"]

Changes = NDArray[np.float64]

# Weights of the class margin relative to the quantity, both by unit slopes.
_MARGIN_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
# To keep the class in most trials: predicted margin in standard deviations of Poisson counts, and
# at least this part of the clean image's.
_DEVIATIONS, _MARGIN_LEFT = 3.0, 0.4
# Parts of the bound to spend, for quantities that are lost with the class.
_PARTS = (1.0, 0.75, 0.5)


def quantity_slopes(effects: Effects, goal: Goal) -> Changes:
    """Return the change of the quantity per unit of pixel intensity, shape (pixels,)."""
    slopes = effects.slopes
    if goal.meter is not None:
        return slopes[:, -1]
    if goal.maximize == "output-spikes":
        return np.asarray(slopes.sum(axis=1))
    return -_margin_slopes(effects, goal, np.zeros(len(slopes)))


def quantity_changes(
    effects: Effects, bound: Bound, original: Changes, goal: Goal
) -> list[Changes]:
    """Return perturbations of large predicted quantity, the best first.

    Parameters
    ----------
    effects : Effects
        Linear model of the responses around the clean image: of the class counts, and of the
        reading of the meter if the goal needs one.
    bound : Bound
        Norm bound on the perturbation.
    original : float64 array of the target's image shape
        Clean image.
    goal : Goal
        Goal with a quantity.

    Returns
    -------
    list of float64 arrays, shape (pixels,)
        The first one is the optimum of the quantity plus a multiple of the class margin, with the
        smallest multiple for which a sufficient margin remains. The second brightens all
        pixels alike, because more input is more work for most networks.
    """
    slopes = quantity_slopes(effects, goal)
    uniform = best_change(bound, original, np.ones(original.size))
    if not goal.keep_class:
        return [best_change(bound, original, slopes), uniform]
    unchanged = np.zeros(original.size)
    total = max(float(_scores(effects, goal, unchanged).sum()), 0.0)
    least = max(_MARGIN_LEFT * _margin(effects, goal, unchanged), _DEVIATIONS * total**0.5)
    if goal.maximize == "uncertainty":
        whole = best_change(bound, original, slopes)
        found = [part * whole for part in _PARTS] if bound.is_convex else [whole]
    else:
        found = [
            _balanced(effects, bound, original, goal, slopes, weight) for weight in _MARGIN_WEIGHTS
        ]
    kept = [_margin(effects, goal, change) >= least for change in found]
    gains = [float(change @ slopes) for change in found]
    if not any(kept):
        kept[int(np.argmax([_margin(effects, goal, change) for change in found]))] = True
    order = sorted(range(len(found)), key=lambda k: (not kept[k], -gains[k]))
    return [found[order[0]], uniform, *(found[k] for k in order[1:])]


def _balanced(
    effects: Effects,
    bound: Bound,
    original: Changes,
    goal: Goal,
    slopes: Changes,
    weight: float,
) -> Changes:
    """Return the optimum of the quantity plus a weighted margin, against its strongest rival."""
    change = best_change(bound, original, slopes)
    if not weight:
        return change
    margin = _margin_slopes(effects, goal, change)
    scale = float(np.linalg.norm(slopes)) / max(float(np.linalg.norm(margin)), 1e-300)
    return best_change(bound, original, slopes + weight * scale * margin)


def _scores(effects: Effects, goal: Goal, change: Changes) -> Changes:
    """Return the predicted scores of the classes, with that of the true class last."""
    scores = goal.classes(effects.predict(change)[None])[0]
    return np.append(np.delete(scores, goal.label), scores[goal.label])


def _margin(effects: Effects, goal: Goal, change: Changes) -> float:
    scores = _scores(effects, goal, change)
    return float(scores[-1] - scores[:-1].max())


def _margin_slopes(effects: Effects, goal: Goal, change: Changes) -> Changes:
    """Return the slopes of the margin to the strongest rival after a perturbation."""
    rival = int(_scores(effects, goal, change)[:-1].argmax())
    rival += rival >= goal.label
    difference: Changes = effects.slopes[:, goal.label] - effects.slopes[:, rival]
    return difference
