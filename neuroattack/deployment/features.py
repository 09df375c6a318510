"""Features of networks that a backend may or may not support."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.ir.network import Convolution, FixedPopulation, Network, Population
from neuroattack.ir.values import is_uniform

__all__ = ["BASIC", "FEATURES", "check_supported", "features_of"]

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
    }
)
"""Descriptions of the features by name. Everything else is supported by every backend."""

BASIC = frozenset({"fixed_point"})
"""Features of backends that do not declare any: those of networks in version 0.1."""


def features_of(network: Network) -> dict[str, str]:
    """Return the features that a network uses: by name, the first part that uses it."""
    found: dict[str, str] = {}
    for feature, part in _used(network):
        found.setdefault(feature, part)
    return {feature: found[feature] for feature in FEATURES if feature in found}


def check_supported(backend: str, supported: frozenset[str], network: Network) -> None:
    """Check that a backend supports all features of a network.

    Raises
    ------
    UnsupportedFeatureError
        If it does not; the message names the backend, the feature and a part that uses it.
    """
    for feature, part in features_of(network).items():
        if feature not in supported:
            raise UnsupportedFeatureError(
                f"backend {backend!r} does not support {FEATURES[feature]} ({part})"
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
            yield from ((feature, part) for feature in _of_neurons(population))
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


def _of_neurons(population: Population) -> Iterator[str]:
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
