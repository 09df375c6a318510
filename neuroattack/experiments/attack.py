"""Attack images and verify the results on fresh trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.attacks.bounds import Bound
from neuroattack.attacks.distances import measure_distances
from neuroattack.attacks.goals import Goal
from neuroattack.attacks.protocol import Attack, threat_model, valid_original
from neuroattack.attacks.reference.protocol import needs_network
from neuroattack.attacks.result import SearchResult, Verification, check_trials, verify
from neuroattack.deployment.deployment import Deployment, search_stream, verification_stream
from neuroattack.deployment.opening import OpenDeployment, OpenTarget
from neuroattack.encoding.readout import UNDECIDED
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import (
    BudgetExceededError,
    SimulationError,
    UnsupportedFeatureError,
    ValidationError,
)
from neuroattack.experiments.attack_cost import (
    AttackCost,
    QueryMeter,
    increases,
    measure_change,
)
from neuroattack.experiments.seeds import attack_seed
from neuroattack.statistics import median_interval, wilson_interval
from neuroattack.targets.black_box import Randomness, Target
from neuroattack.targets.defenses import TargetWrapper
from neuroattack.validation import check_integer

__all__ = ["AttackResult", "AttackedImage", "attack_and_verify", "attack_images"]

MAX_INDEX = 10**9


@dataclass(frozen=True, eq=False)
class AttackedImage:
    """Search result for one image, and its success rate on fresh trials.

    Parameters
    ----------
    index : int
        Index of the image; with the target class it selects the random streams.
    search : SearchResult
        Result of the search, with clean and adversarial image.
    success : Verification
        Success of the adversarial image on fresh trials.
    clean : Verification
        The same for the clean image, on as many fresh trials.
    cost : AttackCost or None
        Cost of the queries and of the adversarial image to the network, if it is simulated here;
        not visible to the attacker.
    readout_spikes : SpikeTrains or None
        Output spikes of one fresh trial of the clean and one of the adversarial image, if the
        network is simulated here and its output are spikes.
    is_of_events : bool
        Whether the bound of the attack is on events, so that distances are too.
    """

    index: int
    search: SearchResult
    success: Verification
    clean: Verification
    cost: AttackCost | None = None
    readout_spikes: SpikeTrains | None = None
    is_of_events: bool = False
    distances: dict[str, float | None] = field(init=False)

    def __post_init__(self) -> None:
        distances = measure_distances(
            self.search.original, self.search.adversarial, are_events=self.is_of_events
        )
        object.__setattr__(self, "distances", distances)

    @property
    def clean_error_rate(self) -> float:
        """Fraction of the trials of the clean image that reach the goal without an attack.

        With a quantity as the goal: fraction in which the true class is not predicted.
        """
        return self.clean.rate if self.search.goal.maximize is None else 1 - self.clean.rate

    @property
    def increases(self) -> dict[str, float]:
        """Relative increase of each quantity; empty if the network is not simulated here."""
        return {} if self.cost is None else increases(self.cost.changes)

    @property
    def verification_queries(self) -> int:
        """Total number of trials of the adversarial and the clean image."""
        return self.success.trials + self.clean.trials

    def as_json(self, norm: str | None) -> dict[str, Any]:
        """Return the figures as JSON values.

        `distance` is in this norm; without one, it is D for Algorithm 1 and L2 otherwise.
        """
        distance = self.distances[norm or "l2"]
        if norm is None and self.search.trace:
            distance = max(self.search.trace, key=lambda step: step.gap).distance
        figures: dict[str, Any] = {
            "index": self.index,
            "label": self.search.goal.label,
            "target_class": self.search.goal.target_class,
            "maximize": self.search.goal.maximize,
            "predicted_clean": _class(self.clean.predicted),
            "predicted": _class(self.success.predicted),
            "success_rate": self.success.rate,
            "success_ci95": list(self.success.ci95),
            "clean_error_rate": self.clean_error_rate,
            "distance": distance,
            "distances": self.distances,
            "search_queries": self.search.queries,
            "verification_queries": self.verification_queries,
            "stopped_by": self.search.stopped_by,
        }
        if self.search.trace:
            figures["trace"] = [step.as_json() for step in self.search.trace]
        if self.cost is not None:
            figures["increases"] = self.increases
            figures["cost"] = self.cost.as_json()
        return figures


@dataclass(frozen=True, eq=False)
class AttackResult:
    """An attack on several images, verified on fresh trials.

    Parameters
    ----------
    attack : Attack
        Attack as configured; each image is attacked with another seed.
    images : tuple of AttackedImage
        Results in the order of the images.
    """

    attack: Attack
    images: tuple[AttackedImage, ...]

    @property
    def success_rate(self) -> float:
        """Fraction of fresh trials of the adversarial images that reach their goals."""
        return float(np.mean([each.success.rate for each in self.images]))

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % Wilson interval of the success rate over images."""
        return wilson_interval(sum(each.success.rate for each in self.images), len(self.images))

    @property
    def clean_error_rate(self) -> float:
        """Mean of :attr:`AttackedImage.clean_error_rate`."""
        return float(np.mean([each.clean_error_rate for each in self.images]))

    @property
    def increases(self) -> dict[str, dict[str, Any]]:
        """Median relative increase of each quantity over images, with its 95 % interval."""
        names = self.images[0].increases
        values = {
            name: [each.increases[name] for each in self.images if name in each.increases]
            for name in names
        }
        return {
            name: {"median": median(found), "ci95": median_interval(found)}
            for name, found in values.items()
        }

    @property
    def is_of_events(self) -> bool:
        """Whether the images are event samples."""
        return all(each.is_of_events for each in self.images)

    @property
    def adversarial(self) -> NDArray[np.float64]:
        """Adversarial images, shape (images, ...)."""
        return np.array([each.search.adversarial for each in self.images])

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        bound: Bound | None = getattr(self.attack, "bound", None)
        norm = None if bound is None else bound.norm
        return {
            "attack": self.attack.name,
            "threat_model": threat_model(self.attack),
            "norm": norm,
            "bound": None if bound is None else bound.maximum,
            "bound_options": {} if bound is None else bound.options,
            "queries": getattr(self.attack, "queries", None),
            "settings": _settings(self.attack),
            "images": [each.as_json(norm) for each in self.images],
            "success_rate": self.success_rate,
            "success_ci95": list(self.ci95),
            "clean_error_rate": self.clean_error_rate,
            "goal": self.images[0].search.goal.kind,
            "increases": self.increases,
        }


