"""The same attack over many images: success with intervals, and networks compared."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.datasets import Dataset
from neuroattack.statistics import newcombe_interval, wilson_interval

__all__ = ["Group", "compare_groups", "pair_aims", "random_aims"]

Aims = list[tuple[int, int]]


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
        As :func:`neuroattack.studies.attack_cells.attack_images` gives them, one an image.
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

        An image's draws are not independent of each other, so an interval is over images: that of
        Wilson, in which an image counts as one trial.
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
        for what in ("targeted", "untargeted"):
            rates = self.rates(what)
            clean = sum(attack["clean"][what] / attack["clean"]["draws"] for attack in self.attacks)
            found |= {
                f"{what}_success": float(rates.mean()),
                f"{what}_ci95": list(wilson_interval(float(rates.sum()), images)),
                f"{what}_mostly": int((rates > 0.5).sum()),
                f"clean_{what}": clean / images,
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
        }


def _quantiles(values: Any) -> dict[str, float]:
    points = np.quantile(np.asarray(values, np.float64), [0.05, 0.25, 0.5, 0.75, 0.95])
    return dict(zip(("q05", "q25", "q50", "q75", "q95"), points.tolist(), strict=True))


def compare_groups(question: str, first: Group, second: Group) -> dict[str, Any]:
    """Return by how much the success on one network exceeds that on another, as JSON values.

    Parameters
    ----------
    question : str
        What the comparison answers, for people.
    first, second : Group
        Of the same images, targets and attack.
    """
    images = len(first.attacks), len(second.attacks)
    found: dict[str, Any] = {
        "question": question,
        "first": first.network,
        "second": second.network,
        "case": first.case,
        "pairs": first.pairs,
        "images": min(images),
    }
    for what in ("targeted", "untargeted"):
        rates = first.rates(what), second.rates(what)
        found[f"{what}_difference"] = float(rates[0].mean() - rates[1].mean())
        found[f"{what}_ci95"] = list(
            newcombe_interval((float(rates[0].sum()), float(rates[1].sum())), images)
        )
    return found


def pair_aims(
    dataset: Dataset, correct: NDArray[np.bool_], source: int, target: int, images: int
) -> Aims:
    """Return the first so many correctly classified test images of a class, with the target.

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
    """
    found = np.flatnonzero(correct & (dataset.test.labels == source))[:images]
    return [(int(index), target) for index in found]


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
