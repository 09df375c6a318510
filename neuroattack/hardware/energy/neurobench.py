"""The algorithm metrics of NeuroBench, by that project's definitions, from recorded spikes.

Definitions: Yik et al., Nature Communications 16:1545, 2025, as the package neurobench 2.3.0
computes them. It takes its figures from a torch model, by hooks on layers; the model meant
here is this one. Each projection is a linear layer without bias, called once in each of the T
steps with the spikes of its source that arrive in that step, those of step k - delay; each
population is an activation layer, called once a step. All spikes are 0 or 1, the input's too, so
that every operation is an accumulation (AC) and none a multiplication (MAC).

Spikes of the last steps, whose delay passes the end, reach no layer, and are no operations here.
:func:`neuroattack.deployment.backend.synaptic_operations` counts them, since the chip that runs on
sends them; the difference is `late_acs` of :class:`NeuroBenchMetrics`.

The package rounds connection sparsity to 4 decimals, and sums the operations of a step in the
layer's own type: in 32-bit floats they may be off where a batch has over 2**24 of them. Here
nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroattack.encoding.spikes import SpikeTrains
from neuroattack.errors import ValidationError
from neuroattack.hardware.profiles.number_format import NumberFormat
from neuroattack.ir.network import INPUT, FixedPopulation, Network, Population

__all__ = ["FormatFootprint", "NeuroBenchMetrics", "footprint_in_format", "neurobench_metrics"]

_REFRACTORY_BYTES = 4


@dataclass(frozen=True)
class NeuroBenchMetrics:
    """NeuroBench's metrics of a network on some images, as the whole numbers they are made of.

    Parameters
    ----------
    parameter_bytes : int
        Weights, thresholds and biases, in the types that the network holds them in: 4 bytes a
        weight, zeros included; 8 bytes a threshold or bias in floating point, 4 in fixed.
    buffer_bytes : int
        What a step leaves to the next, of one image: a potential a neuron, in the type of its
        threshold; 4 bytes a neuron for the rest of its refractory period, where it has one; a
        byte for each spike that may be under way: neurons of a source times its longest delay.
    zero_weights, weights : int
        Of the weights of all projections, those that are zero, and all.
    spikes, activations : int
        Spikes of all populations but the input, and neurons x steps x images.
    dense : int
        Operations if every weight and every spike were 1: weights x steps x images.
    acs : int
        Spikes that arrived within the T steps, times their nonzero weights.
    late_acs : int
        The same of spikes that would have arrived after the last step.
    images : int
        Images of all this, at least 1.
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

    @property
    def footprint_bytes(self) -> int:
        """Footprint: bytes of parameters and buffers."""
        return self.parameter_bytes + self.buffer_bytes

    @property
    def connection_sparsity(self) -> float | None:
        """Share of weights that are zero, not rounded; None for a network without weights."""
        return self.zero_weights / self.weights if self.weights else None

    @property
    def activation_sparsity(self) -> float:
        """Share of neurons, steps and images without a spike."""
        return (self.activations - self.spikes) / self.activations

    @property
    def dense_operations(self) -> float:
        """Synaptic operations an image if nothing were sparse (Dense)."""
        return self.dense / self.images

    @property
    def effective_macs(self) -> float:
        """Multiply-accumulates an image (Effective_MACs): none, for all spikes are 0 or 1."""
        return 0.0

    @property
    def effective_acs(self) -> float:
        """Accumulations an image that neither a zero weight nor silence spares (Effective_ACs)."""
        return self.acs / self.images

    @property
    def late_operations(self) -> float:
        """Accumulations an image of spikes sent too late to arrive within the T steps.

        With `effective_acs`, the mean of
        :func:`neuroattack.deployment.backend.synaptic_operations`.
        """
        return self.late_acs / self.images

    def as_json(self) -> dict[str, Any]:
        """Return the metrics as JSON values; operations are an image's."""
        return {
            "footprint_bytes": self.footprint_bytes,
            "connection_sparsity": self.connection_sparsity,
            "activation_sparsity": self.activation_sparsity,
            "synaptic_operations_per_image": {
                "dense": self.dense_operations,
                "effective_macs": self.effective_macs,
                "effective_acs": self.effective_acs,
                "late": self.late_operations,
            },
            "images": self.images,
        }

    @classmethod
    def concatenate(cls, parts: Sequence[NeuroBenchMetrics]) -> NeuroBenchMetrics:
        """Join the metrics of batches of the same network."""
        first = parts[0]
        return cls(
            first.parameter_bytes,
            first.buffer_bytes,
            first.zero_weights,
            first.weights,
            spikes=sum(part.spikes for part in parts),
            activations=sum(part.activations for part in parts),
            dense=sum(part.dense for part in parts),
            acs=sum(part.acs for part in parts),
            late_acs=sum(part.late_acs for part in parts),
            images=sum(part.images for part in parts),
        )


