"""Codes of numbers, compared with plain Python integers and the struct module."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.hardware.faults.words import WordFormat

INTEGERS = ("twos_complement", "sign_magnitude", "unsigned")


def plain_value(layout, bits, code):
    """Return the integer of a code by its definition."""
    digits = f"{code:0{bits}b}"
    if layout == "unsigned":
        return int(digits, 2)
    if layout == "sign_magnitude":
        return (-1 if digits[0] == "1" else 1) * int(digits[1:] or "0", 2)
    return -int(digits[0]) * 2 ** (bits - 1) + int(digits[1:] or "0", 2)


@settings(deadline=None)
@given(st.sampled_from(INTEGERS), st.integers(1, 32), st.sampled_from((1, 2, 5)), st.data())
def test_a_flipped_bit_of_an_integer_gives_the_value_of_its_digits(layout, bits, step, data):
    word = WordFormat(layout, bits, step)
    code = data.draw(st.integers(0, 2**bits - 1))
    bit = data.draw(st.integers(0, bits - 1))
    for each in (code, code ^ (1 << bit)):
        value = step * plain_value(layout, bits, each)
        (decoded,) = word.decode(np.array([each], np.uint64))
        assert decoded == value
        assert word.decode(word.encode([value])) == value
        if each or layout != "sign_magnitude":
            # Of sign-magnitude, zero has two codes.
            assert value == 0 or word.encode([value]) == each


@settings(deadline=None)
@given(st.sampled_from([("float32", "f", "I", 32), ("float64", "d", "Q", 64)]), st.data())
def test_a_flipped_bit_of_a_float_gives_the_value_that_struct_reads(kind, data):
    layout, real, integer, bits = kind
    word = WordFormat(layout, bits)
    value = data.draw(st.floats(allow_nan=False, width=bits))
    (code,) = struct.unpack(f"<{integer}", struct.pack(f"<{real}", value))
    assert word.encode([value]) == code
    flipped = code ^ (1 << data.draw(st.integers(0, bits - 1)))
    (expected,) = struct.unpack(f"<{real}", struct.pack(f"<{integer}", flipped))
    (decoded,) = word.decode(np.array([flipped], np.uint64))
    assert decoded == expected or (math.isnan(decoded) and math.isnan(expected))


@pytest.mark.parametrize(
    ("word", "chosen"),
    [
        (WordFormat("twos_complement", 8), {"sign": (7,), "msb": (7,), "exponent": ()}),
        (WordFormat("sign_magnitude", 7), {"sign": (6,), "msb": (5,), "mantissa": (*range(6),)}),
        (WordFormat("unsigned", 4), {"sign": (), "msb": (3,), "all": (0, 1, 2, 3)}),
        (WordFormat("float32", 32), {"sign": (31,), "msb": (30,), "exponent": (*range(23, 31),)}),
        (WordFormat("float64", 64), {"sign": (63,), "exponent": (*range(52, 63),)}),
    ],
)
def test_positions_of_sign_exponent_and_most_significant_bit(word, chosen):
    assert {choice: word.positions(choice) for choice in chosen} == chosen


def test_values_without_a_code_and_unknown_names_are_refused():
    for word, value in (
        (WordFormat("twos_complement", 8), 128),
        (WordFormat("twos_complement", 8, 2), 3),
        (WordFormat("unsigned", 4), -1),
        (WordFormat("float32", 32), 0.1),
        (WordFormat("float32", 32), 1e300),
    ):
        with pytest.raises(UnsupportedFeatureError, match="values: got"):
            word.encode([value])
    with pytest.raises(UnknownNameError):
        WordFormat("gray", 8)
    with pytest.raises(UnknownNameError):
        WordFormat("unsigned", 8).positions("parity")
    for arguments in (("unsigned", 33), ("float32", 16), ("unsigned", 8, 0)):
        with pytest.raises(ValidationError):
            WordFormat(*arguments)
