"""Events that recorded spikes cause on a chip, counted by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.hardware.energy.traffic import Traffic
from neuroattack.hardware.placement.placement import Placement
from neuroattack.ir.network import INPUT, Network
from neuroattack.validation import check_whole

__all__ = ["Activity", "check_spikes", "count_activity"]

Counts = NDArray[np.int64]

_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1).sum(axis=1)
"""Set bits of every byte."""

_OF_THE_CHIP = ("steps", "neurons_of_core", "is_by_core")
_PER_IMAGE = (
    "synaptic_operations",
    "spikes",
    "routes",
    "packets",
    "input_spikes",
    "readout_spikes",
    "hops_ew",
    "hops_ns",
    "updates_on_event",
)

_BY_CORE = ("routes", "hops_ew", "hops_ns")


@dataclass(frozen=True, eq=False)
class Activity:
    """Events on a chip per image. The input is off the chip: its neurons are not updated.

    All counts but `neurons_of_core` are int64 arrays of shape (images,) or (images, cores).

    Parameters
    ----------
    steps : int
        Time steps T per image.
    neurons_of_core : int64 array, shape (cores,)
        Neurons on every core in use.
    is_by_core : bool
        Whether a limit of cores is known. If none is, all neurons stand on one core here, and
        what depends on cores has no energy.
    synaptic_operations : int64 array, shape (images,)
        Spikes times the connections out of their neuron with nonzero weight.
    spikes : int64 array, shape (images,)
        Of the neurons on the chip, the readout included.
    routes : int64 array, shape (images,)
        Arrivals of spikes at cores, the input's included: one for each core on which the spike
        has a target.
    packets : int64 array, shape (images,)
        Spikes, the input's included, of neurons with a connection: on a chip that multicasts, one
        packet each, however many cores it goes to.
    input_spikes : int64 array, shape (images,)
        Spikes of input neurons with a connection, which enter the chip.
    readout_spikes : int64 array, shape (images,)
        Of the readout.
    hops_ew, hops_ns : int64 array, shape (images,), or None
        Between nodes of the mesh, from core to core, without those of input spikes; None without
        a mesh.
    updates_on_event, spiking_on_event : int64 array, shape (images,), or None
        Pairs of a neuron and a step in which a spike arrives over a connection of nonzero
        weight, and those of them in which the neuron spikes; None where only spike counts were
        recorded.
    core_synaptic_operations, core_spikes : int64 array, shape (images, cores)
        Synaptic operations into the neurons of every core, and spikes of those neurons.
    concentrated_synaptic_operations : int64 array, shape (images,)
        Spikes times the most connections that their neuron has into a single core.
    """

    steps: int
    neurons_of_core: Counts
    is_by_core: bool
    synaptic_operations: Counts
    spikes: Counts
    routes: Counts
    packets: Counts
    input_spikes: Counts
    readout_spikes: Counts
    hops_ew: Counts | None
    hops_ns: Counts | None
    updates_on_event: Counts | None
    spiking_on_event: Counts | None
    core_synaptic_operations: Counts
    core_spikes: Counts
    concentrated_synaptic_operations: Counts

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.spikes)

    @property
    def cores(self) -> int:
        """Cores in use."""
        return len(self.neurons_of_core)

    @property
    def updates(self) -> int:
        """Updates per image if every neuron is updated in every step: N * T."""
        return int(self.neurons_of_core.sum()) * self.steps

    @classmethod
    def concatenate(cls, parts: Sequence[Activity]) -> Activity:
        """Join the activity of batches; ValidationError unless of the same chip and steps."""
        if not parts:
            raise ValidationError("activity", "no batch", "at least one")
        joined: dict[str, Any] = {}
        for name in (field.name for field in fields(cls)):
            values = [getattr(part, name) for part in parts]
            if name in _OF_THE_CHIP:
                if not all(np.array_equal(value, values[0]) for value in values):
                    raise ValidationError("activity", f"batches of different {name}", "the same")
                joined[name] = values[0]
            elif any(value is None for value in values):
                joined[name] = None
            else:
                joined[name] = np.concatenate(values)
        return cls(**joined)

    def as_json(self) -> dict[str, Any]:
        """Return means over images as JSON values; None for what was not counted."""
        means: dict[str, Any] = {"updates_every_step": self.updates}
        for name in _PER_IMAGE:
            values = None if name in _BY_CORE and not self.is_by_core else getattr(self, name)
            means[name] = None if values is None else float(values.mean())
        return means


def count_activity(
    network: Network,
    traffic: Traffic,
    placement: Placement,
    counts: Mapping[str, NDArray[np.integer[Any]]],
    steps: int,
    spikes: Mapping[str, SpikeTrains] | None = None,
) -> Activity:
    """Count the events that recorded spikes cause on a chip.

    Synaptic operations are spikes times actual fan-out, as in
    :func:`neuroattack.deployment.backend.synaptic_operations`, also of spikes whose delay passes
    the last step. Updates on event are counted where and when spikes arrive, up to that step.

    Parameters
    ----------
    network : Network
        That was simulated.
    traffic, placement : Traffic, Placement
        Of the network on the chip.
    counts : mapping of str to int array, shape (images, size)
        Spikes of every neuron of every population over all steps, the input's under ``"input"``.
    steps : int
        Time steps T of an image.
    spikes : mapping of str to SpikeTrains, optional
        The spikes themselves, which updates on event are counted from.

    Raises
    ------
    ValidationError
        If counts or spikes are not those of the network and the steps.
    """
    steps = check_whole("steps", steps, 1)
    _check_counts(network, counts, steps)
    # Sums of whole numbers below 2**53, which float64 has exactly and adds up fast.
    exact = {name: counts[name].astype(np.float64) for name in network.sizes}

    def total(per_spike: Mapping[str, NDArray[Any]]) -> Counts:
        parts = [exact[name] @ each.astype(np.float64) for name, each in per_spike.items()]
        summed: Counts = np.sum(parts, axis=0).astype(np.int64)
        return summed

    connected = {name: number > 0 for name, number in traffic.connections.items()}
    into = {name: _into_cores(network, name, placement) for name in exact}
    on_core = {
        name: place[:, np.newaxis] == np.arange(placement.cores_used)
        for name, place in placement.cores.items()
    }
    on_event = spiking = None
    if spikes is not None:
        check_spikes(network, spikes, len(exact[INPUT]), steps)
        on_event, spiking = _updates_on_event(network, spikes)
    return Activity(
        steps=steps,
        neurons_of_core=np.sum([of.sum(axis=0) for of in on_core.values()], axis=0),
        is_by_core=placement.is_by_core,
        synaptic_operations=total(traffic.connections),
        spikes=total({p.name: np.ones(p.size) for p in network.populations}),
        routes=total(traffic.destination_cores),
        packets=total(connected),
        input_spikes=total({INPUT: connected[INPUT]}),
        readout_spikes=total({network.readout: np.ones(network.classes)}),
        hops_ew=None if traffic.hops_ew is None else total(traffic.hops_ew),
        hops_ns=None if traffic.hops_ns is None else total(traffic.hops_ns),
        updates_on_event=on_event,
        spiking_on_event=spiking,
        core_synaptic_operations=total(into),
        core_spikes=total(on_core),
        concentrated_synaptic_operations=total({n: each.max(axis=1) for n, each in into.items()}),
    )


def check_spikes(
    network: Network, spikes: Mapping[str, SpikeTrains], images: int, steps: int
) -> None:
    """Raise ValidationError unless spikes are of every population, these images and steps."""
    for name, size in network.sizes.items():
        what = f"spikes of {name}"
        if name not in spikes:
            raise ValidationError(what, "none", "those of every population, and the input's")
        found = spikes[name].images, spikes[name].steps, spikes[name].size
        if found != (images, steps, size):
            raise ValidationError(
                what, f"(images, steps, size) = {found}", f"{(images, steps, size)}"
            )


def _check_counts(
    network: Network, counts: Mapping[str, NDArray[np.integer[Any]]], steps: int
) -> None:
    images = None
    for name, size in network.sizes.items():
        what = f"spike counts of {name}"
        if name not in counts:
            raise ValidationError(what, "none", "those of every population, and the input's")
        shape = counts[name].shape
        images = shape[0] if images is None and shape else images
        if shape != (images, size) or not images:
            raise ValidationError(what, f"shape {shape}", f"({images or 'images'}, {size})")
        lowest, highest = counts[name].min(), counts[name].max()
        if lowest < 0 or highest > steps:
            raise ValidationError(
                what, f"{lowest} to {highest}", f"0 to {steps}: at most one per step"
            )


def _into_cores(network: Network, name: str, placement: Placement) -> Counts:
    """Return the connections of each neuron into each core, shape (size, cores)."""
    into = np.zeros((network.sizes[name], placement.cores_used), np.int64)
    for projection in network.outgoing(name):
        place = placement.cores[projection.target]
        for core in np.unique(place):
            into[:, core] += np.count_nonzero(projection.mantissas[:, place == core], axis=1)
    return into


def _updates_on_event(network: Network, spikes: Mapping[str, SpikeTrains]) -> tuple[Counts, Counts]:
    """Return the pairs of neuron and step with an arrival, and those of them with a spike."""
    images = spikes[INPUT].images
    updates, spiking = np.zeros(images, np.int64), np.zeros(images, np.int64)
    for population in network.populations:
        # One bit per target neuron: the targets of all spikes of a step are or-ed together.
        incoming = [
            (spikes[p.source], np.packbits(p.mantissas != 0, axis=1), p.delay_steps)
            for p in network.incoming(population.name)
        ]
        own = spikes[population.name]
        for image in range(images):
            arrived = np.zeros((own.steps, -(-population.size // 8)), np.uint8)
            for trains, targets, delay in incoming:
                ends = trains.offsets[image, : max(trains.steps - delay, 0) + 1]
                busy = np.flatnonzero(np.diff(ends))
                if len(busy):
                    reached = targets[trains.neurons[ends[0] : ends[-1]]]
                    arrived[busy + delay] |= np.bitwise_or.reduceat(
                        reached, ends[busy] - ends[0], axis=0
                    )
            fired = np.packbits(own[image : image + 1].to_dense()[0], axis=1)
            updates[image] += _ONES[arrived].sum()
            spiking[image] += _ONES[arrived & fired].sum()
    return updates, spiking
