"""Adversarial images of substitutes, the candidates of transfer attacks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.gradients.ascent import Aim, aims_of, ascend
from neuroattack.attacks.gradients.differentiable import Differentiable
from neuroattack.attacks.substitutes.ensemble import members_of

__all__ = ["transfer_candidates"]

_STEPS = 60
_RIVALS = 5


def transfer_candidates(
    substitutes: Differentiable, original: NDArray[np.float64], goal: Goal, bound: Bound
) -> list[NDArray[np.float64]]:
    """Return different adversarial images of the substitutes, the most promising first.

    Parameters
    ----------
    substitutes : Differentiable
        Model, or ensemble of models.
    original : float64 array of the target's image shape
        Clean image.
    goal : Goal
        Goal of the attack.
    bound : Bound
        Norm bound.

    Returns
    -------
    list of float64 arrays of the target's image shape
        The images of largest margin under all models together; of an untargeted goal, one without
        and some with a fixed rival class. Then that of each model alone.
    """
    aims = aims_of(goal, substitutes.n_classes)
    originals = np.repeat(original[None], len(aims), axis=0)
    images = ascend(substitutes, originals, aims, bound, steps=_STEPS)
    gaps = goal.gap(substitutes.log_scores(images))
    found = [images[row] for row in np.argsort(-gaps, kind="stable")[: _RIVALS + 1]]
    members = members_of(substitutes)
    if len(members) > 1:
        found += [
            ascend(member, original[None], [Aim(goal)], bound, steps=_STEPS)[0]
            for member in members
        ]
    different: list[NDArray[np.float64]] = []
    for image in found:
        if not any(np.array_equal(image, other) for other in different):
            different.append(image)
    return different
