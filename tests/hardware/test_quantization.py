"""Quantization to the number formats of chips, against independent derivations."""

import dataclasses
import math

import numpy as np
import pytest
from support.networks import small_network

from neuroattack.encoding.encoders import PoissonEncoder
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError, ValidationError
from neuroattack.hardware.profiles.number_format import (
    BiasFormat,
    CurrentFormat,
    NumberFormat,
    StateFormat,
)
from neuroattack.hardware.quantization.quantization import Rounding, fixed_format, quantize
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import INPUT, Input, Network, Population, Projection

# Loihi 1 as in lava-nc 0.10.0 and nengo-loihi; if they differ, the narrower range.
LOIHI = NumberFormat(
    name="Loihi",
    weight_code="twos_complement",
    weight_bits=8,
    mixed_weight_step=2,
    sign_modes=frozenset({"mixed", "excitatory", "inhibitory"}),
    weight_exponents=(-6, 7),
    state=StateFormat(
        -(2**23) + 1, 2**23 - 1, shift=6, leak_bits=12, current=CurrentFormat(12, least=1)
    ),
    threshold_bits=17,
    bias=BiasFormat(mantissa_bits=13, exponent_bits=3),
    refractory_steps=(0, 62),
    delay_steps=(1, 62),
)

ANALOG = NumberFormat("Analog", weight_bits=4)


def into_one(*weights_v, delays=None, **changes):
    """Return a network of projections from the input into one population."""
    fields = {"tau_m_s": 5.0, "threshold_v": 1.0} | changes
    matrices = [np.atleast_2d(each) for each in weights_v]
    return Network(
        dt_s=1e-3,
        input=Input((len(matrices[0]),), PoissonEncoder(100.0)),
        populations=(Population("p", matrices[0].shape[1], **fields),),
        projections=tuple(
            Projection.from_weights(INPUT, "p", each, delay)
            for each, delay in zip(matrices, delays or [1] * len(matrices), strict=True)
        ),
        readout="p",
    )


def test_numbers_worked_out_by_hand():
    found = quantize(into_one([[0.5, -0.25, 0.001]], threshold_v=1.0, bias_v=0.125), LOIHI)
    (population,), (projection,) = found.network.populations, found.network.projections
    # 254 / 0.5 V = 508 per volt: 254, -127 (a tie between -126 and -128, to even halves), 0.508.
    assert projection.mantissas.tolist() == [[254, -128, 0]]
    assert projection.exponent == 6
    assert population.threshold.tolist() == [508 * 64] * 3
    # 0.125 V * 508 * 64 = 4064, which fits in 12 bits.
    assert population.bias.tolist() == [4064] * 3
    # 4096 * (1 - exp(-1 / 5000)) = 0.82, so 1, whose time constant is 4.1 s.
    assert population.leak == 1
    assert (population.lowest, population.highest) == (-(2**23) + 1, 2**23 - 1)
    (rounding,) = found.populations
    assert rounding.effective_tau_m_s == pytest.approx(4.0955, abs=1e-3)
    assert rounding.tau_m_s == 5.0
    assert rounding.state_bit_v == pytest.approx(1 / (508 * 64))
    (lost,) = found.projections
    assert lost.lost_fraction == pytest.approx(1 / 3)
    assert lost.largest_error_v == pytest.approx(1 / 508)
    assert lost.rms_error_v == pytest.approx(math.sqrt(((1 / 508) ** 2 + 0.001**2) / 3), rel=1e-4)
    assert (lost.signs, lost.exponent, lost.bits_used) == ("mixed", 6, 8)
    assert lost.saturated_fraction == 0
    assert (found.dropped, found.unchecked) == ((), ())
    assert found.network.origin["number_format"] == LOIHI.name


def test_fixed_precision_is_loihi_s():
    assert dataclasses.replace(fixed_format(), name="Loihi") == LOIHI


