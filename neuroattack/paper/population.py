"""Beyond the paper's one image: the attack on many images, and the noise of the answers."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import NeuroattackError, ValidationError
from neuroattack.experiments.engine.cells import Cell
from neuroattack.paper.cells import ImageGoals
from neuroattack.paper.networks import DNN, FINE_TUNED, SDBN, Attacked
from neuroattack.paper.published import ATTACK_CASES
from neuroattack.paper.settings import SOURCE, TARGET, PaperRun, Study
from neuroattack.statistics import mean_interval, newcombe_interval, wilson_interval

__all__ = ["CASES", "PAIR", "RANDOM", "Group", "attack_groups", "compare_groups", "population"]
__all__ += ["population_groups", "quantiles", "random_image_goals", "sampling"]

PAIR, RANDOM = "five-three", "random"
"""Source and target classes of a group: "five" to "three", or all classes to random others."""

CASES = {**ATTACK_CASES, "N=11": 11}
"""Side of the window in each case, the paper's and a wider one."""

MAX_ITERATIONS = 60
"""Of an attack: on noisy answers it may move pixels up and down for ever."""

SWEEP_CASE = "II"
STEPS = (50, 100, 200, 500, 1000)
REPEATS = 4

# So that workers share a group, and little is lost when one is killed.
_IMAGES_A_CELL = 20

_FOUR = (SDBN, DNN, f"{SDBN}-exact", f"{DNN}-sampled")
# Networks, cases and pairs of classes that are attacked.
_PLANS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (_FOUR, tuple(ATTACK_CASES), (PAIR, RANDOM)),
    (_FOUR, ("N=11",), (PAIR,)),
    ((FINE_TUNED, f"{FINE_TUNED}-exact"), (SWEEP_CASE,), (PAIR,)),
)

_QUESTIONS = (
    (SDBN, DNN, "as the paper compares them: spike counts against probabilities"),
    (f"{SDBN}-exact", DNN, "without noise in either answer: the networks themselves"),
    (SDBN, f"{DNN}-sampled", "with the noise of as many spikes in both answers"),
    (SDBN, f"{SDBN}-exact", "what spikes take from the attack on the SDBN"),
    (f"{DNN}-sampled", DNN, "what as many spikes would take from the attack on the DNN"),
    (FINE_TUNED, DNN, "the SDBN that converts without loss, against the DNN"),
)

_WANTED = ("targeted", "untargeted")
_STOPS = ("distance", "iterations", "no candidates")
_QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


