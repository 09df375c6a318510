"""What every attack is: configured when it is made, called with a target, an image and a goal."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.perception import image_sides
from neuroattack.attacks.result import Goal, SearchResult
from neuroattack.encoding.images import validate_images
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.targets.black_box import Target

__all__ = ["Attack", "AttackKind", "check_kind", "valid_original"]

AttackKind = Literal["score", "decision"]
"""What an attack must be told of an image: its class alone, or the spikes of every class."""


class Attack(Protocol):
    """A search for adversarial images through a black box."""

    @property
    def name(self) -> str:
        """What it is called in results: ``"count-regression"``."""
        ...

    @property
    def kind(self) -> AttackKind:
        """What it must be told of an image."""
        ...

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image.

        Parameters
        ----------
        target : Target
            The black box.
        image : float array, shape (height, width)
            The original, intensities in [0, 1].
        goal : Goal
            True class, and target class if there is one.

        Raises
        ------
        ValidationError
            If the image or the goal does not fit the target.
        UnsupportedFeatureError
            If the target tells less than the attack needs.
        BudgetExceededError
            If the budget does not hold the least that the attack can do.
        """
        ...


def check_kind(attack: Attack, target: Target) -> None:
    """Raise UnsupportedFeatureError, by name, if the target tells less than the attack needs."""
    if attack.kind == "score" and target.response == "labels":
        raise UnsupportedFeatureError(
            f"attack {attack.name!r} needs spike counts of every class, "
            "and the target answers with the class alone"
        )


def valid_original(target: Target, image: ArrayLike, goal: Goal) -> NDArray[np.float64]:
    """Return the image as the target takes it; ValidationError if it or the goal does not fit."""
    shape = target.image_shape
    image_sides(shape)
    goal.check(target.n_classes)
    rows = validate_images(np.asarray(image)[None], shape)
    return rows.reshape(shape)
