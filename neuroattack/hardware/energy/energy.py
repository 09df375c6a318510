"""Energy estimates of a network on a chip from its activity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from neuroattack.errors import ValidationError
from neuroattack.hardware.energy.activity import Activity
from neuroattack.hardware.energy.terms import (
    POWERS,
    UPDATES,
    TermEstimate,
    as_ends,
    estimate_terms,
    mean_of,
)
from neuroattack.hardware.energy.timing import Bounds, coefficients_of_time, hardware_time_s
from neuroattack.hardware.profiles.energy_model import (
    BASES,
    Basis,
    Coefficient,
    EnergyModel,
    EnergyTerm,
)
from neuroattack.validation import check_positive

__all__ = ["EnergyEstimate", "estimate"]

_MS_PER_S = 1e3
_BOUNDED = ("subtotal_pj", "latency_ms", "energy_delay_product_pj_s",
            "subtotal_energy_delay_product_pj_s")  # fmt: skip


@dataclass(frozen=True, eq=False)
class EnergyEstimate:
    """Estimated energy and hardware time of images on a chip, with T time steps per image.

    Pairs are lower and upper bounds of the estimate, because some counts are known as bounds only.
    `basis`, `conditions` and `caveats` qualify the coefficients.

    Parameters
    ----------
    model : EnergyModel
        Energy model of the chip.
    activity : Activity
        Counted events.
    terms : mapping of EnergyTerm to TermEstimate
        Terms of the estimate, by their names in profiles.
    time_s : (lower, upper) of float64 arrays, shape (images,); or None
        Hardware time of each image; None if unknown.
    """

    model: EnergyModel
    activity: Activity
    terms: Mapping[EnergyTerm, TermEstimate]
    time_s: Bounds | None

    @property
    def without_coefficient(self) -> tuple[str, ...]:
        """Terms excluded from all sums: no published coefficient, or unknown count."""
        return tuple(n for n, term in self.terms.items() if term.status == "without_coefficient")

    @property
    def subtotal_per_image_pj(self) -> Bounds | None:
        """Energy of each image over the terms with a coefficient; None if there are none."""
        parts = [term.energy_pj for term in self.terms.values() if term.energy_pj is not None]
        if not parts:
            return None
        lower, upper = np.sum(parts, axis=0)
        return lower, upper

    @property
    def per_image_pj(self) -> Bounds | None:
        """Energy of each image; None if a term lacks a coefficient, or none is estimated."""
        return None if self.without_coefficient else self.subtotal_per_image_pj

    @property
    def subtotal_pj(self) -> tuple[float, float] | None:
        """Mean energy per image over the terms with a coefficient: the sum of their means."""
        means = [term.mean_pj for term in self.terms.values() if term.mean_pj is not None]
        if not means:
            return None
        return sum(mean[0] for mean in means), sum(mean[1] for mean in means)

    @property
    def total_pj(self) -> tuple[float, float] | None:
        """Mean energy per image; None if any term lacks a coefficient."""
        return None if self.without_coefficient else self.subtotal_pj

    @property
    def latency_ms(self) -> tuple[float, float] | None:
        """Mean hardware time per image in milliseconds; None if unknown."""
        mean = mean_of(self.time_s)
        return None if mean is None else (mean[0] * _MS_PER_S, mean[1] * _MS_PER_S)

    @property
    def subtotal_energy_delay_product_pj_s(self) -> tuple[float, float] | None:
        """Mean of energy times hardware time over images, for the terms with a coefficient."""
        energy = self.subtotal_per_image_pj
        if energy is None or self.time_s is None:
            return None
        return mean_of((energy[0] * self.time_s[0], energy[1] * self.time_s[1]))

    @property
    def energy_delay_product_pj_s(self) -> tuple[float, float] | None:
        """Mean of energy times hardware time over images; None if a term lacks a coefficient."""
        return None if self.without_coefficient else self.subtotal_energy_delay_product_pj_s

    @property
    def time_coefficients(self) -> dict[str, Coefficient]:
        """Coefficients used for the hardware time, by name."""
        return coefficients_of_time(self.model)

    @property
    def coefficients(self) -> dict[str, Coefficient]:
        """Coefficients used for the energy, including those of time if a power is used."""
        used: dict[str, Coefficient] = {
            name: term.coefficient
            for name, term in self.terms.items()
            if term.status == "estimated" and term.coefficient is not None
        }
        return used | self.time_coefficients if POWERS & used.keys() else used

    @property
    def basis(self) -> Basis | None:
        """Weakest basis of the coefficients of the energy; None without any."""
        return _weakest(self.coefficients.values())

    @property
    def latency_basis(self) -> Basis | None:
        """Weakest basis of the coefficients of the hardware time; None without any."""
        return _weakest(self.time_coefficients.values())

    @property
    def conditions(self) -> tuple[str, ...]:
        """Distinct conditions of the coefficients of the energy."""
        return tuple(
            dict.fromkeys(coefficient.conditions for coefficient in self.coefficients.values())
        )

    @property
    def mixed_conditions(self) -> bool:
        """Whether coefficients with different conditions are summed."""
        return len(self.conditions) > 1

    @property
    def caveats(self) -> tuple[str, ...]:
        """Omissions and assumptions of the estimate, as standard phrases."""
        bounds = {
            coefficient.bound
            for coefficient in (self.coefficients | self.time_coefficients).values()
        }
        estimated = {name for name, term in self.terms.items() if term.status == "estimated"}
        updates = set(UPDATES)
        timing, timed = self.model.timing, self.time_coefficients
        by_events = timing is not None and timing.kind == "events" and bool(timed)
        all_in = self.model.scope == "all_in" and "synaptic_operation" in self.model.event_pj
        one_update = len(updates & self.terms.keys()) == 1 and bool(updates & estimated)
        return tuple(
            phrase
            for phrase, applies in (
                (
                    "A coefficient is a minimum, so upper figures are not upper bounds.",
                    "min" in bounds,
                ),
                (
                    "A coefficient is a maximum, so lower figures are not lower bounds.",
                    "max" in bounds,
                ),
                ("The all-in coefficient was published for one load, and depends on it.", all_in),
                (
                    "Active updates are bounded: at least the spikes, at most all updates.",
                    updates <= estimated,
                ),
                ("The same coefficient is used for active and inactive updates.", one_update),
                ("Hops of input spikes are not counted.", bool(estimated & {"hop_ew", "hop_ns"})),
                ("Static power is that of one complete chip.", "static_chip" in estimated),
                ("Input encoding is not counted.", True),
                ("Chip input and output are not counted.", "host_io" not in self.terms),
                (
                    "Time steps are assumed to follow each other without a pause.",
                    by_events and bool(POWERS & self.coefficients.keys()),
                ),
                ("Hardware time does not include the transport of spikes.", by_events),
                (
                    "Hardware time does not include barriers.",
                    by_events and not any("barrier" in name for name in timed),
                ),
            )
            if applies
        )

    def subtotal_per_correct_classification_pj(self, accuracy: float) -> tuple[float, float] | None:
        """Return the energy per correctly classified image, over the terms with a coefficient.

        None if there are no such terms, or the accuracy is 0.

        Parameters
        ----------
        accuracy : float
            Accuracy on the same images, in [0, 1].

        Raises
        ------
        ValidationError
            If the accuracy is not in [0, 1].
        """
        if not 0 <= accuracy <= 1:
            raise ValidationError("accuracy", accuracy, "a number from 0 to 1")
        energy = self.subtotal_pj
        return energy and (energy[0] / accuracy, energy[1] / accuracy) if accuracy else None

    def as_json(self) -> dict[str, Any]:
        """Return the estimates, as means over images, as JSON values."""
        return {
            "energy_pj_per_image": as_ends(self.total_pj),
            **{name: as_ends(getattr(self, name)) for name in _BOUNDED},
            **{
                name: list(getattr(self, name))
                for name in ("without_coefficient", "conditions", "caveats")
            },
            "basis": self.basis,
            "latency_basis": self.latency_basis,
            "mixed_conditions": self.mixed_conditions,
            "terms": {name: term.as_json() for name, term in self.terms.items()},
            "time_coefficients": {
                name: asdict(coefficient) for name, coefficient in self.time_coefficients.items()
            },
            "activity_per_image": self.activity.as_json(),
        }


def estimate(activity: Activity, model: EnergyModel, dt_s: float) -> EnergyEstimate:
    """Estimate the energy of recorded activity on a chip.

    Each term is a count times a coefficient:

    - ``synaptic_operation``: spikes times their connections;
    - ``update_active``, ``update_inactive``: together N * T if every neuron is updated in every
      step; on a chip with event-driven updates, the pairs of a neuron and a step with an arrival.
      The sources do not define which updates are active: at least those in which the neuron
      spikes, at most all, which gives the two bounds. If only one of the coefficients is known, it
      is used for all updates;
    - ``spike_in_tile``: routes of spikes to cores, including input spikes; ``hop_ew``, ``hop_ns``:
      hops on these routes, without those of input spikes;
    - ``spike_packet``: one packet per spike of a neuron with a connection, including input spikes,
      which enter as packets as well;
    - ``synapse_fetch``: arrivals of spikes at cores;
    - ``barrier``: one per step; ``host_io``: input spikes that enter the chip;
    - ``static_chip``: power of one chip times hardware time; ``active_core``: the same for each
      core in use.

    An all-in coefficient covers everything else on the chip. The energy of a term covered by
    another coefficient is not added again, even if it has a coefficient; a term is not covered if
    the covering term has no coefficient. If a term of the chip lacks a coefficient or a count,
    there is no total. Synaptic operations, updates and static power are terms of every chip; other
    terms are included if the model has a coefficient for them or lists them as unknown.

    Parameters
    ----------
    activity : Activity
        Activity of the network on the chip.
    model : EnergyModel
        Energy model of the chip.
    dt_s : float
        Length of a time step in seconds.

    Raises
    ------
    ValidationError
        If event-driven updates have a coefficient, but the activity was counted from spike counts
        only.
    """
    time_s = hardware_time_s(activity, model, check_positive("dt_s", dt_s, "number of seconds"))
    terms = MappingProxyType(estimate_terms(activity, model, time_s))
    return EnergyEstimate(model, activity, terms, time_s)


def _weakest(coefficients: Iterable[Coefficient]) -> Basis | None:
    return max((coefficient.basis for coefficient in coefficients), key=BASES.index, default=None)
