"""Sparse-RS: random search over which pixels to set to black or white, from its paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import visibility_sd
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import Goal, Incumbent, SearchResult
from neuroattack.errors import QueryRefusedError, ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_positive, check_whole

__all__ = ["SparseRS"]

# Of 10,000 queries: after so many, the share of pixels that a step changes is divided so.
_SCHEDULE = (
    (0, 2),
    (50, 4),
    (200, 5),
    (500, 6),
    (1000, 8),
    (2000, 10),
    (4000, 12),
    (6000, 15),
    (8000, 20),
)
_SCHEDULE_QUERIES = 10_000


@dataclass(frozen=True)
class SparseRS:
    """Sparse-RS of Croce et al., AAAI 2022 (arXiv 2006.12834), its L0 attack.

    A set of pixels, each at 0 or 1, starts at random. Every step takes some out, puts as many
    others in, with new values, and keeps what results if its gap, in one draw, is not lower. The
    share that a step exchanges falls by the paper's schedule, stretched to the queries at hand.

    Parameters
    ----------
    bound : Bound
        Under ``l0`` the set holds as many pixels as the bound. The paper has no other bound; under
        ``l2`` and ``local_sd`` pixels are set, in the random order of the set, until the next
        one would pass it.
    queries : int, optional
        That it spends at most, one a step.
    seed : int, optional
        Of its chance.
    initial_fraction : float, optional
        The paper's alpha_init: 0.3 in its L0 experiments.

    Notes
    -----
    On a random target the gap that a step must not fall below is a lucky draw's before long: the
    paper knows no such targets, and this is what its rule does on them.

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """

    bound: Bound
    queries: int = 2000
    seed: int = 0
    initial_fraction: float = 0.3

    def __post_init__(self) -> None:
        check_whole("queries of an attack", self.queries, 1)
        check_whole("seed", self.seed, 0)
        check_positive("initial_fraction", self.initial_fraction)
        if self.initial_fraction > 1:
            raise ValidationError("initial_fraction", self.initial_fraction, "at most 1")

    @property
    def name(self) -> str:
        """``"sparse-rs"``."""
        return "sparse-rs"

    @property
    def kind(self) -> AttackKind:
        """Spike counts, to compare gaps."""
        return "score"

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        original = valid_original(target, image, goal)
        rng = np.random.default_rng(self.seed)
        before, left = target.queries, target.remaining
        queries = self.queries if left is None else min(self.queries, left)
        history, stopped_by = [Incumbent(original, -np.inf, 0)], "budget"
        order, values = rng.permutation(original.size), _ends(rng, original.size)
        for step in range(queries):
            tried_order, tried_values = order, values
            if step:
                held = self._holds(original, order, values)
                many = max(1, int(self.fraction(step, queries) * held))
                tried_order, tried_values = _exchanged(rng, order, values, held, many)
            tried = self._set(original, tried_order, tried_values)
            try:
                counts = target.query(tried[None])
            except QueryRefusedError:
                stopped_by = "refused"
                break
            gap = float(goal.gap(counts.astype(np.float64))[0])
            if gap >= history[-1].gap:
                order, values = tried_order, tried_values
                history.append(Incumbent(tried, gap, target.queries - before))
        return SearchResult(
            original, history[-1].image, goal, target.queries - before, stopped_by, tuple(history)
        )

    def fraction(self, step: int, queries: int) -> float:
        """Return the share of the set that a step, of so many queries, exchanges."""
        scaled = step * _SCHEDULE_QUERIES / queries
        divisor = max((by for after, by in _SCHEDULE if scaled > after), default=1)
        return self.initial_fraction / divisor

    def _holds(
        self,
        original: NDArray[np.float64],
        order: NDArray[np.intp],
        values: NDArray[np.float64],
    ) -> int:
        """Return how many pixels of that order the bound pays for, at least one."""
        change = np.abs(values - original.ravel())[order]
        if self.bound.norm == "l0":
            return min(int(self.bound.maximum), original.size)
        if self.bound.norm == "l2":
            spent = np.sqrt(np.cumsum(change**2))
        else:
            spent = np.cumsum(change / visibility_sd(original).ravel()[order])
        return max(1, int(np.searchsorted(spent, self.bound.maximum, side="right")))

    def _set(
        self,
        original: NDArray[np.float64],
        order: NDArray[np.intp],
        values: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        chosen = order[: self._holds(original, order, values)]
        image = original.ravel().copy()
        image[chosen] = values[chosen]
        image = image.reshape(original.shape)
        # The one pixel that is set at least may be dearer than the whole bound.
        return image if self.bound.holds(original, image) else original


def _ends(rng: np.random.Generator, pixels: int) -> NDArray[np.float64]:
    return rng.integers(0, 2, pixels).astype(np.float64)


def _exchanged(
    rng: np.random.Generator,
    order: NDArray[np.intp],
    values: NDArray[np.float64],
    held: int,
    many: int,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Swap so many of the first pixels of an order for others, and draw their values anew."""
    order, values = order.copy(), values.copy()
    taken = rng.choice(held, min(many, held), replace=False)
    # Of a set that holds almost every pixel, the rest of those taken only get new values.
    spare = min(len(taken), len(order) - held)
    out, into = taken[:spare], held + rng.choice(len(order) - held, spare, replace=False)
    order[out], order[into] = order[into], order[out]
    values[order[taken]] = _ends(rng, len(taken))
    return order, values
