"""Fault maps: which bits of a memory are faulty, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.hardware.faults.memory import Memory
from neuroattack.hardware.faults.words import BitChoice
from neuroattack.validation import check_integer, check_number

__all__ = ["FaultKind", "FaultMap", "all_addresses", "draw_faults", "draw_flips"]

FaultKind = Literal["flip", "stuck-at-0", "stuck-at-1"]
"""Inverted bits, or bits that always read as 0 or as 1."""


@dataclass(frozen=True, eq=False)
class FaultMap:
    """Faulty bits of a memory.

    Parameters
    ----------
    kind : FaultKind
        Kind of the faults.
    addresses : int64 array, shape (faults,)
        Different addresses of bits, in any order. The words of the memory follow one another, and
        the bits of a word from the least significant one.

    Raises
    ------
    UnknownNameError, ValidationError
        If the kind is unknown, or an address is negative or occurs twice.
    """

    kind: FaultKind
    addresses: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise UnknownNameError("kind of faults", str(self.kind), get_args(FaultKind))
        addresses = np.sort(np.asarray(self.addresses, np.int64).reshape(-1))
        if len(addresses) and addresses[0] < 0:
            raise ValidationError("addresses of faults", int(addresses[0]), "0 or more")
        if (np.diff(addresses) == 0).any():
            raise ValidationError("addresses of faults", "one twice", "different addresses")
        addresses.flags.writeable = False
        object.__setattr__(self, "addresses", addresses)

    def __len__(self) -> int:
        return len(self.addresses)

    def apply(self, memory: Memory) -> Memory:
        """Return the memory with these faults; flips applied twice restore it.

        Raises
        ------
        ValidationError
            If an address is outside of the memory.
        """
        if len(self) and self.addresses[-1] >= memory.size:
            raise ValidationError(
                "addresses of faults", int(self.addresses[-1]), f"below {memory.size}"
            )
        codewords, start = [], 0
        for words in memory.words:
            first, last = np.searchsorted(self.addresses, (start, start + words.size))
            word, bit = np.divmod(self.addresses[first:last] - start, words.width)
            masks = np.uint64(1) << bit.astype(np.uint64)
            changed = words.codewords.copy()
            if self.kind == "flip":
                np.bitwise_xor.at(changed, word, masks)
            elif self.kind == "stuck-at-0":
                np.bitwise_and.at(changed, word, ~masks)
            else:
                np.bitwise_or.at(changed, word, masks)
            codewords.append(changed)
            start += words.size
        return memory.with_codewords(codewords)


def draw_faults(
    memory: Memory,
    rate: float,
    rng: np.random.Generator,
    *,
    kind: FaultKind = "flip",
    bits: BitChoice = "all",
) -> FaultMap:
    """Draw faults that occur in each of the chosen bits independently.

    Parameters
    ----------
    memory : Memory
        Memory.
    rate : float
        Probability of a fault per bit, from 0 to 1.
    rng : numpy.random.Generator
        Source of random numbers.
    kind : FaultKind, optional
        Kind of the faults.
    bits : BitChoice, optional
        Bits of each word in which faults occur.

    Raises
    ------
    UnknownNameError, ValidationError
        If the kind or the choice of bits is unknown, or the rate is out of range.
    UnsupportedFeatureError
        If no word has such bits.
    """
    check_number("rate of faults", rate, "[0, 1]")
    eligible = _eligible(memory, bits)
    return _draw(memory, int(rng.binomial(eligible, rate)), rng, kind, bits)


def draw_flips(
    memory: Memory, count: int, rng: np.random.Generator, *, bits: BitChoice = "all"
) -> FaultMap:
    """Draw a number of different bits to flip, each with the same probability.

    Raises
    ------
    UnknownNameError, UnsupportedFeatureError, ValidationError
        If the choice of bits is unknown, no word has such bits, or there are fewer than `count`.
    """
    check_integer("number of flips", count, 0, _eligible(memory, bits))
    return _draw(memory, count, rng, "flip", bits)


def all_addresses(memory: Memory, bits: BitChoice) -> NDArray[np.int64]:
    """Return the addresses of a choice of bits of all words, in ascending order.

    Raises
    ------
    UnknownNameError, UnsupportedFeatureError
        If the choice is unknown, or no word has such bits.
    """
    return _addresses(memory, np.arange(_eligible(memory, bits)), bits)


def _eligible(memory: Memory, bits: BitChoice) -> int:
    count = sum(len(each.positions(bits)) * len(each.codewords) for each in memory.words)
    if not count:
        raise UnsupportedFeatureError(
            f"bits: got {bits!r}, expected bits that the stored words have, such as 'all'"
        )
    return count


def _draw(
    memory: Memory, count: int, rng: np.random.Generator, kind: FaultKind, bits: BitChoice
) -> FaultMap:
    chosen = rng.choice(_eligible(memory, bits), count, replace=False, shuffle=False)
    return FaultMap(kind, _addresses(memory, chosen, bits))


def _addresses(memory: Memory, numbers: ArrayLike, bits: BitChoice) -> NDArray[np.int64]:
    """Return the addresses of the n-th bits of a choice, in ascending order."""
    ordered = np.sort(np.asarray(numbers, np.int64))
    found, before, start = [np.zeros(0, np.int64)], 0, 0
    for words in memory.words:
        positions = np.array(words.positions(bits), np.int64)
        count = len(positions) * len(words.codewords)
        first, last = np.searchsorted(ordered, (before, before + count))
        if last > first:
            word, which = np.divmod(ordered[first:last] - before, len(positions))
            found.append(start + word * words.width + positions[which])
        before, start = before + count, start + words.size
    return np.concatenate(found)
