"""One attack on one image of a deployed network, from the search to the verdict on fresh draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.greedy import GreedyWindow
from neuroattack.attacks.result import Goal, Search, Step, Verification, check_draws, verify
from neuroattack.deployment.deployment import Deployment, Draws, search_stream, verification_stream
from neuroattack.encoding.readout import UNDECIDED
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.experiments.attack_cost import AttackCost, QueryMeter, measure_change
from neuroattack.targets.black_box import BlackBox, Target
from neuroattack.validation import check_whole

__all__ = ["AttackOutcome", "JudgedSearch", "attack_image", "attack_target", "expected_queries"]

MAX_INDEX = 10**9

# What Algorithm 1 mostly takes to a D_max of 22.
_USUAL_ITERATIONS = 20


@dataclass(frozen=True, eq=False)
class JudgedSearch:
    """A search, and what became of its image on draws that it has not seen.

    Parameters
    ----------
    index : int
        Of the image; where the network is deployed here it also picks the attack's draws.
    settings : mapping
        Name and every parameter of the attack, JSON values.
    search : Search
        The search, with the adversarial image.
    success : Verification
        Fresh draws of the adversarial image that reached the goal.
    clean_success : Verification
        As many fresh draws of the original that reached it without any attack.
    """

    index: int
    settings: Mapping[str, Any]
    search: Search
    success: Verification
    clean_success: Verification

    @property
    def verification_queries(self) -> int:
        """Queries spent on the verdict, for the adversarial image and the original."""
        return self.success.draws + self.clean_success.draws

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; an undecided class is None."""
        search = self.search
        return {
            "index": self.index,
            "label": search.goal.label,
            "target_class": search.goal.target_class,
            "settings": dict(self.settings),
            "trace": [
                {
                    "iteration": step.iteration,
                    "predicted": None if step.predicted == UNDECIDED else step.predicted,
                    "shares": list(step.shares),
                    "gap": step.gap,
                    "distance": step.distance,
                    "moved": [list(move) for move in step.moved],
                    "queries": step.queries,
                }
                for step in search.trace
            ],
            "best_iteration": search.best_iteration,
            "distance": search.best.distance,
            "stopped_by": search.stopped_by,
            "success_rate": self.success.rate,
            "success_ci95": list(self.success.ci95),
            "clean_success_rate": self.clean_success.rate,
            "clean_success_ci95": list(self.clean_success.ci95),
            "search_queries": search.queries,
            "verification_queries": self.verification_queries,
        }

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the images, for an npz file beside the JSON."""
        return {"original": self.search.original, "adversarial": self.search.adversarial}


@dataclass(frozen=True, eq=False)
class AttackOutcome(JudgedSearch):
    """What became of an attack on a network that is deployed here.

    Parameters
    ----------
    readout_spikes : SpikeTrains
        Output spikes of one fresh draw of the original and one of the adversarial image, for
        the report: seen by the laboratory, not by the attacker.
    cost : AttackCost
        What queries and adversarial image make the network do: as little seen by the attacker.
    """

    readout_spikes: SpikeTrains
    cost: AttackCost

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON values; an undecided class is None."""
        return super().as_json() | {"cost": self.cost.as_json()}


def expected_queries(attack: GreedyWindow, draws: int, budget: int | None = None) -> int:
    """Return about how many images an attack and its verdict will show, for the backend."""
    iterations = min(attack.max_iterations, _USUAL_ITERATIONS)
    search = iterations * attack.most_queries_an_iteration
    return (search if budget is None else min(search, budget)) + 2 * draws


def attack_image(
    deployment: Deployment,
    attack: GreedyWindow,
    image: ArrayLike,
    goal: Goal,
    *,
    index: int,
    draws: int = 50,
    budget: int | None = None,
    search_draws: Draws = "independent",
    on_step: Callable[[Step], None] | None = None,
) -> AttackOutcome:
    """Attack an image and judge the result on draws that the search has not seen.

    Parameters
    ----------
    deployment : Deployment
        The network where it runs.
    attack : GreedyWindow
        How to search.
    image : float array, shape (height, width)
        The original, intensities in [0, 1].
    goal : Goal
        True class, and target class if there is one.
    index : int
        Of the image: each index has streams of draws of its own.
    draws : int, optional
        Fresh draws of the adversarial image, and as many of the original.
    budget : int, optional
        Queries that the search may spend.
    search_draws : {"independent", "common"}, optional
        Of a batch of the search's queries, as in :meth:`Deployment.black_box`; the draws of the
        verdict are independent always.
    on_step : callable, optional
        Called with every iteration of the search.

    Raises
    ------
    ValidationError
        If the image, window, goal, budget, number of draws or kind of draws does not fit.
    BudgetExceededError
        If the budget does not hold the first iteration.
    """
    check_draws(draws)
    check_whole("image index", index, 0, MAX_INDEX)
    fresh = verification_stream(index, goal.target_class)
    judge = deployment.black_box(fresh)
    meter = QueryMeter(deployment)
    search = attack.run(
        deployment.black_box(
            search_stream(index, goal.target_class), budget, search_draws, observe=meter
        ),
        image,
        goal,
        on_step=on_step,
    )
    success = verify(judge, search.adversarial, goal, draws)
    clean = verify(judge, search.original, goal, draws)
    recording = deployment.record(
        np.stack([search.original, search.adversarial]),
        indices=[2 * draws, 2 * draws + 1],
        stream=fresh,
        record_spikes=True,
    )
    if recording.spikes is None:
        raise RuntimeError(f"backend {deployment.backend!r} kept no spikes though asked to")
    changes = measure_change(
        deployment,
        search.original,
        search.adversarial,
        first_draw=2 * draws + 2,
        draws=draws,
        stream=fresh,
    )
    return AttackOutcome(
        index,
        _settings(attack, budget, search_draws, draws),
        search,
        success,
        clean,
        recording.spikes[deployment.network.readout],
        meter.cost(draws, changes),
    )


def attack_target(
    target: Target,
    attack: GreedyWindow,
    image: ArrayLike,
    goal: Goal,
    *,
    index: int,
    draws: int = 50,
    budget: int | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> JudgedSearch:
    """Attack an image on a target of which nothing is known but its answers.

    Parameters
    ----------
    target : Target
        Answers search and verdict alike, each query with a draw of its own.
    attack, image, goal, index, draws, budget, on_step
        As in :func:`attack_image`.

    Raises
    ------
    ValidationError, BudgetExceededError
        As :func:`attack_image`.
    """
    check_draws(draws)
    check_whole("image index", index, 0, MAX_INDEX)
    box = BlackBox(target.query, target.image_shape, target.n_classes, budget)
    search = attack.run(box, image, goal, on_step=on_step)
    return JudgedSearch(
        index,
        _settings(attack, budget, target.draws, draws),
        search,
        verify(target, search.adversarial, goal, draws),
        verify(target, search.original, goal, draws),
    )


def _settings(
    attack: GreedyWindow, budget: int | None, search_draws: Draws, draws: int
) -> dict[str, Any]:
    return {
        "algorithm": "GreedyWindow",
        **asdict(attack),
        "budget": budget,
        "search_draws": search_draws,
        "draws": draws,
    }