def test_a_bias_beyond_its_mantissa_takes_an_exponent():
    # 255 / 0.5 V = 510 per volt, for one sign; 0.5 V * 510 * 64 = 16,320 = 4,080 * 2**2
    for bias_v in (0.5, 0.5 + 1 / 510 / 64):
        found = quantize(into_one([[0.5]], bias_v=bias_v), LOIHI)
        assert found.network.populations[0].bias.tolist() == [16_320]


def test_one_sign_has_a_bit_more():
    found = quantize(into_one([[0.5, 0.1]], [[-0.5, -0.1]], [[0.5, -0.1]]), LOIHI)
    # 254 / 0.5 V = 508 per volt is what the last of them needs: 0.1 * 508 = 50.8.
    mantissas = [projection.mantissas.tolist() for projection in found.network.projections]
    assert mantissas == [[[254, 51]], [[-254, -51]], [[254, -50]]]
    assert [each.signs for each in found.projections] == ["excitatory", "inhibitory", "mixed"]
    assert [each.bits_used for each in found.projections] == [8, 8, 8]


def test_signs_are_split_where_the_chip_has_both():
    network = into_one([[0.5, -0.25, 0.1]], [[0.0, 0.3, 0.3]])
    split = Rounding(signs="split")
    found = quantize(network, LOIHI, split)
    # 255 / 0.5 V = 510 per volt: 255; -127.5, to even; 51; and 153.
    mantissas = [projection.mantissas.tolist() for projection in found.network.projections]
    assert mantissas == [[[255, 0, 51]], [[0, -128, 0]], [[0, 153, 153]]]
    assert [each.signs for each in found.projections] == ["excitatory", "inhibitory", "excitatory"]
    assert [each.lost_fraction for each in found.projections] == [0, 0, 0]
    both = dataclasses.replace(LOIHI, sign_modes=frozenset({"excitatory", "inhibitory"}))
    for options in (Rounding(), split):
        assert quantize(network, both, options).network == found.network
    mixed = dataclasses.replace(LOIHI, sign_modes=frozenset({"mixed"}))
    assert quantize(network, mixed, split).network == quantize(network, mixed).network
    assert len(quantize(network, mixed, split).network.projections) == 2


def test_small_projections_keep_their_bits_with_exponents_of_their_own():
    network = into_one([[0.5, -0.25]], [[0.01, -0.004]])
    shared = quantize(network, LOIHI)
    # 508 per volt: 5.08 and -2.03, to multiples of 2.
    assert shared.network.projections[1].mantissas.tolist() == [[6, -2]]
    assert [each.exponent for each in shared.network.projections] == [6, 6]
    own = quantize(network, LOIHI, Rounding(scale="per_projection"))
    # 5.08 is below 254 / 2**5: 162.56 and -65.02, to multiples of 2.
    assert own.network.projections[1].mantissas.tolist() == [[162, -66]]
    assert [each.exponent for each in own.network.projections] == [6, 1]
    assert own.network.projections[0] == shared.network.projections[0]
    assert own.network.populations == shared.network.populations


def test_weights_keep_their_bits_where_thresholds_need_room():
    network = into_one([[0.5, -0.1]], threshold_v=1000.0)
    found = quantize(network, LOIHI)
    # 508 per volt would make the threshold 508,000, beyond 2**17; a quarter of it fits.
    assert found.network.populations[0].threshold.tolist() == [127_000 * 64] * 2
    assert found.network.projections[0].mantissas.tolist() == [[254, -50]]
    assert found.network.projections[0].exponent == 4


