"""The same attack over many images: success with intervals, and networks compared."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Dataset
from neuroattack.errors import ValidationError
from neuroattack.statistics import mean_interval, newcombe_interval, wilson_interval

__all__ = ["Group", "compare_groups", "pair_aims", "random_aims"]

Aims = list[tuple[int, int]]

_WANTED = ("targeted", "untargeted")
_STOPS = ("distance", "iterations", "no candidates")

# Means of draws that are equal but for rounding.
_EQUAL = 1e-9


@dataclass(frozen=True)
class Group:
    """What became of one attack on many images of one network.

    Parameters
    ----------
    network : str
        Name of the network, its answers included: ``"sdbn"``, ``"dnn-sampled"``.
    case : str
        Window: ``"I"``, ``"II"``, or its side as in ``"N=11"``.
    pairs : str
        Source and target classes: ``"five-three"`` or ``"random"``.
    steps, repeats : int or None
        Time steps T, and draws a query adds up; None where there are none.
    attacks : sequence of mapping
        As :func:`neuroattack.paper.attack_cells.attack_images` gives them, one an image.
    """

    network: str
    case: str
    pairs: str
    steps: int | None
    repeats: int
    attacks: Sequence[Mapping[str, Any]]

    def rates(self, what: str) -> NDArray[np.float64]:
        """Return each image's share of fresh draws: ``"targeted"`` or ``"untargeted"``."""
        return np.array([attack[what] / attack["draws"] for attack in self.attacks])

    def clean_rates(self, what: str) -> NDArray[np.float64]:
        """Return the same share of each original image, which nobody attacked."""
        return np.array(
            [attack["clean"][what] / attack["clean"]["draws"] for attack in self.attacks]
        )

    def gains(self, what: str) -> NDArray[np.float64]:
        """Return each image's rate less that of its original: what the attack did."""
        return self.rates(what) - self.clean_rates(what)

    @property
    def clean_spikes(self) -> float | None:
        """Mean output spikes of a query of the originals; None where no spikes are counted."""
        spikes = [attack["clean"]["spikes"] for attack in self.attacks]
        return None if None in spikes else statistics.fmean(spikes)

    @property
    def stops(self) -> dict[str, int]:
        """Searches by what ended them."""
        return {stop: sum(one["stopped_by"] == stop for one in self.attacks) for stop in _STOPS}

    @property
    def best_target_shares(self) -> NDArray[np.float64]:
        """Highest P(target) in each image's search, one draw each."""
        return np.array(
            [
                max(shares[attack["target_class"]] for shares in attack["shares"])
                for attack in self.attacks
            ]
        )

    @property
    def fallen_share(self) -> float:
        """Share of all iterations in which P(target) fell."""
        fallen = total = 0
        for attack in self.attacks:
            course = np.array(attack["shares"])[:, attack["target_class"]]
            fallen += int((np.diff(course) < 0).sum())
            total += len(course) - 1
        return fallen / total if total else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the group as JSON values.

        An image's draws are not independent of each other, so an interval is over images. That of
        success is Wilson's, in which an image counts as one trial. That of the gain, success less
        that of the originals, is Student's; where all images gain alike, or there is one alone,
        and Student's would have no width, it is Wilson's, moved by the originals' success.
        """
        images = len(self.attacks)
        found: dict[str, Any] = {
            "network": self.network,
            "case": self.case,
            "pairs": self.pairs,
            "steps": self.steps,
            "repeats": self.repeats,
            "images": images,
        }
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
        lucky = [
            attack["predicted"][attack["best_iteration"]] == attack["target_class"]
            for attack in self.attacks
        ]
        return found | {
            "lucky_success": sum(lucky) / images,
            "best_p_target": _quantiles(self.best_target_shares),
            "mean_p_target": _quantiles(
                [attack["mean_shares"][attack["target_class"]] for attack in self.attacks]
            ),
            "median_queries": statistics.median(attack["queries"] for attack in self.attacks),
            "median_iterations": statistics.median(
                len(attack["shares"]) - 1 for attack in self.attacks
            ),
            "median_distance": statistics.median(attack["distance"] for attack in self.attacks),
            "non_monotonic_share": self.fallen_share,
            "stopped_by": self.stops,
            "capped_share": self.stops["iterations"] / images,
            "clean_spikes": self.clean_spikes,
        }


def _quantiles(values: Any) -> dict[str, float]:
    points = np.quantile(np.asarray(values, np.float64), [0.05, 0.25, 0.5, 0.75, 0.95])
    return dict(zip(("q05", "q25", "q50", "q75", "q95"), points.tolist(), strict=True))


def _over_images(
    values: NDArray[np.float64], otherwise: tuple[float, float], less: float
) -> list[float]:
    """Return the interval of a mean over images, or where they are all equal another, moved."""
    interval = mean_interval(values.tolist()) if np.ptp(values) > _EQUAL else None
    return list(interval or (end - less for end in otherwise))


def compare_groups(question: str, first: Group, second: Group) -> dict[str, Any]:
    """Return by how much the attack does more on one network than on another, as JSON values.

    The difference of gains, ``*_gain_difference``, is paired: the mean over images of the gain in
    the first less that in the second, with Student's interval; where it is the same of every
    image, and that would have no width, with Newcombe's, moved by the originals' difference.

    The difference of success, ``*_difference``, has Newcombe's interval, which treats the groups
    as independent though the images are the same: it errs towards too wide.

    Parameters
    ----------
    question : str
        What the comparison answers, for people.
    first, second : Group
        Of the same images, targets and attack.

    Raises
    ------
    ValidationError
        If the groups are not of the same images and targets.
    """
    aims = [[(one["index"], one["target_class"]) for one in g.attacks] for g in (first, second)]
    if aims[0] != aims[1]:
        raise ValidationError(
            f"group of {second.network!r}", "other images or targets", f"those of {first.network!r}"
        )
    images = len(first.attacks)
    found: dict[str, Any] = {
        "question": question,
        "first": first.network,
        "second": second.network,
        "case": first.case,
        "pairs": first.pairs,
        "images": images,
    }
    for what in _WANTED:
        rates = first.rates(what), second.rates(what)
        gains = first.gains(what) - second.gains(what)
        difference = float(rates[0].mean() - rates[1].mean())
        newcombe = newcombe_interval(
            (float(rates[0].sum()), float(rates[1].sum())), (images, images)
        )
        of_clean = difference - float(gains.mean())
        found |= {
            f"{what}_difference": difference,
            f"{what}_ci95": list(newcombe),
            f"{what}_gain_difference": float(gains.mean()),
            f"{what}_gain_ci95": _over_images(gains, newcombe, of_clean),
        }
    return found


def pair_aims(
    dataset: Dataset,
    correct: NDArray[np.bool_],
    source: int,
    target: int,
    images: int,
    rng: np.random.Generator,
) -> Aims:
    """Return so many of the correctly classified test images of a class, with the target.

    Fewer images of the same generator are among the more.

    Parameters
    ----------
    dataset : Dataset
        Whose test images they are.
    correct : bool array, shape (test images,)
        Which are classified correctly.
    source, target : int
        Classes.
    images : int
        How many, if there are as many.
    rng : numpy.random.Generator
        Source of the choice.
    """
    candidates = np.flatnonzero(correct & (dataset.test.labels == source))
    chosen = np.sort(rng.permutation(candidates)[:images])
    return [(int(index), target) for index in chosen]


def random_aims(
    dataset: Dataset, correct: NDArray[np.bool_], images: int, rng: np.random.Generator
) -> Aims:
    """Return so many of the correctly classified test images, each with a random wrong class.

    Parameters
    ----------
    dataset : Dataset
        Whose test images they are.
    correct : bool array, shape (test images,)
        Which are classified correctly.
    images : int
        How many, if there are as many.
    rng : numpy.random.Generator
        Source of the choice.
    """
    candidates = np.flatnonzero(correct)
    chosen = np.sort(rng.permutation(candidates)[:images])
    shifts = rng.integers(1, dataset.classes, len(chosen))
    labels = dataset.test.labels[chosen].astype(np.int64)
    targets = (labels + shifts) % dataset.classes
    return [(int(index), int(aim)) for index, aim in zip(chosen, targets, strict=True)]
