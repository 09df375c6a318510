"""Rounding to Loihi's formats, against an independent derivation of each number."""

import dataclasses
import math

import numpy as np
import pytest
from conftest import small_network
from hypothesis import assume, given, settings

from neuroattack.conformance.networks import networks
from neuroattack.encoding import PoissonEncoder
from neuroattack.errors import UnsupportedFeatureError, ValidationError
from neuroattack.hardware.number_format import StateFormat
from neuroattack.hardware.quantisation import LOIHI, quantise
from neuroattack.ir.dynamics import simulate
from neuroattack.ir.network import (
    INPUT,
    FixedPopulation,
    Input,
    Network,
    Population,
    Projection,
)


def one_layer(weights_v, **changes):
    weights_v = np.atleast_2d(weights_v)
    fields = {"tau_m_s": 5.0, "threshold_v": 1.0} | changes
    return Network(
        dt_s=1e-3,
        input=Input((len(weights_v),), PoissonEncoder(100.0)),
        populations=(Population("p", weights_v.shape[1], **fields),),
        projections=(Projection.from_weights(INPUT, "p", weights_v),),
        readout="p",
    )


def test_numbers_worked_out_by_hand():
    found = quantise(one_layer([[0.5, -0.25, 0.001]], threshold_v=1.0, bias_v=0.125), LOIHI)
    (population,), (projection,) = found.network.populations, found.network.projections
    # 254 / 0.5 V = 508 a volt: 254, -127 (a tie between -126 and -128, to even halves), 0.508.
    assert projection.mantissas.tolist() == [[254, -128, 0]]
    assert projection.exponent == 6
    assert population.threshold.tolist() == [508 * 64] * 3
    # 0.125 V * 508 * 64 = 4064, which 12 bits hold.
    assert population.bias.tolist() == [4064] * 3
    # 4096 * (1 - exp(-1 / 5000)) = 0.82, so 1, whose time constant is 4.1 s.
    assert population.leak == 1
    (rounding,) = found.populations
    assert rounding.effective_tau_m_s == pytest.approx(4.0955, abs=1e-3)
    assert rounding.tau_m_s == 5.0
    assert rounding.state_bit_v == pytest.approx(1 / (508 * 64))
    (lost,) = found.projections
    assert lost.lost_fraction == pytest.approx(1 / 3)
    assert lost.largest_error_v == pytest.approx(1 / 508)


def test_a_bias_beyond_its_mantissa_takes_an_exponent():
    found = quantise(one_layer([[0.5]], bias_v=0.5), LOIHI)
    # 255 / 0.5 V = 510 a volt, for one sign; 0.5 V * 510 * 64 = 16,320 = 4,080 * 2**2
    assert found.network.populations[0].bias.tolist() == [16_320]
    found = quantise(one_layer([[0.5]], bias_v=0.5 + 1 / 510 / 64), LOIHI)
    assert found.network.populations[0].bias.tolist() == [16_320]


def quantised_or_none(network):
    """Return None where weights and thresholds are too far apart for one scale."""
    try:
        return quantise(network, LOIHI)
    except UnsupportedFeatureError:
        return None


@settings(max_examples=80, deadline=None)
@given(networks())
def test_every_number_is_in_its_range_and_no_farther_off_than_half_a_step(network):
    assume(all(population.reset_v == 0 for population in network.populations))
    found = quantised_or_none(network)
    assume(found is not None)
    by_name = {rounding.name: rounding for rounding in found.populations}
    for before, after in zip(network.populations, found.network.populations, strict=True):
        assert (after.threshold % 64 == 0).all()
        assert after.threshold.max() >> 6 < 2**17
        bit_v = by_name[before.name].state_bit_v
        assert np.abs(after.threshold * bit_v - before.threshold_v).max() <= 32.001 * bit_v
        exponent = max(0, math.ceil(math.log2(max(np.abs(after.bias).max(), 1) / 4095)))
        assert exponent <= 7
        assert (after.bias % 2**exponent == 0).all()
        assert np.abs(after.bias * bit_v - before.bias_v).max() <= 2**exponent * bit_v * 0.501
        assert after.refractory_steps == before.refractory_steps
    for before, after in zip(network.projections, found.network.projections, strict=True):
        mixed = (before.mantissas > 0).any() and (before.mantissas < 0).any()
        assert not mixed or (after.mantissas % 2 == 0).all()
        assert np.abs(after.mantissas).max() <= (254 if mixed else 255)
        assert (after.source, after.target) == (before.source, before.target)
        assert after.delay_steps == before.delay_steps
        bit_v = by_name[after.target].state_bit_v
        error = after.mantissas * 2.0**after.exponent * bit_v - before.weights_v
        step = 2.0**after.exponent * (2 if mixed else 1)
        assert np.abs(error).max() <= 0.501 * step * bit_v


