"""Protection of stored words against faults: parity, error correction, triplication, clipping.

A protected word is stored as a codeword: the bits of the word, and check bits above them.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError
from neuroattack.hardware.faults.words import BitChoice, Codes, WordFormat

__all__ = ["PROTECTIONS", "Protection", "load_protection"]

_WIDEST = 64


class Protection(Protocol):
    """Code that adds check bits to words.

    Attributes
    ----------
    name : str
        Name, as on the command line.
    clips : bool
        Whether weights read from memory are clipped to the range of the weights before faults.
    """

    name: str
    clips: bool

    def extra_bits(self, word: WordFormat, /) -> int:
        """Return the number of check bits per word."""

    def encode(self, codes: Codes, word: WordFormat, /) -> Codes:
        """Return the codewords of words."""

    def decode(self, codewords: Codes, word: WordFormat, /) -> tuple[Codes, NDArray[np.bool_]]:
        """Return the words that are read from codewords, and where an error was only detected."""


class _Plain:
    """No check bits."""

    def __init__(self, name: str, *, clips: bool) -> None:
        self.name, self.clips = name, clips

    def extra_bits(self, _word: WordFormat) -> int:
        return 0

    def encode(self, codes: Codes, _word: WordFormat) -> Codes:
        return codes

    def decode(self, codewords: Codes, _word: WordFormat) -> tuple[Codes, NDArray[np.bool_]]:
        return codewords, np.zeros(codewords.shape, bool)


class _Parity:
    """One bit that makes the number of ones even."""

    name, clips = "parity", False

    def extra_bits(self, _word: WordFormat) -> int:
        return 1

    def encode(self, codes: Codes, word: WordFormat) -> Codes:
        _check_width(self, word)
        codewords: Codes = codes | (_odd(codes) << np.uint64(word.bits))
        return codewords

    def decode(self, codewords: Codes, word: WordFormat) -> tuple[Codes, NDArray[np.bool_]]:
        return codewords & _low(word.bits), _odd(codewords) == 1


class _Hamming:
    """Hamming code, which corrects one error per codeword (Hamming 1950, Bell Syst. Tech. J. 29).

    Bits have the numbers 1, 2, ...; those with a power of two as their number are check bits, the
    others are the bits of the word in ascending order. The syndrome is the exclusive or of the
    numbers of all ones, which is 0 in a codeword. A syndrome without a bit is detected only.
    """

    name, clips = "ecc", False

    def extra_bits(self, word: WordFormat) -> int:
        checks = 0
        while 2**checks < word.bits + checks + 1:
            checks += 1
        return checks

    def encode(self, codes: Codes, word: WordFormat) -> Codes:
        _check_width(self, word)
        codewords: Codes = codes | (self._syndrome(codes, word) << np.uint64(word.bits))
        return codewords

    def decode(self, codewords: Codes, word: WordFormat) -> tuple[Codes, NDArray[np.bool_]]:
        codes = codewords & _low(word.bits)
        syndrome = self._syndrome(codes, word) ^ (codewords >> np.uint64(word.bits))
        corrected = codes
        for bit, number in enumerate(_numbers(word.bits)):
            corrected = corrected ^ ((syndrome == number).astype(np.uint64) << np.uint64(bit))
        return corrected, syndrome > word.bits + self.extra_bits(word)

    @staticmethod
    def _syndrome(codes: Codes, word: WordFormat) -> Codes:
        syndrome = np.zeros_like(codes)
        for bit, number in enumerate(_numbers(word.bits)):
            syndrome ^= ((codes >> np.uint64(bit)) & np.uint64(1)) * np.uint64(number)
        return syndrome


class _Triplicated:
    """Two copies of some bits of each word, and a majority vote."""

    clips = False

    def __init__(self, choice: BitChoice) -> None:
        self.name, self._choice = f"triple-{choice}", choice

    def extra_bits(self, word: WordFormat) -> int:
        return 2 * len(self._positions(word))

    def encode(self, codes: Codes, word: WordFormat) -> Codes:
        _check_width(self, word)
        codewords, place = codes, word.bits
        for position in self._positions(word):
            bit = (codes >> np.uint64(position)) & np.uint64(1)
            codewords = codewords | (bit * np.uint64(3) << np.uint64(place))
            place += 2
        return codewords

    def decode(self, codewords: Codes, word: WordFormat) -> tuple[Codes, NDArray[np.bool_]]:
        codes, place = codewords & _low(word.bits), word.bits
        for position in self._positions(word):
            a, b, c = ((codewords >> np.uint64(p)) & np.uint64(1)
                       for p in (position, place, place + 1))  # fmt: skip
            vote = (a & b) | (a & c) | (b & c)
            codes ^= (a ^ vote) << np.uint64(position)
            place += 2
        return codes, np.zeros(codes.shape, bool)

    def _positions(self, word: WordFormat) -> tuple[int, ...]:
        positions = word.positions(self._choice)
        if not positions:
            raise UnsupportedFeatureError(
                f"protection {self.name}: got words ({word.layout}) without such bits, expected "
                "a format that has them"
            )
        return positions


def _low(bits: int) -> Codes:
    """Return a mask of the lowest bits, an array without dimensions."""
    return np.array(2**bits - 1, np.uint64)


def _numbers(bits: int) -> list[int]:
    """Return the numbers of the bits of a word in a Hamming code."""
    numbers: list[int] = []
    number = 1
    while len(numbers) < bits:
        if number & (number - 1):
            numbers.append(number)
        number += 1
    return numbers


def _odd(codes: Codes) -> Codes:
    """Return 1 for codes with an odd number of ones, else 0."""
    folded = codes.copy()
    for shift in (32, 16, 8, 4, 2, 1):
        folded ^= folded >> np.uint64(shift)
    odd: Codes = folded & np.uint64(1)
    return odd


def _check_width(protection: Protection, word: WordFormat) -> None:
    width = word.bits + protection.extra_bits(word)
    if width > _WIDEST:
        raise UnsupportedFeatureError(
            f"protection {protection.name}: got codewords of {width} bits, expected at most "
            f"{_WIDEST}; use narrower words"
        )


_ALL: tuple[Protection, ...] = (
    _Plain("none", clips=False),
    _Parity(),
    _Hamming(),
    _Triplicated("sign"),
    _Triplicated("exponent"),
    _Triplicated("msb"),
    _Plain("range", clips=True),
)

PROTECTIONS: dict[str, Protection] = {each.name: each for each in _ALL}
"""Protections by name."""


def load_protection(name: str) -> Protection:
    """Return the protection of a name.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    if name not in PROTECTIONS:
        raise UnknownNameError("protection", name, PROTECTIONS)
    return PROTECTIONS[name]
