"""A look at a target before it is attacked: whether it is random, noisy, or saturates."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neuroattack.attacks.protocol import valid_original
from neuroattack.attacks.result import Goal
from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.errors import ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_whole

__all__ = ["Preflight", "measure_randomness"]

_SURE = 3.0
"""Standard errors at which a pixel's effect stands out of the noise."""
_CALM = 2.0
"""Standard deviations that the gap should be from 0 for a query to be answered alike mostly."""
_MOST_FACTOR = 1000


@dataclass(frozen=True)
class Preflight:
    """What queries of one image showed.

    Parameters
    ----------
    queries : int
        Spent on it.
    deterministic : bool
        Whether all answers were the same: repeats then say nothing, and one draw is a verdict.
    mean_spikes : float
        Of all classes together, in an answer.
    mean_gap, gap_sd : float
        Of the untargeted gap in counts: best wrong class less the true one; negative where the
        true class leads.
    undecided : float
        Share of answers that are silent or tied.
    correct : float
        Share of answers that decide for the true class.
    saturated : float
        Share of answers in which the leading class has all the spikes: scores made of shares do
        not change there, whatever a small move does.
    repeats : int
        Showings to add up, ``ceil((2 SD / |gap|)^2)``, for the gap to be two standard deviations
        from a tie; T times as many steps does the same. 1 for a deterministic target; at most
        1,000.
    queries_for_one_spike : int
        Draws, half of them with a pixel moved, after which an effect of one spike stands out by
        three standard errors: ``ceil((2 x 3 SD)^2)``. All pixels at once cost no more by
        regression; one by one they cost so many each.
    """

    queries: int
    deterministic: bool
    mean_spikes: float
    mean_gap: float
    gap_sd: float
    undecided: float
    correct: float
    saturated: float
    repeats: int
    queries_for_one_spike: int

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


def measure_randomness(
    target: Target, image: ArrayLike, label: int, *, trials: int = 100
) -> Preflight:
    """Show an image to a target several times.

    Parameters
    ----------
    target : Target
        The black box; every draw is a query of its own, so that none is common to two.
    image : float array, shape (height, width)
        Intensities in [0, 1].
    label : int
        Its class.
    trials : int, optional
        Queries, at least 2.

    Raises
    ------
    ValidationError
        If the image or the label does not fit the target, or it tells labels only.
    BudgetExceededError
        If the budget does not hold the draws.
    """
    check_whole("draws of a pre-flight check", trials, 2, 100_000)
    goal = Goal(label)
    original = valid_original(target, image, goal)
    if target.response == "labels":
        raise ValidationError("target", "labels only", "spike counts, for a pre-flight check")
    if target.randomness == "shared":
        counts = np.concatenate([target.query(original[None]) for _ in range(trials)])
    else:
        counts = target.query(np.broadcast_to(original, (trials, *original.shape)))
    total = counts.sum(axis=1, dtype=np.int64)
    gaps = goal.gap(counts.astype(np.float64))
    sd = float(gaps.std(ddof=1))
    decided = decide(counts)
    deterministic = bool((counts == counts[0]).all())
    return Preflight(
        queries=trials,
        deterministic=deterministic,
        mean_spikes=float(total.mean()),
        mean_gap=float(gaps.mean()),
        gap_sd=sd,
        undecided=float((decided == UNDECIDED).mean()),
        correct=float((decided == label).mean()),
        saturated=float(((counts.max(axis=1) == total) & (total > 0)).mean()),
        repeats=1 if deterministic else _repeats(float(gaps.mean()), sd),
        queries_for_one_spike=2 if deterministic else max(2, math.ceil((2 * _SURE * sd) ** 2)),
    )


def _repeats(gap: float, sd: float) -> int:
    if gap == 0:
        return _MOST_FACTOR
    return min(_MOST_FACTOR, max(1, math.ceil((_CALM * sd / gap) ** 2)))
