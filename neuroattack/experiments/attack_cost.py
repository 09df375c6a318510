"""Cost of an attack to the network under attack: spikes, synaptic operations, energy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from neuroattack.deployment.backend import Recording, synaptic_operations
from neuroattack.deployment.deployment import Deployment
from neuroattack.hardware.energy.energy import EnergyEstimate
from neuroattack.hardware.energy.terms import as_ends
from neuroattack.ir.network import INPUT

__all__ = ["AttackCost", "Change", "QueryMeter", "measure_change"]


@dataclass(frozen=True)
class Change:
    """A quantity on the clean and on the adversarial image, with the same random numbers.

    Parameters
    ----------
    original, adversarial, difference : float
        Means over trials for the clean and the adversarial image, and their difference.
    difference_ci95 : (float, float) or None
        95 % interval of the mean paired difference (Student's t); None for a single trial.
    ratio : float or None
        Adversarial over clean mean; None if the clean mean is 0.
    """

    original: float
    adversarial: float
    difference: float
    difference_ci95: tuple[float, float] | None
    ratio: float | None

    @classmethod
    def of(cls, original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> Change:
        """Compare paired values, each of shape (trials,)."""
        paired = np.asarray(adversarial, float) - np.asarray(original, float)
        mean, trials = float(paired.mean()), len(paired)
        interval = None
        if trials > 1:
            half = float(stats.t.ppf(0.975, trials - 1)) * float(paired.std(ddof=1))
            half /= math.sqrt(trials)
            interval = (mean - half, mean + half)
        before, after = float(np.mean(original)), float(np.mean(adversarial))
        return cls(before, after, mean, interval, after / before if before else None)


@dataclass(frozen=True)
class AttackCost:
    """Cost of an attack to the network; not visible to the attacker.

    Parameters
    ----------
    trials : int
        Number of trials per image.
    changes : mapping of str to Change
        ``spikes`` (all populations except the input), ``input_spikes``, ``synaptic_operations``,
        and for profiles with energy coefficients ``energy_pj_lower`` and ``energy_pj_upper``, over
        the terms that have one.
    queries : int
        Number of queries of the search.
    query_spikes, query_synaptic_operations : float
        Means per query of the search.
    query_energy_pj : (float, float) or None
        Bounds of the mean energy per query, over the terms with a coefficient.
    without_coefficient : tuple of str
        Energy terms without a published coefficient, not included in the figures.
    basis : str or None
        Weakest basis of the coefficients.
    caveats : tuple of str
        Caveats of the energy estimate.
    """

    trials: int
    changes: Mapping[str, Change]
    queries: int
    query_spikes: float
    query_synaptic_operations: float
    query_energy_pj: tuple[float, float] | None
    without_coefficient: tuple[str, ...] = ()
    basis: str | None = None
    caveats: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "trials": self.trials,
            **{name: asdict(change) for name, change in self.changes.items()},
            "queries": self.queries,
            "spikes_per_query": self.query_spikes,
            "synaptic_operations_per_query": self.query_synaptic_operations,
            "energy_pj_per_query": as_ends(self.query_energy_pj),
            "without_coefficient": list(self.without_coefficient),
            "basis": self.basis,
            "caveats": list(self.caveats),
        }


def _quantities(
    deployment: Deployment, recording: Recording
) -> tuple[dict[str, NDArray[np.float64]], EnergyEstimate | None]:
    """Return each quantity, shape (images,), and the energy estimate if there are coefficients."""
    counts = recording.counts
    quantities = {
        "spikes": np.sum([c.sum(axis=1) for name, c in counts.items() if name != INPUT], axis=0),
        "input_spikes": counts[INPUT].sum(axis=1),
        "synaptic_operations": synaptic_operations(deployment.network, recording),
    }
    estimate = None
    if deployment.fitted is not None:
        activity = deployment.fitted.activity(
            counts, deployment.steps, recording.spikes, recording.decision_steps
        )
        estimate = deployment.fitted.estimate(activity)
        if estimate.subtotal_per_image_pj is None:
            estimate = None
        else:
            quantities["energy_pj_lower"], quantities["energy_pj_upper"] = (
                estimate.subtotal_per_image_pj
            )
    return {name: values.astype(np.float64) for name, values in quantities.items()}, estimate


class QueryMeter:
    """Sum the cost of the queries of a search.

    Parameters
    ----------
    deployment : Deployment
        Queried deployment.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._queries = 0
        self._sums: dict[str, float] = {}
        self._estimate: EnergyEstimate | None = None

    def __call__(self, recording: Recording) -> None:
        """Add a batch of queries."""
        self._queries += len(recording.counts[INPUT])
        quantities, self._estimate = _quantities(self._deployment, recording)
        for name, values in quantities.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(values.sum())

    def cost(self, trials: int, changes: Mapping[str, Change]) -> AttackCost:
        """Return the cost of the attack, given the changes between the two images."""
        means = {name: total / max(self._queries, 1) for name, total in self._sums.items()}
        estimate = self._estimate
        energy_pj = None
        if estimate is not None:
            energy_pj = means["energy_pj_lower"], means["energy_pj_upper"]
        return AttackCost(
            trials,
            changes,
            self._queries,
            means.get("spikes", 0.0),
            means.get("synaptic_operations", 0.0),
            energy_pj,
            without_coefficient=estimate.without_coefficient if estimate else (),
            basis=estimate.basis if estimate else None,
            caveats=estimate.caveats if estimate else (),
        )


def measure_change(
    deployment: Deployment,
    original: NDArray[np.float64],
    adversarial: NDArray[np.float64],
    *,
    first_trial: int,
    trials: int,
    stream: int,
) -> dict[str, Change]:
    """Compare the cost of an adversarial and a clean image, with the same random numbers.

    The trials have the indices from `first_trial` on in the random stream `stream`.
    """
    before, after = (
        _quantities(
            deployment,
            deployment.record(
                np.broadcast_to(image, (trials, *np.shape(image))),
                indices=np.arange(first_trial, first_trial + trials),
                stream=stream,
                record_spikes=deployment.needs_spikes,
            ),
        )[0]
        for image in (original, adversarial)
    )
    return {name: Change.of(before[name], after[name]) for name in before}
