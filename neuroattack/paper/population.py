"""Studies beyond the paper: the attack on many images, and the effect of sampling noise."""

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
from neuroattack.paper.networks import DNN, FINE_TUNED, SDBN, AttackedNetwork
from neuroattack.paper.published import ATTACK_CASES
from neuroattack.paper.settings import SOURCE, TARGET, PaperRun, Study
from neuroattack.statistics import mean_interval, newcombe_interval, wilson_interval

__all__ = ["CASES", "PAIR", "RANDOM", "Group", "attack_groups", "compare_groups", "population"]
__all__ += ["population_groups", "quantiles", "random_image_goals", "sampling"]

PAIR, RANDOM = "five-three", "random"
"""True and target classes of a group: "five" to "three", or any class to a random other."""

CASES = {**ATTACK_CASES, "N=11": 11}
"""Side of the window in each case of the paper, and of a larger one."""

MAX_ITERATIONS = 60
"""Maximum iterations per attack. With noisy counts, the search may alternate without end."""

SWEEP_CASE = "II"
STEPS = (50, 100, 200, 500, 1000)
REPEATS = 4

# Small enough that workers share a group, and that little is lost when one is killed.
_IMAGES_PER_CELL = 20

_FOUR = (SDBN, DNN, f"{SDBN}-exact", f"{DNN}-sampled")
# Networks, cases, and pairs of true and target classes to attack.
_PLANS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (_FOUR, tuple(ATTACK_CASES), (PAIR, RANDOM)),
    (_FOUR, ("N=11",), (PAIR,)),
    ((FINE_TUNED, f"{FINE_TUNED}-exact"), (SWEEP_CASE,), (PAIR,)),
)

_COMPARISONS = (
    (SDBN, DNN, "as in the paper: spike counts and probabilities"),
    (f"{SDBN}-exact", DNN, "no sampling noise in either network"),
    (SDBN, f"{DNN}-sampled", "equal sampling noise in both networks"),
    (SDBN, f"{SDBN}-exact", "effect of sampling noise on the SDBN"),
    (f"{DNN}-sampled", DNN, "effect of the same sampling noise on the DNN"),
    (FINE_TUNED, DNN, "fine-tuned SDBN and DNN"),
)

_CRITERIA = ("targeted", "untargeted")
_STOPS = ("distance", "iterations", "no candidates")
_QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


