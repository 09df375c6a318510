"""P-RGF: gradient estimation with random directions biased towards a substitute's gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.gradients.ascent import Aim, ascend, margins
from neuroattack.attacks.gradients.directions import block_directions, normalized, optimal_bias
from neuroattack.attacks.gradients.projection import project
from neuroattack.attacks.planning import best_change
from neuroattack.attacks.protocol import AttackKind, ThreatModel, check_kind, valid_original
from neuroattack.attacks.result import Incumbent, SearchResult
from neuroattack.attacks.search.selection import Candidate, Trials
from neuroattack.attacks.substitutes.opening import (
    Substitutes,
    fitting_substitutes,
    listed,
    threat_model_of,
)
from neuroattack.errors import QueryRefusedError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer, check_number

__all__ = ["PriorGuided"]

_Array = NDArray[np.float64]

# Iterations for which one estimate of the gradient's norm is used, and directions of an estimate;
# both as in the code of the authors.
_NORM_ITERATIONS = 10
_NORM_DIRECTIONS = 10
# Trials of one image, from which the variance of the margin's noise is estimated.
_NOISE_TRIALS = 4
# Small budgets allow fewer directions, so that there are this many iterations.
_ITERATIONS = 3
# Distances below this one are rounding errors.
_LEAST_DISTANCE = 1e-9
# Candidates of the final selection.
_CANDIDATES = 8


@dataclass(frozen=True)
class PriorGuided:
    """P-RGF of Cheng et al. 2019: random gradient-free attack with a transfer-based prior.

    Each iteration estimates the gradient of the margin from its differences along random
    directions, which are biased towards the gradient of a substitute, and takes a normalized
    step of steepest ascent. The bias
    (:func:`~neuroattack.attacks.gradients.directions.optimal_bias`) depends on the estimated cosine
    between the two gradients. Without a substitute this is the unbiased RGF method.

    Parameters
    ----------
    bound : Bound
        Norm bound on the adversarial image.
    queries : int, optional
        Maximum number of queries.
    seed : int, optional
        Random seed of the directions.
    substitutes : str, sequence of str, or Differentiable, optional
        Models of the target from data of the attacker, as in
        :func:`neuroattack.attacks.substitutes.opening.open_substitutes`. RGF without prior by
        default.
    directions : int, optional
        Random directions per gradient estimate, q in the paper, two queries each. Fewer if the
        budget would not allow three iterations.
    sigma : float, optional
        Step of the finite differences: root mean square change of the intensities.
    step : float, optional
        Size of a step, as a fraction of the bound.
    block : int, optional
        Side of the square blocks of pixels that change together in a random direction, in pixels:
        the data-dependent prior of the paper. No effect on vectors.
    selection_fraction : float, optional
        Fraction of the queries used to select the returned image.

    Raises
    ------
    ValidationError
        If a parameter is out of range.

    Notes
    -----
    The paper attacks deterministic networks with differences over 1e-4. Spike counts are random
    integers, so this version differs from it to be as strong as possible on them:

    - Differences are taken over pairs of images, in opposite directions and far apart, so that they
      exceed the noise. Images are clipped to [0, 1]; differences are divided by the distance of the
      clipped images.
    - The variance of the noise, from repeated trials of one image, is subtracted from the squared
      differences that estimate the norm of the gradient.
    - The blocks have random offsets, new for each direction.
    - Under ``l0``, pixels are set to 0 or 1 by the sum of the gradient estimates so far.
    - The last iterates and the image that maximizes the margin of the substitute (PGD, no queries)
      are compared by successive halving on repeated trials; the paper stops at the first trial
      that reaches the goal.

    Other attacks that combine substitutes and queries have further requirements: the subspace
    attack (Guo et al. 2019) needs several substitutes, from which it draws directions, and dropout
    in them; TREMBA (Huang and Zhang 2020) needs a generator trained on the substitutes.

    References
    ----------
    S. Cheng, Y. Dong, T. Pang, H. Su, J. Zhu, "Improving Black-box Adversarial Attacks with a
    Transfer-based Prior", NeurIPS 2019 (arXiv 1906.06919).
    """

    bound: Bound
    queries: int = 2000
    seed: int = 0
    substitutes: Substitutes | None = None
    directions: int = 60
    sigma: float = 0.15
    step: float = 0.5
    block: int = 4
    selection_fraction: float = 0.2

    def __post_init__(self) -> None:
        check_integer("queries of an attack", self.queries, 1)
        check_integer("seed", self.seed, 0)
        check_integer("directions", self.directions, 1)
        check_integer("block", self.block, 1)
        check_number("sigma", self.sigma, "(0, 1]")
        check_number("step", self.step, "(0, 1]")
        check_number("selection_fraction", self.selection_fraction, "(0, 1]")
        object.__setattr__(self, "substitutes", listed(self.substitutes))

    @property
    def name(self) -> str:
        """``"p-rgf"``."""
        return "p-rgf"

    @property
    def kind(self) -> AttackKind:
        """``"score"``."""
        return "score"

    @property
    def threat_model(self) -> ThreatModel:
        """``"no data"``, or that of the substitutes."""
        return threat_model_of(self.substitutes)

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image; see :meth:`neuroattack.attacks.protocol.Attack.run`."""
        check_kind(self, target)
        original = valid_original(target, image, goal, self.bound)
        return _Search(self, target, original, goal).run()


