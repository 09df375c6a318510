"""Hardware time of an image on a chip: exact, or between two bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.energy.activity import Activity
from neuroattack.hardware.profiles.energy_model import Coefficient, EnergyModel

__all__ = ["coefficients_of_time", "hardware_time_s"]

_S_PER_NS = 1e-9

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Lower and upper, each of shape (images,)."""


def coefficients_of_time(model: EnergyModel) -> dict[str, Coefficient]:
    """Return the numbers that hardware time is made of, by name; none where it is not known."""
    timing = model.timing
    if timing is None or not _known(model):
        return {}
    if timing.kind == "events":
        return {f"time of {name}": coefficient for name, coefficient in timing.event_ns.items()}
    return {} if timing.step is None else {f"time of a step ({timing.kind})": timing.step}


def hardware_time_s(activity: Activity, model: EnergyModel, dt_s: float) -> Bounds | None:
    """Return the hardware time of each image in seconds, a lower and an upper bound.

    In real time an image takes T * dt; on a chip with a tick, T ticks; on an accelerated one,
    T * dt divided by the factor: then the two bounds are the same.

    Where a step takes as long as its events, cores work side by side, a core does one thing after
    another, and a barrier ends the step. With w(c, k) the work of core c at step k,
    w = (synaptic operations into c of the spikes of step k) * t_sop + (updates on c) * t_update,
    the time of an image is

        sum over k of max over c of w(c, k), and T barriers.

    *Lower*: a maximum over cores is at least any one of them, so the sum is at least
    max over c of (sum over k of w(c, k)), the work of the core that is busiest over the whole
    image, which spike counts give. To it, T times the fastest barrier.

    *Upper*: the maximum of a sum is at most the sum of the maxima. For the updates of a step that
    is those of the core with the most neurons. For its synaptic operations, with f(i, c) the
    connections of neuron i into core c: max over c of (sum over spiking i of f(i, c)) is at most
    the sum over spiking i of max over c of f(i, c), which summed over steps is
    :attr:`Activity.concentrated_synaptic_operations`. To it, T times the slowest barrier.

    The operations of a spike are the work of its own step, not of the one it takes effect in:
    such chips accumulate weights as spikes arrive, for a later step. An update is active at least
    where the neuron spikes, at most always. Chips that update on event do between no update and
    one per neuron and step; continuous ones do none.

    Parameters
    ----------
    activity : Activity
        Of the network on the chip.
    model : EnergyModel
        Of the chip. An update with one known time always takes it; a single known barrier is both
        the fastest and the slowest; without one, barriers take no time.
    dt_s : float
        Simulated seconds per step.

    Returns
    -------
    (lower, upper) : float64 arrays, shape (images,); or None
        None where hardware time is not known, also if it is that of cores and how many are in use
        is not known.
    """
    timing = model.timing
    if timing is None or not _known(model):
        return None
    if timing.kind == "events":
        return _time_of_events_s(activity, model) if activity.is_by_core else None
    factor = 1.0 if timing.step is None else timing.step.value
    seconds = {
        "real_time": activity.steps * dt_s,
        "tick": activity.steps * factor,
        "accelerated": activity.steps * dt_s / factor,
    }[timing.kind]
    each = np.full(activity.images, seconds)
    return each, each


def _known(model: EnergyModel) -> bool:
    timing = model.timing
    if timing is None:
        return False
    if timing.kind != "events":
        return timing.kind == "real_time" or timing.step is not None
    updates = "update_active" in timing.event_ns or "update_inactive" in timing.event_ns
    return "synaptic_operation" in timing.event_ns and (
        updates or model.update_policy == "continuous"
    )


def _time_of_events_s(activity: Activity, model: EnergyModel) -> Bounds:
    event_ns = {} if model.timing is None else model.timing.event_ns

    def time_ns(*names: str) -> float:
        return next((event_ns[name].value for name in names if name in event_ns), 0.0)

    operation_ns = time_ns("synaptic_operation")
    active_ns = time_ns("update_active", "update_inactive")
    inactive_ns = time_ns("update_inactive", "update_active")
    neurons, steps, spikes = activity.neurons_of_core, activity.steps, activity.core_spikes
    least_ns = np.zeros(spikes.shape)
    most_ns = 0.0
    if model.update_policy == "every_step":
        updates = neurons * steps
        least_ns = np.minimum(
            spikes * active_ns + (updates - spikes) * inactive_ns, updates * active_ns
        )
    if model.update_policy != "continuous":
        most_ns = float(neurons.max()) * max(active_ns, inactive_ns)
    busiest_ns = (activity.core_synaptic_operations * operation_ns + least_ns).max(axis=1)
    concentrated_ns = activity.concentrated_synaptic_operations.astype(np.float64) * operation_ns
    lower = busiest_ns + steps * time_ns("barrier_fastest", "barrier_slowest")
    upper = concentrated_ns + steps * (most_ns + time_ns("barrier_slowest", "barrier_fastest"))
    # The two are sums in different orders: where they are equal, the last bit may not be.
    return np.minimum(lower, upper) * _S_PER_NS, upper * _S_PER_NS
