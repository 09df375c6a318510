"""An attack made for spike counts: all pixels measured at once, images judged on fresh draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.effects import EffectEstimator, Effects, Scale
from neuroattack.attacks.planning import pixels_in_play, plan_images
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import Goal, Incumbent, SearchResult
from neuroattack.errors import QueryRefusedError, ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_positive, check_whole

__all__ = ["CountRegression"]

_MOST_ROUNDS = 1_000
_OPENING_TRIALS = 4
# Images under one draw, where draws are common to a batch: the draw costs one answer in so many.
_COMMON_BATCH = 8
_BATCH = 256
# So many draws that all reached the goal, and it is let be.
_ENOUGH_TRIALS = 30


@dataclass(frozen=True)
class CountRegression:
    """Regression on random moves of many pixels, and plans that are judged on fresh draws.

    Every round spends its queries on images in which a random part of the pixels is moved up or
    down, around the best image so far; estimates what every pixel does to every class from all
    answers so far (:mod:`neuroattack.attacks.effects`); plans, from the original anew, the images
    that should reach the goal best within the bound (:mod:`neuroattack.attacks.planning`); and
    accepts one of them only if it does as well as the best so far on fresh draws, which had no
    part in choosing it.

    Parameters
    ----------
    bound : Bound
        How far the image may go; all of it is spent.
    queries : int, optional
        Spent at most, at least 1; fewer where the target's budget is smaller, or the goal is
        reached on 30 fresh draws of 30; on 4 of 4 where no image was ever answered in two ways.
    seed : int, optional
        Of the random moves.
    rounds : int, optional
        Rounds of moving, estimating, planning, judging.
    probe : float, optional
        Size of a random move, in intensities; cut short at 0 and 1.
    moved_fraction : float, optional
        Share of the pixels that one query moves.
    correlations_px : tuple of float, optional
        Distances in pixels over which effects may be alike, of which the likeliest is taken; 0 for
        not at all.
    scales : tuple of {"counts", "log"}, optional
        On which effects are taken to add up; each makes plans of its own.
    plans : int, optional
        Images planned a round on each scale, at most.
    selection_fraction : float, optional
        Share of the queries that judge plans rather than move pixels.
    breadth : float, optional
        Under a bound on the local-SD distance, the pixels that are measured: those that so many
        times the bound would pay for, by what is known of their effects and of their SD.

    Raises
    ------
    ValidationError
        If a parameter is out of range.
    """

    bound: Bound
    queries: int = 2000
    seed: int = 0
    rounds: int = 4
    probe: float = 0.5
    moved_fraction: float = 0.5
    correlations_px: tuple[float, ...] = (0.7, 1.5)
    scales: tuple[Scale, ...] = ("counts", "log")
    plans: int = 2
    selection_fraction: float = 0.25
    breadth: float = 4.0

    def __post_init__(self) -> None:
        check_whole("queries of an attack", self.queries, 1)
        check_whole("seed", self.seed, 0)
        check_whole("rounds", self.rounds, 1, _MOST_ROUNDS)
        check_whole("plans", self.plans, 1)
        check_positive("breadth", self.breadth)
        for thing, fraction in (
            ("probe", self.probe),
            ("moved_fraction", self.moved_fraction),
            ("selection_fraction", self.selection_fraction),
        ):
            check_positive(thing, fraction)
            if fraction > 1:
                raise ValidationError(thing, fraction, "at most 1")
        # Lists, as files give them, would make equal attacks unequal.
        object.__setattr__(self, "scales", tuple(self.scales))
        object.__setattr__(self, "correlations_px", tuple(self.correlations_px))
        if not self.correlations_px:
            raise ValidationError("correlations_px", "none", "at least one length in pixels")
        for length in self.correlations_px:
            if length != 0:
                check_positive("correlations_px", length, "number, or 0")
        if not self.scales or not set(self.scales) <= set(get_args(Scale)):
            raise ValidationError("scales", self.scales, "some of " + ", ".join(get_args(Scale)))

    @property
    def name(self) -> str:
        """``"count-regression"``."""
        return "count-regression"

    @property
    def kind(self) -> AttackKind:
        """The class alone will do; counts say more."""
        return "decision"

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        original = valid_original(target, image, goal)
        return _Run(self, target, original, goal).whole()


@dataclass(eq=False)
class _Candidate:
    image: NDArray[np.float64]
    gap_sum: float = 0.0
    trials: int = 0
    reached: int = 0
    first: NDArray[np.int32] | None = None
    same: bool = True

    def add(self, counts: NDArray[np.int32], gap: float, reached: bool) -> None:
        """Take one draw."""
        self.first = counts if self.first is None else self.first
        self.same &= bool(np.array_equal(counts, self.first))
        self.gap_sum += gap
        self.reached += reached
        self.trials += 1

    @property
    def gap(self) -> float:
        """Mean over its draws, lowest where it has none."""
        return self.gap_sum / self.trials if self.trials else -np.inf


class _Run:
    """One search: what it has learned, and what it has left to spend."""

    def __init__(
        self, attack: CountRegression, target: Target, original: NDArray[np.float64], goal: Goal
    ) -> None:
        self._attack = attack
        self._target = target
        self._original = original
        self._goal = goal
        self._before = target.queries
        left = target.remaining
        self._queries = attack.queries if left is None else min(attack.queries, left)
        self._rng = np.random.default_rng(attack.seed)
        self._estimator = EffectEstimator(original, attack.correlations_px)
        self._best = _Candidate(original)
        self._same_always = False
        self._history: list[Incumbent] = []
        self._in_play = self._worth_measuring(np.ones(original.size))

    @property
    def _spent(self) -> int:
        return self._target.queries - self._before

    @property
    def _left(self) -> int:
        return self._queries - self._spent

    def whole(self) -> SearchResult:
        try:
            stopped_by = self._search() if self._left > 0 else "budget"
        except QueryRefusedError:
            stopped_by = "refused"
        return SearchResult(
            self._original,
            self._best.image,
            self._goal,
            self._spent,
            stopped_by,
            tuple(self._history),
        )

    def _search(self) -> str:
        attack = self._attack
        self._draw([self._best], _OPENING_TRIALS)
        # Labels of an image that the network is sure of are alike, and say nothing of chance.
        self._same_always = (
            self._target.response == "counts" and self._best.trials > 1 and self._best.same
        )
        self._history.append(Incumbent(self._original, self._best.gap, self._spent))
        for round_ in range(attack.rounds):
            fraction = self._left // (attack.rounds - round_)
            challengers = attack.plans * len(attack.scales)
            selection_fraction = (
                challengers if self._same_always else round(fraction * attack.selection_fraction)
            )
            self._probe(fraction - selection_fraction)
            self._judge(self._planned(), min(selection_fraction, self._left))
            self._history.append(Incumbent(self._best.image, self._best.gap, self._spent))
            if self._settled():
                return "reached"
        return "budget"

    def _settled(self) -> bool:
        best = self._best
        if self._same_always and best.reached == best.trials:
            # Rounded or rare, chance may not have shown so far.
            self._draw([best], _OPENING_TRIALS - best.trials)
        enough = _OPENING_TRIALS if self._same_always else _ENOUGH_TRIALS
        return best.trials >= enough and best.reached == best.trials

    def _probe(self, queries: int) -> None:
        """Show images around the best one with random pixels moved, in opposite pairs."""
        shape = self._original.shape
        common = self._target.randomness == "shared"
        batch = _COMMON_BATCH if common else _BATCH
        while queries >= 2:
            pairs = min(queries, batch) // 2
            moved = self._rng.random((pairs, *shape)) < self._attack.moved_fraction
            signs = self._rng.choice((-1.0, 1.0), (pairs, *shape))
            moves = self._attack.probe * (moved & self._in_play) * signs
            images = np.clip(self._best.image + np.concatenate([moves, -moves]), 0.0, 1.0)
            counts = self._target.query(images)
            self._estimator.add(images, counts, shared_randomness=common)
            queries -= 2 * pairs

    def _planned(self) -> list[_Candidate]:
        attack = self._attack
        candidates: list[_Candidate] = []
        fitted = self._estimator.fit(*attack.scales)
        self._in_play = self._worth_measuring(self._gains(fitted[0]))
        for effects in fitted:
            for image in plan_images(
                effects, attack.bound, self._original, self._goal, attack.plans
            ):
                if not any(np.array_equal(image, other.image) for other in candidates):
                    candidates.append(_Candidate(image))
        return candidates

    def _gains(self, effects: Effects) -> NDArray[np.float64]:
        """Return how far each pixel moves the aimed-at class against another one, at most."""
        goal = self._goal
        mine = goal.label if goal.target_class is None else goal.target_class
        apart: NDArray[np.float64] = np.abs(effects.slopes - effects.slopes[:, [mine]])
        return np.asarray(apart.max(axis=1))

    def _worth_measuring(self, gains: NDArray[np.float64]) -> NDArray[np.bool_]:
        attack = self._attack
        return pixels_in_play(attack.bound, self._original, gains, attack.breadth)

    def _judge(self, candidates: list[_Candidate], queries: int) -> None:
        """Let plans compete, the worse half out each time; the last one meets the best so far.

        In the final, draws are new to both, so that no plan wins by the lucky draw that brought it
        there; the best so far keeps those of its earlier finals.
        """
        final = queries // 3
        stages = (len(candidates) - 1).bit_length()
        while len(candidates) > 1:
            each = 1 if self._same_always else (queries - final) // stages // len(candidates)
            self._draw(candidates, min(each, self._left // len(candidates)))
            candidates.sort(key=lambda one: -one.gap)
            candidates = candidates[: 1 if self._same_always else (len(candidates) + 1) // 2]
        challenger = _Candidate(candidates[0].image)
        meeting = [challenger, self._best]
        self._draw(meeting, 1 if self._same_always else max(1, final // 2))
        if challenger.gap >= self._best.gap:
            self._best = challenger

    def _draw(self, candidates: list[_Candidate], trials: int) -> None:
        """Show each contender under so many fresh draws, and learn from the answers too."""
        trials = max(0, min(trials, self._left // len(candidates)))
        images = np.array([one.image for one in candidates])
        if self._target.randomness == "shared":
            answers = [self._target.query(images) for _ in range(trials)]
        elif trials:
            answers = list(
                self._target.query(np.tile(images, (trials, 1, 1))).reshape(trials, len(images), -1)
            )
        else:
            answers = []
        for counts in answers:
            self._estimator.add(
                images, counts, shared_randomness=self._target.randomness == "shared"
            )
            gaps, reached = self._goal.gap(counts.astype(np.float64)), self._goal.reached(counts)
            for one, seen, gap, success in zip(candidates, counts, gaps, reached, strict=True):
                one.add(seen, float(gap), bool(success))
        self._same_always &= all(one.same for one in candidates)
