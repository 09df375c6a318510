"""Networks in memory and fault maps, compared with plain Python integers."""

import dataclasses
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import small_network

from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.hardware.faults.large_weights import LARGEST_STEPS, split_weights
from neuroattack.hardware.faults.maps import FaultMap, draw_faults, draw_flips
from neuroattack.hardware.faults.storing import store_floating, store_quantized
from neuroattack.hardware.profiles.files import load_profile
from neuroattack.hardware.quantization.quantization import Rounding, quantize
from neuroattack.ir.convolution import Convolution
from neuroattack.ir.network import INPUT

EVERYTHING = ("weights", "exponents", "thresholds", "biases", "decays")


def stored(profile="loihi1", network=None, rounding=None, **options):
    """Return the memory of a chip with a network, and the quantized network."""
    network = network or small_network()
    number_format = load_profile(profile).number_format()
    quantized = quantize(network, number_format, rounding or Rounding())
    return store_quantized(quantized, network, number_format, **options), quantized.network


def plain_flip(profile, mantissa, bit):
    """Return the mantissa with one bit flipped, by the definition of its code."""
    if profile == "loihi1":
        # Two's complement of 8 bits, in steps of 2.
        code = (mantissa // 2) & 0xFF ^ (1 << bit)
        return 2 * (code - 256 if code >= 128 else code)
    if profile == "akida":
        code = mantissa & 0xF ^ (1 << bit)
        return code - 16 if code >= 8 else code
    # Sign-magnitude.
    width = {"spinnaker1": 16, "brainscales2": 7}[profile]
    code = (abs(mantissa) | (mantissa < 0) << (width - 1)) ^ (1 << bit)
    magnitude = code & ((1 << (width - 1)) - 1)
    return -magnitude if code >> (width - 1) else magnitude


WIDTHS = {"loihi1": 8, "akida": 4, "spinnaker1": 16, "brainscales2": 7}


@pytest.mark.parametrize("profile", WIDTHS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_flip_changes_one_weight_as_in_plain_integers(profile, data):
    memory, network = stored(profile)
    width = WIDTHS[profile]
    assert memory.size == width * (784 * 30 + 30 * 10)
    chosen = data.draw(st.sets(st.integers(0, 784 * 30 + 30 * 10 - 1), min_size=1, max_size=5))
    flips = {word: data.draw(st.integers(0, width - 1)) for word in chosen}
    addresses = [word * width + bit for word, bit in flips.items()]
    changed = FaultMap("flip", addresses).apply(memory).read().network
    expected = [projection.grid.copy().ravel() for projection in network.projections]
    for word, bit in flips.items():
        index, place = (0, word) if word < 784 * 30 else (1, word - 784 * 30)
        expected[index][place] = plain_flip(profile, int(expected[index][place]), bit)
    for projection, mantissas in zip(changed.projections, expected, strict=True):
        assert projection.grid.ravel().tolist() == mantissas.tolist()


@pytest.mark.parametrize("profile", ["loihi1", "loihi2", "akida", "spinnaker1", "brainscales2"])
@pytest.mark.parametrize("protection", ["none", "parity", "ecc", "triple-msb", "range"])
def test_without_faults_the_network_is_the_quantized_one(profile, protection):
    memory, network = stored(profile, protection=protection)
    read = memory.read()
    assert read.network.checksum() == network.checksum()
    assert (read.detected, read.limited) == (0, 0)


def test_flips_applied_twice_restore_the_network_and_stuck_bits_stay():
    memory, network = stored(parameters=EVERYTHING)
    assert memory.read().network.checksum() == network.checksum()
    rng = np.random.default_rng(0)
    flips = draw_faults(memory, 0.01, rng)
    once = flips.apply(memory)
    assert once.read().network.checksum() != network.checksum()
    assert flips.apply(once).read().network.checksum() == network.checksum()
    for kind in ("stuck-at-0", "stuck-at-1"):
        stuck = draw_faults(memory, 0.01, rng, kind=kind)
        once = stuck.apply(memory)
        assert stuck.apply(once).read().network.checksum() == once.read().network.checksum()
        word = int(stuck.addresses[0]) // 8
        bit = int(stuck.addresses[0]) % 8
        code = int(once.words[0].codewords[word])
        assert code >> bit & 1 == (kind == "stuck-at-1")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 31), st.integers(0, 9), st.sampled_from(["float32", "float64"]))
