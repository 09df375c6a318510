"""Sparse-RS: random search over a set of pixels and their values, black or white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import visibility_sd
from neuroattack.attacks.events.changes import best_event_change, changed_events
from neuroattack.attacks.events.patches import patch_mask
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import Incumbent, SearchResult
from neuroattack.errors import QueryRefusedError, ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer, check_positive

__all__ = ["SparseRS"]

# Schedule for 10,000 queries: (number of queries, divisor of the exchanged fraction from then on).
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
# With a patch: every fourth step moves it instead of exchanging cells.
_MOVE_STEPS = 4


@dataclass(frozen=True)
class SparseRS:
    """Sparse-RS of Croce et al., AAAI 2022 (arXiv 2006.12834), its L0 attack.

    The search starts from a random set of pixels, each set to 0 or 1. Each step exchanges a random
    part of the set for other pixels with new random values, and keeps the result if its gap in a
    single trial is not smaller. The exchanged fraction follows the schedule of the paper, scaled to
    the query budget.

    Parameters
    ----------
    bound : Bound
        Norm bound. For ``l0`` it is the size of the set. The paper has no other bounds; for ``l2``
        and ``local_sd`` pixels are set in random order as long as the bound allows; for ``linf``
        the set contains all pixels, which change toward 0 or 1 as far as the bound allows. For
        ``events``, ``insertions`` and ``deletions`` it is the number of inserted and deleted
        events; other bounds on events are not supported. With a patch, the set starts in a random
        square of pixels, and every fourth step moves it to another one instead.
    queries : int, optional
        Maximum number of queries, one per step.
    seed : int, optional
        Random seed of the search.
    initial_fraction : float, optional
        Initial exchanged fraction, alpha_init in the paper: 0.3 in its L0 experiments.

    Notes
    -----
    On a stochastic target, the best gap is soon that of an unusually favorable trial, and later
    steps are rarely accepted. The paper considers deterministic targets only.

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
        check_integer("queries of an attack", self.queries, 1)
        check_integer("seed", self.seed, 0)
        check_positive("initial_fraction", self.initial_fraction)
        if self.initial_fraction > 1:
            raise ValidationError("initial_fraction", self.initial_fraction, "at most 1")

    @property
    def supports_events(self) -> bool:
        """Whether the bound is on inserted or deleted events; retiming is no set of cells."""
        return not self.bound.is_retiming

    @property
    def name(self) -> str:
        """``"sparse-rs"``."""
        return "sparse-rs"

    @property
    def kind(self) -> AttackKind:
        """``"score"``."""
        return "score"

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        original = valid_original(target, image, goal, self.bound)
        rng = np.random.default_rng(self.seed)
        before, left = target.queries, target.remaining
        queries = self.queries if left is None else min(self.queries, left)
        history, stopped_by = [Incumbent(original, -np.inf, 0)], "budget"
        corner = self._corner(rng, original)
        order = rng.permutation(self._candidates(original, corner))
        values = _extremes(rng, original.size)
        for step in range(queries):
            new_order, new_values, new_corner = order, values, corner
            if step and self.bound.patch_px and step % _MOVE_STEPS == 0:
                new_corner = self._corner(rng, original)
                new_order = self._translated(rng, original, order, corner, new_corner)
            elif step:
                size = self._set_size(original, order, values)
                exchanged = max(1, int(self.fraction(step, queries) * size))
                new_order, new_values = _exchange(rng, order, values, size, exchanged)
            image_now = self._image(original, new_order, new_values)
            try:
                counts = target.query(image_now[None])
            except QueryRefusedError:
                stopped_by = "refused"
                break
            gap = float(goal.gap(counts.astype(np.float64))[0])
            if gap >= history[-1].gap:
                order, values, corner = new_order, new_values, new_corner
                history.append(Incumbent(image_now, gap, target.queries - before))
        return SearchResult(
            original, history[-1].image, goal, target.queries - before, stopped_by, tuple(history)
        )

    def fraction(self, step: int, queries: int) -> float:
        """Return the fraction of the set exchanged in a step of a search of `queries` queries."""
        scaled = step * _SCHEDULE_QUERIES / queries
        divisor = max((value for after, value in _SCHEDULE if scaled > after), default=1)
        return self.initial_fraction / divisor

    def _set_size(
        self,
        original: NDArray[np.float64],
        order: NDArray[np.intp],
        values: NDArray[np.float64],
    ) -> int:
        """Return the number of leading pixels that the bound allows to set, at least one."""
        change = np.abs(values - original.ravel())[order]
        if self.bound.is_of_events:
            return min(changed_events(self.bound, original), len(order))
        if self.bound.norm == "l0":
            return min(int(self.bound.maximum), original.size)
        if self.bound.norm == "linf":
            return original.size
        if self.bound.norm == "l2":
            spent = np.sqrt(np.cumsum(change**2))
        else:
            spent = np.cumsum(change / visibility_sd(original).ravel()[order])
        return max(1, int(np.searchsorted(spent, self.bound.maximum, side="right")))

    def _image(
        self,
        original: NDArray[np.float64],
        order: NDArray[np.intp],
        values: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        chosen = order[: self._set_size(original, order, values)]
        if self.bound.is_of_events:
            return self._toggled(original, chosen)
        image = original.ravel().copy()
        image[chosen] = values[chosen]
        image = image.reshape(original.shape)
        if self.bound.norm == "linf":
            low, high = original - self.bound.maximum, original + self.bound.maximum
            return np.asarray(np.clip(image, low, high))
        # A single pixel can already exceed the bound.
        return image if self.bound.holds(original, image) else original

    def _toggled(
        self, original: NDArray[np.float64], chosen: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Insert and delete chosen events in their order, except for refractory ones."""
        slopes = np.zeros(original.size)
        signs = np.where(original.ravel()[chosen] > 0, -1, 1)
        slopes[chosen] = signs * np.arange(len(chosen), 0, -1)
        change = best_event_change(self.bound, original, slopes)
        return original + change.reshape(original.shape)

    def _candidates(
        self, original: NDArray[np.float64], corner: tuple[int, int]
    ) -> NDArray[np.intp]:
        """Return the pixels, or cells of an event sample, that the bound allows to change."""
        allowed = np.ones(original.shape, np.bool_)
        if self.bound.norm == "insertions":
            allowed = original == 0
        elif self.bound.norm == "deletions":
            allowed = original > 0
        if self.bound.patch_px:
            rows, columns = original.shape[-2:]
            allowed = allowed & patch_mask((rows, columns), self.bound.patch_px, *corner)
        return np.flatnonzero(allowed)

    def _corner(self, rng: np.random.Generator, original: NDArray[np.float64]) -> tuple[int, int]:
        """Return row and column of the top left pixel of a random patch, if there is one."""
        if not self.bound.patch_px:
            return 0, 0
        row, column = (
            int(rng.integers(max(side - self.bound.patch_px, 0) + 1))
            for side in original.shape[-2:]
        )
        return row, column

    def _translated(
        self,
        rng: np.random.Generator,
        original: NDArray[np.float64],
        order: NDArray[np.intp],
        corner: tuple[int, int],
        new_corner: tuple[int, int],
    ) -> NDArray[np.intp]:
        """Return the order with its cells at the same places of another patch, as far as allowed.

        Cells that are allowed there only follow in random order.
        """
        rows, columns = (new - old for new, old in zip(new_corner, corner, strict=True))
        candidates = self._candidates(original, new_corner)
        moved = order + rows * original.shape[-1] + columns
        moved = moved[np.isin(moved, candidates)]
        return np.concatenate([moved, rng.permutation(np.setdiff1d(candidates, moved))])


def _extremes(rng: np.random.Generator, pixels: int) -> NDArray[np.float64]:
    return rng.integers(0, 2, pixels).astype(np.float64)


def _exchange(
    rng: np.random.Generator,
    order: NDArray[np.intp],
    values: NDArray[np.float64],
    size: int,
    exchanged: int,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Exchange pixels of the set (the first `size` of the order) for others with new values."""
    order, values = order.copy(), values.copy()
    taken = rng.choice(size, min(exchanged, size), replace=False)
    # If too few pixels are outside the set, the remaining ones only get new values.
    spare = min(len(taken), len(order) - size)
    out, into = taken[:spare], size + rng.choice(len(order) - size, spare, replace=False)
    order[out], order[into] = order[into], order[out]
    values[order[taken]] = _extremes(rng, len(taken))
    return order, values
