"""Memory of a chip: the words in which the parameters of a network are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuroattack.hardware.faults.large_weights import split_weights
from neuroattack.hardware.faults.protection import PROTECTIONS, Protection
from neuroattack.hardware.faults.words import BitChoice, Codes, WordFormat
from neuroattack.ir.fixed_point import LEAK_ONE, FixedPopulation
from neuroattack.ir.network import AnyProjection, Network

__all__ = ["Memory", "Parameter", "ReadNetwork", "Words"]

Parameter = Literal["weights", "exponents", "thresholds", "biases", "decays"]
"""Stored parameters: weights, exponents of projections, and parameters of neurons."""


@dataclass(frozen=True, eq=False)
class Words:
    """Words of one parameter of one projection or population.

    Parameters
    ----------
    parameter : Parameter
        Stored parameter.
    index : int
        Number of the projection or population in the network.
    part : str
        Its name, such as ``"input->hidden1"``.
    format : WordFormat
        Code of the numbers.
    codewords : uint64 array, shape (words,)
        Stored bits: the code of each number, with the check bits of the protection above.
    protection : Protection, optional
        Protection of the words.
    where : int64 array, shape (words,), optional
        Positions of weights in the flat matrix of the projection.
    signs : int64 array, shape (words,), optional
        Signs of weights whose sign is not stored in the word, 1 or -1.
    shift : int, optional
        Exponent of the numbers relative to the network, or offset of the decay; see the source.
    bounds : (float, float), optional
        Range to which numbers are clipped by the protection.
    """

    parameter: Parameter
    index: int
    part: str
    format: WordFormat
    codewords: Codes
    protection: Protection = PROTECTIONS["none"]
    where: NDArray[np.int64] | None = None
    signs: NDArray[np.int64] | None = None
    shift: int = 0
    bounds: tuple[float, float] | None = None

    @property
    def width(self) -> int:
        """Number of stored bits per word, including check bits."""
        return self.format.bits + self.protection.extra_bits(self.format)

    @property
    def size(self) -> int:
        """Number of stored bits."""
        return self.width * len(self.codewords)

    def positions(self, choice: BitChoice) -> tuple[int, ...]:
        """Return the positions of a choice of bits; all bits include check bits.

        The bits of the register of an exponent are exponent bits.
        """
        if choice == "all":
            return tuple(range(self.width))
        if self.parameter == "exponents" and choice in ("sign", "exponent", "mantissa"):
            return tuple(range(self.format.bits)) if choice == "exponent" else ()
        return self.format.positions(choice)

    def read(self) -> tuple[NDArray[np.float64], int]:
        """Return the numbers that the chip reads, and how many words have a detected error.

        Words with a detected error read as 0.
        """
        codes, detected = self.protection.decode(self.codewords, self.format)
        values = self.format.decode(codes)
        if self.signs is not None:
            values = values * self.signs
        if self.bounds is not None:
            values = np.clip(np.where(np.isnan(values), 0.0, values), *self.bounds)
        values = np.where(detected, 0.0, values)
        return values, int(detected.sum())

    def with_codewords(self, codewords: Codes) -> Words:
        """Return the same words with other bits."""
        return replace(self, codewords=codewords)


@dataclass(frozen=True, eq=False)
class ReadNetwork:
    """Network that a chip reads from its memory.

    Parameters
    ----------
    network : Network
        Network with the stored parameters.
    detected : int
        Number of words with a detected error, which read as 0.
    limited : int
        Number of floating-point weights beyond the largest weight that networks represent, or NaN.
    """

    network: Network
    detected: int
    limited: int


@dataclass(frozen=True, eq=False)
class Memory:
    """Memory of a chip with a network.

    Parameters
    ----------
    network : Network
        Network whose other parameters are not stored in words; without convolutions.
    words : sequence of Words
        Stored words.
    """

    network: Network
    words: tuple[Words, ...]

    @property
    def size(self) -> int:
        """Number of stored bits, including check bits."""
        return sum(each.size for each in self.words)

    @property
    def extra_bits(self) -> int:
        """Number of check bits."""
        return sum((each.width - each.format.bits) * len(each.codewords) for each in self.words)

    def with_codewords(self, codewords: Sequence[Codes]) -> Memory:
        """Return the memory with other bits in the same words."""
        pairs = zip(self.words, codewords, strict=True)
        return replace(self, words=tuple(each.with_codewords(codes) for each, codes in pairs))

    def read(self) -> ReadNetwork:
        """Return the network that the chip reads from the memory."""
        projections: dict[int, tuple[AnyProjection, ...]] = {
            index: (projection,) for index, projection in enumerate(self.network.projections)
        }
        populations: list[Any] = list(self.network.populations)
        detected = limited = 0
        for each in self.words:
            values, errors = each.read()
            detected += errors
            if each.parameter == "weights":
                projections[each.index], beyond = _with_weights(
                    self.network.projections[each.index], each, values
                )
                limited += beyond
            elif each.parameter != "exponents":
                populations[each.index] = _with_values(populations[each.index], each, values)
        # Exponents apply to weights that were read.
        for each in self.words:
            if each.parameter == "exponents":
                (projection,) = projections[each.index]
                exponent = int(each.read()[0][0]) + each.shift
                lowest = 0 if self.network.precision == "fixed" else exponent
                projections[each.index] = (_with_exponent(projection, exponent, lowest),)
        network = replace(
            self.network,
            populations=tuple(populations),
            projections=tuple(p for index in projections for p in projections[index]),
        )
        return ReadNetwork(network, detected, limited)


def _with_weights(
    projection: AnyProjection, words: Words, values: NDArray[np.float64]
) -> tuple[tuple[AnyProjection, ...], int]:
    """Return a projection with other weights, and the number of limited ones."""
    shape, exponent = projection.shape, projection.exponent

    def placed(mantissas: NDArray[np.int64], exponent: int) -> AnyProjection:
        matrix = np.zeros(shape[0] * shape[1], np.int32)
        matrix[slice(None) if words.where is None else words.where] = mantissas
        placed: AnyProjection = projection.with_grid(matrix.reshape(shape), exponent)
        return placed

    if not words.format.is_float:
        return (placed(np.rint(values).astype(np.int64), exponent),), 0
    fine, coarse, coarse_exponent, limited = split_weights(values, exponent)
    parts = [placed(fine, exponent)]
    if coarse.any():
        parts.append(placed(coarse, coarse_exponent))
    return tuple(parts), limited


def _with_exponent(projection: AnyProjection, exponent: int, lowest: int) -> AnyProjection:
    """Return a projection with another exponent.

    Bits below the lowest exponent, which is 0 with an integer state, are shifted out, as by an
    arithmetic shift.
    """
    below = max(lowest - exponent, 0)
    shifted: AnyProjection = projection.with_grid(projection.grid >> below, exponent + below)
    return shifted


def _with_values(
    population: FixedPopulation, words: Words, values: NDArray[np.float64]
) -> FixedPopulation:
    integers = np.rint(values).astype(np.int64)
    if words.parameter == "thresholds":
        return replace(population, threshold=integers << words.shift)
    if words.parameter == "biases":
        return replace(population, bias=integers << words.shift)
    leak, *current = integers.tolist()
    changed = replace(population, leak=leak)
    if current:
        changed = replace(changed, current_leak=min(current[0] + words.shift, LEAK_ONE))
    return changed
