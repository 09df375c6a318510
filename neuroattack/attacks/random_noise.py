"""Random perturbations within the norm bound: a baseline for attacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.planning import best_change
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import SearchResult
from neuroattack.attacks.search.proposals import best_proposal
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer

__all__ = ["RandomNoise"]


@dataclass(frozen=True)
class RandomNoise:
    """Random perturbations of the largest size that the bound allows, one query per image.

    Returns the image of largest gap. Each perturbation maximizes a random linear score: for
    ``l2`` it is Gaussian noise clipped at intensities 0 and 1; for ``linf`` each pixel changes by
    the bound in a random direction; for ``l0`` and ``local_sd`` the pixels of largest random gain
    are set to 0 or 1. On event samples, random events are inserted and deleted, with the same
    probability for each cell of step and neuron; or all events are retimed at random, as far as
    the bound allows.

    Parameters
    ----------
    bound : Bound
        Norm bound on the adversarial image.
    queries : int, optional
        Maximum number of queries.
    seed : int, optional
        Random seed of the perturbations.

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """

    bound: Bound
    queries: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer("queries of an attack", self.queries, 1)
        check_integer("seed", self.seed, 0)

    @property
    def supports_events(self) -> bool:
        """True: bounds may be on events."""
        return True

    @property
    def name(self) -> str:
        """``"random-noise"``."""
        return "random-noise"

    @property
    def kind(self) -> AttackKind:
        """``"decision"``: labels suffice."""
        return "decision"

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        original = valid_original(target, image, goal, self.bound, any_goal=True)
        rng = np.random.default_rng(self.seed)

        def propose(query: int) -> NDArray[np.float64]:
            del query
            return self._moved(original, rng)

        return best_proposal(target, original, goal, self.bound, self.queries, propose)

    def _moved(
        self, original: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        slopes = rng.normal(size=original.size)
        if self.bound.is_of_events and not self.bound.is_retiming:
            # Each insertion and deletion is a gain, so that as many as the bound allows are made.
            slopes = np.where(original.ravel() > 0, -np.abs(slopes), np.abs(slopes))
        change = best_change(self.bound, original, slopes)
        moved: NDArray[np.float64] = np.clip(original + change.reshape(original.shape), 0.0, 1.0)
        return moved
