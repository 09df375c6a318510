"""Rates of the Siegert model against simulation, and its gradients against finite differences."""

from dataclasses import replace

import numpy as np
import pytest

from neuroattack.attacks.reference.siegert import SiegertModel
from neuroattack.deployment.deployment import deploy
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder, RegularEncoder
from neuroattack.errors import UnsupportedFeatureError
from neuroattack.hardware.quantization.quantization import fixed_format, quantize
from neuroattack.ir.network import Convolution, Input, Network, Population, Projection

SHAPE = (1, 4, 5)


def _network(encoder=None, tau_m_s=0.05, **settings):
    """Return a network with a dense layer, a convolution and a projection that skips a layer."""
    rng = np.random.default_rng(3)
    hidden = Population("hidden", 20, tau_m_s, 1.0, refractory_steps=1)
    maps = Population("maps", 12, tau_m_s, rng.uniform(0.8, 1.2, 12), bias_v=0.01)
    output = Population("output", 3, tau_m_s, 1.0, **settings)
    return Network(
        1e-3,
        Input(SHAPE, PoissonEncoder(100.0) if encoder is None else encoder),
        (hidden, maps, output),
        (
            Projection.from_weights("input", "hidden", rng.normal(0.08, 0.2, (20, 20))),
            Convolution.from_weights("hidden", "maps", rng.normal(0.2, 0.3, (1, 1, 2, 2)), SHAPE),
            Projection.from_weights("maps", "output", rng.normal(0.15, 0.2, (12, 3))),
            Projection.from_weights("input", "output", rng.normal(0.02, 0.1, (20, 3))),
        ),
        "output",
    )


def _images(count, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 0.9, (count, *SHAPE))


@pytest.mark.parametrize("tau_m_s", [0.01, 0.05, 5.0, np.inf])
@pytest.mark.parametrize("encoder", [PoissonEncoder(100.0), RegularEncoder(100.0)])
def test_gradients_are_those_of_finite_differences(encoder, tau_m_s):
    model = SiegertModel(_network(encoder, tau_m_s), 200)
    rng = np.random.default_rng(1)
    images, directions = _images(4), rng.normal(size=(4, *SHAPE))
    weights = rng.normal(size=(4, 3))
    scores, pullback = model.linearize(images)
    np.testing.assert_array_equal(scores, model.log_scores(images))
    slopes = (pullback(weights) * directions).reshape(4, -1).sum(axis=1)
    h = 1e-6
    above, below = (model.log_scores(images + sign * h * directions) for sign in (1, -1))
    assert np.isfinite(above - below).all()
    numeric = ((above - below) * weights).sum(axis=1) / (2 * h)
    np.testing.assert_allclose(slopes, numeric, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("precision", ["floating", "fixed"])
def test_rates_are_those_of_the_simulated_network(precision):
    network = _network()
    if precision == "fixed":
        network = quantize(network, fixed_format()).network
    images, steps, trials = _images(6), 1000, 20
    with deploy(network, steps=steps) as deployment:
        recording = deployment.record(
            np.repeat(images, trials, axis=0), indices=np.arange(6 * trials)
        )
    rates = SiegertModel(network, steps).rates(images)
    for population in network.populations:
        counts = recording.counts[population.name].reshape(6, trials, -1).mean(axis=1)
        expected = steps * rates[population.name]
        # The few large weights of the small network make its input far from Gaussian.
        assert np.abs(expected - counts).mean() < 0.25 * counts.mean()
        assert np.corrcoef(expected.ravel(), counts.ravel())[0, 1] > 0.98


def test_one_neuron_without_noise_spikes_at_the_rate_of_its_integration():
    # 0.25 V per step, without leak and randomness: threshold 1 V is exceeded in every fifth step.
    network = Network(
        1e-3,
        Input((1,), RegularEncoder(1000.0)),
        (Population("output", 1, np.inf, 1.0, refractory_steps=2),),
        (Projection.from_weights("input", "output", [[0.25]]),),
        "output",
    )
    rate = SiegertModel(network, 100).rates(np.ones((1, 1)))["output"].item()
    # On average over thresholds, half a step later than the crossing at 4 steps.
    assert rate == pytest.approx(1 / (2 + 4.5), rel=0.01)
    strong = replace(network, projections=(Projection.from_weights("input", "output", [[1000.0]]),))
    rate = SiegertModel(strong, 100).rates(np.ones((1, 1)))["output"].item()
    assert rate == pytest.approx(1 / 3, rel=0.01)


def _recurrent(network):
    loop = Projection.from_weights("hidden", "hidden", np.eye(20))
    return replace(network, projections=(*network.projections, loop))


@pytest.mark.parametrize(
    ("network", "feature"),
    [
        (_network(DirectEncoder()), "input"),
        (_network(reset="subtract"), "reset by subtraction"),
        (_network(reset_v=-0.1), "reset to another value"),
        (_network(tau_syn_s=0.01), "synaptic current"),
        (_recurrent(_network()), "recurrence"),
    ],
)
def test_other_features_are_refused_by_name(network, feature):
    with pytest.raises(UnsupportedFeatureError, match=feature):
        SiegertModel(network, 100)
