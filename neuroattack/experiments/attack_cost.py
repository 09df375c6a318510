"""What an attack makes a network do: spikes, synaptic operations and energy, image by image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from neuroattack.deployment.backend import Recording, synaptic_operations
from neuroattack.deployment.deployment import Deployment
from neuroattack.hardware.energy.energy import EnergyEstimate
from neuroattack.ir.network import INPUT

__all__ = ["AttackCost", "Change", "QueryMeter", "measure_change"]


@dataclass(frozen=True)
class Change:
    """A quantity on the original image and on the adversarial one, over the same draws.

    Parameters
    ----------
    original, adversarial : float
        Means over the draws.
    difference : float
        Of the means: adversarial less original.
    difference_ci95 : (float, float) or None
        Its 95 % interval, of the paired differences (Student's t); None from a single draw.
    ratio : float or None
        Of the means; None where the original has none.
    """

    original: float
    adversarial: float
    difference: float
    difference_ci95: tuple[float, float] | None
    ratio: float | None

    @classmethod
    def of(cls, original: NDArray[np.float64], adversarial: NDArray[np.float64]) -> Change:
        """Compare values of the same draws, each of shape (draws,)."""
        paired = np.asarray(adversarial, float) - np.asarray(original, float)
        mean, draws = float(paired.mean()), len(paired)
        interval = None
        if draws > 1:
            half = float(stats.t.ppf(0.975, draws - 1)) * float(paired.std(ddof=1))
            half /= math.sqrt(draws)
            interval = (mean - half, mean + half)
        before = float(np.mean(original))
        after = float(np.mean(adversarial))
        return cls(before, after, mean, interval, after / before if before else None)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "original": self.original,
            "adversarial": self.adversarial,
            "difference": self.difference,
            "difference_ci95": self.difference_ci95 and list(self.difference_ci95),
            "ratio": self.ratio,
        }


@dataclass(frozen=True)
class AttackCost:
    """What an attack costs the network under attack, as the laboratory sees it.

    Parameters
    ----------
    draws : int
        Draws of the input spikes that original and adversarial image were compared over.
    changes : mapping of str to Change
        ``spikes`` (of all populations but the input), ``input_spikes``,
        ``synaptic_operations``, and on a chip with prices ``energy_pj_lower`` and
        ``energy_pj_upper``, of the terms that have one.
    query_synaptic_operations, query_spikes : float
        Mean of the queries of the search.
    query_energy_pj : (float, float) or None
        Lower and upper bound of a query's mean energy, of the terms that have a price.
    queries : int
        Of the search.
    unpriced : tuple of str
        Terms of the energy without a price; none of them is in the figures.
    basis : str or None
        The weakest that a price rests on.
    caveats : tuple of str
        What a reader has to know of the energies.
    """

    draws: int
    changes: Mapping[str, Change]
    queries: int
    query_spikes: float
    query_synaptic_operations: float
    query_energy_pj: tuple[float, float] | None
    unpriced: tuple[str, ...] = ()
    basis: str | None = None
    caveats: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        energy = self.query_energy_pj
        return {
            "draws": self.draws,
            **{name: change.as_json() for name, change in self.changes.items()},
            "queries": self.queries,
            "spikes_per_query": self.query_spikes,
            "synaptic_operations_per_query": self.query_synaptic_operations,
            "energy_pj_per_query": energy and {"lower": energy[0], "upper": energy[1]},
            "unpriced": list(self.unpriced),
            "basis": self.basis,
            "caveats": list(self.caveats),
        }


def _quantities(
    deployment: Deployment, recording: Recording
) -> tuple[dict[str, NDArray[np.float64]], EnergyEstimate | None]:
    """Return what is compared, each of shape (images,), and on a chip the estimate of it."""
    counts = recording.counts
    found = {
        "spikes": np.sum([c.sum(axis=1) for name, c in counts.items() if name != INPUT], axis=0),
        "input_spikes": counts[INPUT].sum(axis=1),
        "synaptic_operations": synaptic_operations(deployment.network, recording),
    }
    estimate = None
    if deployment.fitted is not None:
        estimate = deployment.fitted.estimate(
            deployment.fitted.activity(counts, deployment.steps, recording.spikes)
        )
        if estimate.priced_per_image_pj is not None:
            found["energy_pj_lower"], found["energy_pj_upper"] = estimate.priced_per_image_pj
    return {name: values.astype(np.float64) for name, values in found.items()}, estimate


class QueryMeter:
    """Adds up what the queries of a search make the network do.

    Parameters
    ----------
    deployment : Deployment
        That is queried.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._queries = 0
        self._sums: dict[str, float] = {}
        self._estimate: EnergyEstimate | None = None

    def __call__(self, recording: Recording) -> None:
        """Count a batch of queries."""
        self._queries += len(recording.counts[INPUT])
        found, self._estimate = _quantities(self._deployment, recording)
        for name, values in found.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(values.sum())

    def cost(self, draws: int, changes: Mapping[str, Change]) -> AttackCost:
        """Return the cost of the attack, given how original and adversarial image compare."""
        means = {name: total / max(self._queries, 1) for name, total in self._sums.items()}
        return AttackCost(
            draws=draws,
            changes=changes,
            queries=self._queries,
            query_spikes=means["spikes"],
            query_synaptic_operations=means["synaptic_operations"],
            query_energy_pj=(means["energy_pj_lower"], means["energy_pj_upper"])
            if "energy_pj_lower" in means
            else None,
            **self._origin(),
        )

    def _origin(self) -> dict[str, Any]:
        estimate = self._estimate
        if estimate is None or estimate.priced_per_image_pj is None:
            return {}
        return {
            "unpriced": estimate.unpriced,
            "basis": estimate.basis,
            "caveats": estimate.caveats,
        }


def measure_change(
    deployment: Deployment,
    original: NDArray[np.float64],
    adversarial: NDArray[np.float64],
    *,
    first_draw: int,
    draws: int,
    stream: int,
) -> dict[str, Change]:
    """Compare what an adversarial image costs with what its original costs.

    Both are shown under the same draws, so that their difference is that of the images and
    little else.

    Parameters
    ----------
    deployment : Deployment
        The network where it runs.
    original, adversarial : float array, shape (height, width)
        Intensities in [0, 1].
    first_draw, draws : int
        Of the draws in the stream.
    stream : int
        Stream of draws.
    """
    indices = np.arange(first_draw, first_draw + draws)
    each = []
    for image in (original, adversarial):
        recording = deployment.record(
            np.broadcast_to(image, (draws, *np.shape(image))),
            indices=indices,
            stream=stream,
            record_spikes=deployment.needs_spikes,
        )
        each.append(_quantities(deployment, recording)[0])
    before, after = each
    return {name: Change.of(before[name], after[name]) for name in before}