@dataclass(frozen=True)
class Group:
    """One attack on many images of one network.

    Network, case (window) and pairs (source and target classes) are named as in the results.
    `attacks` are results of :func:`neuroattack.paper.cells.attack_images`, one per image, each with
    the ``file`` and ``row`` of its adversarial image.
    """

    network: str
    attacked: Attacked
    case: str
    pairs: str
    image_goals: ImageGoals
    attacks: Sequence[Mapping[str, Any]] = ()

    @property
    def steps(self) -> int | None:
        """Time steps T; None without spikes."""
        return self.attacked.steps if self.attacked.answer == "spikes" else None

    def rates(self, what: str) -> NDArray[np.float64]:
        """Return the success rate of each image: ``"targeted"`` or ``"untargeted"``."""
        return np.array([attack[what] / attack["trials"] for attack in self.attacks])

    def clean_rates(self, what: str) -> NDArray[np.float64]:
        """Return the same rate of each clean image."""
        return np.array([one["clean"][what] / one["clean"]["trials"] for one in self.attacks])

    def gains(self, what: str) -> NDArray[np.float64]:
        """Return the rate of each image less that of the clean one: the effect of the attack."""
        return self.rates(what) - self.clean_rates(what)

    @property
    def histories(self) -> list[NDArray[np.float64]]:
        """P(target) at every iteration of the search on each image."""
        return [np.array(one["spike_fractions"])[:, one["target_class"]] for one in self.attacks]

    @property
    def fallen_fraction(self) -> float:
        """Fraction of all iterations in which P(target) fell."""
        steps = np.concatenate([np.diff(history) for history in self.histories])
        return float((steps < 0).mean()) if len(steps) else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the group as JSON values.

        The trials of an image are not independent, so intervals are over images: Wilson's of
        success, in which an image counts as one trial, and Student's of the gain. Where all images
        gain alike and Student's has no width, it is Wilson's less the rate of the clean images.
        """
        attacks, images = self.attacks, len(self.attacks)
        found: dict[str, Any] = {"network": self.network, "case": self.case, "pairs": self.pairs}
        found |= {"steps": self.steps, "repeats": self.attacked.repeats, "images": images}
        for what in _WANTED:
            rates, gains = self.rates(what), self.gains(what)
            clean = float(self.clean_rates(what).mean())
            wilson = wilson_interval(float(rates.sum()), images)
            found |= {
                f"{what}_success": float(rates.mean()),
                f"{what}_ci95": list(wilson),
                f"{what}_mostly": int((rates > 0.5).sum()),
                f"clean_{what}": clean,
                f"{what}_gain": float(gains.mean()),
                f"{what}_gain_ci95": _over_images(gains, wilson, clean),
            }
        stops = {stop: sum(one["stopped_by"] == stop for one in attacks) for stop in _STOPS}
        spikes = [one["clean"]["spikes"] for one in attacks]
        lucky = sum(a["predicted"][a["best_iteration"]] == a["target_class"] for a in attacks)
        return found | {
            "lucky_success": lucky / images,
            "best_p_target": quantiles([history.max() for history in self.histories]),
            "mean_p_target": quantiles(
                [a["mean_spike_fractions"][a["target_class"]] for a in attacks]
            ),
            "median_queries": statistics.median(one["queries"] for one in attacks),
            "median_iterations": statistics.median(
                len(one["spike_fractions"]) - 1 for one in attacks
            ),
            "median_distance": statistics.median(one["distance"] for one in attacks),
            "non_monotonic_fraction": self.fallen_fraction,
            "stopped_by": stops,
            "capped_fraction": stops["iterations"] / images,
            "clean_spikes": None if None in spikes else statistics.fmean(spikes),
        }


def quantiles(values: ArrayLike) -> dict[str, float]:
    """Return five quantiles by their names in the results."""
    found = np.quantile(np.asarray(values, np.float64), list(_QUANTILES.values()))
    return dict(zip(_QUANTILES, found.tolist(), strict=True))


def _over_images(
    values: NDArray[np.float64], otherwise: tuple[float, float], less: float
) -> list[float]:
    """Return the interval of a mean over images, or where they are all equal another, moved."""
    # Means may be equal but for rounding.
    interval = mean_interval(values.tolist()) if np.ptp(values) > 1e-9 else None
    return list(interval or (end - less for end in otherwise))


def compare_groups(question: str, first: Group, second: Group) -> dict[str, Any]:
    """Return how much more the attack achieves on one network than on another, as JSON values.

    The difference of gains, ``*_gain_difference``, is paired by image, with Student's interval, or
    where that has no width with Newcombe's less the difference of the clean images. The difference
    of success, ``*_difference``, has Newcombe's, which treats the groups as independent though the
    images are the same: it errs towards too wide.
    """
    image_goals = [
        [(one["index"], one["target_class"]) for one in g.attacks] for g in (first, second)
    ]
    if image_goals[0] != image_goals[1]:
        raise ValidationError(
            f"group of {second.network!r}", "other images or targets", f"those of {first.network!r}"
        )
    images = len(first.attacks)
    found: dict[str, Any] = {"question": question, "first": first.network, "second": second.network}
    found |= {"case": first.case, "pairs": first.pairs, "images": images}
    for what in _WANTED:
        rates = first.rates(what), second.rates(what)
        gains = first.gains(what) - second.gains(what)
        difference = float(rates[0].mean() - rates[1].mean())
        successes = float(rates[0].sum()), float(rates[1].sum())
        newcombe = newcombe_interval(successes, (images, images))
        of_clean = difference - float(gains.mean())
        found |= {
            f"{what}_difference": difference,
            f"{what}_ci95": list(newcombe),
            f"{what}_gain_difference": float(gains.mean()),
            f"{what}_gain_ci95": _over_images(gains, newcombe, of_clean),
        }
    return found


def random_image_goals(
    labels: NDArray[Any], eligible: NDArray[np.bool_], classes: int, images: int, rng: Any
) -> ImageGoals:
    """Return so many of the eligible images, if there are as many, with random wrong classes.

    `labels` and `eligible` have shape (images,). Fewer images are among more of the same generator.
    """
    chosen = np.sort(rng.permutation(np.flatnonzero(eligible))[:images])
    shifts = rng.integers(1, classes, len(chosen))
    targets = (labels[chosen].astype(np.int64) + shifts) % classes
    return [
        (int(index), int(image_goal)) for index, image_goal in zip(chosen, targets, strict=True)
    ]


def _fives(run: PaperRun, images: int) -> ImageGoals:
    test = run.dataset.test
    fives = run.correct & (test.labels == SOURCE)
    if not fives.any():
        text = f"no test image of class {SOURCE} is classified correctly by all networks"
        raise NeuroattackError(text)
    image_goals = random_image_goals(
        test.labels, fives, run.dataset.classes, images, run.generator(4)
    )
    return [(index, TARGET) for index, _ in image_goals]


def attack_groups(run: PaperRun, task: str, groups: Sequence[Group]) -> list[Group]:
    """Return groups with the results of their attacks."""
    cells: list[Cell] = []
    for group in groups:
        attack = run.attack(CASES[group.case], MAX_ITERATIONS)
        for start in range(0, len(group.image_goals), _IMAGES_A_CELL):
            name = f"attack-{group.network}-{group.case}-{group.pairs}-{start}"
            image_goals = group.image_goals[start : start + _IMAGES_A_CELL]
            cells.append(run.attack_cell(name, group.attacked, attack, image_goals))
    found = (
        {**one, "file": result["images"], "row": row}
        for result in run.run(task, cells)
        for row, one in enumerate(result["attacks"])
    )
    return [
        replace(one, attacks=list(itertools.islice(found, len(one.image_goals)))) for one in groups
    ]


def population_groups(run: PaperRun) -> list[Group]:
    """Return the groups of the population, each network on the same images and targets."""
    size, data = run.settings.population, run.dataset
    rng = run.generator(3)
    image_goals = {
        PAIR: _fives(run, size),
        RANDOM: random_image_goals(data.test.labels, run.correct, data.classes, size, rng),
    }
    return [
        Group(network, run.attacked(network), case, pairs, image_goals[pairs])
        for networks, cases, kinds in _PLANS
        for network, case, pairs in itertools.product(networks, cases, kinds)
    ]


def population(run: PaperRun) -> Study:
    """Attack populations of images on all networks.

    Images are drawn from those that all networks classify correctly: so many "fives", targeted at
    "three", and so many of all classes, targeted at random ones.
    """
    groups = attack_groups(run, "Attacking populations", population_groups(run))
    found = {(group.network, group.case, group.pairs): group for group in groups}
    comparisons = [
        compare_groups(question, found[first, case, pairs], found[second, case, pairs])
        for first, second, question in _QUESTIONS
        for case, pairs in itertools.product(CASES, (PAIR, RANDOM))
        if (first, case, pairs) in found and (second, case, pairs) in found
    ]
    return {
        "groups": [
            group.as_json()
            | {"best_p_target_values": [float(history.max()) for history in group.histories]}
            | {f"{what}_rates": group.rates(what).tolist() for what in _WANTED}
            | {f"{what}_gains": group.gains(what).tolist() for what in _WANTED}
            for group in groups
        ],
        "comparisons": comparisons,
        "cases": CASES,
        "max_iterations": MAX_ITERATIONS,
        "trials": run.settings.trials,
        "correct_by_all": int(run.correct.sum()),
        "sampled_spikes": run.attacked(f"{DNN}-sampled").spikes,
    }, {}


def sampling(run: PaperRun) -> Study:
    """Vary the time steps T, and the trials that a query adds up.

    Differences between few and many spikes are due to sampling noise, those between many spikes and
    rates to the network. A readout may fall silent early, so that more steps bring no more spikes;
    repeats bring as many each. A verification adds up as many trials as the search.
    """
    image_goals = _fives(run, run.settings.sweep)
    usual = run.settings.steps
    steps = sorted({*STEPS, usual})
    groups = [
        Group(name, run.attacked(name, each, repeats), SWEEP_CASE, PAIR, image_goals)
        for name in (SDBN, FINE_TUNED)
        for each, repeats in [*((each, 1) for each in steps), (usual, REPEATS)]
    ]
    groups += [
        Group(name, run.attacked(name), SWEEP_CASE, PAIR, image_goals)
        for name in (f"{SDBN}-exact", f"{FINE_TUNED}-exact", DNN)
    ]
    groups = attack_groups(run, "Varying T and repeats", groups)
    found = {(one.network, one.steps, one.attacked.repeats): one for one in groups}
    comparisons = []
    for name in (SDBN, FINE_TUNED):
        most, repeated = found[name, steps[-1], 1], found[name, usual, REPEATS]
        exact = found[f"{name}-exact", None, 1]
        for question, first, second in (
            ("what the most steps change against the fewest", most, found[name, steps[0], 1]),
            ("what repeats change", repeated, found[name, usual, 1]),
            ("the most steps against rates", most, exact),
            ("repeats against rates", repeated, exact),
        ):
            sides = ("first", first), ("second", second)
            comparisons.append(
                compare_groups(question, first, second)
                | {f"{side}_steps": group.steps for side, group in sides}
                | {f"{side}_repeats": group.attacked.repeats for side, group in sides}
            )
    about = {"case": SWEEP_CASE, "pairs": PAIR, "max_iterations": MAX_ITERATIONS}
    every = [group.as_json() for group in groups]
    return {"groups": every, "comparisons": comparisons, **about}, {}
