"""What an attack aims at, what it did on the way, and how often its image fools the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.errors import ValidationError
from neuroattack.statistics import wilson_interval
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_whole

__all__ = [
    "Goal",
    "Incumbent",
    "SearchResult",
    "Step",
    "Verification",
    "check_trials",
    "verify",
]

MAX_TRIALS = 100_000
_BATCH_TRIALS = 256


@dataclass(frozen=True)
class Goal:
    """What the network is to be made to say.

    Parameters
    ----------
    label : int
        The image's true class.
    target_class : int, optional
        The class it is to be taken for; None for any wrong class (untargeted).
    """

    label: int
    target_class: int | None = None

    def check(self, n_classes: int) -> None:
        """Raise ValidationError unless the goal makes sense for that many classes."""
        check_whole("classes of the target", n_classes, 2)
        for thing, value in (("label", self.label), ("target class", self.target_class)):
            if value is not None and not 0 <= value < n_classes:
                raise ValidationError(thing, value, f"a class from 0 to {n_classes - 1}")
        if self.target_class == self.label:
            raise ValidationError("target class", self.target_class, "another than the true class")

    def gap(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Gap, what the attack maximises (Eq. 3 of the paper).

        Parameters
        ----------
        scores : float64 array, shape (images, classes)
            Score of every class.

        Returns
        -------
        float64 array, shape (images,)
            Targeted: the target's score less the best other one. Untargeted, which the paper
            leaves open: the best wrong class's score less the true one's.
        """
        mine = self.label if self.target_class is None else self.target_class
        best_other = np.delete(scores, mine, axis=1).max(axis=1)
        gap: NDArray[np.float64] = scores[:, mine] - best_other
        return -gap if self.target_class is None else gap

    def reached(self, counts: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return for each image whether the counts decide as wanted; a tie or silence is no.

        Parameters
        ----------
        counts : int32 array, shape (images, classes)
            Spikes of the readout population.
        """
        decided = decide(counts)
        if self.target_class is not None:
            return np.asarray(decided == self.target_class)
        return np.asarray((decided != UNDECIDED) & (decided != self.label))


@dataclass(frozen=True)
class Step:
    """One iteration of a search.

    Parameters
    ----------
    iteration : int
        0 is the original image.
    predicted : int
        Class that the counts of one draw decide for, -1 on silence or a tie.
    spike_fractions : tuple of float
        Every class's share of the output spikes in that draw.
    gap : float
        Of that draw, in the attack's score.
    distance : float
        D of this iteration's image to the original.
    moved : tuple of (row, column, change)
        Pixels moved to make it from the image before, and by how much.
    queries : int
        Queries spent when its shares were known, those of its pixel trials included.
    """

    iteration: int
    predicted: int
    spike_fractions: tuple[float, ...]
    gap: float
    distance: float
    moved: tuple[tuple[int, int, float], ...]
    queries: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; an undecided class is None."""
        return {
            "iteration": self.iteration,
            "predicted": None if self.predicted == UNDECIDED else self.predicted,
            "spike_fractions": list(self.spike_fractions),
            "gap": self.gap,
            "distance": self.distance,
            "moved": [list(move) for move in self.moved],
            "queries": self.queries,
        }


@dataclass(frozen=True, eq=False)
class Incumbent:
    """An image that a search would have returned had it been stopped there.

    Parameters
    ----------
    image : float64 array, shape (height, width)
        Intensities in [0, 1].
    gap : float
        What the search took its gap to be; comparable within one search only.
    queries : int
        Spent when it was known.
    """

    image: NDArray[np.float64]
    gap: float
    queries: int


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Result of one search for an adversarial image.

    Parameters
    ----------
    original, adversarial : float64 arrays, shape (height, width)
        The clean image, and the best image found; the clean image where nothing better was found.
    goal : Goal
        Goal of the search.
    queries : int
        Queries spent.
    stopped_by : str
        Why the search ended: ``"budget"``, ``"reached"``, ``"refused"`` and the like.
    history : tuple of Incumbent
        The best images in order of increasing queries; the clean image first.
    trace : tuple of Step
        Iterations of Algorithm 1; empty for other attacks.
    """

    original: NDArray[np.float64]
    adversarial: NDArray[np.float64]
    goal: Goal
    queries: int
    stopped_by: str
    history: tuple[Incumbent, ...] = ()
    trace: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Verification:
    """How often an image reaches the goal on fresh draws.

    Parameters
    ----------
    successes, trials : int
        Draws that reached it, of how many.
    predicted : int
        Class that the counts of all draws together decide for, -1 on silence or a tie.
    """

    successes: int
    trials: int
    predicted: int = UNDECIDED

    @property
    def rate(self) -> float:
        """Share of the draws that reached the goal."""
        return self.successes / self.trials

    @property
    def ci95(self) -> tuple[float, float]:
        """Its 95 % Wilson interval."""
        return wilson_interval(self.successes, self.trials)


def check_trials(trials: int) -> None:
    """Raise ValidationError unless that many draws can judge an image."""
    check_whole("verification trials", trials, 1, MAX_TRIALS)


def verify(target: Target, image: NDArray[np.float64], goal: Goal, trials: int) -> Verification:
    """Query an image on fresh draws.

    Parameters
    ----------
    target : Target
        With draws of its own, which the search has not seen, and one for each query: under a draw
        that a batch has in common all of it would succeed or fail together.
    image : float64 array, shape (height, width)
        Intensities in [0, 1].
    goal : Goal
        What counts as success.
    trials : int
        Queries to spend, at least 1.

    Raises
    ------
    ValidationError
        If `trials` is not positive, or the target's are common to a batch.
    """
    check_trials(trials)
    if target.randomness != "independent":
        raise ValidationError(
            "randomness of a target",
            repr(target.randomness),
            "independent trials to verify an image",
        )
    successes = 0
    together = np.zeros(target.n_classes, np.int64)
    for start in range(0, trials, _BATCH_TRIALS):
        batch = min(_BATCH_TRIALS, trials - start)
        counts = target.query(np.broadcast_to(image, (batch, *image.shape)))
        successes += int(goal.reached(counts).sum())
        together += counts.sum(axis=0, dtype=np.int64)
    return Verification(successes, trials, int(decide(together[None])[0]))
