"""What every attack is: configured when it is made, called with a target, an image and a goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.perception import image_sides
from neuroattack.attacks.result import Goal, Seen, Step
from neuroattack.encoding.images import validate_images
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.targets.black_box import Target

__all__ = ["Attack", "Finding", "Found", "Need", "check_needs", "valid_original"]

Need = Literal["labels", "counts"]
"""What an attack must be told of an image: its class alone, or the spikes of every class."""


class Found(Protocol):
    """What a search leaves, whatever the attack."""

    @property
    def original(self) -> NDArray[np.float64]:
        """The image attacked, shape (height, width)."""
        ...

    @property
    def adversarial(self) -> NDArray[np.float64]:
        """The image found; the original where nothing better was."""
        ...

    @property
    def goal(self) -> Goal:
        """What was aimed at."""
        ...

    @property
    def queries(self) -> int:
        """Queries that the search spent."""
        ...

    @property
    def stopped_by(self) -> str:
        """Why it ended, in a word or two."""
        ...

    @property
    def course(self) -> tuple[Seen, ...]:
        """Images on the way, by rising queries, the original first."""
        ...

    @property
    def trace(self) -> tuple[Step, ...]:
        """Iterations of Algorithm 1; empty for other attacks."""
        ...


@dataclass(frozen=True, eq=False)
class Finding:
    """What a search found: the plain form of :class:`Found`.

    Parameters
    ----------
    original, adversarial : float64 arrays, shape (height, width)
        The image attacked, and the image found; the original where nothing better was.
    goal : Goal
        What was aimed at.
    queries : int
        That the search spent.
    stopped_by : str
        Why it ended: ``"budget"``, ``"done"``, ``"no candidates"`` and the like.
    course : tuple of Seen
        Images on the way, by rising queries, the original first.
    trace : tuple of Step
        Iterations of Algorithm 1; empty for other attacks.
    """

    original: NDArray[np.float64]
    adversarial: NDArray[np.float64]
    goal: Goal
    queries: int
    stopped_by: str
    course: tuple[Seen, ...] = ()
    trace: tuple[Step, ...] = ()


class Attack(Protocol):
    """A search for adversarial images through a black box."""

    @property
    def name(self) -> str:
        """What it is called in results: ``"adaptive"``."""
        ...

    @property
    def needs(self) -> Need:
        """What it must be told of an image."""
        ...

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> Found:
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


def check_needs(attack: Attack, target: Target) -> None:
    """Raise UnsupportedFeatureError, by name, if the target tells less than the attack needs."""
    if attack.needs == "counts" and target.answers == "labels":
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