def _settings(attack: Attack) -> dict[str, Any]:
    """Return the parameters of an attack except bound, queries and seed, as JSON values."""
    if not is_dataclass(attack):
        return {}
    values: dict[str, Any] = _plain(attack)
    return {k: v for k, v in values.items() if k not in ("bound", "queries", "seed")}


def _plain(value: Any) -> Any:
    """Return a JSON value; of an array, a model or another object, the name of its class."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return type(value).__name__


def _class(predicted: int) -> int | None:
    return None if predicted == UNDECIDED else predicted


class _QueryReporter(TargetWrapper):
    """Target that reports the number of queries after each batch."""

    def __init__(self, target: Any, on_query: Callable[[int], None]) -> None:
        super().__init__(target)
        self._before = target.queries
        self._on_query = on_query

    def query(self, images: ArrayLike) -> NDArray[np.int32]:
        counts = super().query(images)
        self._on_query(self.queries - self._before)
        return counts


def attack_and_verify(
    boxes: OpenTarget,
    attack: Attack,
    image: ArrayLike,
    goal: Goal,
    *,
    index: int,
    trials: int = 50,
    budget: int | None = None,
    search_randomness: Randomness = "independent",
    deployment: Deployment | None = None,
    on_query: Callable[[int], None] | None = None,
) -> AttackedImage:
    """Attack an image, and verify the result on fresh trials.

    Parameters
    ----------
    boxes : OpenTarget
        Function that returns a black box for a random stream. The search and the verification use
        different streams.
    attack : Attack
        Attack to run.
    image : float array of the target's image shape
        Clean image, intensities in [0, 1].
    goal : Goal
        True class and optional target class.
    index : int
        Index of the image; each index and target class has its own random streams.
    trials : int, optional
        Number of fresh trials of the adversarial image, and as many of the clean image.
    budget : int, optional
        Maximum number of queries of the search.
    search_randomness : {"independent", "shared"}, optional
        Randomness within a batch of the search; the verification always uses independent trials.
    deployment : Deployment, optional
        Deployment behind the black boxes, which only white-box attacks receive.
    on_query : callable, optional
        Called with the number of queries spent by the search.

    Returns
    -------
    AttackedImage
        Result; the adversarial image is the clean image if the budget is too small for the attack.

    Raises
    ------
    ValidationError
        If the image, goal, budget or number of trials is invalid.
    UnsupportedFeatureError
        If the attack is score-based and the target returns labels, or it is a white-box attack and
        there is no deployment.
    """
    check_trials(trials)
    check_integer("image index", index, 0, MAX_INDEX)
    if (
        goal.maximize == "output-spikes"
        and deployment is not None
        and deployment.network.readout_quantity != "spike_count"
    ):
        raise UnsupportedFeatureError(
            "goal 'output-spikes': got a potential as the output, expected spike counts"
        )
    if deployment is not None and needs_network(attack):
        result = attack.run_on(deployment, image, goal)
    else:
        result = _search(
            boxes(search_stream(index, goal.target_class), budget, search_randomness),
            attack,
            image,
            goal,
            on_query,
        )
    verifier = boxes(verification_stream(index, goal.target_class))
    success = verify(verifier, result.adversarial, goal, trials)
    clean = verify(verifier, result.original, goal, trials)
    bound: Bound | None = getattr(attack, "bound", None)
    of_events = bound is not None and bound.is_of_events
    return AttackedImage(index, result, success, clean, is_of_events=of_events)


def _search(
    target: Target,
    attack: Attack,
    image: ArrayLike,
    goal: Goal,
    on_query: Callable[[int], None] | None,
) -> SearchResult:
    before = target.queries
    if on_query is not None:
        target = _QueryReporter(target, on_query)
    try:
        return attack.run(target, image, goal)
    except BudgetExceededError:
        original = valid_original(target, image, goal)
        return SearchResult(original, original, goal, target.queries - before, "budget")


def attack_images(
    boxes: OpenTarget,
    attack: Attack,
    images: Sequence[ArrayLike],
    goals: Sequence[Goal],
    *,
    indices: Sequence[int],
    seed: int = 0,
    trials: int = 50,
    search_randomness: Randomness = "independent",
    costs: OpenDeployment | None = None,
    deployment: Deployment | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> AttackResult:
    """Attack images one after the other, and verify each.

    Parameters
    ----------
    boxes : OpenTarget
        Function that returns a black box for a random stream.
    attack : Attack
        Attack to run; its random seed is derived from `seed` and the image index.
    images : sequence of float arrays of the target's image shape
        Clean images.
    goals : sequence of Goal
        One per image.
    indices : sequence of int
        Indices of the images; each index has its own random streams.
    seed : int, optional
        Random seed.
    trials : int, optional
        Number of fresh trials per adversarial image, and as many per clean image.
    search_randomness : {"independent", "shared"}, optional
        Randomness within a batch of the search, as in :func:`attack_and_verify`.
    costs : OpenDeployment, optional
        Attacked deployment; if the network is simulated here, its spikes, operations and energy
        under attack are measured.
    deployment : Deployment, optional
        Deployment behind the black boxes, which only white-box attacks receive; by default that of
        `costs`.
    on_progress : callable, optional
        Called with the completed fraction and a status text.

    Raises
    ------
    ValidationError
        If there is no image, or an image does not fit.
    NeuroattackError
        Errors of the attack or the target.
    """
    if not len(images):
        raise ValidationError("images to attack", 0, "at least one")
    budget = getattr(attack, "queries", None)
    attacked = []
    for number, (image, goal, index) in enumerate(zip(images, goals, indices, strict=True)):

        def report(queries: int, number: int = number) -> None:
            if on_progress:
                within = min(queries / budget, 1.0) if budget else 0.0
                status = f"image {number + 1} of {len(images)}, {queries:,} queries"
                on_progress((number + within) / len(images), status)

        seeded = attack
        if is_dataclass(attack) and hasattr(attack, "seed"):
            seeded = replace(attack, seed=attack_seed(seed, index))
        metered = None if costs is None else costs.deployment
        meter = None if metered is None else QueryMeter(metered)
        each = attack_and_verify(
            boxes if costs is None or meter is None else _metered(costs, meter),
            seeded,
            image,
            goal,
            index=index,
            trials=trials,
            budget=budget,
            search_randomness=search_randomness,
            deployment=metered if deployment is None else deployment,
            on_query=report,
        )
        if costs is not None and metered is not None and meter is not None:
            first = 2 * trials * costs.spec.trials_per_query
            each = _with_costs(each, metered, meter, trials, first)
        attacked.append(each)
    if on_progress:
        on_progress(1.0, f"{len(images)} images")
    return AttackResult(attack, tuple(attacked))


def _metered(opened: OpenDeployment, meter: QueryMeter) -> OpenTarget:
    """Return black boxes of a deployment, the first of which (the search's) is metered."""
    searched = False

    def boxes(
        stream: int, budget: int | None = None, randomness: Randomness = "independent"
    ) -> Target:
        nonlocal searched
        if searched or opened.deployment is None:
            return opened(stream, budget, randomness)
        searched = True
        trials = None if budget is None else budget * opened.spec.trials_per_query
        return opened.spec.wrap(
            opened.deployment.black_box(
                stream, trials, randomness, observe=meter, meter=opened.spec.reading
            )
        )

    return boxes


def _with_costs(
    attacked: AttackedImage, deployment: Deployment, meter: QueryMeter, trials: int, first: int
) -> AttackedImage:
    """Measure the cost of both images in trials from `first` on, after the verification."""
    search, goal = attacked.search, attacked.search.goal
    stream = verification_stream(attacked.index, goal.target_class)
    recording = deployment.record(
        np.stack([search.original, search.adversarial]),
        indices=[first, first + 1],
        stream=stream,
        record_spikes=True,
    )
    if recording.spikes is None:
        raise SimulationError(f"backend {deployment.backend!r} recorded no spikes")
    changes = measure_change(
        deployment,
        search.original,
        search.adversarial,
        first_trial=first + 2,
        trials=trials,
        stream=stream,
        goal=goal,
    )
    return replace(
        attacked,
        cost=meter.cost(trials, changes),
        readout_spikes=recording.spikes[deployment.network.readout]
        if recording.potentials is None
        else None,
    )
