"""Count-regression attack: estimate the effect of all pixels at once, then optimize the image.

1. Query random perturbations of many pixels around the best image, in antithetic pairs.
2. Fit a Bayesian ridge regression of the class counts on the pixel perturbations, with spatially
   correlated priors (:mod:`neuroattack.attacks.effects`).
3. Maximize the predicted gap within the norm bound (:mod:`neuroattack.attacks.planning`).
4. Select one of these images by successive halving on fresh trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.effects import EffectEstimator, Effects, Scale
from neuroattack.attacks.planning import pixels_to_probe, plan_images
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.result import Goal, Incumbent, SearchResult
from neuroattack.errors import QueryRefusedError, ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer, check_positive

__all__ = ["CountRegression"]

_MOST_ROUNDS = 1_000
_OPENING_TRIALS = 4
# Batch size with shared randomness: centering costs one degree of freedom per batch.
_SHARED_BATCH = 8
_BATCH = 256
# The search ends after this many trials of the best image that all reached the goal.
_ENOUGH_TRIALS = 30


@dataclass(frozen=True)
class CountRegression:
    """Attack by Bayesian regression of class counts on random pixel perturbations.

    Each round has four steps. It queries random perturbations of the best image so far, in
    antithetic pairs: perturbed pixels change by +probe or -probe, and by the opposite in the
    second image of a pair. It fits a Bayesian ridge regression of the class counts on the pixel
    perturbations of all rounds, with spatially correlated priors. It plans images: perturbations
    of the clean image that maximize the predicted gap within the norm bound. It selects the best
    plan by successive halving on fresh trials; the plan replaces the best image so far if its mean
    gap is at least as large on new trials that were not used to select it.

    Parameters
    ----------
    bound : Bound
        Norm bound on the adversarial image.
    queries : int, optional
        Maximum number of queries, at least 1. The search ends earlier if the goal is reached in
        all of 30 fresh trials of the best image, or 4 if the target appears deterministic (equal
        counts for every repeated image).
    seed : int, optional
        Random seed of the perturbations.
    rounds : int, optional
        Number of rounds.
    probe : float, optional
        Size of the random perturbation of a pixel, in intensities; clipped to [0, 1].
    moved_fraction : float, optional
        Probability that a query perturbs a pixel.
    correlations_px : tuple of float, optional
        Candidates for the correlation length of the prior, in pixels; 0 for independent pixels.
        The one with the largest marginal likelihood is used. No effect on vectors, whose values
        are independent.
    scales : tuple of {"counts", "log"}, optional
        Scales on which pixel effects are assumed additive; each scale yields its own plans.
    plans : int, optional
        Maximum number of planned images per round and scale.
    selection_fraction : float, optional
        Fraction of a round's queries used to select among plans.
    breadth : float, optional
        For the bound ``local_sd``: perturbations are restricted to the pixels of largest estimated
        effect times SD, as many as `breadth` times the bound allows to change by 1.

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
        check_integer("queries of an attack", self.queries, 1)
        check_integer("seed", self.seed, 0)
        check_integer("rounds", self.rounds, 1, _MOST_ROUNDS)
        check_integer("plans", self.plans, 1)
        check_positive("breadth", self.breadth)
        for thing, fraction in (
            ("probe", self.probe),
            ("moved_fraction", self.moved_fraction),
            ("selection_fraction", self.selection_fraction),
        ):
            check_positive(thing, fraction)
            if fraction > 1:
                raise ValidationError(thing, fraction, "at most 1")
        # Settings files give lists, which would make equal attacks compare unequal.
        object.__setattr__(self, "scales", tuple(self.scales))
        object.__setattr__(self, "correlations_px", tuple(self.correlations_px))
        if not self.correlations_px:
            raise ValidationError("correlations_px", "none", "at least one length in pixels")
        for length in self.correlations_px:
            if length != 0:
                check_positive("correlations_px", length, "number, or 0")
        if not self.scales or not set(self.scales) <= set(get_args(Scale)):
            raise ValidationError(
                "scales", self.scales, "one or more of " + ", ".join(get_args(Scale))
            )

    @property
    def name(self) -> str:
        """``"count-regression"``."""
        return "count-regression"

    @property
    def kind(self) -> AttackKind:
        """``"decision"``: counts make it more efficient, but labels suffice."""
        return "decision"

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        original = valid_original(target, image, goal, self.bound)
        return _Search(self, target, original, goal).run()


@dataclass(eq=False)
class _Candidate:
    image: NDArray[np.float64]
    gap_sum: float = 0.0
    trials: int = 0
    reached: int = 0
    first: NDArray[np.int32] | None = None
    constant: bool = True

    def add(self, counts: NDArray[np.int32], gap: float, reached: bool) -> None:
        """Add one trial."""
        self.first = counts if self.first is None else self.first
        self.constant &= bool(np.array_equal(counts, self.first))
        self.gap_sum += gap
        self.reached += reached
        self.trials += 1

    @property
    def gap(self) -> float:
        """Mean gap over trials; minus infinity without any."""
        return self.gap_sum / self.trials if self.trials else -np.inf


