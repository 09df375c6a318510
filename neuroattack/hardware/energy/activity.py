"""Counts of the events that recorded spikes cause on a chip, by kind."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.hardware.energy.traffic import Traffic
from neuroattack.hardware.placement.placement import Placement
from neuroattack.ir.network import INPUT, AnyProjection, Convolution, Network
from neuroattack.validation import check_integer

__all__ = ["Activity", "check_spikes", "count_activity"]

Counts = NDArray[np.int64]

_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1).sum(axis=1)
"""Number of set bits of every byte."""

_AT_ONCE = 2**23
"""Neurons times steps of a convolution that are computed at once."""

_OF_THE_CHIP = ("neurons_of_core", "is_by_core")
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
    """Events on a chip per image. The input is not on the chip: its neurons are not updated.

    All counts except `neurons_of_core` are int64 arrays of shape (images,) or (images, cores).

    Parameters
    ----------
    steps : int64 array, shape (images,)
        Number of time steps that each image ran.
    neurons_of_core : int64 array, shape (cores,)
        Number of neurons on every core in use.
    is_by_core : bool
        Whether a limit per core is known. If not, all neurons are counted on one core, and terms
        that depend on cores have no energy.
    synaptic_operations : int64 array, shape (images,)
        Spikes times the nonzero outgoing connections of their neuron.
    spikes : int64 array, shape (images,)
        Spikes of all neurons on the chip, including the readout.
    routes : int64 array, shape (images,)
        Arrivals of spikes at cores, including input spikes: one per core with a target of the
        spike.
    packets : int64 array, shape (images,)
        Spikes of neurons with a connection, including the input: one packet each on a chip with
        multicast, regardless of the number of destination cores.
    input_spikes : int64 array, shape (images,)
        Spikes of input neurons with a connection, which enter the chip.
    readout_spikes : int64 array, shape (images,)
        Spikes of the readout.
    hops_ew, hops_ns : int64 array, shape (images,), or None
        Hops between nodes of the mesh (east-west, north-south), without those of input spikes;
        None without a mesh.
    updates_on_event, spiking_on_event : int64 array, shape (images,), or None
        Pairs of a neuron and a step in which a spike arrives over a connection with nonzero
        weight, and those pairs in which the neuron spikes; None if only spike counts were
        recorded.
    core_synaptic_operations, core_spikes : int64 array, shape (images, cores)
        Synaptic operations into the neurons of every core, and spikes of those neurons.
    concentrated_synaptic_operations : int64 array, shape (images,)
        Spikes times the largest number of connections of their neuron into a single core.
    """

    steps: Counts
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
        """Number of cores in use."""
        return len(self.neurons_of_core)

    @property
    def updates(self) -> Counts:
        """Updates of each image if every neuron is updated in every step."""
        return int(self.neurons_of_core.sum()) * self.steps

    @classmethod
    def concatenate(cls, parts: Sequence[Activity]) -> Activity:
        """Join the activity of batches; raise ValidationError if the chip differs."""
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
        """Return means over images as JSON values; None for events that were not counted."""
        means: dict[str, Any] = {"updates_every_step": float(self.updates.mean())}
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
    steps_run: Counts | None = None,
) -> Activity:
    """Count the events that recorded spikes cause on a chip.

    Synaptic operations are spikes times actual fan-out, as in
    :func:`neuroattack.deployment.backend.synaptic_operations`, including spikes that would arrive
    after the last step. Event-driven updates are counted in the steps in which spikes arrive.

    Parameters
    ----------
    network : Network
        Simulated network.
    traffic, placement : Traffic, Placement
        Traffic and placement of the network on the chip.
    counts : mapping of str to int array, shape (images, size)
        Spike counts of every population, and of the input under ``"input"``.
    steps : int
        Number of time steps T per image.
    spikes : mapping of str to SpikeTrains, optional
        Spikes of every population and the input, needed for event-driven updates.
    steps_run : int64 array, shape (images,), optional
        Number of steps that each image ran, if the readout exits early; counts and spikes are those
        of these steps. By default T.

    Raises
    ------
    ValidationError
        If counts or spikes do not match the network and the steps.
    """
    steps = check_integer("steps", steps, 1)
    _check_counts(network, counts, steps)
    if steps_run is None:
        steps_run = np.full(len(counts[INPUT]), steps)
    # Sums of integers below 2**53 are exact in float64, and faster than in int64.
    exact = {name: counts[name].astype(np.float64) for name in network.sizes}

    def total(per_spike: Mapping[str, NDArray[Any]]) -> Counts:
        parts = [exact[name] @ each.astype(np.float64) for name, each in per_spike.items()]
        summed: Counts = np.sum(parts, axis=0).astype(np.int64)
        return summed

    connected = {name: number > 0 for name, number in traffic.connections.items()}
    into = traffic.into_cores
    on_core = {
        name: core[:, np.newaxis] == np.arange(placement.cores_used)
        for name, core in placement.cores.items()
    }
    on_event = spiking = None
    if spikes is not None:
        check_spikes(network, spikes, len(exact[INPUT]), steps)
        on_event, spiking = _updates_on_event(network, spikes, steps_run)
    return Activity(
        steps=steps_run,
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
    """Raise ValidationError unless there are spikes of all populations with the given shape.

    Direct coding has no spikes of the input.
    """
    for name, size in network.sizes.items():
        what = f"spikes of {name}"
        if name == INPUT and isinstance(network.input.encoder, DirectEncoder):
            continue
        if name not in spikes:
            raise ValidationError(what, "none", "spikes of every population and the input")
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
            raise ValidationError(what, "none", "counts of every population and the input")
        shape = counts[name].shape
        images = shape[0] if images is None and shape else images
        if shape != (images, size) or not images:
            raise ValidationError(what, f"shape {shape}", f"({images or 'images'}, {size})")
        lowest, highest = counts[name].min(), counts[name].max()
        if lowest < 0 or highest > steps:
            raise ValidationError(
                what, f"{lowest} to {highest}", f"0 to {steps}: at most one per step"
            )


def _updates_on_event(
    network: Network, spikes: Mapping[str, SpikeTrains], steps_run: Counts
) -> tuple[Counts, Counts]:
    """Return the counts of pairs of neuron and step with an arrival, and of those with a spike."""
    images = spikes[INPUT].images
    updates, spiking = np.zeros(images, np.int64), np.zeros(images, np.int64)
    for population in network.populations:
        incoming = [(spikes[p.source], _arrivals(p), p) for p in network.incoming(population.name)]
        own = spikes[population.name]
        for image in range(images):
            steps = int(steps_run[image])
            arrived = np.zeros((steps, -(-population.size // 8)), np.uint8)
            for trains, arrivals, projection in incoming:
                arrivals(trains, image, arrived[projection.delay_steps :])
            fired = np.packbits(own[image : image + 1].to_dense()[0, :steps], axis=1)
            updates[image] += _ONES[arrived].sum()
            spiking[image] += _ONES[arrived & fired].sum()
    return updates, spiking


def _arrivals(projection: AnyProjection) -> Callable[[SpikeTrains, int, NDArray[np.uint8]], None]:
    """Return a function that adds the targets of the spikes of an image, step by step.

    Its last argument has the shape (steps, targets / 8), one bit per target; spikes of later steps
    do not arrive.
    """
    if isinstance(projection, Convolution):
        return functools.partial(_add_kernel, projection)
    # The targets of all spikes of a step are combined by bitwise or.
    return functools.partial(_add_rows, np.packbits(projection.mantissas != 0, axis=1))


def _add_rows(
    targets: NDArray[np.uint8], trains: SpikeTrains, image: int, arrived: NDArray[np.uint8]
) -> None:
    ends = trains.offsets[image, : len(arrived) + 1]
    busy = np.flatnonzero(np.diff(ends))
    if len(busy):
        reached = targets[trains.neurons[ends[0] : ends[-1]]]
        arrived[busy] |= np.bitwise_or.reduceat(reached, ends[busy] - ends[0], axis=0)


def _add_kernel(
    projection: Convolution, trains: SpikeTrains, image: int, arrived: NDArray[np.uint8]
) -> None:
    channels, rows, columns = projection.target_shape
    groups, per_group = projection.groups, channels // projection.groups
    of_rows, of_columns = projection.positions(0), projection.positions(1)
    kernel = (projection.kernel != 0).astype(np.float32)
    per_step = projection.shape[1] + projection.shape[0]
    at_once = max(_AT_ONCE // per_step, 1)
    raster = trains[image : image + 1].to_dense()[0, : len(arrived)]
    for first in range(0, len(arrived), at_once):
        spikes = raster[first : first + at_once].astype(np.float32)
        grid = spikes.reshape(len(spikes), *projection.source_shape)
        total = np.zeros((len(spikes), groups, per_group, rows, columns), np.float32)
        for row, column in np.ndindex(*kernel.shape[2:]):
            i, j = np.flatnonzero(of_rows[row] >= 0), np.flatnonzero(of_columns[column] >= 0)
            met = grid[:, :, of_rows[row, i][:, np.newaxis], of_columns[column, j]]
            met = met.reshape(len(spikes), groups, kernel.shape[1], len(i) * len(j))
            weights = kernel[:, :, row, column].reshape(groups, per_group, kernel.shape[1])
            # Counts of spikes, exact in float32 below 2**24.
            total[:, :, :, i[:, np.newaxis], j] += (weights @ met).reshape(
                len(spikes), groups, per_group, len(i), len(j)
            )
        reached = total.reshape(len(spikes), -1) > 0
        arrived[first : first + at_once] |= np.packbits(reached, axis=1)