@dataclass(frozen=True)
class Group:
    """One attack on many images of one network.

    Parameters
    ----------
    network : str
        Key of the network.
    attacked : AttackedNetwork
        The network.
    case : str
        Key of the window, one of :data:`CASES`.
    pairs : str
        Key of the true and target classes, :data:`PAIR` or :data:`RANDOM`.
    image_goals : sequence of (int, int)
        Images and target classes.
    attacks : sequence of mapping, optional
        Results of :func:`neuroattack.paper.cells.attack_images`, one per image, each with the
        ``file`` and ``row`` of its adversarial image.
    """

    network: str
    attacked: AttackedNetwork
    case: str
    pairs: str
    image_goals: ImageGoals
    attacks: Sequence[Mapping[str, Any]] = ()

    @property
    def steps(self) -> int | None:
        """Time steps T, or None for a network without spikes."""
        return self.attacked.steps if self.attacked.output == "spikes" else None

    def rates(self, criterion: str) -> NDArray[np.float64]:
        """Return the ``"targeted"`` or ``"untargeted"`` success rate of each image."""
        return np.array([attack[criterion] / attack["trials"] for attack in self.attacks])

    def clean_rates(self, criterion: str) -> NDArray[np.float64]:
        """Return the same rate for each clean image."""
        clean = [attack["clean"] for attack in self.attacks]
        return np.array([one[criterion] / one["trials"] for one in clean])

    def gains(self, criterion: str) -> NDArray[np.float64]:
        """Return the effect of the attack: success rate minus the rate of the clean image."""
        return self.rates(criterion) - self.clean_rates(criterion)

    @property
    def histories(self) -> list[NDArray[np.float64]]:
        """P(target) at every iteration of the search on each image."""
        return [np.array(one["spike_fractions"])[:, one["target_class"]] for one in self.attacks]

    @property
    def falling_fraction(self) -> float:
        """Fraction of all iterations in which P(target) fell."""
        changes = np.concatenate([np.diff(history) for history in self.histories])
        return float((changes < 0).mean()) if len(changes) else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the group as JSON values.

        The trials of an image are not independent, so intervals are over images. The interval of
        the success rate is Wilson's, with each image as one trial. The interval of the gain is
        Student's. If all images have the same gain, Student's interval has no width, and Wilson's
        minus the rate of the clean images is used instead.
        """
        attacks, images = self.attacks, len(self.attacks)
        found: dict[str, Any] = {"network": self.network, "case": self.case, "pairs": self.pairs}
        found |= {"steps": self.steps, "repeats": self.attacked.repeats, "images": images}
        for criterion in _CRITERIA:
            rates, gains = self.rates(criterion), self.gains(criterion)
            clean = float(self.clean_rates(criterion).mean())
            wilson = wilson_interval(float(rates.sum()), images)
            found |= {
                f"{criterion}_success": float(rates.mean()),
                f"{criterion}_ci95": list(wilson),
                f"{criterion}_majority": int((rates > 0.5).sum()),
                f"clean_{criterion}": clean,
                f"{criterion}_gain": float(gains.mean()),
                f"{criterion}_gain_ci95": _over_images(gains, wilson, clean),
            }
        stops = {stop: sum(one["stopped_by"] == stop for one in attacks) for stop in _STOPS}
        spikes = [one["clean"]["spikes"] for one in attacks]
        search_successes = sum(
            a["predicted"][a["best_iteration"]] == a["target_class"] for a in attacks
        )
        return found | {
            "search_success": search_successes / images,
            "best_p_target": quantiles([history.max() for history in self.histories]),
            "mean_p_target": quantiles(
                [a["mean_spike_fractions"][a["target_class"]] for a in attacks]
            ),
            "median_queries": statistics.median(one["queries"] for one in attacks),
            "median_iterations": statistics.median(
                len(one["spike_fractions"]) - 1 for one in attacks
            ),
            "median_distance": statistics.median(one["distance"] for one in attacks),
            "falling_fraction": self.falling_fraction,
            "stopped_by": stops,
            "iteration_limit_fraction": stops["iterations"] / images,
            "clean_spikes": None if None in spikes else statistics.fmean(spikes),
        }


def quantiles(values: ArrayLike) -> dict[str, float]:
    """Return five quantiles by their keys in the results."""
    found = np.quantile(np.asarray(values, np.float64), list(_QUANTILES.values()))
    return dict(zip(_QUANTILES, found.tolist(), strict=True))


def _over_images(
    values: NDArray[np.float64], fallback: tuple[float, float], shift: float
) -> list[float]:
    """Return the interval of a mean over images, or `fallback` minus `shift` if all are equal."""
    # Equal values may differ by rounding.
    interval = mean_interval(values.tolist()) if np.ptp(values) > 1e-9 else None
    return list(interval or (end - shift for end in fallback))


def compare_groups(comparison: str, first: Group, second: Group) -> dict[str, Any]:
    """Return the difference in success between two networks as JSON values.

    The difference of gains, ``*_gain_difference``, is paired by image and has Student's interval.
    If that has no width, it has Newcombe's minus the difference of the clean images. The difference
    of success rates, ``*_difference``, has Newcombe's interval. This treats the groups as
    independent although the images are the same, so it tends to be too wide.

    Parameters
    ----------
    comparison : str
        Description.
    first, second : Group
        Groups with the same images and target classes.

    Raises
    ------
    ValidationError
        If the images or target classes differ.
    """
    image_goals = [
        [(one["index"], one["target_class"]) for one in g.attacks] for g in (first, second)
    ]
    if image_goals[0] != image_goals[1]:
        raise ValidationError(
            f"group of {second.network!r}",
            "different images or target classes",
            f"those of {first.network!r}",
        )
    images = len(first.attacks)
    found: dict[str, Any] = {"comparison": comparison}
    found |= {"first": first.network, "second": second.network}
    found |= {"case": first.case, "pairs": first.pairs, "images": images}
    for criterion in _CRITERIA:
        rates = first.rates(criterion), second.rates(criterion)
        gains = first.gains(criterion) - second.gains(criterion)
        difference = float(rates[0].mean() - rates[1].mean())
        successes = float(rates[0].sum()), float(rates[1].sum())
        newcombe = newcombe_interval(successes, (images, images))
        of_clean = difference - float(gains.mean())
        found |= {
            f"{criterion}_difference": difference,
            f"{criterion}_ci95": list(newcombe),
            f"{criterion}_gain_difference": float(gains.mean()),
            f"{criterion}_gain_ci95": _over_images(gains, newcombe, of_clean),
        }
    return found


def random_image_goals(
    labels: NDArray[Any], eligible: NDArray[np.bool_], classes: int, images: int, rng: Any
) -> ImageGoals:
    """Return random eligible images with random wrong target classes.

    With generators of the same seed, a larger selection contains the images of a smaller one, but
    their target classes may differ.

    Parameters
    ----------
    labels, eligible : arrays, shape (images,)
        True class of each image, and whether it may be selected.
    classes : int
        Number of classes.
    images : int
        Maximum number of images.
    rng : numpy.random.Generator
        Random generator.
    """
    chosen = np.sort(rng.permutation(np.flatnonzero(eligible))[:images])
    shifts = rng.integers(1, classes, len(chosen))
    targets = (labels[chosen].astype(np.int64) + shifts) % classes
    return [(int(index), int(target)) for index, target in zip(chosen, targets, strict=True)]


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
    """Run the attacks of groups; return the groups with their results."""
    cells: list[Cell] = []
    for group in groups:
        attack = run.attack(CASES[group.case], MAX_ITERATIONS)
        for start in range(0, len(group.image_goals), _IMAGES_PER_CELL):
            name = f"attack-{group.network}-{group.case}-{group.pairs}-{start}"
            image_goals = group.image_goals[start : start + _IMAGES_PER_CELL]
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
    """Return the groups to attack; all networks get the same images and target classes."""
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
    """Attack many images on all networks.

    All networks classify the images correctly: random "fives" with "three" as the target class,
    and random images of any class with random target classes.
    """
    groups = attack_groups(run, "Attacking many images", population_groups(run))
    found = {(group.network, group.case, group.pairs): group for group in groups}
    comparisons = [
        compare_groups(comparison, found[first, case, pairs], found[second, case, pairs])
        for first, second, comparison in _COMPARISONS
        for case, pairs in itertools.product(CASES, (PAIR, RANDOM))
        if (first, case, pairs) in found and (second, case, pairs) in found
    ]
    return {
        "groups": [
            group.as_json()
            | {"best_p_target_values": [float(history.max()) for history in group.histories]}
            | {f"{criterion}_rates": group.rates(criterion).tolist() for criterion in _CRITERIA}
            | {f"{criterion}_gains": group.gains(criterion).tolist() for criterion in _CRITERIA}
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
    """Vary the number of time steps T and of trials per query.

    Differences between few and many spikes are due to sampling noise, differences between many
    spikes and rates are due to the network. More time steps may not give more spikes if the output
    population falls silent early. Each additional trial per query gives as many spikes as the
    first. The verification uses the same number of trials per query as the search.
    """
    image_goals = _fives(run, run.settings.sweep)
    default = run.settings.steps
    steps = sorted({*STEPS, default})
    groups = [
        Group(name, run.attacked(name, each, repeats), SWEEP_CASE, PAIR, image_goals)
        for name in (SDBN, FINE_TUNED)
        for each, repeats in [*((each, 1) for each in steps), (default, REPEATS)]
    ]
    groups += [
        Group(name, run.attacked(name), SWEEP_CASE, PAIR, image_goals)
        for name in (f"{SDBN}-exact", f"{FINE_TUNED}-exact", DNN)
    ]
    groups = attack_groups(run, "Varying T and repeats", groups)
    found = {(one.network, one.steps, one.attacked.repeats): one for one in groups}
    comparisons = []
    for name in (SDBN, FINE_TUNED):
        most, repeated = found[name, steps[-1], 1], found[name, default, REPEATS]
        exact = found[f"{name}-exact", None, 1]
        for comparison, first, second in (
            ("most time steps and fewest", most, found[name, steps[0], 1]),
            ("several trials per query and one", repeated, found[name, default, 1]),
            ("most time steps and rates", most, exact),
            ("several trials per query and rates", repeated, exact),
        ):
            sides = ("first", first), ("second", second)
            comparisons.append(
                compare_groups(comparison, first, second)
                | {f"{side}_steps": group.steps for side, group in sides}
                | {f"{side}_repeats": group.attacked.repeats for side, group in sides}
            )
    return {
        "groups": [group.as_json() for group in groups],
        "comparisons": comparisons,
        "case": SWEEP_CASE,
        "pairs": PAIR,
        "max_iterations": MAX_ITERATIONS,
    }, {}
