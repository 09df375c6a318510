"""Cross-check of energy estimates with SANA-FE's description of Loihi."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neuroattack.deployment.backend import Availability
from neuroattack.deployment.features import check_supported
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import SimulationError
from neuroattack.experiments.chips.cross_check import OtherEstimate, OtherTerm, SharedTerm
from neuroattack.hardware.fitting import Fitted

from .backend import SanafeBackend, availability
from .description import ChipDescription, read_description
from .plan import Figures, SanafePlan
from .simulator import SanafeSimulator

__all__ = ["SanafeCrossCheck", "SanafeEstimator"]

_PJ_PER_J = 1e12
_NS_PER_S = 1e9
_ROUNDING = 1e-9
_DIGITS = 9

_SOMA, _OUT, _IN, _TILE = "loihi_lif", "loihi_out", "loihi_in", "loihi_tile"


class SanafeCrossCheck:
    """SANA-FE in a separate worker process, with the chip that its package describes."""

    name = "sanafe"
    profiles = frozenset({"loihi1"})

    def availability(self) -> Availability:
        """Return whether SANA-FE is installed, without importing it."""
        return availability()

    def deploy(self, fitted: Fitted) -> SanafeEstimator:
        """Prepare a network; see :meth:`neuroattack.experiments.chips.cross_check.CrossCheck`."""
        check_supported(self.name, SanafeBackend.supported, fitted.network)
        return SanafeEstimator(fitted)


class SanafeEstimator:
    """Fitted network on SANA-FE, on the cores on which it was placed."""

    def __init__(self, fitted: Fitted) -> None:
        self._description = read_description()
        self._version = availability().version
        self._simulator = SanafeSimulator(
            fitted.network, SanafePlan.of(fitted.network, fitted.placement)
        )

    def run(self, inputs: SpikeTrains) -> OtherEstimate:
        """Simulate a batch of input spikes and estimate its energy."""
        recording, figures = self._simulator.measure(inputs)
        if figures is None or recording.spikes is None:
            raise SimulationError("sanafe: nothing was measured")
        terms = _terms(figures, self._description, self._simulator.synapse_units)
        total_pj = figures.energy_j["total"] * _PJ_PER_J
        summed = np.sum([term.energy_pj for term in terms.values()], axis=0)
        if not np.allclose(summed, total_pj, rtol=_ROUNDING, atol=0.0):
            raise SimulationError(
                f"sanafe: events times the coefficients of {self._description.name} are "
                f"{summed.sum():.9g} pJ, but the reported total is {total_pj.sum():.9g} pJ"
            )
        return OtherEstimate(
            "SANA-FE",
            self._version,
            self._description.name,
            recording.spikes,
            terms,
            total_pj,
            figures.time_s,
            _time_ns(self._description, self._simulator.tiles),
        )

    def close(self) -> None:
        """End the worker."""
        self._simulator.close()


def _terms(
    figures: Figures, chip: ChipDescription, synapse_units: Sequence[str]
) -> dict[SharedTerm, OtherTerm]:
    """Return events times coefficients; of several synapse units, the energy that is reported."""
    message_j = chip.value(_OUT, "energy_message_out") + chip.value(_IN, "energy_message_in")
    east_j, north_j = (chip.value(_TILE, f"energy_{way}_hop") for way in ("east", "north"))
    of_event: dict[SharedTerm, tuple[str, float]] = {
        "neuron_update": ("accesses", chip.value(_SOMA, "energy_access_neuron")),
        "active_update": ("updates", chip.value(_SOMA, "energy_update_neuron")),
        "spike_generation": ("spikes", chip.value(_SOMA, "energy_spike_out")),
        "message": ("messages", message_j),
        "hop_ew": ("hops_ew", east_j),
        "hop_ns": ("hops_ns", north_j),
        "input_message": ("input_messages", message_j),
        "input_hop_ew": ("input_hops_ew", east_j),
        "input_hop_ns": ("input_hops_ns", north_j),
    }
    operations = figures.events["synaptic_operations"]
    synapses = OtherTerm(operations, figures.energy_j["synapse"] * _PJ_PER_J)
    if len(synapse_units) == 1:
        synapses = _term(operations, chip.value(synapse_units[0], "energy_process_spike"))
    terms: dict[SharedTerm, OtherTerm] = {"synaptic_operation": synapses}
    for term, (event, coefficient_j) in of_event.items():
        terms[term] = _term(figures.events[event], coefficient_j)
    return terms


def _term(count: NDArray[np.int64], coefficient_j: float) -> OtherTerm:
    # Without the rounding error of the conversion.
    coefficient_pj = round(coefficient_j * _PJ_PER_J, _DIGITS)
    return OtherTerm(count, count.astype(np.float64) * coefficient_pj, coefficient_pj)


def _time_ns(chip: ChipDescription, tiles: int) -> dict[str, float]:
    access, update, spike = (
        chip.value(_SOMA, f"latency_{event}")
        for event in ("access_neuron", "update_neuron", "spike_out")
    )
    synchronization = chip.synchronization_s(tiles)
    times_s = {
        "synaptic_operation": chip.value("loihi_dense_synapse", "latency_process_spike"),
        "update_active": access + update + spike,
        "update_inactive": access,
        "barrier_fastest": synchronization,
        "barrier_slowest": synchronization,
    }
    return {name: time * _NS_PER_S for name, time in times_s.items()}
