"""Attacks that know no limit, held to one by what they found on their way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.limits import Limit
from neuroattack.attacks.perception import Window
from neuroattack.attacks.protocol import Finding, Found, Need, check_needs, valid_original
from neuroattack.attacks.result import Goal, Seen
from neuroattack.errors import QueryRefusedError
from neuroattack.targets.black_box import Target
from neuroattack.targets.defenses import QueryLimited
from neuroattack.validation import check_whole

__all__ = ["HeldGreedyWindow", "hold"]


def hold(found: Found, limit: Limit | None) -> Finding:
    """Return what a search would have found had it looked at the limit.

    Of the images of its course within the limit, the one of highest gap; the course is cut to
    those that were best for a time.
    """
    kept = [Seen(found.original, -np.inf, 0)]
    for seen in found.course:
        within = limit is None or limit.holds(found.original, seen.image)
        if seen.gap > kept[-1].gap and within:
            kept.append(seen)
    return Finding(
        found.original,
        kept[-1].image,
        found.goal,
        found.queries,
        found.stopped_by,
        tuple(kept),
        found.trace,
    )


@dataclass(frozen=True)
class HeldGreedyWindow:
    """Algorithm 1 of the paper with a centred window, held to a limit.

    Parameters
    ----------
    limit : Limit or None
        Beside the paper's own D_max: of its iterations, those within it count; None for all.
    queries : int, optional
        That it spends at most; too few for a whole first iteration, it returns the original.
    seed : int, optional
        Of no effect: Algorithm 1 draws nothing.
    window : int, optional
        Side N of the window, in pixels.
    moved_pixels : int, optional
        M.
    delta : float, optional
        Size of a move.
    max_distance : float, optional
        D_max.

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """

    limit: Limit | None
    queries: int = 2000
    seed: int = 0
    window: int = 7
    moved_pixels: int = 10
    delta: float = 0.1
    max_distance: float = 22.0

    def __post_init__(self) -> None:
        check_whole("queries of an attack", self.queries, 1)
        self._attack(Window(0, 0, self.window))

    @property
    def name(self) -> str:
        """``"greedy-window"``."""
        return "greedy-window"

    @property
    def needs(self) -> Need:
        """Spike counts."""
        return "counts"

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> Finding:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        attack = self._attack(Window.centred(target.image_shape, self.window))
        limited = QueryLimited(target, self.queries)
        check_needs(self, target)
        original = valid_original(target, image, goal)
        if limited.remaining < attack.most_queries_an_iteration:
            return Finding(original, original, goal, 0, "budget")
        try:
            return hold(attack.run(limited, image, goal), self.limit)
        except QueryRefusedError:
            return Finding(original, original, goal, 0, "refused")

    def _attack(self, window: Window) -> GreedyWindow:
        return GreedyWindow(window, self.moved_pixels, self.delta, self.max_distance)
