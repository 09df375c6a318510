"""Store a network in the memory of a chip, or in floating-point words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.hardware.faults.memory import Memory, Parameter, Words
from neuroattack.hardware.faults.protection import Protection, load_protection
from neuroattack.hardware.faults.words import WordFormat
from neuroattack.hardware.profiles.number_format import LEAK_BITS, NumberFormat, SignMode
from neuroattack.hardware.quantization.quantization import Quantized
from neuroattack.ir.network import AnyProjection, FixedPopulation, Network

__all__ = ["store_floating", "store_quantized", "weight_format"]


def weight_format(number_format: NumberFormat, signs: SignMode) -> WordFormat:
    """Return the code of weights on a chip.

    Weights with mixed signs have the code of the profile, by default two's complement. Otherwise
    the sign is not in the word, and the word is an unsigned magnitude.

    Raises
    ------
    UnsupportedFeatureError
        If the number of bits per weight is unknown.
    """
    if number_format.weight_bits is None:
        raise UnsupportedFeatureError(
            f"weights of {number_format.name}: got no number of bits in the profile, expected "
            "weight_bits; use float32 or float64 to store them in floating point"
        )
    if signs != "mixed":
        return WordFormat("unsigned", number_format.weight_bits)
    return WordFormat(
        number_format.weight_code or "twos_complement",
        number_format.weight_bits,
        number_format.mixed_weight_step,
    )


def store_quantized(
    quantized: Quantized,
    original: Network,
    number_format: NumberFormat,
    *,
    parameters: Sequence[Parameter] = ("weights",),
    protection: str = "none",
) -> Memory:
    """Store a quantized network in the memory of its chip.

    There is one word per connection of the original network, also if its weight was rounded to 0.
    Each connection of a convolution has its own word. Exponents are stored per projection, decays
    per population, thresholds and biases per neuron.

    Parameters
    ----------
    quantized : Quantized
        Quantized network.
    original : Network
        Network before quantization.
    number_format : NumberFormat
        Number formats of the chip.
    parameters : sequence of Parameter, optional
        Parameters that are stored; faults do not occur in others.
    protection : str, optional
        Protection of the weights.

    Raises
    ------
    UnknownNameError, ValidationError
        If a parameter or the protection is unknown, or no parameter is given.
    UnsupportedFeatureError
        If the profile does not define the words of a parameter.
    """
    check_parameters(parameters)
    code = load_protection(protection)
    network = _unrolled(quantized.network)
    words: list[Words] = []
    if "weights" in parameters:
        signs = [each.signs for each in quantized.projections]
        originals = _originals(original, signs)
        for index, (projection, before, mode) in enumerate(
            zip(network.projections, originals, signs, strict=True)
        ):
            word = weight_format(number_format, mode)
            words.append(_weights(index, projection, before, mode, word, code))
    if "exponents" in parameters:
        words += _exponents(network, number_format)
    for index, population in enumerate(network.populations):
        for parameter in parameters:
            if parameter not in ("weights", "exponents"):
                words.append(_neurons(parameter, index, population, number_format))
    return Memory(network, tuple(words))


def store_floating(
    network: Network, layout: Literal["float32", "float64"], *, protection: str = "none"
) -> Memory:
    """Store the weights of a network in floating point, in one word per connection.

    Raises
    ------
    UnknownNameError
        If the protection is unknown.
    UnsupportedFeatureError
        If the network is in fixed point, or a weight is not representable.
    """
    if network.precision == "fixed":
        raise UnsupportedFeatureError(
            f"words in {layout}: got a network in fixed point, expected floating point"
        )
    code = load_protection(protection)
    word = WordFormat(layout, 32 if layout == "float32" else 64)
    unrolled = _unrolled(network)
    words = tuple(
        _weights(index, projection, projection, "mixed", word, code)
        for index, projection in enumerate(unrolled.projections)
    )
    return Memory(unrolled, words)


def check_parameters(parameters: Sequence[str]) -> None:
    """Raise an error if a parameter is unknown or given twice, or there is none."""
    if len(set(parameters)) < len(parameters):
        raise ValidationError("parameters", ", ".join(parameters), "each one once")
    if not parameters:
        raise ValidationError("parameters", "none", "at least one")
    for each in parameters:
        if each not in get_args(Parameter):
            raise UnknownNameError("parameter", each, get_args(Parameter))


def _unrolled(network: Network) -> Network:
    return replace(network, projections=tuple(each.dense() for each in network.projections))


def _originals(original: Network, signs: Sequence[SignMode]) -> list[AnyProjection]:
    """Return the projection of the original network for each quantized projection."""
    found: list[AnyProjection] = []
    for projection in original.projections:
        one_sign = signs[len(found)] in ("excitatory", "inhibitory")
        is_split = one_sign and (projection.grid > 0).any() and (projection.grid < 0).any()
        found += [projection.dense()] * (2 if is_split else 1)
    return found


def _weights(
    index: int,
    projection: AnyProjection,
    original: AnyProjection,
    mode: SignMode,
    word: WordFormat,
    protection: Protection,
) -> Words:
    matrix, before = projection.grid, original.grid
    signs = _stored_signs(matrix, before, mode)
    where = np.flatnonzero((before != 0) if signs is None else (np.sign(before) == signs))
    values = (projection.grid_v if word.is_float else matrix).ravel()[where]
    stored = values if signs is None else values * signs.ravel()[where]
    return Words(
        parameter="weights",
        index=index,
        part=f"{projection.source}->{projection.target}",
        format=word,
        codewords=protection.encode(word.encode(stored), word),
        protection=protection,
        where=None if len(where) == matrix.size else where,
        signs=None if signs is None else signs.ravel()[where],
        bounds=(float(values.min()), float(values.max())) if protection.clips else None,
    )


def _stored_signs(
    matrix: NDArray[np.int32], before: NDArray[np.int32], mode: SignMode
) -> NDArray[np.int64] | None:
    """Return the sign of each possible weight, 1 or -1; None if signs are stored in the words."""
    if mode == "mixed":
        return None
    if mode in ("excitatory", "inhibitory"):
        return np.full(matrix.shape, 1 if mode == "excitatory" else -1, np.int64)
    # Of neurons whose weights were all rounded to 0, the sign is that of the original weights.
    sums = matrix.sum(axis=1, dtype=np.int64)
    sums = np.where(sums == 0, before.sum(axis=1, dtype=np.int64), sums)
    of_source = np.where(sums < 0, -1, 1)
    return np.broadcast_to(of_source[:, np.newaxis], matrix.shape)


def _exponents(network: Network, number_format: NumberFormat) -> list[Words]:
    lowest, highest = number_format.weight_exponents
    if lowest == highest:
        raise _undefined("exponents", "weight_exp", number_format)
    bits = max((-lowest - 1).bit_length(), highest.bit_length()) + 1
    shift = 0 if number_format.state is None else number_format.state.shift
    word = WordFormat("twos_complement", bits)
    return [
        Words(
            parameter="exponents",
            index=index,
            part=f"{projection.source}->{projection.target}",
            format=word,
            codewords=word.encode([projection.exponent - shift]),
            shift=shift,
        )
        for index, projection in enumerate(network.projections)
    ]


def _neurons(
    parameter: Parameter,
    index: int,
    population: object,
    number_format: NumberFormat,
) -> Words:
    state = number_format.state
    if state is None or not isinstance(population, FixedPopulation):
        raise _undefined(parameter, "v_bits", number_format)
    shift = 0
    if parameter == "thresholds":
        if number_format.threshold_bits is None:
            raise _undefined(parameter, "vth_mant_bits", number_format)
        shift = state.shift
        word = WordFormat("unsigned", number_format.threshold_bits)
        values: NDArray[np.int64] = population.threshold.astype(np.int64) >> shift
    elif parameter == "biases":
        if number_format.bias is None:
            raise _undefined(parameter, "bias", number_format)
        values = population.bias.astype(np.int64)
        word = WordFormat("twos_complement", number_format.bias.mantissa_bits)
        while np.abs(values >> shift).max() > number_format.bias_range[0]:
            shift += 1
        values = values >> shift
    else:
        if state.leak_bits != LEAK_BITS:
            raise _undefined(parameter, f"decay_bits of {LEAK_BITS}", number_format)
        word, leaks = WordFormat("unsigned", LEAK_BITS), [population.leak]
        if state.current is not None:
            shift = state.current.least
            leaks.append(population.current_leak - shift)
        values = np.array(leaks, np.int64)
    return Words(
        parameter=parameter,
        index=index,
        part=population.name,
        format=word,
        codewords=word.encode(values),
        shift=shift,
    )


def _undefined(parameter: str, key: str, number_format: NumberFormat) -> UnsupportedFeatureError:
    return UnsupportedFeatureError(
        f"{parameter} of {number_format.name}: got no {key} in the profile, expected the format "
        "of their words; leave them out of the parameters"
    )
