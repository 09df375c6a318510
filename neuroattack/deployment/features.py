"""Features of networks that a backend may or may not support."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import Convolution, FixedPopulation, Network, Population
from neuroattack.ir.structure import is_recurrent, recurrent_groups
from neuroattack.ir.values import is_uniform

__all__ = ["BASIC", "FEATURES", "biases_on_grid", "check_supported", "features_of"]

FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "fixed_point": "fixed-point arithmetic",
        "per_neuron_parameters": "time constants, reset or refractory period per neuron",
        "subtractive_reset": "reset by subtraction at the spike",
        "delayed_subtraction": "reset by subtraction in the next time step",
        "inclusive_threshold": "spikes at a potential equal to the threshold",
        "synaptic_current": "synaptic current with memory",
        "late_input": "input that enters the current after the update of the potential",
        "recurrence": "recurrent connections within a population",
        "feedback": "connections to an earlier population",
        "same_step_arrival": "spikes that arrive in the step in which they are emitted",
        "convolution": "convolutions stored as kernels",
        "direct_input": "direct coding: intensities as a constant input",
        "potential_readout": "membrane potentials as output",
        "recurrent_bias": "biases off the grid of the weights, in recurrent populations",
        "fast_decay": "potentials that decay by more than half per time step",
    }
)
"""Descriptions of the features by name. Everything else is supported by every backend."""

_HALF = 0.5
_EXACT_BELOW = 2.0**53

BASIC = frozenset({"fixed_point", "recurrent_bias", "fast_decay"})
"""Features of backends that do not declare any: those of networks in version 0.1."""


def features_of(network: Network) -> dict[str, str]:
    """Return the features that a network uses: by name, the first part that uses it."""
    found: dict[str, str] = {}
    for feature, part in _used(network):
        found.setdefault(feature, part)
    return {feature: found[feature] for feature in FEATURES if feature in found}


def check_supported(
    backend: str, supported: frozenset[str], network: Network, kind: str = "backend"
) -> None:
    """Check that a backend, or an exporter, supports all features of a network.

    Parameters
    ----------
    backend : str
        Name of the backend or exporter.
    supported : frozenset of str
        Names of the features that it supports.
    network : Network
        Network to check.
    kind : str, optional
        Kind of the object in the message.

    Raises
    ------
    UnsupportedFeatureError
        If it does not; the message names the object, the feature and a part that uses it.
    """
    for feature, part in features_of(network).items():
        if feature not in supported:
            raise UnsupportedFeatureError(
                f"{kind} {backend!r} does not support {FEATURES[feature]} ({part})"
            )


def _used(network: Network) -> Iterator[tuple[str, str]]:
    if isinstance(network.input.encoder, DirectEncoder):
        yield "direct_input", "input"
    if network.readout_quantity != "spike_count":
        yield "potential_readout", f"population {network.readout!r}"
    for population in network.populations:
        part = f"population {population.name!r}"
        if population.has_current:
            yield "synaptic_current", part
        if isinstance(population, FixedPopulation):
            yield "fixed_point", part
        else:
            yield from ((feature, part) for feature in _of_neurons(population, network))
    position = {name: index for index, name in enumerate(network.sizes)}
    for projection in network.projections:
        if isinstance(projection, Convolution):
            yield "convolution", projection.label
        if projection.delay_steps == 0:
            yield "same_step_arrival", projection.label
        if projection.source == projection.target:
            yield "recurrence", projection.label
        elif position[projection.source] > position[projection.target]:
            yield "feedback", projection.label


def biases_on_grid(population: Population, network: Network) -> bool:
    """Return whether sums of a population's biases and incoming weights are exact in any order."""
    if not population.bias_v.any():
        return True
    incoming = [p for p in network.incoming(population.name) if p.largest_sum()]
    if not incoming:
        return True
    exponent = min(projection.exponent for projection in incoming)
    bias = np.ldexp(np.abs(population.bias_v), -exponent)
    weights = sum(
        float(projection.largest_sum()) * 2.0 ** (projection.exponent - exponent)
        for projection in incoming
    )
    return bool((bias == np.rint(bias)).all() and bias.max() + weights < _EXACT_BELOW)


def _of_neurons(population: Population, network: Network) -> Iterator[str]:
    parameters: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = [
        population.tau_m_s,
        population.tau_syn_s,
        population.reset_v,
    ]
    if not all(map(is_uniform, parameters)) or not is_uniform(population.refractory_steps):
        yield "per_neuron_parameters"
    if population.reset == "subtract":
        yield "subtractive_reset"
    if population.reset == "subtract_next":
        yield "delayed_subtraction"
    if population.comparison == "inclusive":
        yield "inclusive_threshold"
    if population.input_after_update:
        yield "late_input"
    decay = population.decay(network.dt_s)
    if ((decay > 0) & (decay < _HALF)).any():
        yield "fast_decay"
    if not biases_on_grid(population, network) and any(
        population.name in group and is_recurrent(network, group)
        for group in recurrent_groups(network)
    ):
        yield "recurrent_bias"