def neurobench_metrics(network: Network, spikes: Mapping[str, SpikeTrains]) -> NeuroBenchMetrics:
    """Return NeuroBench's metrics of a network on the images that its spikes are of.

    Parameters
    ----------
    network : Network
        What was simulated, in floating or fixed point. A projection that a chip's signs split
        in two is two layers, with twice the weights.
    spikes : mapping of str to SpikeTrains
        Of every population, the input's under ``"input"``, as in a recording.

    Raises
    ------
    ValidationError
        If spikes are not of this network, or of no image or no step.
    """
    images, steps = _check_spikes(network, spikes)
    weights = sum(p.mantissas.size for p in network.projections)
    arrived = sent = 0
    for projection in network.projections:
        trains, fan_out = spikes[projection.source], projection.fan_out()
        sent += int(_spikes_before(trains, steps) @ fan_out)
        arrived += int(_spikes_before(trains, steps - projection.delay_steps) @ fan_out)
    return NeuroBenchMetrics(
        parameter_bytes=_parameter_bytes(network),
        buffer_bytes=_buffer_bytes(network),
        zero_weights=weights - sum(int(p.fan_out().sum()) for p in network.projections),
        weights=weights,
        spikes=sum(int(_spikes_before(spikes[p.name], steps).sum()) for p in network.populations),
        activations=sum(p.size for p in network.populations) * steps * images,
        dense=weights * steps * images,
        acs=arrived,
        late_acs=sent - arrived,
        images=images,
    )


def _check_spikes(network: Network, spikes: Mapping[str, SpikeTrains]) -> tuple[int, int]:
    sizes = _source_sizes(network)
    for name in sizes:
        if name not in spikes:
            raise ValidationError(
                "recorded spikes", f"none of {name!r}", "those of all populations"
            )
    images, steps = spikes[INPUT].images, spikes[INPUT].steps
    for name, size in sizes.items():
        trains = spikes[name]
        if (trains.images, trains.steps, trains.size) != (images, steps, size):
            raise ValidationError(
                f"recorded spikes of {name!r}",
                f"{trains.images} images, {trains.steps} steps and {trains.size} neurons",
                f"{images}, {steps} and {size}",
            )
    if not (images and steps):
        raise ValidationError("recorded spikes", f"{images} images of {steps} steps", "at least 1")
    return images, steps


def _source_sizes(network: Network) -> dict[str, int]:
    return {INPUT: network.input.size} | {p.name: p.size for p in network.populations}


def _spikes_before(trains: SpikeTrains, step: int) -> NDArray[np.int64]:
    """Return the spikes of each neuron before a step, over all images, shape (size,)."""
    early = SpikeTrains(trains.size, trains.offsets[:, : max(step, 0) + 1], trains.neurons)
    total: NDArray[np.int64] = early.counts().sum(axis=0, dtype=np.int64)
    return total


