"""Which pixels to move and how far, given what each does: the distance goes where it pays most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import visibility_sd
from neuroattack.attacks.effects import Effects
from neuroattack.attacks.result import Goal

__all__ = ["best_change", "pixels_in_play", "plan_images"]

_HALVINGS = 60
_PLAYS = 30


def best_change(
    bound: Bound, original: NDArray[np.float64], slopes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the change that raises a linear score most within a bound and the range [0, 1].

    Parameters
    ----------
    bound : Bound
        Not to be passed.
    original : float64 array, shape (height, width)
        What is changed.
    slopes : float64 array, shape (pixels,)
        Gain of the score when a pixel gains the whole range.

    Returns
    -------
    float64 array, shape (pixels,)

    Notes
    -----
    ``l2``: along the slopes, cut short at 0 and 1, as long as the bound allows. ``l0``: the pixels
    that gain most when moved all the way. ``local_sd``: pixels in the order of gain by distance,
    ``|slope|`` times SD, moved all the way, the last one as far as the distance reaches: the greedy
    solution of the fractional knapsack, which is exact.
    """
    start = original.ravel()
    room = np.where(slopes > 0, 1 - start, -start)
    if bound.norm == "l2":
        return _along(slopes, room, bound.maximum)
    if bound.norm == "l0":
        most = np.argsort(-slopes * room, kind="stable")[: int(bound.maximum)]
        change = np.zeros_like(start)
        change[most] = room[most]
        return np.where(slopes == 0, 0.0, change)
    sd = visibility_sd(original).ravel()
    order = np.argsort(-np.abs(slopes) * sd, kind="stable")
    cost = np.where(slopes == 0, 0.0, np.abs(room) / sd)[order]
    spent_before = np.cumsum(cost) - cost
    fraction = np.ones_like(cost)
    np.divide(bound.maximum - spent_before, cost, out=fraction, where=cost > 0)
    change = np.zeros_like(start)
    change[order] = room[order] * np.clip(fraction, 0.0, 1.0)
    return np.where(slopes == 0, 0.0, change)


def _along(
    slopes: NDArray[np.float64], room: NDArray[np.float64], bound: float
) -> NDArray[np.float64]:
    """Return min(step times slope, room) with the slope's sign, of that L2 norm or all the room."""
    most = np.where(slopes == 0, 0.0, np.abs(room))
    if np.linalg.norm(most) <= bound:
        return np.asarray(np.sign(slopes) * most)
    if not slopes.any():
        return np.zeros_like(slopes)
    strength = np.abs(slopes) / np.abs(slopes).max()
    low, high = 0.0, bound
    while np.linalg.norm(np.minimum(high * strength, most)) < bound:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if np.linalg.norm(np.minimum(middle * strength, most)) <= bound:
            low = middle
        else:
            high = middle
    return np.asarray(np.sign(slopes) * np.minimum(low * strength, most))


def pixels_in_play(
    bound: Bound, original: NDArray[np.float64], gains: NDArray[np.float64], breadth: float
) -> NDArray[np.bool_]:
    """Return the pixels worth measuring: those that so many times the bound would pay for.

    Parameters
    ----------
    bound : Bound
        What may be spent.
    original : float64 array, shape (height, width)
        What is changed.
    gains : float64 array, shape (pixels,)
        How much moving each by the whole range is thought to gain, not negative.
    breadth : float
        How many times the bound.

    Returns
    -------
    bool array, shape (height, width)
        Under ``local_sd``, the pixels that gain most by distance: the window, as it were, neither
        square nor fixed; of pixels that gain the same all or none, and always one at least. Under
        the other bounds all: no pixel is dearer than another there.
    """
    if bound.norm != "local_sd":
        return np.ones(original.shape, np.bool_)
    sd = visibility_sd(original)
    worth = gains.reshape(original.shape) * sd
    order = np.argsort(-worth, axis=None, kind="stable")
    paid = np.cumsum(1 / sd.ravel()[order]) <= breadth * bound.maximum
    last = max(int(np.count_nonzero(paid)) - 1, 0)
    return np.asarray(worth >= worth.ravel()[order[last]])


@dataclass(frozen=True, eq=False)
class _Plan:
    change: NDArray[np.float64]
    gap: float


def plan_images(
    effects: Effects, bound: Bound, original: NDArray[np.float64], goal: Goal, plans: int
) -> list[NDArray[np.float64]]:
    """Return the images that should reach a goal best, if effects add up.

    Parameters
    ----------
    effects : Effects
        What pixels do, around the original.
    bound : Bound
        Not to be passed.
    original : float64 array, shape (height, width)
        What is changed.
    goal : Goal
        What is to be reached.
    plans : int
        How many, at most.

    Returns
    -------
    list of float64 arrays, shape (height, width)
        The most promising first.

    Notes
    -----
    Untargeted, one plan a wrong class: that class against the true one. Targeted, the target must
    beat every other class, also one that rises on the way: a game against an opponent who names
    the rival. It is played by fictitious play (Brown 1951): each move is the best one against the
    rivals named so far in their frequencies, the opponent then names the strongest rival. What
    converges is the mean of the moves; it is a plan as well where the bound holds for it.
    """
    if goal.target_class is None:
        tried = _against_the_label(effects, bound, original, goal.label)
    else:
        tried = _against_all(effects, bound, original, goal.target_class)
    tried.sort(key=lambda plan: -plan.gap)
    images: list[NDArray[np.float64]] = []
    for plan in tried:
        image = np.clip(original + plan.change.reshape(original.shape), 0.0, 1.0)
        if not any(np.array_equal(image, other) for other in images):
            images.append(image)
        if len(images) == plans:
            break
    return images


def _against_the_label(
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


def _against_all(
    effects: Effects, bound: Bound, original: NDArray[np.float64], target_class: int
) -> list[_Plan]:
    others = np.delete(np.arange(len(effects.base)), target_class)
    ahead = effects.slopes[:, [target_class]] - effects.slopes[:, others]
    named = np.zeros(len(others))
    named[(effects.base[others]).argmax()] = 1.0
    mean = np.zeros(original.size)
    plans = []

    def gaps(change: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = effects.predict(change)
        return np.asarray(scores[target_class] - scores[others])

    for play in range(_PLAYS):
        change = best_change(bound, original, ahead @ (named / named.sum()))
        plans.append(_Plan(change, float(gaps(change).min())))
        named[gaps(change).argmin()] += 1.0
        mean += (change - mean) / (play + 1)
    if bound.is_convex:
        plans.append(_Plan(mean, float(gaps(mean).min())))
    return plans
