"""The twin in PyTorch has the spikes of the reference dynamics; needs PyTorch, else skipped."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra torch")

from neuroattack.attacks.bounds import Bound  # noqa: E402
from neuroattack.attacks.goals import Goal  # noqa: E402
from neuroattack.attacks.gradients.ascent import Aim, ascend  # noqa: E402
from neuroattack.attacks.reference.siegert import SiegertModel  # noqa: E402
from neuroattack.attacks.reference.twin import Twin  # noqa: E402
from neuroattack.conformance.networks import inputs, networks  # noqa: E402
from neuroattack.deployment.deployment import deploy  # noqa: E402
from neuroattack.deployment.features import FEATURES  # noqa: E402
from neuroattack.encoding.constant import ConstantInput  # noqa: E402
from neuroattack.encoding.encoders import DirectEncoder, PoissonEncoder  # noqa: E402
from neuroattack.encoding.events import EventEncoder  # noqa: E402
from neuroattack.errors import UnknownNameError, UnsupportedFeatureError  # noqa: E402
from neuroattack.hardware.quantization.quantization import fixed_format, quantize  # noqa: E402
from neuroattack.ir.dynamics import simulate_with_potentials  # noqa: E402
from neuroattack.ir.network import Input, Network, Population, Projection  # noqa: E402

pytestmark = pytest.mark.slow


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_forward_pass_is_that_of_the_reference_dynamics(data):
    network = data.draw(networks(max_size=20, features=frozenset(FEATURES)))
    given_ = data.draw(inputs(network))
    batch = given_
    if isinstance(given_, ConstantInput):
        values = np.ldexp(given_.values.astype(float), given_.exponent)
        batch = np.repeat(values[:, None], given_.steps, axis=1)
    spikes, potentials = Twin(network, batch.shape[1]).simulate(batch)
    for row, image in enumerate(batch):
        expected, expected_potentials = simulate_with_potentials(network, image)
        for name, each in spikes.items():
            np.testing.assert_array_equal(each[row], expected[name])
        np.testing.assert_array_equal(potentials[row], expected_potentials)


def _network(encoder, **settings):
    rng = np.random.default_rng(5)
    return Network(
        1e-3,
        Input((4, 5), encoder),
        (Population("hidden", 30, 0.05, 1.0), Population("output", 3, 0.05, **settings)),
        (
            Projection.from_weights("input", "hidden", rng.normal(0.1, 0.25, (20, 30))),
            Projection.from_weights("hidden", "output", rng.normal(0.1, 0.15, (30, 3))),
        ),
        "output",
        readout_quantity="spike_count" if "reset" in settings else "final_potential",
    )


def test_scores_are_the_counts_of_the_deployment():
    network = _network(PoissonEncoder(200.0), threshold_v=1.0, reset="value")
    images = np.random.default_rng(0).uniform(0, 1, (3, 4, 5))
    scores = Twin(network, 60, trials=2, seed=8).log_scores(images)
    with deploy(network, steps=60, seed=8) as deployment:
        counts = deployment.record(np.tile(images, (2, 1, 1)), indices=np.repeat([0, 1], 3)).counts[
            "output"
        ]
    np.testing.assert_allclose(scores, np.log(counts.reshape(2, 3, 3).mean(axis=0) + 0.5))


def test_gradient_of_a_network_without_spikes_is_exact():
    # A leaky integrator on constant input is linear in the intensities.
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(20, 3))
    network = Network(
        1e-3,
        Input((4, 5), DirectEncoder(20)),
        (Population("output", 3, 0.02, np.inf),),
        (Projection.from_weights("input", "output", weights),),
        "output",
        readout_quantity="final_potential",
    )
    images, rows = rng.uniform(0, 1, (2, 4, 5)), rng.normal(size=(2, 3))
    _, pullback = Twin(network, 30).linearize(images)
    decay = np.exp(-1e-3 / 0.02)
    gain = sum(decay**k for k in range(29))
    np.testing.assert_allclose(
        pullback(rows).reshape(2, -1), gain * rows @ weights.T, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("surrogate", ["arctangent", "fast_sigmoid", "triangle", "rectangle"])
def test_gradients_point_where_those_of_the_rates_do(surrogate):
    network = _network(PoissonEncoder(200.0), threshold_v=1.0, reset="value")
    images = np.random.default_rng(1).uniform(0.2, 0.8, (4, 4, 5))
    rows = np.tile([1.0, -1.0, 0.0], (4, 1))
    gradients = [
        model.linearize(images)[1](rows).ravel()
        for model in (
            SiegertModel(network, 300),
            Twin(network, 300, trials=4, surrogate=surrogate, sharpness=4.0),
        )
    ]
    cosine = gradients[0] @ gradients[1] / np.prod([np.linalg.norm(each) for each in gradients])
    assert cosine > 0.5


def test_gradients_of_events_are_those_of_each_step():
    """Without spikes, scores are linear in the cells: potentials of a leaky integrator."""
    network = _network(EventEncoder(), threshold_v=np.inf)
    network = replace(
        network,
        populations=network.populations[1:],
        projections=(
            Projection.from_weights(
                "input", "output", np.random.default_rng(1).normal(0, 0.3, (20, 3))
            ),
        ),
        readout_quantity="final_potential",
    )
    twin = Twin(network, 12, trials=1)
    assert twin.image_shape == (12, 4, 5)
    sample = (np.random.default_rng(2).random((1, 12, 4, 5)) < 0.3).astype(float)
    scores, pullback = twin.linearize(sample)
    gradient = pullback(np.array([[1.0, 0.0, -1.0]]))
    assert gradient.shape == sample.shape
    base = float(scores[0] @ [1, 0, -1])
    for cell in ((0, 0, 1, 2), (0, 7, 3, 4), (0, 10, 0, 0), (0, 11, 2, 2)):
        other = sample.copy()
        other[cell] = 1 - other[cell]
        change = float(twin.log_scores(other)[0] @ [1, 0, -1]) - base
        assert change == pytest.approx(gradient[cell] * (other[cell] - sample[cell]), abs=1e-12)


def test_ascent_raises_the_margin():
    network = _network(PoissonEncoder(200.0), threshold_v=1.0, reset="subtract")
    twin = Twin(network, 100, trials=2)
    image = np.full((1, 4, 5), 0.5)
    before = twin.log_scores(image)[0]
    found = ascend(twin, image, [Aim(Goal(0, 1))], Bound("l2", 0.8), steps=15)
    after = twin.log_scores(found)[0]
    assert after[1] - after[[0, 2]].max() > before[1] - before[[0, 2]].max() + 0.1


def test_other_networks_and_names_are_refused():
    network = _network(PoissonEncoder(200.0), threshold_v=1.0, reset="value")
    with pytest.raises(UnsupportedFeatureError, match="fixed point"):
        Twin(quantize(network, fixed_format()).network, 10)
    with pytest.raises(UnknownNameError, match="surrogate 'box'"):
        Twin(network, 10, surrogate="box")


def test_cost_of_spikes_is_one_more_score():
    network = _network(PoissonEncoder(200.0), threshold_v=1.0, reset="value")
    rng = np.random.default_rng(4)
    costs = {"input": rng.uniform(1, 2, 20), "hidden": rng.uniform(1, 3, 30)}
    images = rng.uniform(0, 1, (3, 4, 5))
    twin = Twin(network, 60, trials=2, seed=8, spike_costs=costs)
    scores = twin.log_scores(images)
    with deploy(network, steps=60, seed=8) as deployment:
        counts = deployment.record(np.tile(images, (2, 1, 1)), indices=np.repeat([0, 1], 3)).counts
    total = sum(counts[name] @ cost for name, cost in costs.items()).reshape(2, 3).mean(axis=0)
    np.testing.assert_allclose(scores[:, -1], np.log(total))
    weights = np.zeros_like(scores)
    weights[:, -1] = 1
    assert (twin.linearize(images)[1](weights) != 0).any()
