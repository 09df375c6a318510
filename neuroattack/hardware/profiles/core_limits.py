"""Limits of a chip and its cores, under which a network is placed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CoreLimits", "Mesh"]


@dataclass(frozen=True)
class Mesh:
    """Nodes in a rectangle, each with some cores; spikes travel east-west and north-south.

    Parameters
    ----------
    width, height : int
        Nodes from west to east, and from south to north.
    cores_per_node : int
        Cores that share a node, between which a spike takes no hop.
    """

    width: int
    height: int
    cores_per_node: int = 1


@dataclass(frozen=True)
class CoreLimits:
    """Limits of one chip; None where a limit is not known.

    Parameters
    ----------
    name : str
        Of the chip, for messages.
    cores_per_chip, neurons_per_core : int or None
        Cores, and neurons on each.
    synapses_per_core, synapse_bits_per_core : int or None
        Connections into the neurons of a core, as a number and as bits of memory.
    bits_per_synapse : int or None
        Least memory of a connection; that of its weight if no more is known.
    in_axons_per_core, out_axons_per_core : int or None
        Source neurons with a target on the core, and routes: pairs of a source neuron on the core
        and one of its destination cores.
    fan_in_per_neuron, fan_out_per_neuron, destination_cores_per_neuron : int or None
        Connections into a neuron, out of it, and cores of its targets.
    neurons_per_chip, synapses_per_chip : int or None
        In all.
    input_neurons, hidden_neurons, readout_neurons : int or None
        Of a chip with separate places for them.
    mesh : Mesh or None
        Layout of the cores, numbered node by node.
    not_applicable : frozenset of str
        Limits of those above that are meaningless for the chip, which is not the same as unknown.
    """

    name: str
    cores_per_chip: int | None = None
    neurons_per_core: int | None = None
    synapses_per_core: int | None = None
    synapse_bits_per_core: int | None = None
    bits_per_synapse: int | None = None
    in_axons_per_core: int | None = None
    out_axons_per_core: int | None = None
    fan_in_per_neuron: int | None = None
    fan_out_per_neuron: int | None = None
    destination_cores_per_neuron: int | None = None
    neurons_per_chip: int | None = None
    synapses_per_chip: int | None = None
    input_neurons: int | None = None
    hidden_neurons: int | None = None
    readout_neurons: int | None = None
    mesh: Mesh | None = None
    not_applicable: frozenset[str] = frozenset()