def test_one_sign_per_source_neuron():
    chip = dataclasses.replace(
        LOIHI, name="ODIN-like", weight_bits=3, sign_modes=frozenset({"per_source"})
    )
    found = quantize(into_one([[0.7, 0.2], [-0.3, -0.1], [0.0, 0.0]]), chip)
    # 7 / 0.7 V = 10 per volt.
    assert found.network.projections[0].mantissas.tolist() == [[7, 2], [-3, -1], [0, 0]]
    assert (found.projections[0].signs, found.projections[0].bits_used) == ("per_source", 3)
    network = into_one([[0.7, -0.2], [0.3, -0.4], [0.0, 0.1]])
    with pytest.raises(
        UnsupportedFeatureError,
        match="input->p: 2 source neurons have weights of both signs, ODIN-like supports one",
    ):
        quantize(network, chip)
    lossy = quantize(network, chip, Rounding(allow_lossy=True))
    assert lossy.network.projections[0].mantissas.tolist() == [[7, 0], [0, -4], [0, 1]]
    assert lossy.projections[0].lost_fraction == pytest.approx(2 / 5)
    assert lossy.projections[0].largest_error_v == pytest.approx(0.3)
    assert lossy.dropped == (
        "projection input->p: 2 of 5 connections, whose sign differs from that of their source "
        "neuron",
    )


def test_few_large_weights_are_clipped_where_that_errs_less():
    weights = np.full((1, 400), 0.1)
    weights[0, ::2] = -0.1
    weights[0, :2] = 1.0, -1.0
    chip = dataclasses.replace(ANALOG, weight_bits=2)
    (rounding,) = quantize(into_one(0.6 * np.abs(weights)), chip).projections
    assert rounding.saturated_fraction == 0
    with pytest.raises(UnsupportedFeatureError, match=r"all weights of input->p would be .* 0"):
        quantize(into_one(weights[:, 2:], np.full((1, 398), 1.0)), chip)
    clipped = quantize(into_one(weights), chip, Rounding(clipping="least_error"))
    (rounding,) = clipped.projections
    assert rounding.saturated_fraction == pytest.approx(2 / 400)
    assert rounding.lost_fraction == 0
    assert set(clipped.network.projections[0].mantissas.ravel().tolist()) == {-1, 1}
    assert rounding.rms_error_v < quantize(into_one(weights), chip).projections[0].rms_error_v


def test_analog_potentials_are_in_units_of_a_weight_step():
    network = into_one([[0.5, -0.25, 0.09]], threshold_v=[0.3, 0.7, 1.0], bias_v=0.02, reset_v=-0.1)
    found = quantize(network, ANALOG)
    (population,), (projection,) = found.network.populations, found.network.projections
    # 7 / 0.5 V = 14 per volt: 7, -3.5 to even, 1.26.
    assert projection.mantissas.tolist() == [[7, -4, 1]]
    assert projection.exponent == 0
    assert population.threshold_v == pytest.approx([4.2, 9.8, 14.0])
    assert population.bias_v == pytest.approx([0.28] * 3)
    assert population.reset_v == pytest.approx([-1.4] * 3)
    assert (population.tau_m_s == 5.0).all()
    assert found.populations[0].state_bit_v == pytest.approx(1 / 14)
    assert found.populations[0].effective_tau_m_s == 5.0
    assert found.unchecked == ("state", "threshold_bits", "bias", "delay_steps")


def test_weights_of_unknown_format_are_left_as_they_are():
    network = into_one([[0.5, -0.25]], bias_v=0.1)
    found = quantize(network, NumberFormat("Unknown"))
    assert found.network.projections == network.projections
    assert found.network.populations == network.populations
    assert "weight_bits" in found.unchecked
    assert found.projections[0].largest_error_v == 0


def test_stochastic_rounding_is_right_on_average():
    weights = np.linspace(-0.5, 0.5, 41)[None]
    repetitions = 600
    found = np.array(
        [
            quantize(into_one(weights), ANALOG, Rounding(rounding="stochastic", seed=seed))
            .network.projections[0]
            .mantissas[0]
            for seed in range(repetitions)
        ]
    )
    exact = weights[0] * 14
    chance = exact - np.floor(exact)
    deviation = np.sqrt(chance * (1 - chance) / repetitions)
    assert (np.abs(found.mean(axis=0) - exact) <= 4.5 * deviation + 1e-9).all()
    assert set(np.unique(found - np.floor(exact + 1e-9)).tolist()) == {0.0, 1.0}
    # The total is right as well: random numbers of neighboring weights are not correlated.
    spread = (found.sum(axis=1) - exact.sum()).std()
    assert spread == pytest.approx(math.sqrt((chance * (1 - chance)).sum()), rel=0.15)


