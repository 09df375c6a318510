"""Measure the randomness of a target's responses: noise level and saturation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neuroattack.attacks.goals import Goal
from neuroattack.attacks.protocol import valid_original
from neuroattack.encoding.readout import UNDECIDED, decide
from neuroattack.errors import ValidationError
from neuroattack.targets.black_box import Target
from neuroattack.validation import check_integer

__all__ = ["Preflight", "measure_randomness"]

_EFFECT_STANDARD_ERRORS = 3.0
"""Size of a detectable pixel effect, in standard errors."""
_GAP_STANDARD_DEVIATIONS = 2.0
"""Distance of the mean gap from 0 for a reproducible decision, in standard deviations."""
_MAX_REPEATS = 1000


@dataclass(frozen=True)
class Preflight:
    """Statistics of repeated queries of one image.

    Parameters
    ----------
    queries : int
        Number of queries.
    deterministic : bool
        Whether all responses were equal; a single trial then suffices.
    mean_spikes : float
        Mean total output spike count.
    mean_gap, gap_sd : float
        Mean and standard deviation of the untargeted gap in spikes: largest wrong count minus true
        count, negative for correct decisions.
    undecided : float
        Fraction of responses that are silent or tied.
    correct : float
        Fraction of responses that predict the true class.
    saturated : float
        Fraction of responses in which one class has all spikes. Output spike fractions then do not
        respond to small perturbations.
    repeats : int
        Number of repeats per query, ``ceil((2 SD / |gap|)^2)``, for which the mean gap is two
        standard deviations from 0; longer simulations by this factor have the same effect. 1 for a
        deterministic target; at most 1,000.
    queries_for_one_spike : int
        Number of trials, half of them with a perturbed pixel, that detect an effect of one spike
        at three standard errors: ``ceil((2 x 3 SD)^2)``. A regression estimates all pixels with
        about this number of queries; perturbing pixels one by one needs it for each.
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
    """Query an image repeatedly and measure the variation of the responses.

    Parameters
    ----------
    target : Target
        Black box. Trials are independent even if its randomness is shared within a batch.
    image : float array of the target's image shape
        Intensities in [0, 1].
    label : int
        True class.
    trials : int, optional
        Number of queries, at least 2.

    Raises
    ------
    ValidationError
        If the image or label does not fit the target, or the target returns labels.
    BudgetExceededError
        If the budget is too small for the trials.
    """
    check_integer("trials of a pre-flight check", trials, 2, 100_000)
    goal = Goal(label)
    original = valid_original(target, image, goal)
    if target.response == "labels":
        raise ValidationError("response of the target", "labels", "counts for a pre-flight check")
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
        queries_for_one_spike=2
        if deterministic
        else max(2, math.ceil((2 * _EFFECT_STANDARD_ERRORS * sd) ** 2)),
    )


def _repeats(gap: float, sd: float) -> int:
    if gap == 0:
        return _MAX_REPEATS
    return min(_MAX_REPEATS, max(1, math.ceil((_GAP_STANDARD_DEVIATIONS * sd / gap) ** 2)))