@settings(max_examples=40, deadline=None)
@given(networks())
def test_the_scale_is_the_largest_that_fits(network):
    assume(all(population.reset_v == 0 for population in network.populations))
    found = quantised_or_none(network)
    assume(found is not None)
    for population in found.network.populations:
        reached = [int(population.threshold.max() >> 6) / (2**17 - 1)]
        reached.append(int(np.abs(population.bias).max()) / (4095 << 7))
        reached += [
            int(np.abs(projection.mantissas).max()) / 254
            for projection in found.network.incoming(population.name)
        ]
        assert max(reached) > 0.99


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (one_layer([[1e-8]], threshold_v=1.0), "all of input->p would be 0 in Loihi's formats"),
        (one_layer([[0.5]], threshold_v=1e-5), "a threshold of population 'p' would be 0"),
        (one_layer([[0.0]], threshold_v=1e-306), "population 'p' would be 0"),
        (one_layer([[0.5]], bias_v=1e6), "would be 0 in Loihi's formats"),
        (one_layer([[0.5]], reset_v=-0.25), r"'p' resets to -0.25 V: Loihi's neurons reset to"),
        (
            one_layer([[0.5]], refractory_steps=63),
            "a refractory period of 63 steps: Loihi holds 0 to 62",
        ),
        (
            dataclasses.replace(
                one_layer([[0.5]]),
                projections=(Projection.from_weights(INPUT, "p", [[0.5]], delay_steps=63),),
            ),
            "input->p has a delay of 63 steps: Loihi holds 1 to 62",
        ),
        (quantise(one_layer([[0.5]]), LOIHI).network, "in fixed point already"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(network, message):
    with pytest.raises(UnsupportedFeatureError, match=message):
        quantise(network, LOIHI)


def test_a_format_that_its_state_cannot_hold_is_refused():
    state = StateFormat(0, 63, shift=6)
    with pytest.raises(
        ValidationError, match=r"'Loihi' state: got up to 63 with thresholds 6 bits"
    ):
        quantise(one_layer([[0.5]]), dataclasses.replace(LOIHI, state=state))


def test_the_longest_that_fit_are_kept():
    network = one_layer([[0.5]], refractory_steps=62)
    assert quantise(network, LOIHI).network.populations[0].refractory_steps == 62


def test_rounded_networks_spike_much_as_they_did():
    network = small_network()
    raster = np.random.default_rng(0).random((300, 784)) < 0.05
    before = simulate(network, raster)["output"].sum(axis=0)
    after = simulate(quantise(network, LOIHI).network, raster)["output"].sum(axis=0)
    assert before.sum() > 100
    assert np.corrcoef(before, after)[0, 1] > 0.95


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "input"}, "population name: got 'input'"),
        ({"size": 0}, "'p' size: got 0"),
        ({"leak": 4097}, "'p' leak: got 4097, expected a whole number from 0 to 4096"),
        ({"threshold": -1}, "'p' threshold: got -1 to -1, expected from 0"),
        ({"threshold": 2**23}, "'p' threshold: got"),
        ({"threshold": 0.5}, "'p' threshold: got type float64, expected whole numbers"),
        ({"bias": [1, 2, 3]}, r"'p' bias: got shape \(3,\)"),
        ({"refractory_steps": -1}, "'p' refractory_steps: got -1"),
    ],
)
def test_impossible_fixed_point_populations_are_refused(changes, message):
    fields = {"name": "p", "size": 2, "leak": 1, "threshold": 64} | changes
    with pytest.raises(ValidationError, match=message):
        FixedPopulation(**fields)


def fixed_layer(exponent=6, size=2):
    return {
        "dt_s": 1e-3,
        "input": Input((1,), PoissonEncoder(100.0)),
        "populations": (FixedPopulation("p", size, 1, 64),),
        "projections": (Projection(INPUT, "p", np.full((1, size), 2), exponent),),
        "readout": "p",
    }


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (fixed_layer(exponent=-1), "input->p exponent, in fixed point: got -1"),
        (
            fixed_layer()
            | {"populations": (FixedPopulation("p", 2, 1, 64), Population("q", 2, 1.0, 1.0))},
            "both floating and fixed point",
        ),
    ],
)
def test_impossible_fixed_point_networks_are_refused(parts, message):
    with pytest.raises(ValidationError, match=message):
        Network(**parts)


def test_checksum_sees_every_number_of_a_fixed_point_population():
    network = Network(**fixed_layer())
    (population,) = network.populations
    for changes in ({"leak": 2}, {"threshold": 65}, {"bias": 1}, {"refractory_steps": 1}):
        other = dataclasses.replace(
            network, populations=(dataclasses.replace(population, **changes),)
        )
        assert other != network
        assert other.checksum() != network.checksum()
