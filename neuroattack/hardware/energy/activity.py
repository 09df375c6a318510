"""What recorded spikes set off on a chip: every kind of event that has a price, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.ir.network import INPUT, Network
from neuroattack.validation import check_whole

if TYPE_CHECKING:
    from neuroattack.hardware.energy.traffic import Traffic
    from neuroattack.hardware.placement.placement import Placement

__all__ = ["Activity", "count_activity"]

Counts = NDArray[np.int64]

_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1).sum(axis=1)
"""Set bits of every byte."""

_OF_THE_CHIP = ("steps", "neurons_of_core", "is_by_core")
_PER_IMAGE = (
    "synaptic_operations", "spikes", "routes", "packets", "input_spikes", "readout_spikes",
    "hops_ew", "hops_ns", "updates_on_event",
)  # fmt: skip

_BY_CORE = ("routes", "hops_ew", "hops_ns")


@dataclass(frozen=True, eq=False)
class Activity:
    """Events on a chip, image by image. The input is not on the chip: its neurons are not updated.

    Parameters
    ----------
    steps : int
        Time steps T that an image is shown for.
    neurons_of_core : int64 array, shape (cores,)
        Neurons on every core in use.
    is_by_core : bool
        Whether a limit of cores is known. Where none is, all neurons stand on one core here, which
        says nothing of the chip: what depends on cores is then not to be priced.
    synaptic_operations : int64 array, shape (images,)
        Spikes times the connections that leave their neuron, those of weight 0 left out.
    spikes : int64 array, shape (images,)
        Of the neurons on the chip, those of the readout included.
    routes : int64 array, shape (images,)
        A spike takes one to each core that it has a target on, the input's spikes as well:
        arrivals of spikes at cores.
    packets : int64 array, shape (images,)
        Spikes, the input's included, of neurons with a connection: on a chip that multicasts, one
        packet each, however many cores it goes to.
    input_spikes : int64 array, shape (images,)
        Those that enter the chip: spikes of input neurons with a connection.
    readout_spikes : int64 array, shape (images,)
        Those that the answer is read from.
    hops_ew, hops_ns : int64 array, shape (images,), or None
        Between nodes of the mesh, from core to core; None without a mesh. The way of input spikes
        to their cores is not in them, for it is not known where they enter.
    updates_on_event, spiking_on_event : int64 array, shape (images,), or None
        Pairs of a neuron and a step in which a spike arrives over a connection of non-zero
        weight, and those of them in which the neuron spikes; None where only counts of spikes
        were recorded.
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
        """Images shown."""
        return len(self.spikes)

    @property
    def cores(self) -> int:
        """Cores in use."""
        return len(self.neurons_of_core)

    @property
    def updates(self) -> int:
        """Updates of an image where every neuron is updated in every step: N * T."""
        return int(self.neurons_of_core.sum()) * self.steps

    @classmethod
    def concatenate(cls, parts: Sequence[Activity]) -> Activity:
        """Join the activity of consecutive batches of the same network on the same chip.

        Raises
        ------
        ValidationError
            If there is none, or they are not of the same chip and steps.
        """
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
    """Count the events that recorded spikes set off on a chip.

    Synaptic operations are spikes times actual fan-out, as in
    :func:`neuroattack.deployment.backend.synaptic_operations`: those of a spike count with the
    spike, also where its delay would let it arrive after the last step. Updates on event are
    counted where and when spikes arrive: what would arrive after the last step is not among them.

    Parameters
    ----------
    network : Network
        What ran.
    traffic, placement : Traffic, Placement
        Of that network on the chip.
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
    exact = {name: counts[name].astype(np.float64) for name in _sizes(network)}

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
        _check_spikes(network, spikes, len(exact[INPUT]), steps)
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


def _sizes(network: Network) -> dict[str, int]:
    return {INPUT: network.input.size} | {p.name: p.size for p in network.populations}


def _check_counts(
    network: Network, counts: Mapping[str, NDArray[np.integer[Any]]], steps: int
) -> None:
    images = None
    for name, size in _sizes(network).items():
        what = f"spike counts of {name}"
        if name not in counts:
            raise ValidationError(what, "none", "those of every population, and the input's")
        shape = counts[name].shape
        images = shape[0] if images is None and shape else images
        if shape != (images, size) or not images:
            raise ValidationError(what, f"shape {shape}", f"({images or 'images'}, {size})")
        if counts[name].min() < 0 or counts[name].max() > steps:
            raise ValidationError(
                what,
                f"{counts[name].min()} to {counts[name].max()}",
                f"0 to {steps}: at most one a step",
            )


def _check_spikes(
    network: Network, spikes: Mapping[str, SpikeTrains], images: int, steps: int
) -> None:
    for name, size in _sizes(network).items():
        what = f"spikes of {name}"
        if name not in spikes:
            raise ValidationError(what, "none", "those of every population, and the input's")
        found = spikes[name].images, spikes[name].steps, spikes[name].size
        if found != (images, steps, size):
            raise ValidationError(
                what, f"(images, steps, size) = {found}", f"{(images, steps, size)}"
            )


def _into_cores(network: Network, name: str, placement: Placement) -> Counts:
    """Return the connections of each neuron into each core, shape (size, cores)."""
    into = np.zeros((_sizes(network)[name], placement.cores_used), np.int64)
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
        # A bit for each target neuron: the targets of all spikes of a step are or-ed together.
        incoming = [
            (spikes[p.source], np.packbits(p.mantissas != 0, axis=1), p.delay_steps)
            for p in network.incoming(population.name)
        ]
        own = spikes[population.name]
        for image in range(images):
            arrived = np.zeros((own.steps, -(-population.size // 8)), np.uint8)
            for trains, targets, delay in incoming:
                _add_arrivals(arrived, trains, image, targets, delay)
            fired = np.packbits(own[image : image + 1].to_dense()[0], axis=1)
            updates[image] += _ONES[arrived].sum()
            spiking[image] += _ONES[arrived & fired].sum()
    return updates, spiking


def _add_arrivals(
    arrived: NDArray[np.uint8],
    trains: SpikeTrains,
    image: int,
    targets: NDArray[np.uint8],
    delay_steps: int,
) -> None:
    """Set the bits of the neurons that the spikes of one projection arrive at, step by step."""
    ends = trains.offsets[image, : max(trains.steps - delay_steps, 0) + 1]
    busy = np.flatnonzero(np.diff(ends))
    if len(busy):
        neurons = trains.neurons[ends[0] : ends[-1]]
        reached = np.bitwise_or.reduceat(targets[neurons], ends[busy] - ends[0], axis=0)
        arrived[busy + delay_steps] |= reached