class _Search:
    """State of one search."""

    def __init__(self, attack: PriorGuided, target: Target, original: _Array, goal: Goal) -> None:
        self._attack = attack
        self._original = original
        self._goal = goal
        self._rng = np.random.default_rng(attack.seed)
        self._model = fitting_substitutes(attack.substitutes, target)
        self._trials = Trials(target, goal, attack.queries)
        self._usable = self._trials.left - round(self._trials.left * attack.selection_fraction)
        self._energy = 0.0

    @property
    def _left(self) -> int:
        """Number of queries left, except those of the selection."""
        return self._usable - self._trials.spent

    def run(self) -> SearchResult:
        """Return the selected image."""
        iterates = [self._original]
        candidates = []
        if self._model is not None:
            aim, bound = Aim(self._goal), self._attack.bound
            image = ascend(self._model, self._original[None], [aim], bound)[0]
            candidates.append(Candidate(image))
        stopped_by = "budget"
        try:
            self._ascend(iterates)
        except QueryRefusedError:
            stopped_by = "refused"
        last = iterates[1:][len(candidates) - _CANDIDATES :]
        candidates += [Candidate(image) for image in last]
        best = candidates[-1] if candidates else Candidate(self._original)
        if candidates and stopped_by != "refused":
            try:
                best = self._trials.halve(candidates, self._trials.left)
            except QueryRefusedError:
                stopped_by = "refused"
        spent = self._trials.spent
        history = (Incumbent(self._original, -np.inf, 0), Incumbent(best.image, best.gap, spent))
        return SearchResult(self._original, best.image, self._goal, spent, stopped_by, history)

    def _ascend(self, iterates: list[_Array]) -> None:
        """Append iterates until the queries are spent, except those of the selection."""
        attack, bound = self._attack, self._attack.bound
        directions = max(1, min(attack.directions, self._usable // (2 * _ITERATIONS)))
        total = np.zeros_like(self._original)
        iteration = 0
        while self._left >= 2:
            image = iterates[-1]
            gradient = self._gradient(image, directions, iteration)
            if gradient is None:
                return
            iteration += 1
            if bound.norm == "l0":
                # A step part of the way would leave the pixels gray.
                total += gradient
                change = best_change(bound, self._original, total.ravel())
                moved = self._original + change.reshape(image.shape)
            else:
                change = best_change(bound, image, gradient.ravel())
                moved = image + attack.step * change.reshape(image.shape)
            iterates.append(project(bound, self._original[None], moved[None])[0])

    def _gradient(self, image: _Array, directions: int, iteration: int) -> _Array | None:
        """Return a normalized estimate of the margin's gradient; None if no queries are left."""
        prior = self._prior(image)
        bias = 0.0
        if prior is not None:
            if iteration % _NORM_ITERATIONS == 0:
                self._energy = self._norm_energy(image, prior, directions)
            if self._left < 2:
                return None
            slope = float(self._differences(image, prior[None])[0][0])
            if slope < 0:
                prior = -prior
            ratio = slope**2 / self._energy if self._energy > 0 else np.inf
            bias = optimal_bias(ratio, self._dimensions, directions)
            if bias == 1:
                return prior
        directions = min(directions, self._left // 2)
        if directions < 1:
            return None
        random = self._directions(directions, prior)
        if prior is not None:
            random = np.sqrt(bias) * prior + np.sqrt(1 - bias) * random
        slopes, moved, _ = self._differences(image, random)
        return np.asarray(normalized(np.tensordot(slopes, moved, 1)[None])[0])

    def _prior(self, image: _Array) -> _Array | None:
        """Return the normalized gradient of the substitute's margin; None if it is 0."""
        if self._model is None:
            return None
        scores, pullback = self._model.linearize(image[None])
        gradient = pullback(margins(scores, [Aim(self._goal)])[1])
        return np.asarray(normalized(gradient)[0]) if gradient.any() else None

    def _norm_energy(self, image: _Array, prior: _Array, directions: int) -> float:
        """Estimate the squared norm of the gradient's projection on the random directions."""
        available = self._left // 2
        count = min(_NORM_DIRECTIONS, directions, available // 4)
        if count < 1:
            return np.inf
        slopes, _, lengths = self._differences(image, self._directions(count, prior))
        trials = min(_NOISE_TRIALS, self._left)
        noise = 0.0
        if trials > 1:
            gaps = self._gaps(np.broadcast_to(image, (trials, *image.shape)))
            noise = 2 * float(gaps.var(ddof=1) * np.mean(lengths**-2.0))
        return self._dimensions * max(float((slopes**2).mean()) - noise, 0.0)

    @property
    def _radius(self) -> float:
        """Distance of a step of the finite differences, before clipping."""
        return self._attack.sigma * float(np.sqrt(self._original.size))

    @property
    def _dimensions(self) -> int:
        """Number of blocks."""
        if self._original.ndim < 2:
            return self._original.size
        *channels, height, width = self._original.shape
        block = self._attack.block
        blocks: int = -(-height // block) * -(-width // block)
        return math.prod(channels) * blocks

    def _directions(self, count: int, prior: _Array | None) -> _Array:
        """Return random unit vectors, orthogonal to the prior."""
        random = block_directions(self._original.shape, self._attack.block, count, self._rng)
        if prior is not None:
            random -= np.tensordot(random, prior, prior.ndim).reshape(-1, *[1] * prior.ndim) * prior
        return normalized(random)

    def _differences(self, image: _Array, directions: _Array) -> tuple[_Array, _Array, _Array]:
        """Return the slopes of the margin along directions, these after clipping, and distances."""
        up = np.clip(image + self._radius * directions, 0.0, 1.0)
        down = np.clip(image - self._radius * directions, 0.0, 1.0)
        gaps = self._gaps(np.concatenate([up, down])).reshape(2, -1)
        moved = up - down
        lengths = np.sqrt((moved.reshape(len(moved), -1) ** 2).sum(axis=1))
        lengths = np.maximum(lengths, _LEAST_DISTANCE)
        slopes = np.where(lengths > _LEAST_DISTANCE, (gaps[0] - gaps[1]) / lengths, 0.0)
        return slopes, normalized(moved), lengths

    def _gaps(self, images: _Array) -> _Array:
        return self._goal.gap(self._trials.query(images).astype(np.float64))
