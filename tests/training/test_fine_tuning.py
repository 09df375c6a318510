"""Fine-tuning: gradients, surrogate, loss and optimizer, compared with plain implementations."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from neuroattack.training.fine_tuning import (
    FineTuningParameters,
    Surrogate,
    adam_step,
    cross_entropy,
    fine_tuning_step,
    initial_adam,
    weight_gradients,
)
from neuroattack.training.siegert import SiegertParameters, Transfer, siegert_rates


@pytest.fixture
def worker():
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_backpropagation_agrees_with_finite_differences_of_the_surrogate_network(worker):
    rng = np.random.default_rng(1)
    surrogate = Surrogate.of(SiegertParameters(), 0.1)
    weights = [rng.normal(0, 3, shape) for shape in ((6, 5), (5, 4), (4, 3))]
    inputs = rng.random((8, 6)) * 0.2
    labels = rng.integers(0, 3, 8)

    def forward(weights):
        rates, layer_inputs, slopes = inputs, [], []
        for w in weights:
            layer_inputs.append(rates)
            slopes.append(surrogate.slopes(rates @ w))
            rates = surrogate.rates(rates @ w)
        return cross_entropy(rates, labels, 30.0), layer_inputs, slopes

    (_, output_gradient), layer_inputs, slopes = forward(weights)
    gradients = weight_gradients(weights, layer_inputs, slopes, output_gradient, worker)
    for layer, i, j in [(0, 0, 0), (0, 5, 4), (1, 2, 3), (1, 4, 0), (2, 0, 2), (2, 3, 1)]:
        step = 1e-5
        losses = []
        for sign in (1, -1):
            moved = [w.copy() for w in weights]
            moved[layer][i, j] += sign * step
            losses.append(forward(moved)[0][0])
        numeric = (losses[0] - losses[1]) / (2 * step)
        assert gradients[layer][i, j] == pytest.approx(numeric, rel=1e-5, abs=1e-9)


def test_the_surrogate_is_close_to_the_noiseless_transfer_function():
    p = SiegertParameters()
    mean = np.array([-10.0, -3.0, 1.0, 2.5, 10.0])
    softness = 0.01
    rates = Surrogate.of(p, softness).rates(mean)
    # The smoothing adds at most softness / 2 to a drive, and the leak reduces it by about 1e-3.
    np.testing.assert_allclose(rates, siegert_rates(p.tau_m_s * mean, 0.0, p), atol=softness / 2)


def test_cross_entropy_of_known_probabilities():
    outputs = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])) / 30
    loss, gradient = cross_entropy(outputs, np.array([0, 1]), 30.0)
    assert loss == pytest.approx(-(math.log(0.5) + math.log(0.2)) / 2)
    expected = 15 * np.array([[-0.5, 0.25, 0.25], [0.1, -0.8, 0.7]])
    np.testing.assert_allclose(gradient, expected, atol=1e-12)


def test_adam_is_that_of_a_scalar_loop():
    rng = np.random.default_rng(2)
    p = FineTuningParameters()
    weights = rng.standard_normal((3, 4)).astype(np.float32)
    gradients = [rng.standard_normal((3, 4)).astype(np.float32) for _ in range(5)]
    state = initial_adam((weights,))
    for gradient in gradients:
        state = adam_step(state, [gradient], 0.01, p)
    for i, j in np.ndindex(3, 4):
        w, m, v = float(weights[i, j]), 0.0, 0.0
        for t, gradient in enumerate(gradients, 1):
            g = float(gradient[i, j])
            m = p.beta1 * m + (1 - p.beta1) * g
            v = p.beta2 * v + (1 - p.beta2) * g * g
            corrected = m / (1 - p.beta1**t), v / (1 - p.beta2**t)
            w -= 0.01 * corrected[0] / (math.sqrt(corrected[1]) + p.epsilon)
        assert state.weights[0][i, j] == pytest.approx(w, abs=1e-6)
    assert state.steps == 5


def test_a_step_is_its_parts_one_after_the_other_in_double_precision(worker):
    rng = np.random.default_rng(3)
    p = FineTuningParameters()
    transfer = Transfer(SiegertParameters())
    shapes = ((7, 6), (6, 5), (5, 3))
    weights = tuple(rng.normal(0.5, 3, shape).astype(np.float32) for shape in shapes)
    inputs = (rng.random((9, 7)) * 0.2).astype(np.float32)
    labels = rng.integers(0, 3, 9)
    before = initial_adam(weights)
    after = fine_tuning_step(
        before, inputs, labels, 0.01, p, transfer, 0.2, np.random.default_rng(4), worker
    )

    noise = np.random.default_rng(4).standard_normal(inputs.shape, dtype=np.float32)
    x = inputs.astype(float)
    rates = np.maximum(x + noise * p.input_noise * np.sqrt(0.2 * x), 0)
    received, means = [], []
    for layer in (w.astype(float) for w in weights):
        received.append(rates)
        means.append(rates @ layer)
        spread = np.sqrt(transfer.variance_gain * (rates @ layer**2))
        rates = siegert_rates(transfer.drive_gain * means[-1], spread, transfer.siegert)
    _, delta = cross_entropy(rates, labels, p.logit_gain)
    surrogate = Surrogate.of(transfer.siegert, p.softness)
    for layer in (2, 1, 0):
        delta = delta * surrogate.slopes(means[layer])
        gradient = received[layer].T @ delta
        # Adam's first moment after one step.
        np.testing.assert_allclose(after.first[layer], (1 - p.beta1) * gradient, atol=1e-5)
        delta = delta @ weights[layer].astype(float).T
    assert after.steps == 1
    assert all(np.array_equal(w, kept) for w, kept in zip(weights, before.weights, strict=True))
