"""Count-regression attack: estimate the effect of all pixels at once, then optimize the image.

1. Query random perturbations of many pixels around the best image, in antithetic pairs.
2. Fit a Bayesian ridge regression of the class counts on the pixel perturbations, with spatially
   correlated priors (:mod:`neuroattack.attacks.regression.effects`).
3. Maximize the predicted gap within the norm bound (:mod:`neuroattack.attacks.planning`).
4. Select one of these images by successive halving on fresh trials.

With substitutes of the target, their adversarial images are the first candidates, their scores are
the prior mean of the regression, and images are planned by gradient ascent on the corrected model
(:mod:`neuroattack.attacks.regression.corrected`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.gradients.ascent import aims_of, ascend
from neuroattack.attacks.planning import pixels_to_probe
from neuroattack.attacks.protocol import AttackKind, ThreatModel, check_kind, valid_original
from neuroattack.attacks.regression.corrected import Corrected
from neuroattack.attacks.regression.effects import EffectEstimator, Effects, Scale
from neuroattack.attacks.regression.event_effects import EventEffects
from neuroattack.attacks.regression.plans import plan_images
from neuroattack.attacks.regression.quantities import quantity_slopes
from neuroattack.attacks.result import Incumbent, SearchResult
from neuroattack.attacks.search.selection import Candidate, Trials
from neuroattack.attacks.substitutes.candidates import transfer_candidates
from neuroattack.attacks.substitutes.opening import (
    Substitutes,
    fitting_substitutes,
    listed,
    threat_model_of,
)
from neuroattack.errors import QueryRefusedError, UnsupportedFeatureError, ValidationError
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
# With substitutes: part of the queries, and least number, to select among their images.
_OPENING_FRACTION, _OPENING_QUERIES = 0.05, 40
_ROUNDS, _ROUNDS_WITH_SUBSTITUTES = 4, 6
_SELECTION, _SELECTION_WITH_SUBSTITUTES = 0.25, 0.15
# Fewer random perturbations teach less than the same number of selection trials.
_LEAST_PROBES = 10
_ROUND_QUERIES = 30
# Log likelihood ratio; substitutes that say nothing about the target have about 1 by chance.
_LEAST_SUPPORT = 5.0
_PLANNING_STEPS = 40
_SUMS: tuple[Scale, ...] = ("counts",)


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

    With a bound on events, perturbations insert, delete or retime events, and effects are those of
    the neurons in blocks of time steps: :mod:`neuroattack.attacks.regression.event_effects`.

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
        Number of rounds; by default 4, or 6 with substitutes. With substitutes, there are fewer
        rounds if the queries do not suffice for 30 per round.
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
        Fraction of a round's queries used to select among plans; by default 0.25, or 0.15 with
        substitutes.
    substitutes : str, sequence of str, or Differentiable, optional
        Models of the target from data of the attacker, as in
        :func:`neuroattack.attacks.substitutes.opening.open_substitutes`. Their adversarial images
        compete from the first query on, and their scores are the prior mean of the regression, with
        a factor per class that is estimated from the counts. On event samples, they only give the
        first candidates. None to use no data.
    reach : float, optional
        With substitutes: L2 norm of the random perturbations, as a multiple of the L2 distance of
        the best image from the clean image. They then replace those of size `probe`, and are
        correlated like the prior, with the geometric mean of `correlations_px`.
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
    rounds: int | None = None
    probe: float = 0.5
    moved_fraction: float = 0.5
    correlations_px: tuple[float, ...] = (0.7, 1.5)
    scales: tuple[Scale, ...] = ("counts", "log")
    plans: int = 2
    selection_fraction: float | None = None
    breadth: float = 4.0
    substitutes: Substitutes | None = None
    reach: float = 2.0

    def __post_init__(self) -> None:
        check_integer("queries of an attack", self.queries, 1)
        check_integer("seed", self.seed, 0)
        if self.rounds is not None:
            check_integer("rounds", self.rounds, 1, _MOST_ROUNDS)
        check_integer("plans", self.plans, 1)
        check_positive("breadth", self.breadth)
        check_positive("reach", self.reach)
        for thing, fraction in (
            ("probe", self.probe),
            ("moved_fraction", self.moved_fraction),
            ("selection_fraction", self.selection_fraction),
        ):
            if fraction is None:
                continue
            check_positive(thing, fraction)
            if fraction > 1:
                raise ValidationError(thing, fraction, "at most 1")
        # Settings files give lists, which would make equal attacks compare unequal.
        object.__setattr__(self, "scales", tuple(self.scales))
        object.__setattr__(self, "substitutes", listed(self.substitutes))
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
    def supports_events(self) -> bool:
        """True: bounds may be on events."""
        return True

    @property
    def name(self) -> str:
        """``"count-regression"``."""
        return "count-regression"

    @property
    def kind(self) -> AttackKind:
        """``"decision"``: counts make it more efficient, but labels suffice."""
        return "decision"

    @property
    def threat_model(self) -> ThreatModel:
        """``"no data"``, or that of the substitutes."""
        return threat_model_of(self.substitutes)

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        if goal.maximize is not None and self.substitutes is not None:
            raise UnsupportedFeatureError(
                f"attack 'count-regression': substitutes predict classes, and the goal is "
                f"{goal.maximize!r}"
            )
        original = valid_original(target, image, goal, self.bound, any_goal=True)
        return _Search(self, target, original, goal).run()


class _Search:
    """State of one search."""

    def __init__(
        self, attack: CountRegression, target: Target, original: NDArray[np.float64], goal: Goal
    ) -> None:
        self._attack = attack
        self._target = target
        self._original = original
        self._goal = goal
        self._rng = np.random.default_rng(attack.seed)
        self._substitutes = (
            None if attack.substitutes is None else fitting_substitutes(attack.substitutes, target)
        )
        self._events = (
            EventEffects(original, attack.bound, attack.correlations_px)
            if attack.bound.is_of_events
            else None
        )
        # Of the goal's gap, as far as it is known.
        self._slopes: NDArray[np.float64] | None = None
        self._prior = None if self._events else self._substitutes
        self._estimator = EffectEstimator(
            original,
            attack.correlations_px,
            self._prior,
            # More input is more work, but it has no common effect on the classes.
            common_effect=0.0 if goal.maximize is None else 1.0,
        )
        self._trials = Trials(target, goal, attack.queries, self._observe)
        self._best = Candidate(original)
        self._deterministic = False
        # Whether the counts agree with the substitutes, as far as is known.
        self._trusted = self._prior is not None
        self._history: list[Incumbent] = [Incumbent(original, -np.inf, 0)]
        self._probed = self._pixels_to_probe(np.ones(original.size))

    def run(self) -> SearchResult:
        try:
            stopped_by = self._rounds() if self._trials.left > 0 else "budget"
        except QueryRefusedError:
            stopped_by = "refused"
        return SearchResult(
            self._original,
            self._best.image,
            self._goal,
            self._trials.spent,
            stopped_by,
            tuple(self._history),
        )

    def _observe(self, images: NDArray[np.float64], counts: NDArray[np.int32]) -> None:
        shared = self._target.randomness == "shared"
        (self._events or self._estimator).add(images, counts, shared_randomness=shared)

    def _rounds(self) -> str:
        attack = self._attack
        self._open()
        rounds, fraction = _ROUNDS, _SELECTION
        if self._substitutes is not None:
            rounds, fraction = _ROUNDS_WITH_SUBSTITUTES, _SELECTION_WITH_SUBSTITUTES
        rounds, fraction = attack.rounds or rounds, attack.selection_fraction or fraction
        if self._substitutes is not None:
            rounds = min(rounds, max(1, self._trials.left // _ROUND_QUERIES))
        for round_ in range(rounds):
            queries = self._trials.left // (rounds - round_)
            selection = (
                attack.plans * len(attack.scales)
                if self._deterministic
                else round(queries * fraction)
            )
            if queries - selection < _LEAST_PROBES and self._substitutes is not None:
                return "budget"
            self._probe(queries - selection)
            self._select(self._plans(), min(selection, self._trials.left))
            self._remember()
            if self._is_reached():
                return "reached"
        return "budget"

    def _open(self) -> None:
        """Query the clean image, or select the best adversarial image of the substitutes."""
        attack = self._attack
        if self._substitutes is None:
            self._trials.run([self._best], _OPENING_TRIALS)
        else:
            candidates = [
                Candidate(image)
                for image in transfer_candidates(
                    self._substitutes, self._original, self._goal, attack.bound
                )
            ]
            queries = max(_OPENING_QUERIES, round(self._trials.left * _OPENING_FRACTION))
            self._best = self._trials.halve(candidates, queries)
            if self._best.trials < 2:
                self._trials.run([self._best], 2)
        # Equal labels do not show determinism: they are equal wherever the network is certain.
        best = self._best
        self._deterministic = (
            self._target.response == "counts" and best.trials > 1 and best.constant
        )
        self._remember()

    def _remember(self) -> None:
        self._history.append(Incumbent(self._best.image, self._best.gap, self._trials.spent))

    def _is_reached(self) -> bool:
        if self._goal.maximize is not None:
            return False
        best = self._best
        if self._deterministic and best.reached == best.trials:
            # Check the assumption with more trials: randomness may be rare or rounded away.
            self._run_trials([best], _OPENING_TRIALS - best.trials)
        enough = _OPENING_TRIALS if self._deterministic else _ENOUGH_TRIALS
        return best.trials >= enough and best.reached == best.trials

    def _run_trials(self, candidates: list[Candidate], trials: int) -> None:
        self._trials.run(candidates, trials)
        self._deterministic &= all(candidate.constant for candidate in candidates)

    def _probe(self, queries: int) -> None:
        """Query random perturbations of the best image in antithetic pairs."""
        batch = _SHARED_BATCH if self._target.randomness == "shared" else _BATCH
        while self._events is not None and queries > 0:
            count = min(queries, batch)
            length = self._length()
            self._trials.query(self._events.perturbed(self._rng, count, length, self._slopes))
            queries -= count
        while queries >= 2:
            pairs = min(queries, batch) // 2
            changes = self._perturbations(pairs) * self._probed
            images = self._best.image + np.concatenate([changes, -changes])
            self._trials.query(np.clip(images, 0.0, 1.0))
            queries -= 2 * pairs

    def _perturbations(self, count: int) -> NDArray[np.float64]:
        """Return random perturbations: near the best image, if substitutes are right about it.

        Substitutes are wrong about images that are far from all data, and with less to learn,
        smaller perturbations avoid errors from nonlinear effects.
        """
        attack, shape = self._attack, self._original.shape
        distance = float(np.linalg.norm(self._best.image - self._original))
        if self._trusted and distance > 0:
            unit = self._estimator.correlated(self._rng, count, self._length())
            return attack.reach * distance * unit
        moved = self._rng.random((count, *shape)) < attack.moved_fraction
        signs = self._rng.choice((-1.0, 1.0), (count, *shape))
        return np.asarray(attack.probe * moved * signs)

    def _length(self) -> float:
        """Return the correlation length of random perturbations."""
        lengths = self._attack.correlations_px
        return math.prod(lengths) ** (1 / len(lengths))

    def _plans(self) -> list[Candidate]:
        # Quantities are sums, also of logarithmic scores.
        scales = self._attack.scales if self._goal.maximize is None else _SUMS
        estimates = (self._events or self._estimator).fit(*scales)
        if self._events is not None:
            self._slopes = self._gap_slopes(estimates[0])
        self._trusted = max(effects.support for effects in estimates) > _LEAST_SUPPORT
        self._probed = self._pixels_to_probe(self._gains(estimates[0]))
        candidates: list[Candidate] = []
        for effects in estimates:
            for image in self._planned(effects):
                if not any(np.array_equal(image, other.image) for other in candidates):
                    candidates.append(Candidate(image))
        return candidates

    def _planned(self, effects: Effects) -> list[NDArray[np.float64]]:
        """Return the images with the largest predicted gap under one model."""
        attack, goal = self._attack, self._goal
        if self._prior is None:
            # One scale instead of two, and an increase can lose the class.
            plans = attack.plans if goal.maximize is None else 2 * attack.plans
            return plan_images(effects, attack.bound, self._original, goal, plans)
        model = Corrected(self._prior, self._original, effects)
        aims = aims_of(goal, model.n_classes)
        originals = np.repeat(self._original[None], len(aims), axis=0)
        images = ascend(model, originals, aims, attack.bound, steps=_PLANNING_STEPS)
        gaps = goal.gap(model.log_scores(images))
        return [images[row] for row in np.argsort(-gaps, kind="stable")[: attack.plans]]

    def _gap_slopes(self, effects: Effects) -> NDArray[np.float64]:
        """Return the slopes of the gap, relative to the strongest rival of the planned images."""
        goal = self._goal
        if goal.maximize is not None:
            return quantity_slopes(effects, goal)
        (planned,) = self._planned(effects)[:1]
        scores = effects.predict((planned - self._original).ravel())
        aimed = goal.label if goal.target_class is None else goal.target_class
        rival = int(np.where(np.arange(len(scores)) == aimed, -np.inf, scores).argmax())
        difference: NDArray[np.float64] = effects.slopes[:, rival] - effects.slopes[:, aimed]
        return difference if goal.target_class is None else -difference

    def _gains(self, effects: Effects) -> NDArray[np.float64]:
        """Return each pixel's largest effect on the goal's class relative to another class."""
        goal = self._goal
        if goal.maximize is not None:
            return np.asarray(np.abs(quantity_slopes(effects, goal)))
        aimed = goal.label if goal.target_class is None else goal.target_class
        differences: NDArray[np.float64] = np.abs(effects.slopes - effects.slopes[:, [aimed]])
        return np.asarray(differences.max(axis=1))

    def _pixels_to_probe(self, gains: NDArray[np.float64]) -> NDArray[np.bool_]:
        attack = self._attack
        return pixels_to_probe(attack.bound, self._original, gains, attack.breadth)

    def _select(self, candidates: list[Candidate], queries: int) -> None:
        """Select one plan by successive halving, then compare it with the best image so far.

        The comparison uses new trials of both images, because the gap of a selected plan is biased
        upward (winner's curse). The best image keeps the trials of its earlier comparisons.
        """
        final = queries // 3
        if self._deterministic:
            self._run_trials(candidates, 1)
            chosen = max(candidates, key=lambda candidate: candidate.gap)
        else:
            chosen = self._trials.halve(candidates, queries - final)
        challenger = Candidate(chosen.image)
        self._run_trials([challenger, self._best], 1 if self._deterministic else max(1, final // 2))
        if challenger.gap >= self._best.gap:
            self._best = challenger
