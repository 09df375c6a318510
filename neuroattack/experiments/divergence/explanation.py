"""Search for the variation of the reference dynamics that explains recorded spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from neuroattack.experiments.divergence.replay import Replay
from neuroattack.experiments.divergence.searches import (
    count_mismatches,
    quantized,
    rules,
    saturated,
)
from neuroattack.experiments.divergence.variation import (
    CAUSES,
    REFERENCE,
    Cause,
    Variation,
    WeightGrid,
    WeightLimit,
)
from neuroattack.experiments.divergence.weight_errors import smallest_weight_error
from neuroattack.ir.network import FixedPopulation

__all__ = ["Explanation", "explain"]

# Distance to the threshold that rounding of potentials may bridge, relative to the largest of
# threshold and potentials: some float32 epsilons.
_ROUNDING = 4e-6

# A variation is a cause if it explains this fraction of the mismatches.
_EXPLAINS = 0.5
# Faults of the same population are looked for one after the other.
_MOST_FAULTS = 3

# Neurons of a population whose weights are fitted, and the largest error of a weight that counts as
# rounding, relative to the largest weight: that of three bits rounded in one direction.
_MOST_FITTED = 16
_LARGEST_ERROR = 1 / 3


@dataclass(frozen=True)
class Explanation:
    """Variation that best explains the recorded spikes of populations.

    Parameters
    ----------
    populations : tuple of str
        Names of the populations.
    causes : tuple of str
        Classes of the divergence, ``"unknown"`` if no variation explains half of it.
    variation : Variation
        Variation of the reference dynamics.
    mismatches : int
        Number of spikes that the reference dynamics do not predict.
    unexplained : int
        Number of spikes that the variation does not predict.
    alternatives : tuple of str
        Other causes that explain the recorded spikes equally well.
    weight_error : float or None
        Largest weight error, if the recorded spikes are explained by errors of the weights that
        follow no known rule: the smallest possible, in volts per spike.
    """

    populations: tuple[str, ...]
    causes: tuple[Cause, ...]
    variation: Variation
    mismatches: int
    unexplained: int
    alternatives: tuple[Cause, ...] = ()
    weight_error: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON values."""
        return {
            "populations": list(self.populations),
            "causes": list(self.causes),
            "variation": {
                name: asdict(value) if isinstance(value, (WeightGrid, WeightLimit)) else value
                for name, value in self.variation.changes().items()
            },
            "mismatches": self.mismatches,
            "unexplained": self.unexplained,
            "alternatives": list(self.alternatives),
            "weight_error": self.weight_error,
        }


def explain(replays: Sequence[Replay]) -> list[Explanation]:
    """Explain the recorded spikes of populations that differ from the reference dynamics.

    If one variation explains all of them exactly, it is returned for all. Otherwise, each
    population is explained by itself.
    """
    if not replays:
        return []
    together = _explain(replays)
    if len(replays) == 1 or not together.unexplained:
        return [together]
    return [_explain([each]) for each in replays]


def _explain(replays: Sequence[Replay]) -> Explanation:
    names = tuple(each.population.name for each in replays)
    before = count_mismatches(replays, REFERENCE)

    def found(variation: Variation, left: int, others: Sequence[Variation] = ()) -> Explanation:
        causes = _causes(variation, replays)
        rest = dict.fromkeys(cause for each in others for cause in _causes(each, replays))
        alternatives = tuple(cause for cause in rest if cause not in causes)
        return Explanation(names, causes, variation, before, left, alternatives)

    best, left = REFERENCE, before
    for _ in range(_MOST_FAULTS):
        scores = {each: count_mismatches(replays, each) for each in rules(best, replays)}
        exact = [each for each, score in scores.items() if not score]
        if best == REFERENCE and _is_rounding(replays):
            rounded = [each for each in exact if _causes(each, replays) == ("rounding",)]
            return Explanation(
                names, ("rounding",), rounded[0] if rounded else REFERENCE, before, 0
            )
        if exact:
            return found(exact[0], 0, exact[1:])
        for search in (saturated, quantized):
            variation, score = search(best, replays)
            scores[variation] = score
            if not score:
                return found(variation, 0)
        if best == REFERENCE:
            error = _weight_error(replays)
            if error is not None:
                return Explanation(
                    names, ("weight_quantization",), best, before, 0, weight_error=error
                )
        variation = min(scores, key=lambda each: scores[each])
        if scores[variation] >= left:
            break
        best, left = variation, scores[variation]
    if left > (1 - _EXPLAINS) * before:
        return Explanation(names, ("unknown",), best, before, left)
    return found(best, left)


def _weight_error(replays: Sequence[Replay]) -> float | None:
    """Return the largest weight error if weight errors explain all spikes; None otherwise."""
    largest = 0.0
    for replay in replays:
        wrong = (replay.run().spikes != replay.recorded).any(axis=(0, 1))
        for neuron in np.flatnonzero(wrong)[:_MOST_FITTED].tolist():
            error = smallest_weight_error(replay, neuron)
            if error is None or error > _LARGEST_ERROR * replay.largest_weight:
                return None
            largest = max(largest, error)
    return largest


def _causes(variation: Variation, replays: Sequence[Replay]) -> tuple[Cause, ...]:
    """Return the classes of a variation."""
    changes = variation.changes()
    causes = dict.fromkeys(CAUSES[field] for field in changes)
    if isinstance(variation.weights, WeightLimit):
        del causes["weight_quantization"]
        causes["saturation"] = None
    if "delay" in causes:
        is_order = variation.order != "reference" or all(
            0 in (projection.delay_steps, projection.delay_steps + shift)
            for replay in replays
            for projection, shift in zip(
                replay.projections,
                np.broadcast_to(variation.delay_steps, len(replay.projections)).tolist(),
                strict=True,
            )
            if shift
        )
        if is_order:
            del causes["delay"]
            causes["arrival_order"] = None
    return tuple(causes)


def _is_rounding(replays: Sequence[Replay]) -> bool:
    """Return whether all mismatches are at potentials next to the threshold."""
    for replay in replays:
        # Whether neurons are refractory does not matter for the distance.
        result = replay.run()
        wrong = result.spikes != replay.recorded
        distance = np.abs(result.potentials - replay.threshold)
        scale = np.maximum(np.abs(replay.threshold), np.abs(result.potentials).max(axis=1))
        # An infinite threshold is near to no potential.
        near = np.isfinite(distance) & (distance <= _tolerance(replay) * scale[:, None])
        if not near[wrong].all():
            return False
    return True


def _tolerance(replay: Replay) -> float:
    # The last bit of integer potentials is not small; their rounding rules are variations.
    return 0.0 if isinstance(replay.population, FixedPopulation) else _ROUNDING
