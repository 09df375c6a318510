"""Limits of a chip and its cores for the placement of networks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CoreLimits", "Mesh"]


@dataclass(frozen=True)
class Mesh:
    """Rectangular mesh of nodes with cores; spikes travel east-west and north-south.

    Parameters
    ----------
    width, height : int
        Number of nodes from west to east, and from south to north.
    cores_per_node : int
        Number of cores per node; spikes within a node take no hop.
    """

    width: int
    height: int
    cores_per_node: int = 1


@dataclass(frozen=True)
class CoreLimits:
    """Limits of one chip; unknown limits are None.

    Parameters
    ----------
    name : str
        Name of the chip in messages.
    cores_per_chip, neurons_per_core : int or None
        Number of cores, and of neurons per core.
    synapses_per_core, synapse_bits_per_core : int or None
        Connections into the neurons of a core, as a number and as bits of memory.
    bits_per_synapse : int or None
        Minimum memory per connection; that of the weight if no more is known.
    in_axons_per_core, out_axons_per_core : int or None
        Number of source neurons with a target on the core, and of routes, i.e. pairs of a source
        neuron on the core and one of its destination cores.
    fan_in_per_neuron, fan_out_per_neuron, destination_cores_per_neuron : int or None
        Connections into and out of a neuron, and cores with its targets.
    neurons_per_chip, synapses_per_chip : int or None
        Total number of neurons and connections.
    input_neurons, hidden_neurons, readout_neurons : int or None
        Separate limits of input, hidden and readout neurons, if the chip has them.
    mesh : Mesh or None
        Layout of the cores, numbered node by node.
    not_applicable : frozenset of str
        Names of the limits above that do not exist on the chip, in contrast to unknown ones.
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