def test_a_flip_of_a_float_gives_the_rounded_and_limited_weight(bit, word, layout):
    network = small_network()
    memory = store_floating(network, layout)
    real, integer, bits = ("f", "I", 32) if layout == "float32" else ("d", "Q", 64)
    bit += bits - 32
    read = FaultMap("flip", [word * bits + bit]).apply(memory).read()
    before = float(network.projections[0].grid_v.ravel()[word])
    (code,) = struct.unpack(f"<{integer}", struct.pack(f"<{real}", before))
    (after,) = struct.unpack(f"<{real}", struct.pack(f"<{integer}", code ^ (1 << bit)))
    parts = [p for p in read.network.projections if p.source == INPUT]
    found = sum(float(p.grid_v.ravel()[word]) for p in parts)
    unit = 2.0 ** network.projections[0].exponent
    if math.isnan(after):
        assert found == -LARGEST_STEPS * unit
    elif abs(after) > LARGEST_STEPS * unit:
        assert (found, read.limited) == (math.copysign(LARGEST_STEPS * unit, after), 1)
    else:
        assert abs(found - after) <= unit / 2
        assert read.limited == 0


@settings(deadline=None)
@given(st.lists(st.integers(-LARGEST_STEPS, LARGEST_STEPS), min_size=1, max_size=5))
def test_split_weights_are_exact_up_to_the_limit(steps):
    weights = np.array(steps, np.float64) * 2.0**-30
    fine, coarse, exponent, limited = split_weights(weights, -30)
    assert limited == 0
    assert max(np.abs(fine).max(), np.abs(coarse).max()) < 2**23
    total = fine + coarse * 2 ** (exponent + 30)
    assert total.tolist() == steps


def test_the_number_of_faults_is_binomial_and_their_places_uniform():
    memory, _ = stored()
    rng = np.random.default_rng(7)
    rate, maps = 1e-3, 400
    counts = np.array([len(draw_faults(memory, rate, rng)) for _ in range(maps)])
    mean, variance = memory.size * rate, memory.size * rate * (1 - rate)
    assert abs(counts.mean() - mean) < 5 * math.sqrt(variance / maps)
    # The variance of a sample variance of a nearly normal count is 2 / (n - 1) of its square.
    assert abs(counts.var(ddof=1) / variance - 1) < 5 * math.sqrt(2 / (maps - 1))
    bits = draw_faults(memory, 0.2, rng).addresses % 8
    share = np.bincount(bits, minlength=8) / len(bits)
    assert np.abs(share - 1 / 8).max() < 5 * math.sqrt(1 / 8 / len(bits))
    assert len(draw_faults(memory, 0.0, rng)) == 0
    assert len(draw_faults(memory, 1.0, rng)) == memory.size


def test_faults_are_restricted_to_the_chosen_bits():
    memory, _ = stored()
    rng = np.random.default_rng(1)
    msb = draw_flips(memory, 50, rng, bits="msb")
    assert set((msb.addresses % 8).tolist()) == {7}
    assert len(msb) == 50
    memory, _ = stored(parameters=EVERYTHING)
    exponents = draw_faults(memory, 1.0, rng, bits="exponent")
    weights = sum(each.size for each in memory.words if each.parameter == "weights")
    assert exponents.addresses.tolist() == list(range(weights, weights + 2 * 4))


def test_an_exponent_scales_the_weights_of_a_projection():
    memory, network = stored(parameters=("exponents",))
    assert [each.format.bits for each in memory.words] == [4, 4]
    for bit, exponent in enumerate((7, 8, 10, -2)):
        # Exponent 0 in 4 bits of two's complement; 6 is the shift of the state.
        changed = FaultMap("flip", [bit]).apply(memory).read().network.projections[0]
        before = network.projections[0]
        assert before.exponent == 6
        if exponent >= 0:
            assert (changed.exponent, changed.grid.tolist()) == (exponent, before.grid.tolist())
        else:
            assert (changed.exponent, changed.grid.tolist()) == (0, (before.grid >> 2).tolist())


