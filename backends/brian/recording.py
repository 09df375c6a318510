"""What both forms of the Brian2 backend do with inputs and outputs."""

from __future__ import annotations

from neuroattack.errors import ValidationError
from neuroattack.ir.network import Network
from neuroattack.spikes import SpikeTrains

__all__ = ["check_inputs", "images_per_run"]

_MOST_IMAGES = 100

# Brian2 keeps 12 bytes for a recorded spike; this bounds them if every neuron spikes always.
_MOST_SPIKES = 2**24


def check_inputs(network: Network, inputs: SpikeTrains) -> None:
    """Raise ValidationError if there is no image, or one of another size than the input's."""
    if inputs.size != network.input.size or not len(inputs):
        raise ValidationError(
            "input spikes",
            f"{len(inputs)} images of {inputs.size} neurons",
            f"at least one, of {network.input.size}",
        )


def images_per_run(network: Network, steps: int) -> int:
    """Return how many images one run may hold, so that its spikes fit into memory."""
    neurons = network.input.size + sum(p.size for p in network.populations)
    return max(1, min(_MOST_IMAGES, _MOST_SPIKES // max(neurons * steps, 1)))
