"""Hardware time of an image on a chip, exact or as lower and upper bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.energy.activity import Activity
from neuroattack.hardware.profiles.energy_model import Coefficient, EnergyModel

__all__ = ["coefficients_of_time", "hardware_time_s"]

_S_PER_NS = 1e-9

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Lower and upper bounds, each of shape (images,)."""


def coefficients_of_time(model: EnergyModel) -> dict[str, Coefficient]:
    """Return the coefficients of the hardware time by name; empty if it is unknown."""
    timing = model.timing
    if timing is None or not _known(model):
        return {}
    if timing.kind == "events":
        return {f"time of {name}": coefficient for name, coefficient in timing.event_ns.items()}
    return {} if timing.step is None else {f"time of a step ({timing.kind})": timing.step}


def hardware_time_s(activity: Activity, model: EnergyModel, dt_s: float) -> Bounds | None:
    """Return lower and upper bounds of the hardware time of each image in seconds.

    In real time an image takes T * dt; on a chip with a fixed tick, T ticks; on an accelerated
    chip, T * dt divided by the acceleration factor. In these cases both bounds are the same.

    If the duration of a step depends on its events, cores work in parallel, each core processes its
    events sequentially, and a barrier ends the step. With the work w(c, k) of core c in step k,
    w = (synaptic operations into c of the spikes of step k) * t_sop + (updates on c) * t_update,
    the time of an image is

        sum over k of max over c of w(c, k), plus T barriers.

    *Lower bound*: the maximum over cores is at least the value of any core, so the sum is at least
    max over c of (sum over k of w(c, k)), the work of the busiest core over the image, which
    follows from spike counts. T times the fastest barrier is added.

    *Upper bound*: the maximum of a sum is at most the sum of the maxima. For the updates of a step
    this is the number of neurons of the largest core. For synaptic operations, with the number of
    connections f(i, c) of neuron i into core c: max over c of (sum over spiking i of f(i, c)) is at
    most the sum over spiking i of max over c of f(i, c), which summed over steps is
    :attr:`Activity.concentrated_synaptic_operations`. T times the slowest barrier is added.

    The operations of a spike belong to the step of the spike, not to the step of its effect: such
    chips accumulate weights for a later step as spikes arrive. Active updates are at least those
    with a spike, at most all. Chips with event-driven updates have between zero and one update per
    neuron and step; chips in continuous time have none.

    Parameters
    ----------
    activity : Activity
        Activity of the network on the chip.
    model : EnergyModel
        Energy model of the chip. If only one kind of update has a known time, it is used for all;
        a single known barrier time is both the fastest and the slowest; unknown barriers take no
        time.
    dt_s : float
        Length of a time step in seconds.

    Returns
    -------
    (lower, upper) : float64 arrays, shape (images,); or None
        Bounds; None if the hardware time is unknown, or depends on cores whose number is unknown.
    """
    timing = model.timing
    if timing is None or not _known(model):
        return None
    if timing.kind == "events":
        return _time_of_events_s(activity, model) if activity.is_by_core else None
    factor = 1.0 if timing.step is None else timing.step.value
    steps = activity.steps.astype(np.float64)
    seconds = {
        "real_time": steps * dt_s,
        "tick": steps * factor,
        "accelerated": steps * dt_s / factor,
    }[timing.kind]
    return seconds, seconds


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
        updates = neurons * steps[:, np.newaxis]
        least_ns = np.minimum(
            spikes * active_ns + (updates - spikes) * inactive_ns, updates * active_ns
        )
    if model.update_policy != "continuous":
        most_ns = float(neurons.max()) * max(active_ns, inactive_ns)
    busiest_ns = (activity.core_synaptic_operations * operation_ns + least_ns).max(axis=1)
    concentrated_ns = activity.concentrated_synaptic_operations.astype(np.float64) * operation_ns
    lower = busiest_ns + steps * time_ns("barrier_fastest", "barrier_slowest")
    upper = concentrated_ns + steps * (most_ns + time_ns("barrier_slowest", "barrier_fastest"))
    # Sums in different orders: equal bounds may differ in the last bit.
    return np.minimum(lower, upper) * _S_PER_NS, upper * _S_PER_NS
