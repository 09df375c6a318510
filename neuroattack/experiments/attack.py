"""One attack on one image: the search, and its verification on trials that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.limits import Limit
from neuroattack.attacks.protocol import Attack, Finding, Found, valid_original
from neuroattack.attacks.result import Goal, Verification, check_draws, verify
from neuroattack.deployment.deployment import search_stream, verification_stream
from neuroattack.deployment.spec import OpenTarget
from neuroattack.encoding.readout import UNDECIDED
from neuroattack.errors import BudgetExceededError
from neuroattack.targets.black_box import Draws
from neuroattack.targets.defenses import Shielded
from neuroattack.validation import check_whole

__all__ = ["AttackedImage", "attack_and_verify"]

MAX_INDEX = 10**9


@dataclass(frozen=True, eq=False)
class AttackedImage:
    """An attacked image, and how often it reaches the goal on fresh trials.

    Parameters
    ----------
    index : int
        Of the image; with the goal it selects the streams of trials.
    found : Found
        The search, with original and adversarial image.
    success : Verification
        Fresh trials of the adversarial image that reached the goal.
    clean : Verification
        As many fresh trials of the original that reached it without an attack.
    """

    index: int
    found: Found
    success: Verification
    clean: Verification
    distances: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        distances = {
            name: Limit(name, 1).distance(self.found.original, self.found.adversarial)
            for name in ("l0", "l2", "local_sd")
        }
        object.__setattr__(self, "distances", distances)

    @property
    def verification_queries(self) -> int:
        """Trials of adversarial image and original."""
        return self.success.draws + self.clean.draws

    def as_json(self, norm: str) -> dict[str, Any]:
        """Return the figures as JSON values; the distance is in that norm."""
        return {
            "index": self.index,
            "label": self.found.goal.label,
            "target_class": self.found.goal.target_class,
            "predicted_clean": _class(self.clean.predicted),
            "predicted": _class(self.success.predicted),
            "success_rate": self.success.rate,
            "success_ci95": list(self.success.ci95),
            "clean_error_rate": self.clean.rate,
            "distance": self.distances[norm],
            "distances": self.distances,
            "search_queries": self.found.queries,
            "verification_queries": self.verification_queries,
            "stopped_by": self.found.stopped_by,
        }


def _class(predicted: int) -> int | None:
    return None if predicted == UNDECIDED else predicted


class _Watched(Shielded):
    """A target that reports how many queries a search has spent, after each batch."""

    def __init__(self, target: Any, on_query: Callable[[int], None]) -> None:
        super().__init__(target)
        self._on_query = on_query

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        counts = super().query(images)
        self._on_query(self.queries)
        return counts


def attack_and_verify(
    boxes: OpenTarget,
    attack: Attack,
    image: ArrayLike,
    goal: Goal,
    *,
    index: int,
    trials: int = 50,
    budget: int | None = None,
    search_draws: Draws = "independent",
    on_query: Callable[[int], None] | None = None,
) -> AttackedImage:
    """Attack an image, and verify the result on trials that the search has not seen.

    Parameters
    ----------
    boxes : OpenTarget
        Gives black boxes by stream of trials: one for the search, another for the verification.
    attack : Attack
        How to search.
    image : float array, shape (height, width)
        The original, intensities in [0, 1].
    goal : Goal
        True class, and target class if there is one.
    index : int
        Of the image: each index and target class has streams of trials of its own.
    trials : int, optional
        Fresh trials of the adversarial image, and as many of the original.
    budget : int, optional
        Queries that the black box of the search answers at most.
    search_draws : {"independent", "common"}, optional
        Randomness of a batch of the search's queries; the verification's is always independent.
    on_query : callable, optional
        Called with the number of queries that the search has spent.

    Returns
    -------
    AttackedImage
        Where the budget is below what the attack needs for its first step, the original image.

    Raises
    ------
    ValidationError
        If image, goal, budget or number of trials do not fit.
    UnsupportedFeatureError
        If the target returns less than the attack needs.
    """
    check_draws(trials)
    check_whole("image index", index, 0, MAX_INDEX)
    target = boxes(search_stream(index, goal.target_class), budget, search_draws)
    if on_query is not None:
        target = _Watched(target, on_query)
    try:
        found: Found = attack.run(target, image, goal)
    except BudgetExceededError:
        original = valid_original(target, image, goal)
        found = Finding(original, original, goal, target.queries, "budget")
    judge = boxes(verification_stream(index, goal.target_class))
    success = verify(judge, found.adversarial, goal, trials)
    clean = verify(judge, found.original, goal, trials)
    return AttackedImage(index, found, success, clean)