def _per_neuron_bytes(population: Population | FixedPopulation) -> tuple[int, int]:
    """Return the bytes of all thresholds, and of all biases."""
    if isinstance(population, FixedPopulation):
        return population.threshold.nbytes, population.bias.nbytes
    return population.threshold_v.nbytes, population.bias_v.nbytes


def _parameter_bytes(network: Network) -> int:
    return sum(p.mantissas.nbytes for p in network.projections) + sum(
        sum(_per_neuron_bytes(population)) for population in network.populations
    )


def _buffer_bytes(network: Network) -> int:
    total = 0
    for population in network.populations:
        potentials, _ = _per_neuron_bytes(population)
        total += potentials
        if population.refractory_steps:
            total += population.size * _REFRACTORY_BYTES
    for name, size in _source_sizes(network).items():
        total += size * max((p.delay_steps for p in network.outgoing(name)), default=0)
    return total


@dataclass(frozen=True)
class FormatFootprint:
    """Bits that a network takes in a chip's number format; None where that does not say.

    Zeros count as weights do, as in :attr:`NeuroBenchMetrics.footprint_bytes`; what else a chip
    keeps of a connection or a spike under way is no matter of its numbers, and is left out.

    Parameters
    ----------
    weight_bits : int or None
        Weight mantissas.
    potential_bits : int or None
        Potentials of one image; None where they are analogue, too.
    threshold_bits : int or None
        A threshold a neuron.
    bias_bits : int or None
        Of the populations that have biases, a mantissa a neuron and an exponent a population.
    refractory_bits : int or None
        A counter for each neuron that has a refractory period, as long as the format's longest.
    """

    weight_bits: int | None
    potential_bits: int | None
    threshold_bits: int | None
    bias_bits: int | None
    refractory_bits: int | None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the parts that the format does not say."""
        return tuple(name for name, bits in vars(self).items() if bits is None)

    @property
    def total_bits(self) -> int | None:
        """All parts; None where one is not known."""
        return None if self.unknown else self.known_bits

    @property
    def known_bits(self) -> int:
        """The parts that are known: the least that the network takes."""
        return sum(bits for bits in vars(self).values() if bits is not None)

    def as_json(self) -> dict[str, Any]:
        """Return the parts and their total as JSON values; null where not known."""
        return {**vars(self), "total_bits": self.total_bits, "known_bits": self.known_bits}


def footprint_in_format(network: Network, number_format: NumberFormat) -> FormatFootprint:
    """Return the bits that a network takes in a chip's number format.

    Parameters
    ----------
    network : Network
        As the chip holds it: rounded, and with its projections split where they are.
    number_format : NumberFormat
        Of the chip.
    """
    neurons = sum(p.size for p in network.populations)
    weights = sum(p.mantissas.size for p in network.projections)
    biased = [p for p in network.populations if _has_bias(p)]
    waiting = [p for p in network.populations if p.refractory_steps]
    state, bias = number_format.state, number_format.bias
    weight_bits, threshold_bits = number_format.weight_bits, number_format.threshold_bits

    bias_bits: int | None = 0
    if biased and bias is None:
        bias_bits = None
    elif bias is not None:
        bias_bits = sum(p.size * bias.mantissa_bits + bias.exponent_bits for p in biased)
    refractory_bits: int | None = 0
    if waiting and number_format.refractory_steps is None:
        refractory_bits = None
    elif number_format.refractory_steps is not None:
        counter_bits = number_format.refractory_steps[1].bit_length()
        refractory_bits = sum(p.size for p in waiting) * counter_bits
    return FormatFootprint(
        weight_bits=None if weight_bits is None else weights * weight_bits,
        potential_bits=(
            None if state is None else neurons * (state.highest - state.lowest).bit_length()
        ),
        threshold_bits=None if threshold_bits is None else neurons * threshold_bits,
        bias_bits=bias_bits,
        refractory_bits=refractory_bits,
    )


def _has_bias(population: Population | FixedPopulation) -> bool:
    if isinstance(population, FixedPopulation):
        return bool(population.bias.any())
    return bool(population.bias_v.any())