def test_each_projection_has_its_own_random_numbers():
    options = Rounding(rounding="stochastic", seed=3)
    network = into_one(*(np.random.default_rng(i).uniform(-1, 1, (9, 9)) for i in (0, 1, 1)))
    found = quantize(network, ANALOG, options)
    assert quantize(network, ANALOG, options).network == found.network
    first, second, third = (each.mantissas for each in found.network.projections)
    assert (second != third).any()
    other = quantize(network, ANALOG, dataclasses.replace(options, seed=4))
    assert (other.network.projections[0].mantissas != first).any()
    # Independent of other projections.
    small = small_network()
    last = quantize(small, LOIHI, options).network.projections[1]
    more = dataclasses.replace(small, projections=(small.projections[0], *small.projections))
    assert quantize(more, LOIHI, options).network.projections[2] == last


def test_rounded_networks_spike_much_as_they_did():
    network = small_network()
    raster = np.random.default_rng(0).random((300, 784)) < 0.05
    before = simulate(network, raster)["output"].sum(axis=0)
    after = simulate(quantize(network, LOIHI).network, raster)["output"].sum(axis=0)
    assert before.sum() > 100
    assert np.corrcoef(before, after)[0, 1] > 0.95


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (into_one([[1e-8]], threshold_v=1.0), "all weights of input->p would be .* 0 in .* Loihi"),
        (into_one([[0.5]], threshold_v=1e-5), "a threshold of population 'p' would be .* 0"),
        (into_one([[0.0]], threshold_v=1e-306), "population 'p' would be .* 0"),
        (into_one([[0.5]], bias_v=1e6), "would be .* 0 in .* Loihi"),
        (quantize(into_one([[0.5]]), LOIHI).network, "network: got fixed point"),
    ],
)
@pytest.mark.parametrize("allow_lossy", [False, True])
def test_what_rounding_would_destroy_is_refused(network, message, allow_lossy):
    with pytest.raises(UnsupportedFeatureError, match=message):
        quantize(network, LOIHI, Rounding(allow_lossy=allow_lossy))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state": StateFormat(0, 63, shift=6)}, "state: got up to 63 with thresholds .* 6 bits"),
        ({"state": StateFormat(-(2**31), 2**31 - 1)}, "state: got -2147483648 to 2147483647"),
        ({"state": StateFormat(1, 255)}, "state: got 1 to 255"),
        ({"state": StateFormat(0, 255, leak_bits=13)}, "leak_bits: got 13"),
        (
            {"state": StateFormat(0, 255), "weight_exponents": (-3, -1)},
            "weight exponents: got up to -1, expected at least 0",
        ),
        ({"weight_bits": 0}, "weight_bits: got 0"),
        ({"weight_bits": 32}, "weight_bits: got 32"),
        ({"threshold_bits": 0}, "threshold_bits: got 0"),
    ],
)
def test_formats_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        quantize(into_one([[0.5]]), dataclasses.replace(LOIHI, **changes))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scale": "fraction"}, UnknownNameError, "unknown scale 'fraction'"),
        ({"rounding": "up"}, UnknownNameError, "unknown rounding 'up'"),
        ({"signs": "both"}, UnknownNameError, "unknown signs 'both'"),
        ({"clipping": "all"}, UnknownNameError, "unknown clipping 'all'"),
        ({"seed": -1}, ValidationError, "seed: got -1"),
    ],
)
def test_impossible_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        Rounding(**options)