def test_thresholds_biases_and_decays_are_words_of_the_profile():
    memory, network = stored(parameters=("thresholds", "biases", "decays"))
    by = {(each.parameter, each.part): each.format.bits for each in memory.words}
    assert by[("thresholds", "hidden")] == 17
    assert by[("biases", "hidden")] == 13
    assert by[("decays", "hidden")] == 12
    starts = np.cumsum([0, *(each.size for each in memory.words)])
    places = dict(zip(by, starts, strict=False))

    def flipped(key, word, bit):
        address = int(places[key]) + word * by[key] + bit
        return FaultMap("flip", [address]).apply(memory).read().network.population("hidden")

    hidden = network.population("hidden")
    threshold = flipped(("thresholds", "hidden"), 4, 3).threshold
    assert threshold[4] == ((int(hidden.threshold[4]) >> 6) ^ 8) << 6
    assert flipped(("biases", "hidden"), 2, 12).bias[2] == -4096
    assert flipped(("decays", "hidden"), 0, 5).leak == hidden.leak ^ 32
    # The code of the current's decay is 1 less than its leak in units of 1/4096.
    assert flipped(("decays", "hidden"), 1, 11).current_leak == ((4096 - 1) ^ 2048) + 1


def test_signs_that_are_not_in_the_word_stay():
    network = small_network()
    memory, quantized = stored("dynapse2", network=network)
    assert len(memory.words) == 4
    assert memory.size == 4 * (784 * 30 + 300)
    everything = FaultMap("flip", np.arange(memory.size)).apply(memory).read().network
    for before, after in zip(quantized.projections, everything.projections, strict=True):
        one_sign = after.grid[after.grid != 0]
        assert len(set(np.sign(one_sign).tolist())) == 1
        there = before.grid != 0
        assert (np.abs(after.grid)[there] == 15 - np.abs(before.grid)[there]).all()


def test_each_connection_of_a_convolution_has_its_word():
    network = small_network()
    kernel = np.random.default_rng(0).normal(0, 1e-3, (2, 1, 3, 3))
    convolution = Convolution.from_weights(INPUT, "hidden", kernel, (1, 28, 28))
    size = convolution.shape[1]
    hidden = dataclasses.replace(
        network.populations[0], size=size, tau_m_s=5.0, threshold_v=5e-3, reset_v=0.0,
        bias_v=0.0, refractory_steps=2, tau_syn_s=0.0, current_bias_v=0.0,
    )  # fmt: skip
    second = dataclasses.replace(
        network.projections[1], mantissas=np.ones((size, 10), np.int32), exponent=-10
    )
    network = dataclasses.replace(
        network,
        populations=(hidden, network.populations[1]),
        projections=(convolution, second),
    )
    memory, quantized = stored(network=network)
    assert len(memory.words[0].codewords) == convolution.connections
    dense = quantized.projections[0].dense()
    assert (memory.read().network.projections[0].grid == dense.grid).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stored("spinnaker2"), "got no number of bits in the profile"),
        (lambda: stored("spinnaker1", parameters=("thresholds",)), "leave them out"),
        (lambda: stored("spinnaker1", parameters=("exponents",)), "weight_exp"),
        (lambda: stored(parameters=()), "at least one"),
        (lambda: stored(parameters=("spikes",)), "parameter"),
        (lambda: stored(protection="lead"), "protection"),
        (lambda: store_floating(stored()[1], "float32"), "fixed point"),
        (lambda: draw_faults(stored()[0], 1.5, np.random.default_rng()), "rate of faults"),
        (lambda: draw_faults(stored()[0], 1, np.random.default_rng(), bits="exponent"), "bits"),
        (lambda: draw_flips(stored()[0], -1, np.random.default_rng()), "number of flips"),
        (lambda: FaultMap("burst", [1]), "kind of faults"),
        (lambda: FaultMap("flip", [1, 1]), "one twice"),
        (lambda: FaultMap("flip", [-1]), "0 or more"),
        (lambda: FaultMap("flip", [10**9]).apply(stored()[0]), "addresses of faults"),
    ],
)
def test_bad_input_is_refused_with_a_reason(make, message):
    with pytest.raises((UnknownNameError, UnsupportedFeatureError, ValidationError), match=message):
        make()
