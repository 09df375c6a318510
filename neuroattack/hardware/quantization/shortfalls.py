"""Features of a network that a chip does not support: refused, converted, or unchecked if unknown.

:mod:`neuroattack.hardware.quantization.neurons` converts the parameters of populations.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.profiles.number_format import NumberFormat
from neuroattack.hardware.quantization.losses import Losses
from neuroattack.hardware.quantization.neurons import Neurons
from neuroattack.ir.network import INPUT, AnyProjection, Network, Population
from neuroattack.ir.projection import to_grid
from neuroattack.ir.structure import lags
from neuroattack.ir.values import is_uniform

__all__ = ["unknown_fields", "without_shortfalls"]


def without_shortfalls(
    network: Network, number_format: NumberFormat, *, allow_lossy: bool
) -> tuple[Network, tuple[str, ...]]:
    """Return the network without unsupported features, and a description of each loss.

    Refractory periods and delays out of range are set to the nearest supported value, resets are to
    rest, and biases, leak and the memory of synaptic currents are removed. With integer potentials,
    the neurons of a population share their time constants and refractory period. Of the projections
    into a population, only the first from the preceding population is kept if the chip has no
    others, and loops are removed if it has none. A chip with another kind of reset is simulated
    with a reset to a fixed potential.

    Spikes take at least one step on every chip. If they arrive in the same step in the network,
    its populations are simulated later by the shifts of :func:`neuroattack.ir.structure.lags`.
    Input that enters the current after the update of the potential is input with one more step of
    delay, without any loss.

    Parameters
    ----------
    network : Network
        Network in floating point.
    number_format : NumberFormat
        Number formats of the chip.
    allow_lossy : bool
        Whether features may be dropped or converted.

    Raises
    ------
    UnsupportedFeatureError
        For the first unsupported feature, unless it may be converted. Always if the chip does not
        support arbitrary weights, or receives or outputs no spikes in this network, or a threshold
        would not be above the reset potential.
    """
    losses = Losses(number_format, allow_lossy)
    if "free_weights" in number_format.lacks:
        raise UnsupportedFeatureError(f"free weights: {losses.lack('free_weights')}")
    _check_interfaces(network, number_format)
    neurons = Neurons(losses, network.dt_s)
    populations = tuple(
        neurons.converted(each) for each in network.populations if isinstance(each, Population)
    )
    projections = tuple(_arriving(each, neurons) for each in _connected(network, losses))
    fitted = replace(network, populations=populations, projections=projections)
    fitted = _one_step_later(fitted, losses)
    delayed = tuple(_in_range(projection, losses) for projection in fitted.projections)
    return replace(fitted, projections=delayed), tuple(losses.named)


def unknown_fields(network: Network, number_format: NumberFormat) -> tuple[str, ...]:
    """Return the fields of the format against which a network is not checked or rounded.

    They are unknown, or do not apply because potentials are in floating point.
    """
    populations = [each for each in network.populations if isinstance(each, Population)]
    state, lacks = number_format.state, number_format.lacks
    needed = {
        "weight_bits": number_format.weight_bits is None,
        "state": state is None,
        "leak_bits": state is not None
        and state.leak_bits is None
        and "leak" not in lacks
        and any(np.isfinite(each.tau_m_s).any() for each in populations),
        "synaptic_current": (state is None or state.current is None)
        and "synaptic_current" not in lacks
        and any(each.tau_syn_s.any() for each in populations),
        "per_neuron_parameters": state is None
        and not all(
            is_uniform(values)
            for each in populations
            for values in (each.tau_m_s, each.tau_syn_s, each.reset_v, each.refractory_steps)
        ),
        "threshold_bits": state is None or number_format.threshold_bits is None,
        "bias": (state is None or number_format.bias is None)
        and "bias" not in lacks
        and any(each.bias_v.any() or each.current_bias_v.any() for each in populations),
        "refractory_steps": number_format.refractory_steps is None
        and "refractory_period" not in lacks
        and any(each.refractory_steps.any() for each in populations),
        "delay_steps": number_format.delay_steps is None and "delay" not in lacks,
        "potential_readout": network.readout_quantity != "spike_count",
    }
    return tuple(field for field, unchecked in needed.items() if unchecked)


def _check_interfaces(network: Network, number_format: NumberFormat) -> None:
    """Check that input and output are spikes, where they have to be."""
    name = number_format.name
    if isinstance(network.input.encoder, DirectEncoder):
        raise UnsupportedFeatureError(
            f"direct coding: {name} receives spikes; use the encoder 'regular' or 'poisson'"
        )
    if number_format.state is None:
        return
    if network.readout_quantity != "spike_count":
        raise UnsupportedFeatureError(
            f"membrane potentials of {network.readout} as output: neurons of {name} output spikes"
        )
    for population in network.populations:
        if isinstance(population, Population) and np.isinf(population.threshold_v).any():
            raise UnsupportedFeatureError(
                f"infinite threshold of {population.name}: thresholds of {name} are integers"
            )


def _connected(network: Network, losses: Losses) -> list[AnyProjection]:
    """Return the projections that remain if the chip has no loops, or none that skip a layer."""
    order = [INPUT, *(population.name for population in network.populations)]
    lacks = losses.format.lacks
    kept: list[AnyProjection] = []
    forward: set[str] = set()
    for projection in network.projections:
        ends = f"{projection.source}->{projection.target}"
        step = order.index(projection.target) - order.index(projection.source)
        if step <= 0 and "recurrence" in lacks:
            kind = "recurrent" if step == 0 else "feedback"
            losses.name(f"{kind} projection {ends}", losses.lack("recurrence"))
            continue
        if "skip_projection" in lacks and step != 0:
            second = projection.target in forward
            if second or step != 1:
                kind = "feedback" if step < 0 else "skip" if step > 1 else "second"
                losses.name(f"{kind} projection {ends}", losses.lack("skip_projection"))
                continue
            forward.add(projection.target)
        kept.append(projection)
    return kept


def _arriving(projection: AnyProjection, neurons: Neurons) -> AnyProjection:
    """Return a projection to a converted population."""
    late, gain = neurons.late[projection.target], neurons.gains.get(projection.target)
    delayed = replace(projection, delay_steps=projection.delay_steps + late)
    if gain is None:
        return delayed
    stronger: AnyProjection = delayed.with_grid(*to_grid(delayed.label, delayed.grid_v * gain))
    return stronger


def _one_step_later(network: Network, losses: Losses) -> Network:
    """Return the network with delays of at least one step, by shifting populations in time."""
    early = [projection for projection in network.projections if projection.delay_steps == 0]
    if not early:
        return network
    try:
        shifts = lags(network)
    except UnsupportedFeatureError:
        # A loop of several projections would take too long: each projection takes one step.
        return network
    late = shifts[network.readout]
    output = ""
    if late:
        lost = "time step is" if late == 1 else f"{late} time steps are"
        output = f", so the last {lost} lost in {network.readout}"
    losses.name(
        f"same-step arrival over {early[0].label}",
        f"spikes take at least one time step on {losses.format.name}{output}",
    )
    projections = (
        replace(p, delay_steps=p.delay_steps + shifts[p.target] - shifts[p.source])
        for p in network.projections
    )
    return replace(network, projections=tuple(projections))


def _in_range(projection: AnyProjection, losses: Losses) -> AnyProjection:
    what = f"delay of {projection.source}->{projection.target}"
    (steps,) = losses.in_range(what, np.array([projection.delay_steps]), "delay")
    return replace(projection, delay_steps=int(steps))
