"""Protection of words, compared with plain Python integers and counts of errors."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError
from neuroattack.hardware.faults.protection import PROTECTIONS, load_protection
from neuroattack.hardware.faults.words import WordFormat

BYTE = WordFormat("twos_complement", 8)


def read(protection, word, code, errors):
    """Return the word that is read after errors in bits of its codeword, and if one is detected."""
    protection = load_protection(protection)
    (codeword,) = protection.encode(np.array([code], np.uint64), word)
    for bit in errors:
        codeword ^= np.uint64(1) << np.uint64(bit)
    codes, detected = protection.decode(np.array([codeword]), word)
    return int(codes[0]), bool(detected[0])


@settings(deadline=None)
@given(st.sampled_from(sorted(PROTECTIONS)), st.integers(0, 255))
def test_words_without_errors_are_read_as_they_were(name, code):
    if name != "triple-exponent":
        assert read(name, BYTE, code, ()) == (code, False)


@settings(deadline=None)
@given(st.sampled_from([(4, 3), (8, 4), (16, 5), (32, 6)]), st.data())
def test_one_error_is_corrected_by_the_error_correcting_code(widths, data):
    bits, checks = widths
    word = WordFormat("unsigned", bits)
    assert load_protection("ecc").extra_bits(word) == checks
    code = data.draw(st.integers(0, 2**bits - 1))
    for bit in range(bits + checks):
        assert read("ecc", word, code, [bit]) == (code, False)


def test_two_errors_are_read_as_the_nearest_codeword_or_detected():
    code = 0b10110010
    hamming = load_protection("ecc")
    every = hamming.encode(np.arange(256, dtype=np.uint64), BYTE).tolist()
    codeword = every[code]
    for pair in itertools.combinations(range(12), 2):
        damaged = codeword ^ (1 << pair[0]) ^ (1 << pair[1])
        near = [word for word, each in enumerate(every) if (each ^ damaged).bit_count() <= 1]
        found, detected = read("ecc", BYTE, code, pair)
        if near:
            assert (found, detected) == (near[0], False)
        else:
            assert detected


def test_parity_detects_an_odd_number_of_errors():
    for number in range(1, 5):
        for errors in itertools.combinations(range(9), number):
            found, detected = read("parity", BYTE, 77, errors)
            assert detected == (number % 2 == 1)
            expected = 77
            for bit in errors:
                expected ^= (1 << bit) & 0xFF
            assert found == expected


def test_triplicated_bits_are_read_by_majority():
    assert load_protection("triple-sign").extra_bits(BYTE) == 2
    assert load_protection("triple-exponent").extra_bits(WordFormat("float32", 32)) == 16
    # Bits 8 and 9 are the copies of bit 7.
    for errors in ((7,), (8,), (9,)):
        assert read("triple-msb", BYTE, 3, errors)[0] == 3
    for errors in ((7, 8), (8, 9), (7, 9), (7, 8, 9)):
        assert read("triple-msb", BYTE, 3, errors)[0] == 3 + 128
    assert read("triple-msb", BYTE, 3, (0,))[0] == 2


def test_unknown_protections_and_missing_bits_are_refused():
    with pytest.raises(UnknownNameError):
        load_protection("lead")
    with pytest.raises(UnsupportedFeatureError, match="without such bits"):
        read("triple-sign", WordFormat("unsigned", 4), 3, ())
    with pytest.raises(UnsupportedFeatureError, match="at most 64"):
        read("ecc", WordFormat("float64", 64), 0, ())
