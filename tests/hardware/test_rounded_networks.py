"""Properties of arbitrary networks in arbitrary number formats."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.number_formats import number_formats

from neuroattack.backends.native.backend import NativeBackend
from neuroattack.conformance.networks import networks, rasters
from neuroattack.conformance.scenarios import check_batch
from neuroattack.deployment.features import FEATURES
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.quantization.quantization import Rounding, quantize
from neuroattack.ir.network import Population


def quantized_or_none(network, number_format, **options):
    """Return None if magnitudes of weights and thresholds differ too much for one scale."""
    try:
        return quantize(network, number_format, Rounding(allow_lossy=True, **options))
    except UnsupportedFeatureError:
        return None


SPIKING = frozenset(FEATURES) - {"fixed_point", "direct_input", "potential_readout"}

OPTIONS = st.fixed_dictionaries(
    {
        "scale": st.sampled_from(["shared", "per_projection"]),
        "rounding": st.sampled_from(["nearest", "stochastic"]),
        "signs": st.sampled_from(["unchanged", "split"]),
        "clipping": st.sampled_from(["none", "least_error"]),
    }
)


def largest_mantissa(number_format, signs):
    if number_format.weight_bits is None:
        return 2**23 - 1
    if signs == "mixed":
        return (2 ** (number_format.weight_bits - 1) - 1) * number_format.mixed_weight_step
    return 2**number_format.weight_bits - 1


def check_signs(mantissas, signs):
    rows = [(bool((row > 0).any()), bool((row < 0).any())) for row in mantissas]
    assert signs != "excitatory" or not any(down for _, down in rows)
    assert signs != "inhibitory" or not any(up for up, _ in rows)
    assert signs != "per_source" or not any(up and down for up, down in rows)


def original_weights(network, found):
    """Return the weights of each projection of the result in volts."""
    asked = []
    parts = iter(zip(found.network.projections, found.projections, strict=True))
    for projection in network.projections:
        weights = projection.weights_v
        _, rounding = next(parts)
        if rounding.signs in ("excitatory", "inhibitory") and (weights.min() < 0 < weights.max()):
            asked += [np.maximum(weights, 0), np.minimum(weights, 0)]
            next(parts)
        else:
            asked.append(weights)
    return asked


@settings(max_examples=150, deadline=None)
@given(networks(max_size=15), number_formats(), OPTIONS)
def test_every_number_is_in_its_range_and_as_near_as_it_can_be(network, number_format, options):
    found = quantized_or_none(network, number_format, **options)
    assume(found is not None)
    state = number_format.state
    bit_v = {rounding.name: rounding.state_bit_v for rounding in found.populations}
    lowest, highest = number_format.weight_exponents
    shift = state.shift if state else 0
    asked = original_weights(network, found)
    for weights, after, rounding in zip(
        asked, found.network.projections, found.projections, strict=True
    ):
        if number_format.weight_bits is None and state is None:
            continue
        assert rounding.signs in number_format.sign_modes
        check_signs(after.mantissas, rounding.signs)
        step = number_format.mixed_weight_step if rounding.signs == "mixed" else 1
        most = largest_mantissa(number_format, rounding.signs)
        assert (after.mantissas % step == 0).all()
        assert np.abs(after.mantissas).max() <= most
        assert (max(lowest, -shift) if state else lowest) <= after.exponent - shift <= highest
        unit_v = 2.0**after.exponent * bit_v[after.target]
        error = np.abs(after.mantissas * unit_v - weights)
        dropped = np.zeros(weights.shape, bool)
        if rounding.signs == "per_source":
            rows = np.concatenate([p.weights_v for p in network.outgoing(after.source)], axis=1)
            excites = np.array([math.fsum(row) >= 0 for row in rows])
            dropped = np.where(excites[:, None], weights < 0, weights > 0)
            assert not after.mantissas[dropped].any()
        clipped = ~dropped & (np.abs(weights) > (most + 0.5 * step) * unit_v * (1 + 1e-9))
        ordinary = ~clipped & ~dropped
        reach = 0.5 if options["rounding"] == "nearest" else 1.0
        assert (error[ordinary] <= (reach + 1e-6) * step * unit_v).all()
        assert (np.abs(after.mantissas[clipped]) == most - most % step).all()
        assert options["clipping"] == "least_error" or not clipped.any()
        connections = max(int((weights != 0).sum()), 1)
        assert rounding.lost_fraction == pytest.approx(
            ((after.mantissas == 0) & (weights != 0)).sum() / connections
        )
        assert rounding.saturated_fraction == pytest.approx(clipped.sum() / connections, abs=1e-12)
        assert rounding.largest_error_v == pytest.approx(error.max(), abs=1e-12)
    for before, after in zip(network.populations, found.network.populations, strict=True):
        assert (after.refractory_steps == before.refractory_steps).all()
        unit_v = bit_v[before.name]
        if state is None:
            assert after.threshold_v * unit_v == pytest.approx(before.threshold_v)
            assert after.bias_v * unit_v == pytest.approx(before.bias_v)
            assert after.tau_m_s.tolist() == before.tau_m_s.tolist()
            assert after.reset_v == pytest.approx(before.reset_v / unit_v)
            continue
        assert (after.lowest, after.highest) == (state.lowest, state.highest)
        assert (after.threshold % 2**shift == 0).all()
        assert after.threshold.max() < state.highest
        bits = number_format.threshold_bits
        assert bits is None or after.threshold.max() >> shift < 2**bits
        error = np.abs(after.threshold * unit_v - before.threshold_v)
        assert error.max() <= (0.5 + 1e-6) * 2**shift * unit_v
        largest, most = 2**23 - 1, 0
        if number_format.bias:
            largest = 2 ** (number_format.bias.mantissa_bits - 1) - 1
            most = 2**number_format.bias.exponent_bits - 1
        exponent = max(0, math.ceil(math.log2(max(np.abs(after.bias).max(), 1) / largest)))
        assert exponent <= most
        assert (after.bias % 2**exponent == 0).all()
        assert np.abs(after.bias * unit_v - before.bias_v).max() <= 2**exponent * unit_v * 0.501
        parts = 2 ** (12 if state.leak_bits is None else state.leak_bits)
        leak = Fraction(after.leak, 4096) * parts
        assert leak.denominator == 1
        wanted = parts * (1 - math.exp(-1e-3 / before.tau_m_s[0]))
        assert abs(int(leak) - wanted) <= 0.5 + 1e-9 or int(leak) == parts - 1 < wanted


@settings(max_examples=80, deadline=None)
@given(networks(max_size=15), number_formats())
def test_the_scale_is_the_largest_that_fits(network, number_format):
    found = quantized_or_none(network, number_format)
    state = number_format.state
    assume(found is not None)
    assume(state is not None)
    for before, population in zip(network.populations, found.network.populations, strict=True):
        (rounding,) = (each for each in found.populations if each.name == population.name)
        bits = number_format.threshold_bits or 23
        most = min(2**bits - 1, (state.highest - 1) >> state.shift) << state.shift
        reached = [before.threshold_v.max() / rounding.state_bit_v / most]
        largest = 2**23 - 1
        if number_format.bias:
            largest = 2 ** (number_format.bias.mantissa_bits - 1) - 1
            largest <<= 2**number_format.bias.exponent_bits - 1
        reached.append(np.abs(before.bias_v).max() / rounding.state_bit_v / largest)
        arriving = [
            (np.abs(after.mantissas).max() / largest_mantissa(number_format, each.signs), after)
            for after, each in zip(found.network.projections, found.projections, strict=True)
            if after.target == population.name
        ]
        fullest = max((fraction for fraction, _ in arriving), default=0)
        assert max(*reached, fullest) == pytest.approx(1, rel=1e-6)
        exponents = {after.exponent - state.shift for fraction, after in arriving}
        assert len(exponents) <= 1
        # With a higher exponent, a threshold or a bias would be out of range.
        lowest, highest = number_format.weight_exponents
        wanted = min(max(0, lowest, -state.shift), highest)
        if exponents and fullest > 0.999:
            (exponent,) = exponents
            assert exponent == wanted or 2 * max(reached) > 1 - 1e-6


@settings(max_examples=80, deadline=None)
@given(networks(max_size=15), number_formats(), st.sampled_from(["shared", "per_projection"]))
def test_what_lies_on_the_grid_stays_there(network, number_format, scale):
    once = quantized_or_none(network, number_format, scale=scale)
    assume(once is not None)
    again = quantized_or_none(in_volts(once, network), number_format, scale=scale)
    # If all weights of one sign are rounded to 0, the others may have one more bit.
    assume([each.signs for each in again.projections] == [each.signs for each in once.projections])
    for first, second in zip(once.network.projections, again.network.projections, strict=True):
        (bit_v,) = (each.state_bit_v for each in again.populations if each.name == first.target)
        np.testing.assert_allclose(second.weights_v * bit_v, first.weights_v, rtol=1e-9)
    for rounding in again.projections:
        assert rounding.rms_error_v <= 1e-9
    for rounding in again.populations:
        assert rounding.largest_threshold_error_v <= 1e-9
        assert rounding.largest_bias_error_v <= 1e-9
        assert rounding.effective_tau_m_s == pytest.approx(rounding.tau_m_s)


def in_volts(found, network):
    """Return a floating-point network in units of the state of a quantized one."""
    if found.network.precision == "floating":
        return found.network
    return dataclasses.replace(
        network,
        populations=tuple(
            Population(
                name=after.name,
                size=after.size,
                tau_m_s=rounding.effective_tau_m_s,
                threshold_v=after.threshold,
                bias_v=after.bias,
                refractory_steps=after.refractory_steps,
            )
            for after, rounding in zip(found.network.populations, found.populations, strict=True)
        ),
        projections=found.network.projections,
    )


@settings(max_examples=60, deadline=None)
@given(networks(max_size=15), number_formats())
def test_exponents_of_their_own_never_err_more(network, number_format):
    shared = quantized_or_none(network, number_format)
    own = quantized_or_none(network, number_format, scale="per_projection")
    assume(shared is not None)
    for one, other in zip(shared.projections, own.projections, strict=True):
        assert other.rms_error_v <= one.rms_error_v * (1 + 1e-12)
        assert other.exponent <= one.exponent


@settings(max_examples=60, deadline=None)
@given(networks(max_size=15), number_formats())
def test_clipping_never_errs_more_in_all(network, number_format):
    fitting = quantized_or_none(network, number_format)
    assume(fitting is not None)
    clipped = quantized_or_none(network, number_format, clipping="least_error")
    assume(clipped is not None)

    def squares(found, name):
        return sum(
            rounding.rms_error_v**2 * after.mantissas.size
            for rounding, after in zip(found.projections, found.network.projections, strict=True)
            if after.target == name
        )

    for population in network.populations:
        less, more = squares(clipped, population.name), squares(fitting, population.name)
        assert less <= more * (1 + 1e-9) + 1e-15


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_native_does_as_the_plain_dynamics_on_any_chip_s_numbers(data):
    network = data.draw(networks(max_size=15, features=SPIKING))
    found = quantized_or_none(network, data.draw(number_formats()), **data.draw(OPTIONS))
    assume(found is not None)
    batch = data.draw(rasters(network.input.size))
    check_batch(NativeBackend(threads=1).deploy(found.network), found.network, batch)
