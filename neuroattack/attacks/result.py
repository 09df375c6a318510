"""Search results and verification of adversarial images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.goals import Goal
from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.errors import ValidationError
from neuroattack.statistics import wilson_interval
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer

__all__ = [
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
class Step:
    """One iteration of a search.

    Parameters
    ----------
    iteration : int
        Index of the iteration; 0 is the clean image.
    predicted : int
        Predicted class in a single trial, -1 for silence or a tie.
    spike_fractions : tuple of float
        Output spike fraction of each class in that trial.
    gap : float
        Gap in that trial, in units of the attack's score.
    distance : float
        Distance D of this iteration's image from the clean image.
    moved : tuple of (row, column, change)
        Pixels changed since the previous iteration.
    queries : int
        Queries spent up to and including this iteration.
    """

    iteration: int
    predicted: int
    spike_fractions: tuple[float, ...]
    gap: float
    distance: float
    moved: tuple[tuple[int, int, float], ...]
    queries: int

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values; `predicted` is None for silence or a tie."""
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
    """Best image of a search at some point, which it would have returned if stopped there.

    Parameters
    ----------
    image : float64 array of the target's image shape
        Intensities in [0, 1].
    gap : float
        Gap as estimated by the search; comparable within one search only.
    queries : int
        Queries spent when it became the best image.
    """

    image: NDArray[np.float64]
    gap: float
    queries: int


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Result of one search for an adversarial image.

    Parameters
    ----------
    original, adversarial : float64 arrays of the target's image shape
        Clean image and best image; the clean image twice if the search found no better one.
    goal : Goal
        Goal of the search.
    queries : int
        Queries spent.
    stopped_by : str
        Reason for the end of the search: ``"budget"``, ``"reached"``, ``"refused"`` and others.
    history : tuple of Incumbent
        Best images in order of increasing queries; the clean image first.
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
    """Success rate of an image on fresh trials.

    Parameters
    ----------
    successes, trials : int
        Number of trials that reached the goal, and number of trials.
    predicted : int
        Predicted class from the summed counts of all trials, -1 for silence or a tie.
    """

    successes: int
    trials: int
    predicted: int = UNDECIDED

    @property
    def rate(self) -> float:
        """Fraction of the trials that reached the goal."""
        return self.successes / self.trials

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % Wilson interval of the rate."""
        return wilson_interval(self.successes, self.trials)


def check_trials(trials: int) -> None:
    """Raise ValidationError unless the number of verification trials is valid."""
    check_integer("verification trials", trials, 1, MAX_TRIALS)


def verify(target: Target, image: NDArray[np.float64], goal: Goal, trials: int) -> Verification:
    """Measure how often an image reaches the goal on fresh trials.

    Parameters
    ----------
    target : Target
        Black box with a random stream that the search did not use, and with independent
        randomness within a batch.
    image : float64 array of the target's image shape
        Intensities in [0, 1].
    goal : Goal
        Goal that defines success.
    trials : int
        Number of trials, one query each; at least 1.

    Raises
    ------
    ValidationError
        If `trials` is out of range, the target's randomness is shared within a batch, or its meter
        is not that of the goal.
    """
    check_trials(trials)
    if target.randomness != "independent":
        raise ValidationError(
            "randomness of a target",
            repr(target.randomness),
            "'independent', which verification needs",
        )
    goal.check_responses(target.meter, target.response)
    successes = 0
    total = np.zeros(target.n_classes, np.int64)
    for start in range(0, trials, _BATCH_TRIALS):
        batch = min(_BATCH_TRIALS, trials - start)
        counts = target.query(np.broadcast_to(image, (batch, *image.shape)))
        successes += int(goal.reached(counts).sum())
        total += goal.classes(counts).sum(axis=0, dtype=np.int64)
    return Verification(successes, trials, int(decide(total[None])[0]))
