"""Progressive bit search: the flips of stored bits that raise the loss most (white box).

Rakin, He and Fan, "Bit-Flip Attack: Crushing Neural Network with Progressive Bit Search", ICCV
2019, arXiv:1903.12269. In each iteration, the gradient of the loss with respect to every stored
weight, times the change of the weight by the flip of each of its bits, ranks all flips to first
order. The highest-ranked flips of each projection are evaluated (intra-layer search), and the one
with the highest loss of all projections is kept (cross-layer search).

Differences from the publication: loss and gradient are those of the Siegert rate model
(:mod:`neuroattack.attacks.reference.siegert`), because spikes have no gradient; and several flips
per projection are evaluated, because single flips change a weight by up to its whole range, for
which the first order is a poor estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroattack.attacks.reference.siegert import SiegertModel
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.faults.maps import FaultMap
from neuroattack.hardware.faults.memory import Memory, Words
from neuroattack.hardware.faults.words import Codes
from neuroattack.validation import check_integer

__all__ = ["BitSearch", "search_bits"]


@dataclass(frozen=True, eq=False)
class BitSearch:
    """Flips found by a search, in order.

    Parameters
    ----------
    addresses : int64 array, shape (flips,)
        Addresses of the flipped bits.
    losses : float array, shape (flips + 1,)
        Loss before the first flip and after each flip, in nats.
    """

    addresses: NDArray[np.int64]
    losses: NDArray[np.float64]

    def flips(self, count: int) -> FaultMap:
        """Return the map of the first flips."""
        return FaultMap("flip", self.addresses[:count])


def search_bits(
    memory: Memory,
    images: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    flips: int,
    steps: int,
    evaluated: int = 3,
    on_flip: Callable[[int, float], None] | None = None,
) -> BitSearch:
    """Search for flips of weight bits that raise the loss of the rate model.

    No bit is flipped twice. Protection of the words applies: a flip that the chip corrects changes
    nothing, and is not found.

    Parameters
    ----------
    memory : Memory
        Memory with integer weights.
    images : float64 array, shape (images, ...)
        Intensities in [0, 1].
    labels : int64 array, shape (images,)
        Classes.
    flips : int
        Number of flips to find.
    steps : int
        Number of time steps T per image.
    evaluated : int, optional
        Number of flips per projection and iteration whose loss is evaluated.
    on_flip : callable, optional
        Called with the number of flips and the loss after each flip.

    Raises
    ------
    UnsupportedFeatureError
        If the rate model does not describe the network, or weights are in floating point.
    ValidationError
        If a number is out of range.
    """
    check_integer("flips", flips, 1, memory.size)
    check_integer("evaluated", evaluated, 1)
    if any(each.parameter == "weights" and each.format.is_float for each in memory.words):
        raise UnsupportedFeatureError(
            "bit search: got weights in floating point, expected the integers of a profile"
        )
    found: list[int] = []
    network = memory.read().network
    model = SiegertModel(network, steps)
    losses = [model.cross_entropy(images, labels)]
    while len(found) < flips:
        gradients = _by_projection(memory, model.weight_gradients(images, labels))
        best: tuple[float, int, Memory, SiegertModel] | None = None
        start = 0
        for words in memory.words:
            if words.parameter == "weights":
                taken = np.array(found, np.int64) - start
                gradient = gradients[words.index]
                for local in _ranked(words, gradient, taken, evaluated):
                    changed = FaultMap("flip", np.array([start + local])).apply(memory)
                    candidate = SiegertModel(changed.read().network, steps)
                    loss = candidate.cross_entropy(images, labels)
                    if best is None or loss > best[0]:
                        best = (loss, start + local, changed, candidate)
            start += words.size
        if best is None:
            break
        loss, address, memory, model = best
        found.append(address)
        losses.append(loss)
        if on_flip:
            on_flip(len(found), loss)
    return BitSearch(np.array(found, np.int64), np.array(losses))


def _by_projection(
    memory: Memory, gradients: Sequence[NDArray[np.float64]]
) -> dict[int, NDArray[np.float64]]:
    """Return the gradients by the number of the projection, per unit of the mantissas."""
    network, numbers = memory.network, list(range(len(memory.network.projections)))
    order = [
        number
        for population in network.populations
        for number in numbers
        if network.projections[number].target == population.name
    ]
    return {
        number: gradient.ravel() * 2.0 ** network.projections[number].exponent
        for number, gradient in zip(order, gradients, strict=True)
    }


def _ranked(
    words: Words, gradient: NDArray[np.float64], taken: NDArray[np.int64], count: int
) -> list[int]:
    """Return the bits whose flips raise the loss most to first order, by address in the words."""
    of_word = gradient if words.where is None else gradient[words.where]
    before, _ = words.read()
    bits = range(words.width)
    gains = np.empty((len(before), words.width))
    for bit in bits:
        flipped: Codes = words.codewords ^ (np.uint64(1) << np.uint64(bit))
        after, _ = words.with_codewords(flipped).read()
        gains[:, bit] = of_word * (after - before)
    flat = gains.ravel()
    flat[taken[(taken >= 0) & (taken < len(flat))]] = -np.inf
    top = np.argpartition(-flat, min(count, len(flat) - 1))[:count]
    return [int(each) for each in top if flat[each] > 0]
