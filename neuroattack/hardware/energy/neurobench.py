"""NeuroBench's algorithm metrics, computed from recorded spikes.

Definitions: Yik et al., Nature Communications 16:1545, 2025, as computed by the package neurobench
2.3.0 with hooks on the layers of a torch model. The corresponding model is: each projection is a
linear or convolutional layer without bias, called once in each of the T steps with the source's
spikes that arrive in that step (spikes of step k - delay); each population is an activation layer,
called once per step. Spikes are 0 or 1, so their operations are accumulations (AC). Operations with
the intensities of direct coding are multiplications and accumulations (MAC). Weights of a kernel
that meet the padding are no operations.

Spikes that would arrive after the last step reach no layer and are not operations in this sense.
:func:`neuroattack.deployment.backend.synaptic_operations` counts them, because a chip sends them;
the difference is `late_acs` of :class:`NeuroBenchMetrics`.

The package rounds connection sparsity to 4 decimals and sums the operations of a step in the type
of the layer, which in 32-bit floats is inexact above 2**24 operations per batch. Values here are
exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.hardware.energy.activity import check_spikes
from neuroattack.hardware.placement.pattern import possible_connections
from neuroattack.hardware.profiles.number_format import NumberFormat
from neuroattack.ir.network import INPUT, FixedPopulation, Network, Population

__all__ = ["NeuroBenchMetrics", "footprint_in_format", "neurobench_metrics"]

_REFRACTORY_BYTES = 4
_SUMMED = ("spikes", "activations", "dense", "acs", "late_acs", "macs", "late_macs", "images")


@dataclass(frozen=True)
class NeuroBenchMetrics:
    """NeuroBench metrics of a network on a set of images, as exact integer counts.

    Parameters
    ----------
    parameter_bytes : int
        Bytes of weights, thresholds and biases: 4 per weight, including zeros; 8 per threshold or
        bias in floating point, 4 in fixed point. Biases of currents are included if there are any.
    buffer_bytes : int
        Bytes of the state between steps, for one image: one potential per neuron, and one current
        if the population has them, in the type of its threshold; 4 bytes per neuron with a
        refractory period; one byte per spike that may be in transit (neurons of a source times its
        longest delay).
    zero_weights, weights : int
        Number of zero weights, and of all weights, over all projections; for a convolution, of its
        kernel.
    spikes, activations : int
        Spikes of all populations except the input, and neurons x steps x images.
    dense : int
        Operations if all weights and spikes were nonzero: connections x steps x images.
    acs : int
        Spikes that arrived within the T steps, times their nonzero weights.
    late_acs : int
        The same for spikes that would have arrived after the last step.
    macs, late_macs : int
        The same for nonzero intensities of direct coding, in each step.
    images : int
        Number of images, at least 1.
    """

    parameter_bytes: int
    buffer_bytes: int
    zero_weights: int
    weights: int
    spikes: int
    activations: int
    dense: int
    acs: int
    late_acs: int
    images: int
    macs: int = 0
    late_macs: int = 0

    @property
    def footprint_bytes(self) -> int:
        """Footprint: bytes of parameters and state."""
        return self.parameter_bytes + self.buffer_bytes

    @property
    def connection_sparsity(self) -> float | None:
        """Fraction of zero weights, not rounded; None for a network without weights."""
        return self.zero_weights / self.weights if self.weights else None

    @property
    def activation_sparsity(self) -> float:
        """Fraction of neuron x step x image entries without a spike."""
        return (self.activations - self.spikes) / self.activations

    def as_json(self) -> dict[str, Any]:
        """Return the metrics as JSON values, with operations per image.

        The sum of effective ACs and MACs and late ones is the mean of
        :func:`neuroattack.deployment.backend.synaptic_operations`.
        """
        return {
            "footprint_bytes": self.footprint_bytes,
            "connection_sparsity": self.connection_sparsity,
            "activation_sparsity": self.activation_sparsity,
            "synaptic_operations_per_image": {
                "dense": self.dense / self.images,
                "effective_macs": self.macs / self.images,
                "effective_acs": self.acs / self.images,
                "late": (self.late_acs + self.late_macs) / self.images,
            },
            "images": self.images,
        }

    @classmethod
    def concatenate(cls, parts: Sequence[NeuroBenchMetrics]) -> NeuroBenchMetrics:
        """Join the metrics of batches of the same network."""
        sums = {name: sum(getattr(part, name) for part in parts) for name in _SUMMED}
        return replace(parts[0], **sums)


def neurobench_metrics(
    network: Network,
    spikes: Mapping[str, SpikeTrains],
    counts: Mapping[str, NDArray[np.integer[Any]]] | None = None,
) -> NeuroBenchMetrics:
    """Return NeuroBench's metrics of a network on recorded images.

    Parameters
    ----------
    network : Network
        Simulated network, in floating or fixed point. A projection that was split by sign counts
        as two layers with twice the weights.
    spikes : mapping of str to SpikeTrains
        Spikes of every population, and of the input under ``"input"``, as in a recording.
    counts : mapping of str to int array, shape (images, size), optional
        Counts of the recording, needed with direct coding: those of the input are the number of
        steps in which each intensity is not 0.

    Raises
    ------
    ValidationError
        If the spikes do not match the network, or there are no images or no steps.
    """
    direct = isinstance(network.input.encoder, DirectEncoder)
    first = network.populations[0].name if direct else INPUT
    images, steps = (spikes[first].images, spikes[first].steps) if first in spikes else (0, 0)
    check_spikes(network, spikes, images, steps)
    if not (images and steps):
        raise ValidationError("recorded spikes", f"{images} images of {steps} steps", "at least 1")
    weights = sum(p.grid.size for p in network.projections)
    operations = dict.fromkeys(("acs", "late_acs", "macs", "late_macs"), 0)
    for projection in network.projections:
        fan_out = projection.fan_out()
        before = max(steps - projection.delay_steps, 0)
        if direct and projection.source == INPUT:
            kind = "macs"
            nonzero = _intensities(network, counts, images)
            sent, arrived = (int(nonzero @ fan_out) * n for n in (steps, before))
        else:
            kind = "acs"
            trains = spikes[projection.source]
            sent, arrived = (int(_spikes_before(trains, n) @ fan_out) for n in (steps, before))
        operations[kind] += arrived
        operations[f"late_{kind}"] += sent - arrived
    populations: tuple[Population | FixedPopulation, ...] = network.populations
    per_neuron = [_per_neuron(population) for population in populations]
    return NeuroBenchMetrics(
        parameter_bytes=sum(p.grid.nbytes for p in network.projections)
        + sum(each.nbytes for parameters in per_neuron for each in parameters),
        buffer_bytes=sum(
            parameters[0].nbytes * (2 if population.has_current else 1)
            for population, parameters in zip(populations, per_neuron, strict=True)
        )
        + sum(p.size * _REFRACTORY_BYTES for p in populations if np.any(p.refractory_steps))
        + sum(
            size * max((p.delay_steps for p in network.outgoing(name)), default=0)
            for name, size in network.sizes.items()
            if not (direct and name == INPUT)
        ),
        zero_weights=weights - sum(np.count_nonzero(p.grid) for p in network.projections),
        weights=weights,
        spikes=sum(int(_spikes_before(spikes[p.name], steps).sum()) for p in network.populations),
        activations=sum(p.size for p in network.populations) * steps * images,
        dense=sum(map(possible_connections, network.projections)) * steps * images,
        images=images,
        **operations,
    )


def _intensities(
    network: Network, counts: Mapping[str, NDArray[np.integer[Any]]] | None, images: int
) -> NDArray[np.int64]:
    """Return the number of images in which each intensity is not 0, shape (size,)."""
    shape = (images, network.input.size)
    if counts is None or INPUT not in counts or counts[INPUT].shape != shape:
        found = "none" if counts is None or INPUT not in counts else f"shape {counts[INPUT].shape}"
        raise ValidationError("counts of input", found, f"shape {shape} with direct coding")
    nonzero: NDArray[np.int64] = (counts[INPUT] > 0).sum(axis=0, dtype=np.int64)
    return nonzero


def _spikes_before(trains: SpikeTrains, step: int) -> NDArray[np.int64]:
    """Return the spike count of each neuron before a step, over all images, shape (size,)."""
    early = SpikeTrains(trains.size, trains.offsets[:, : max(step, 0) + 1], trains.neurons)
    total: NDArray[np.int64] = early.counts().sum(axis=0, dtype=np.int64)
    return total


def _per_neuron(population: Population | FixedPopulation) -> tuple[NDArray[Any], ...]:
    """Return the thresholds and biases, and those of the current if there are any."""
    if isinstance(population, FixedPopulation):
        return population.threshold, population.bias
    parameters = population.threshold_v, population.bias_v
    if population.current_bias_v.any():
        return *parameters, population.current_bias_v
    return parameters


def footprint_in_format(network: Network, number_format: NumberFormat) -> dict[str, int | None]:
    """Return the memory of a network in bits in a chip's number format; None if unknown.

    Zero weights are counted, as in :attr:`NeuroBenchMetrics.footprint_bytes`. Other memory for
    connections, such as indices, and for spikes in transit is not included.

    Parameters
    ----------
    network : Network
        Network quantized for the chip, including any split projections.
    number_format : NumberFormat
        Number format of the chip.

    Returns
    -------
    dict
        ``"weight_bits"`` of the mantissas; ``"potential_bits"`` for one image, None if analog;
        ``"current_bits"`` of populations whose currents have memory, if there are any;
        ``"threshold_bits"``; ``"bias_bits"`` of populations with biases, one mantissa per neuron
        and one exponent per population; ``"refractory_bits"``, one counter per neuron with a
        refractory period, large enough for the longest period of the format; ``"total_bits"``,
        None if a part is unknown; ``"known_bits"``, the sum of the known parts.
    """
    neurons = sum(p.size for p in network.populations)
    biased = [p for p in network.populations if any(each.any() for each in _per_neuron(p)[1:])]
    currents = sum(p.size for p in network.populations if p.has_current)
    waiting = sum(p.size for p in network.populations if np.any(p.refractory_steps))
    current_bits = None
    if number_format.state is not None and number_format.state.current is not None:
        current_bits = number_format.state.current.bits
    state, bias, steps = number_format.state, number_format.bias, number_format.refractory_steps

    def of_all(values: int, bits: int | None) -> int | None:
        return None if bits is None else values * bits

    parts = {
        "weight_bits": of_all(
            sum(p.grid.size for p in network.projections), number_format.weight_bits
        ),
        "potential_bits": of_all(
            neurons, None if state is None else (state.highest - state.lowest).bit_length()
        ),
        **({"current_bits": of_all(currents, current_bits)} if currents else {}),
        "threshold_bits": of_all(neurons, number_format.threshold_bits),
        "bias_bits": (None if biased else 0)
        if bias is None
        else sum(p.size * bias.mantissa_bits + bias.exponent_bits for p in biased),
        "refractory_bits": of_all(waiting, steps and steps[1].bit_length()) if waiting else 0,
    }
    known = sum(bits for bits in parts.values() if bits is not None)
    return parts | {"total_bits": None if None in parts.values() else known, "known_bits": known}
