"""First differing spikes of two simulations, in causal order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.ir.network import INPUT, Network

__all__ = ["Difference", "differing_events", "find_differences"]

Raster = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Difference:
    """Differing spikes of two simulations of a network.

    Parameters
    ----------
    origins : dict of str to int
        Number of spikes of each population that only one of the two has, without an earlier
        differing spike of the same neuron or of a neuron that it receives spikes from, in the
        reference network: divergences that begin there.
    first : (str, int, int, int) or None
        Population, image, step and neuron of the first differing spike in causal order: no spike
        that can affect it differs. None if all spikes are equal.
    """

    origins: dict[str, int]
    first: tuple[str, int, int, int] | None


def differing_events(one: SpikeTrains, other: SpikeTrains) -> NDArray[np.int64]:
    """Return the spikes whose multiplicity differs, shape (spikes, 3): image, step and neuron."""
    found = [np.empty((0, 3), np.int64)]
    for image in range(one.images):
        both = [trains[image : image + 1] for trains in (one, other)]
        cells = [step * one.size + neuron for _, step, neuron in (each.events() for each in both)]
        differing, position = np.unique(np.concatenate(cells), return_inverse=True)
        sign = np.repeat([1, -1], [len(each) for each in cells])
        surplus = np.bincount(position.ravel(), sign, minlength=len(differing))
        step, neuron = np.divmod(differing[surplus != 0], one.size)
        found.append(np.stack([np.full(len(step), image), step, neuron], axis=1))
    events: NDArray[np.int64] = np.concatenate(found).astype(np.int64)
    return events


def find_differences(
    network: Network, one: Mapping[str, Raster], other: Mapping[str, Raster]
) -> Difference:
    """Compare the spikes of two simulations.

    Parameters
    ----------
    network : Network
        Network, which determines what spikes affect each other.
    one, other : mapping of str to bool array, shape (images, steps, size)
        Spikes of the same populations.
    """
    names = [name for name in (INPUT, *(p.name for p in network.populations)) if name in one]
    differing = {name: one[name] != other[name] for name in names}
    origins: dict[str, int] = {}
    first: tuple[int, int, str, int, int] | None = None
    for position, name in enumerate(names):
        begins = differing[name] & ~_affected(network, name, differing)
        origins[name] = int(begins.sum())
        if origins[name]:
            image, step, neuron = (int(each[0]) for each in _in_time(begins))
            first = min(first or (step, position, name, image, neuron),
                        (step, position, name, image, neuron))  # fmt: skip
    if first is None:
        return Difference(origins, None)
    step, _, name, image, neuron = first
    return Difference(origins, (name, image, step, neuron))


def _in_time(raster: Raster) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return image, step and neuron of spikes, in the order of steps, images and neurons."""
    step, image, neuron = np.nonzero(raster.swapaxes(0, 1))
    return image, step, neuron


def _affected(network: Network, name: str, differing: Mapping[str, Raster]) -> Raster:
    """Return in which steps a differing spike may have affected each neuron."""
    own = differing[name]
    reached = np.zeros_like(own)
    reached[:, 1:] = own[:, :-1]
    if name != INPUT:
        for projection in network.incoming(name):
            if projection.source not in differing:
                continue
            targets = (projection.sparse() != 0).astype(np.float64)
            source = differing[projection.source]
            _, steps, size = source.shape
            arrived = (source.reshape(-1, size) @ targets).reshape(own.shape) > 0
            delay = projection.delay_steps
            if delay < steps:
                reached[:, delay:] |= arrived[:, : steps - delay]
    # Potentials and synaptic currents keep what arrived before.
    affected: Raster = np.logical_or.accumulate(reached, axis=1)
    return affected
