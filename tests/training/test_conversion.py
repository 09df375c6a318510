"""Conversion preserves the model's drive, and its rates in cases known from theory."""

import numpy as np
import pytest

from neuroattack.deployment.deployment import deploy
from neuroattack.encoding.encoders import DirectEncoder
from neuroattack.encoding.events import EventEncoder
from neuroattack.errors import ValidationError
from neuroattack.ir.network import INPUT
from neuroattack.training.conversion import convert
from neuroattack.training.sdbn import SDBN
from neuroattack.training.siegert import SiegertParameters


def model_of(*weights):
    return SDBN(
        weights=tuple(np.asarray(w, np.float32) for w in weights),
        siegert=SiegertParameters(),
        noise_factor=1.0,
        image_shape=(1, len(weights[0])),
        recipe="fine-tuned",
        dataset="digits",
        dataset_checksum="abc",
        seed=7,
    )


def test_weights_thresholds_and_times_are_the_models():
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 1e-3, shape) for shape in ((6, 5), (5, 3))]
    converted = convert(model_of(*weights))
    network = converted.network
    assert [p.name for p in network.populations] == ["hidden1", "output"]
    assert network.input.encoder.max_rate_hz == pytest.approx(100.0)
    for projection, trained in zip(network.projections, weights, strict=True):
        kept = np.asarray(trained, np.float32).astype(np.float64)
        error = np.abs(projection.weights_v - kept).max()
        assert error <= converted.largest_rounding_v <= np.abs(kept).max() * 2**-22
    for population in network.populations:
        assert (population.tau_m_s == 5.0).all()
        assert (population.refractory_steps == 1).all()
        assert set(population.threshold_v) == {0.005}
    assert network.origin["dataset_checksum"] == "abc"


def test_another_input_rate_keeps_the_mean_drive():
    weights = np.random.default_rng(0).normal(0, 1e-3, (6, 5))
    base = convert(model_of(weights)).network
    doubled = convert(model_of(weights), input_rate_hz=200.0).network
    np.testing.assert_allclose(
        doubled.projections[0].weights_v * 200, base.projections[0].weights_v * 100, rtol=1e-6
    )
    assert base.incoming("output")[0].source == INPUT


def test_direct_coding_keeps_the_mean_drive():
    weights = np.random.default_rng(0).normal(0, 1e-3, (6, 5))
    spikes = convert(model_of(weights), dt_s=2e-3).network
    direct = convert(model_of(weights), dt_s=2e-3, encoder=DirectEncoder).network
    per_step = spikes.projections[0].weights_v * (spikes.input.encoder.max_rate_hz * 2e-3)
    grid = 2.0 ** direct.projections[0].exponent + 2.0 ** spikes.projections[0].exponent
    np.testing.assert_allclose(direct.projections[0].weights_v, per_step, rtol=0, atol=grid)
    assert direct.input.encoder == DirectEncoder()
    with pytest.raises(ValidationError, match="input rate: got 200 Hz"):
        convert(model_of(weights), encoder=DirectEncoder, input_rate_hz=200.0)


def test_readout_gain_divides_the_readouts_threshold_only():
    rng = np.random.default_rng(0)
    network = convert(
        model_of(rng.normal(0, 1e-3, (6, 5)), rng.normal(0, 1e-3, (5, 3))), readout_gain=4
    ).network
    assert network.population("hidden1").threshold_v[0] == 0.005
    assert network.population("output").threshold_v[0] == 0.00125


def test_time_constant_and_gain_of_all_populations():
    plain = convert(model_of(np.full((6, 5), 1e-3), np.full((5, 3), 1e-3))).network
    changed = convert(
        model_of(np.full((6, 5), 1e-3), np.full((5, 3), 1e-3)), tau_m_s=0.02, gain=1.5
    ).network
    for before, after in zip(plain.populations, changed.populations, strict=True):
        assert after.tau_m_s == pytest.approx(0.02)
        assert after.threshold_v == pytest.approx(before.threshold_v / 1.5)


def test_an_event_has_the_weight_of_a_spike():
    network = convert(
        model_of(np.full((6, 5), 1e-3), np.full((5, 3), 1e-3)), encoder=EventEncoder
    ).network
    assert network.input.encoder == EventEncoder()
    trained = convert(model_of(np.full((6, 5), 1e-3), np.full((5, 3), 1e-3))).network
    assert network.projections == trained.projections
    with pytest.raises(ValidationError, match="input rate"):
        convert(
            model_of(np.full((6, 5), 1e-3), np.full((5, 3), 1e-3)),
            encoder=EventEncoder,
            input_rate_hz=50,
        )


def test_refractory_steps_follow_the_time_step():
    weights = np.ones((2, 2)) * 1e-3
    steps = [
        convert(model_of(weights), dt_s=dt).network.populations[0].refractory_steps[0]
        for dt in (2e-3, 1e-3, 5e-4, 1e-4)
    ]
    assert steps == [0, 1, 3, 19]


def test_a_converted_neuron_fires_at_the_renewal_rate():
    # Every input spike lifts v by w = threshold / 4.5: five spikes per cycle, no visible leak in
    # tau = 5 s, and R = 1 refractory step. With p = 0.1 per step the mean cycle is 5 / p + R steps.
    steps, images = 4000, 60
    network = convert(model_of([[0.005 / 4.5]])).network
    recording = deploy(network, steps=steps, seed=1).record(
        np.ones((images, 1, 1)), indices=range(images)
    )
    per_step = recording.counts["output"].mean() / steps
    # The leak over a cycle of 52 ms loses about 1 % of v, less than the half spike to spare.
    assert per_step == pytest.approx(1 / (5 / 0.1 + 1), rel=0.03)


def test_a_saturated_neuron_fires_at_the_models_highest_rate():
    network = convert(model_of([[1.0]]), input_rate_hz=1000.0).network
    counts = deploy(network, steps=1000).record(np.ones((1, 1, 1)), indices=[0]).counts
    # 1 / t_ref = 500 Hz: one spike every second step, after input has arrived in one step.
    assert counts["output"][0, 0] == 500


def test_spiking_rates_are_the_models_rates():
    rng = np.random.default_rng(3)
    model = model_of(rng.normal(4e-5, 2e-4, (200, 40)))
    image = rng.random((1, 1, 200))
    network = convert(model).network
    # A run of this length has a few percent of noise, about the tolerance below.
    draws = deploy(network, steps=20_000, seed=1).record(
        np.repeat(image, 100, axis=0), indices=np.arange(100)
    )
    spiking = draws.counts["output"].mean(axis=0) / 20_000 / 1e-3 * model.siegert.t_ref_s
    rates = model.rates(image)[0].astype(float)
    active = rates > 0.02
    assert active.sum() >= 10
    np.testing.assert_allclose(spiking[active], rates[active], rtol=0.06)
    assert spiking[active].sum() / rates[active].sum() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("changes", [{"dt_s": -1.0}, {"readout_gain": float("inf")}])
def test_impossible_parameters_are_refused(changes):
    with pytest.raises(ValidationError, match="expected a positive number"):
        convert(model_of(np.ones((2, 2))), **changes)
