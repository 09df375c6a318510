"""White-box attack: gradient ascent on a model of the attacked network itself.

A reference for black-box attacks, not one of them: the attacker has the deployed network, computes
gradients, and simulates it without limit. It estimates how vulnerable the network is, and bounds
what a query-limited attack can be expected to reach.

1. Maximize the margin on a differentiable model of the network by projected gradient ascent, from
   the clean image and from random images within the bound, one image per aim: the goal itself, and
   for untargeted goals every rival class.
2. Select one image by successive halving on simulations of the deployed network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.gradients.ascent import aims_of, ascend
from neuroattack.attacks.gradients.differentiable import Differentiable
from neuroattack.attacks.gradients.projection import project
from neuroattack.attacks.protocol import AttackKind, check_kind, valid_original
from neuroattack.attacks.reference.siegert import SiegertModel
from neuroattack.attacks.reference.spike_costs import spike_costs
from neuroattack.attacks.result import Incumbent, SearchResult
from neuroattack.deployment.deployment import EVALUATION_STREAM, Deployment
from neuroattack.deployment.meters import Meter
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer

__all__ = ["ModelName", "WhiteBox"]

ModelName = Literal["auto", "siegert", "twin"]
"""Differentiable model: Siegert rates, a spiking twin in PyTorch, or the first that fits."""

Images = NDArray[np.float64]

_OPENING_TRIALS = 8


@dataclass(frozen=True)
class WhiteBox:
    """White-box reference attack.

    Parameters
    ----------
    bound : Bound
        Norm bound on the adversarial image.
    seed : int, optional
        Random seed of the starts and of the attacker's own simulations.
    model : {"auto", "siegert", "twin"}, optional
        Differentiable model of the network:
        :class:`~neuroattack.attacks.reference.siegert.SiegertModel`, or
        :class:`~neuroattack.attacks.reference.twin.Twin`, which needs PyTorch. By default the
        Siegert model if it describes the network, otherwise the twin.
    steps : int, optional
        Number of gradient steps.
    restarts : int, optional
        Number of random starts per aim, in addition to the clean image.
    trials : int, optional
        Number of simulations of each of the last two candidates.

    Raises
    ------
    ValidationError, UnknownNameError
        If a parameter is out of range.
    """

    bound: Bound
    seed: int = 0
    model: ModelName = "auto"
    steps: int = 100
    restarts: int = 0
    trials: int = 128

    def __post_init__(self) -> None:
        check_integer("seed", self.seed, 0)
        check_integer("steps of an attack", self.steps, 1, 100_000)
        check_integer("restarts", self.restarts, 0, 1_000)
        check_integer("trials of the selection", self.trials, 1, 100_000)
        if self.model not in get_args(ModelName):
            raise UnknownNameError("model", str(self.model), get_args(ModelName))

    @property
    def supports_events(self) -> bool:
        """True: bounds may be on events."""
        return True

    @property
    def name(self) -> str:
        """``"white-box"``."""
        return "white-box"

    @property
    def kind(self) -> AttackKind:
        """``"gradients"``: it needs the network, and queries no target."""
        return "gradients"

    def run(self, target: Target, image: ArrayLike, goal: Goal) -> SearchResult:
        """Raise UnsupportedFeatureError: a black box gives no access to its network."""
        del image, goal
        check_kind(self, target)
        raise NotImplementedError  # check_kind refuses every target

    def run_on(self, deployment: Deployment, image: ArrayLike, goal: Goal) -> SearchResult:
        """Search for an adversarial image of a deployed network.

        Parameters
        ----------
        deployment : Deployment
            Attacked network and its simulator.
        image : float array of the network's image shape
            Clean image, intensities in [0, 1].
        goal : Goal
            True class and optional target class.

        Returns
        -------
        SearchResult
            With 0 queries: simulations by the attacker are not counted. Their random numbers are
            independent of those of verifications.

        Raises
        ------
        ValidationError
            If the image, the goal or the bound does not fit the network.
        UnsupportedFeatureError
            If no differentiable model describes the network.
        BackendUnavailableError
            If the model is a twin and PyTorch is not installed.
        """
        meter = None if goal.meter is None else Meter(goal.meter)
        box = deployment.black_box(EVALUATION_STREAM, meter=meter)
        original = valid_original(box, image, goal, self.bound, any_goal=True)
        # Verifications use other streams, whatever the seeds.
        own = replace(deployment, seed=self.seed)
        candidates = np.concatenate([self._candidates(own, original, goal), original[None]])
        best, gap, reached = self._select(own, candidates, goal)
        history = (Incumbent(original, -np.inf, 0), Incumbent(best, gap, 0))
        return SearchResult(original, best, goal, 0, "reached" if reached else "ended", history)

    def _candidates(self, deployment: Deployment, original: Images, goal: Goal) -> Images:
        """Return one image per aim and start, shape (images, ...)."""
        if goal.maximize == "latency":
            # The time to decision has no gradient; a smaller margin is reached later.
            goal = replace(goal, maximize="uncertainty")
        model = self._model(deployment, original, goal)
        aims = aims_of(goal, model.n_classes) * (1 + self.restarts)
        originals = np.repeat(original[None], len(aims), axis=0)
        starts = originals.copy()
        moved = slice(len(aims) // (1 + self.restarts), None)
        noise = np.random.default_rng(self.seed).normal(size=starts[moved].shape)
        if len(noise):
            starts[moved] = project(self.bound, originals[moved], originals[moved] + noise)
        return ascend(model, originals, aims, self.bound, steps=self.steps, starts=starts)

    def _model(self, deployment: Deployment, original: Images, goal: Goal) -> Differentiable:
        from neuroattack.attacks.reference.twin import SMOOTHING_TRIALS, Twin

        network, steps = deployment.network, deployment.steps
        costs = None
        if goal.meter is not None:
            costs = spike_costs(deployment, goal.meter, original)
        if self.model != "twin":
            try:
                return SiegertModel(network, steps, spike_costs=costs)
            except UnsupportedFeatureError:
                if self.model == "siegert":
                    raise
        # Without randomness, all trials are equal.
        trials = SMOOTHING_TRIALS if deployment.is_random else 1
        return Twin(network, steps, trials=trials, seed=self.seed, spike_costs=costs)

    def _select(
        self, deployment: Deployment, candidates: Images, goal: Goal
    ) -> tuple[Images, float, bool]:
        """Return the candidate with the highest success rate, its mean gap, and if it is certain.

        Successive halving; all candidates of a stage see the same random numbers.
        """
        left = np.arange(len(candidates))
        successes, gaps = np.zeros(len(left)), np.zeros(len(left))
        ran = 0
        trials = min(_OPENING_TRIALS, self.trials)
        while True:
            scores = deployment.respond(
                np.tile(candidates[left], (trials, *[1] * (candidates.ndim - 1))),
                indices=np.repeat(np.arange(ran, ran + trials), len(left)),
                stream=EVALUATION_STREAM,
                meter=None if goal.meter is None else Meter(goal.meter),
            )
            shape = (trials, len(left))
            successes[left] += goal.reached(scores).reshape(shape).sum(axis=0)
            gaps[left] += goal.gap(scores.astype(np.float64)).reshape(shape).sum(axis=0)
            ran += trials
            # The mean gap separates candidates of equal success. With a quantity, it counts alone:
            # the clean image always keeps its class.
            first = -gaps[left] if goal.maximize else -successes[left]
            left = left[np.lexsort((-gaps[left], first))]
            if ran >= self.trials or not deployment.is_random or len(left) == 1:
                break
            left = left[: max(2, -(-len(left) // 2))]
            trials = min(ran, self.trials - ran)
        best = left[0]
        return candidates[best], float(gaps[best] / ran), bool(successes[best] == ran)