class _Search:
    """State of one search."""

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
        self._deterministic = False
        self._history: list[Incumbent] = []
        self._probed = self._pixels_to_probe(np.ones(original.size))

    @property
    def _spent(self) -> int:
        return self._target.queries - self._before

    @property
    def _left(self) -> int:
        return self._queries - self._spent

    def run(self) -> SearchResult:
        try:
            stopped_by = self._rounds() if self._left > 0 else "budget"
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

    def _rounds(self) -> str:
        attack = self._attack
        self._run_trials([self._best], _OPENING_TRIALS)
        # Equal labels do not show determinism: they are equal wherever the network is certain.
        self._deterministic = (
            self._target.response == "counts" and self._best.trials > 1 and self._best.constant
        )
        self._history.append(Incumbent(self._original, self._best.gap, self._spent))
        for round_ in range(attack.rounds):
            queries = self._left // (attack.rounds - round_)
            selection = (
                attack.plans * len(attack.scales)
                if self._deterministic
                else round(queries * attack.selection_fraction)
            )
            self._probe(queries - selection)
            self._select(self._plans(), min(selection, self._left))
            self._history.append(Incumbent(self._best.image, self._best.gap, self._spent))
            if self._is_reached():
                return "reached"
        return "budget"

    def _is_reached(self) -> bool:
        best = self._best
        if self._deterministic and best.reached == best.trials:
            # Check the assumption with more trials: randomness may be rare or rounded away.
            self._run_trials([best], _OPENING_TRIALS - best.trials)
        enough = _OPENING_TRIALS if self._deterministic else _ENOUGH_TRIALS
        return best.trials >= enough and best.reached == best.trials

    def _probe(self, queries: int) -> None:
        """Query random perturbations of the best image in antithetic pairs."""
        shape = self._original.shape
        shared = self._target.randomness == "shared"
        batch = _SHARED_BATCH if shared else _BATCH
        while queries >= 2:
            pairs = min(queries, batch) // 2
            moved = self._rng.random((pairs, *shape)) < self._attack.moved_fraction
            signs = self._rng.choice((-1.0, 1.0), (pairs, *shape))
            changes = self._attack.probe * (moved & self._probed) * signs
            images = np.clip(self._best.image + np.concatenate([changes, -changes]), 0.0, 1.0)
            counts = self._target.query(images)
            self._estimator.add(images, counts, shared_randomness=shared)
            queries -= 2 * pairs

    def _plans(self) -> list[_Candidate]:
        attack = self._attack
        candidates: list[_Candidate] = []
        estimates = self._estimator.fit(*attack.scales)
        self._probed = self._pixels_to_probe(self._gains(estimates[0]))
        for effects in estimates:
            for image in plan_images(
                effects, attack.bound, self._original, self._goal, attack.plans
            ):
                if not any(np.array_equal(image, other.image) for other in candidates):
                    candidates.append(_Candidate(image))
        return candidates

    def _gains(self, effects: Effects) -> NDArray[np.float64]:
        """Return each pixel's largest effect on the goal's class relative to another class."""
        goal = self._goal
        aimed = goal.label if goal.target_class is None else goal.target_class
        differences: NDArray[np.float64] = np.abs(effects.slopes - effects.slopes[:, [aimed]])
        return np.asarray(differences.max(axis=1))

    def _pixels_to_probe(self, gains: NDArray[np.float64]) -> NDArray[np.bool_]:
        attack = self._attack
        return pixels_to_probe(attack.bound, self._original, gains, attack.breadth)

    def _select(self, candidates: list[_Candidate], queries: int) -> None:
        """Select one plan by successive halving, then compare it with the best image so far.

        The comparison uses new trials of both images, because the gap of a selected plan is biased
        upward (winner's curse). The best image keeps the trials of its earlier comparisons.
        """
        final = queries // 3
        stages = (len(candidates) - 1).bit_length()
        while len(candidates) > 1:
            trials = 1 if self._deterministic else (queries - final) // stages // len(candidates)
            self._run_trials(candidates, min(trials, self._left // len(candidates)))
            candidates.sort(key=lambda candidate: -candidate.gap)
            candidates = candidates[: 1 if self._deterministic else (len(candidates) + 1) // 2]
        challenger = _Candidate(candidates[0].image)
        trials = 1 if self._deterministic else max(1, final // 2)
        self._run_trials([challenger, self._best], trials)
        if challenger.gap >= self._best.gap:
            self._best = challenger

    def _run_trials(self, candidates: list[_Candidate], trials: int) -> None:
        """Run fresh trials of each candidate as far as the budget allows; also add them to the fit.

        All candidates get the same number of trials.
        """
        trials = max(0, min(trials, self._left // len(candidates)))
        images = np.array([candidate.image for candidate in candidates])
        shared = self._target.randomness == "shared"
        if shared:
            results = [self._target.query(images) for _ in range(trials)]
        elif trials:
            results = list(
                self._target.query(np.concatenate([images] * trials)).reshape(
                    trials, len(images), -1
                )
            )
        else:
            results = []
        for counts in results:
            self._estimator.add(images, counts, shared_randomness=shared)
            gaps, reached = self._goal.gap(counts.astype(np.float64)), self._goal.reached(counts)
            for candidate, row, gap, success in zip(candidates, counts, gaps, reached, strict=True):
                candidate.add(row, float(gap), bool(success))
        self._deterministic &= all(candidate.constant for candidate in candidates)
