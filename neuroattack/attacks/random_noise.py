"""Random perturbations that spend the bound: the least that an attack has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.best_seen import BestSeen
from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.planning import best_change
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import Goal, SearchResult
from neuroattack.errors import QueryRefusedError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_whole

__all__ = ["RandomNoise"]

_BATCH = 64


@dataclass(frozen=True)
class RandomNoise:
    """Images moved at random as far as the bound allows, one query each; the best one is kept.

    Each image goes where a random linear score would rise most: under ``l2`` along normal noise,
    cut short at 0 and 1; under ``l0`` and ``local_sd`` the pixels of largest random worth, moved
    all the way.

    Parameters
    ----------
    bound : Bound
        How far the image goes.
    queries : int, optional
        Images that are tried, at most.
    seed : int, optional
        Of the noise.

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """

    bound: Bound
    queries: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole("queries of an attack", self.queries, 1)
        check_whole("seed", self.seed, 0)

    @property
    def name(self) -> str:
        """``"random-noise"``."""
        return "random-noise"

    @property
    def kind(self) -> AttackKind:
        """The class alone will do."""
        return "decision"

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        original = valid_original(target, image, goal)
        rng = np.random.default_rng(self.seed)
        best = BestSeen(original, goal, self.bound)
        before, left = target.queries, target.remaining
        queries = self.queries if left is None else min(self.queries, left)
        stopped_by = "budget"
        for start in range(0, queries, _BATCH):
            images = np.array(
                [self._moved(original, rng) for _ in range(min(_BATCH, queries - start))]
            )
            try:
                counts = target.query(images)
            except QueryRefusedError:
                stopped_by = "refused"
                break
            best.remember(images, counts, target.queries - before)
        return SearchResult(
            original, best.image, goal, target.queries - before, stopped_by, best.history
        )

    def _moved(
        self, original: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        change = best_change(self.bound, original, rng.normal(size=original.size))
        moved: NDArray[np.float64] = np.clip(original + change.reshape(original.shape), 0.0, 1.0)
        return moved
