"""Siegert transfer function compared with quadrature, limits, and a simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import erfcx

from neuroattack.errors import ValidationError
from neuroattack.training.siegert import SiegertParameters, Transfer, fast_rates, siegert_rates

PARAMETERS = SiegertParameters()


def exact_rate(drive: float, spread: float, p: SiegertParameters) -> float:
    """Return the Siegert rate with the integral by adaptive quadrature."""
    shift = abs(-1.4603545088095868) * math.sqrt(p.tau_syn_s / p.tau_m_s) * spread
    integral, _ = quad(
        lambda u: erfcx((drive - u) / (spread * math.sqrt(2))),
        shift,
        p.threshold_v + shift,
        epsabs=0,
        epsrel=1e-12,
    )
    passage_s = p.tau_m_s / spread * math.sqrt(math.pi / 2) * integral
    return p.t_ref_s / (p.t_ref_s + passage_s)


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("in_spreads", [-3.0, -1.0, 0.0, 0.5, 2.0, 8.0, 40.0])
def test_simpsons_rule_is_good_where_the_spread_is_not_small(spread, in_spreads):
    # Simpson's remainder is (b - a)^5 / 2880 times a value of the fourth derivative. That of
    # erfcx(z) = 2 exp(z^2) - erfcx(-z), erfcx being completely monotone, is below that of
    # 2 exp(z^2) for z <= 0, largest at the lowest z, and below its value at 0 for z >= 0.
    drive = in_spreads * spread
    exact = exact_rate(drive, spread, PARAMETERS)
    width = PARAMETERS.threshold_v / (spread * math.sqrt(2))
    shift = 1.4603545088095868 * math.sqrt(PARAMETERS.tau_syn_s / PARAMETERS.tau_m_s)
    highest = (in_spreads - shift) / math.sqrt(2)
    z = min(0.0, highest - width)
    integral, _ = quad(erfcx, highest - width, highest)
    derivative = (16 * z**4 + 48 * z**2 + 12) * 2 * math.exp(z * z)
    tolerance = width**5 * derivative / 2880 / integral
    assert tolerance < 0.5
    assert siegert_rates(drive, spread, PARAMETERS) == pytest.approx(exact, rel=tolerance + 1e-12)


@pytest.mark.parametrize("drive_v", [0.05, 0.5, 3.0, 12.5, 100.0])
def test_without_noise_a_lif_neuron_fires_as_often_as_its_charging_time_says(drive_v):
    # dv/dt = (Y - v) / tau: it reaches theta after tau * ln(Y / (Y - theta)). Simpson's rule on
    # 1 / (Y - u) has a relative error of at most (theta / Y)^4 / 120, for Y well above theta.
    p = PARAMETERS
    passage_s = p.tau_m_s * math.log(drive_v / (drive_v - p.threshold_v))
    expected = p.t_ref_s / (p.t_ref_s + passage_s)
    for spread in (0.0, 1e-9):
        assert siegert_rates(drive_v, spread, p) == pytest.approx(expected, rel=1e-5)


def test_without_noise_it_is_silent_up_to_the_threshold():
    drives = np.array([-1e6, -1.0, 0.0, 0.0049, PARAMETERS.threshold_v])
    assert not siegert_rates(drives, 0.0, PARAMETERS).any()


@pytest.mark.parametrize(
    ("drive", "variance"),
    [
        (1e30, 0.0),
        (-1e30, 0.0),
        (-1e30, 1e6),
        (0.0, 0.0),
        (0.005, 0.0),
        (-3.0, 1e-38),
        (3.0, 1e-38),
    ],
)
def test_the_compiled_form_survives_extremes(drive, variance):
    got = fast_rates(np.array([drive], np.float32), np.array([variance], np.float32), PARAMETERS)
    expected = siegert_rates(np.float64(drive), math.sqrt(variance), PARAMETERS)
    assert got[0] == pytest.approx(float(expected), abs=1e-5)


@settings(max_examples=200, deadline=None)
@given(
    drive=st.floats(-1e5, 1e5, width=32),
    variance=st.one_of(st.just(0.0), st.floats(2**-60, 2**30, width=32)),
)
def test_the_compiled_form_is_within_1e_5_of_the_reference(drive, variance):
    got = fast_rates(np.array([drive], np.float32), np.array([variance], np.float32), PARAMETERS)
    expected = siegert_rates(drive, math.sqrt(variance), PARAMETERS)
    assert 0 <= got[0] <= 1
    assert abs(float(got[0]) - float(expected)) < 1e-5


def simulated_rate(weights_v, rates_hz, p, steps, dt_s, rng):
    """Simulate a LIF neuron with Poisson input, small steps and refractory period t_ref."""
    decay = math.exp(-dt_s / p.tau_m_s)
    charges = rng.poisson(rates_hz * dt_s, (steps, len(rates_hz))) @ weights_v
    v, wait, spikes = 0.0, 0, 0
    refractory = round(p.t_ref_s / dt_s)
    for charge in charges.tolist():
        if wait:
            wait -= 1
            continue
        v = v * decay + charge
        if v > p.threshold_v:
            spikes += 1
            v, wait = 0.0, refractory
    return spikes / (steps * dt_s) * p.t_ref_s


def test_the_consistent_rate_is_that_of_a_simulated_neuron():
    # Small charges (4 % of the threshold) keep the diffusion approximation good to a few percent.
    rng = np.random.default_rng(2)
    rates = np.full(100, 60.0)
    weights_v = np.concatenate((np.full(60, 2e-4), np.full(40, -2e-4)))
    simulated = simulated_rate(weights_v, rates, PARAMETERS, 400_000, 1e-4, rng)
    transfer = Transfer(PARAMETERS)
    x = (rates * PARAMETERS.t_ref_s).astype(np.float32)[None, :]
    drive_weights = (weights_v / PARAMETERS.t_ref_s).astype(np.float32)[:, None]
    predicted = transfer.layer(x, drive_weights, drive_weights**2)[0, 0]
    assert simulated == pytest.approx(predicted, rel=0.06)
    inconsistent = Transfer(PARAMETERS, 1 / PARAMETERS.t_ref_s)
    assert inconsistent.layer(x, drive_weights, drive_weights**2)[0, 0] > 1.1 * predicted


def test_the_layer_has_the_drive_and_variance_of_the_si_diffusion_approximation():
    rng = np.random.default_rng(3)
    p = SiegertParameters(tau_m_s=0.5, t_ref_s=3e-3, threshold_v=0.01)
    x = rng.random((4, 30), dtype=np.float32) * np.float32(0.2)
    volts_per_spike = rng.normal(0, 2e-4, (30, 5)) + 1e-4
    drive_weights = (volts_per_spike / p.t_ref_s).astype(np.float32)
    hertz = x.astype(float) / p.t_ref_s
    drive = p.tau_m_s * hertz @ volts_per_spike
    variance = p.tau_m_s / 2 * hertz @ volts_per_spike**2
    for noise_factor in (0.0, 1.0, 500.0):
        expected = siegert_rates(drive, np.sqrt(noise_factor * variance), p)
        got = Transfer(p, noise_factor).layer(x, drive_weights, drive_weights**2)
        np.testing.assert_allclose(got, expected, atol=2e-5)


@pytest.mark.parametrize(
    "bad",
    [
        {"tau_m_s": 0.0},
        {"t_ref_s": -1.0},
        {"threshold_v": math.nan},
        {"tau_syn_s": 6.0},
        {"tau_m_s": math.inf},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        SiegertParameters(**bad)


def test_a_negative_noise_factor_is_refused():
    with pytest.raises(ValidationError, match="noise_factor"):
        Transfer(PARAMETERS, -1.0)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-10, 40), st.floats(1e-3, 100)), min_size=1, max_size=20).map(
        np.array
    )
)
def test_the_compiled_slopes_agree_with_central_differences_of_the_reference(points):
    mean, power = points.T
    transfer = Transfer(SiegertParameters())

    def rates(mean, power):
        spread = np.sqrt(transfer.variance_gain * power)
        return siegert_rates(transfer.drive_gain * mean, spread, transfer.siegert)

    by_mean, by_power = transfer.slopes(mean.astype(np.float32), power.astype(np.float32))
    mean, power = (each.astype(np.float32).astype(np.float64) for each in (mean, power))
    step, relative = 1e-6, 1e-5
    expected = (rates(mean + step, power) - rates(mean - step, power)) / (2 * step)
    np.testing.assert_allclose(by_mean, expected, rtol=2e-3, atol=5e-5)
    change = rates(mean, power * (1 + relative)) - rates(mean, power * (1 - relative))
    # Relative to the power, as both vary over orders of magnitude.
    np.testing.assert_allclose(by_power * power, change / (2 * relative), rtol=2e-3, atol=5e-5)
