"""MLP: outputs, gradient and training."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from support.trainings import SMALL, TRAININGS, an_mlp, digits, few, same

from neuroattack.datasets import load_dataset
from neuroattack.datasets.noise import Noise
from neuroattack.errors import FileError, ValidationError
from neuroattack.training.dnn.network import CrossEntropy, flatten, unflatten
from neuroattack.training.dnn.scg import SCGState, initial_state, scg_step
from neuroattack.training.dnn.storage import load_mlp_checkpoint, save_mlp_checkpoint
from neuroattack.training.dnn.training import train_mlp

SIZES = (12, 7, 5, 3)
SHORT = {**SMALL, "iterations": 12}


def mean_error(labels, probabilities):
    """Return scikit-learn's log loss; without its warning about sums in float32."""
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    return log_loss(labels, exact, labels=np.arange(exact.shape[1]))


# Outputs


def test_probabilities_are_those_of_scikit_learn():
    model = an_mlp()
    images = np.random.default_rng(4).random((50, 3, 4))
    other = MLPClassifier((7, 5), activation="tanh", max_iter=1)
    other.partial_fit(images.reshape(50, 12), np.arange(50) % 3, classes=[0, 1, 2])
    other.coefs_, other.intercepts_ = list(model.weights), list(model.biases)
    expected = other.predict_proba(images.reshape(50, 12))
    probabilities = model.probabilities(images)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(images), expected.argmax(axis=1))
    assert model.classes == 3


def test_outputs_take_intensities_that_noise_made_and_probabilities_refuse_them():
    model = an_mlp()
    intensities = np.random.default_rng(5).normal(0.5, 3, (20, 12))
    outputs = model.outputs(intensities)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)
    assert not np.allclose(outputs, model.outputs(intensities.clip(0, 1)))
    for evaluate in (model.probabilities, model.predict):
        with pytest.raises(ValidationError, match="images"):
            evaluate(intensities)


def test_enormous_sums_give_probabilities_and_not_nan():
    weights = tuple(1e4 * w for w in an_mlp().weights)
    outputs = an_mlp(weights=weights).outputs(np.ones((2, 12)))
    np.testing.assert_allclose(outputs.sum(axis=1), 1)


# The error and its gradient


@pytest.fixture
def workers():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def an_error(workers, count, dtype=np.float64):
    """Return the error function for random data, and a random point."""
    rng = np.random.default_rng(11)
    rows = rng.normal(0, 1, (count, SIZES[0])).astype(dtype)
    error = CrossEntropy(rows, rng.integers(0, 3, count), SIZES, workers)
    return error, rng.normal(0, 0.7, 149).astype(dtype)


def test_the_vector_holds_all_layers_and_gives_them_back():
    model = an_mlp()
    vector = flatten(list(zip(model.weights, model.biases, strict=True)))
    assert vector.shape == (12 * 7 + 7 + 7 * 5 + 5 + 5 * 3 + 3,)
    for (w, b), weights, biases in zip(
        unflatten(vector, SIZES), model.weights, model.biases, strict=True
    ):
        np.testing.assert_array_equal(w, weights)
        np.testing.assert_array_equal(b, biases)


def test_the_error_is_the_log_loss_of_scikit_learn(workers):
    error, point = an_error(workers, 40)
    weights, biases = zip(*unflatten(point, SIZES), strict=True)
    probabilities = an_mlp(weights=weights, biases=biases).outputs(error.rows)
    assert error(point)[0] == pytest.approx(mean_error(error.labels, probabilities), rel=1e-5)


def test_the_gradient_is_that_of_finite_differences(workers):
    error, point = an_error(workers, 30)
    _, gradient = error(point)
    step = 1e-5
    for index in range(point.size):
        ahead, behind = point.copy(), point.copy()
        ahead[index] += step
        behind[index] -= step
        slope = (error(ahead)[0] - error(behind)[0]) / (2 * step)
        assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_in_float32_error_and_gradient_are_those_of_float64(workers):
    error, point = an_error(workers, 5000, np.float32)
    exact = dataclasses.replace(error, rows=error.rows.astype(np.float64))
    value, gradient = error(point)
    expected, slopes = exact(point.astype(np.float64))
    assert value == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-6 * np.abs(slopes).max())


def test_the_curvature_that_training_steps_by_survives_float32(workers):
    """Compare with central differences in float64, early and late, when gradients are small."""
    error, point = an_error(workers, 5000, np.float32)
    exact = dataclasses.replace(error, rows=error.rows.astype(np.float64))
    state = initial_state(point, error)
    for iterations in (0, 20, 60):
        while state.iterations < iterations or not state.success:
            state = scg_step(state, error)
        w, p = state.weights.astype(np.float64), state.direction.astype(np.float64)
        step = 1e-4 / np.linalg.norm(p)
        difference = exact(w + step * p)[1] - exact(w - step * p)[1]
        expected = p @ difference / (2 * step) + state.scale * p @ p
        assert scg_step(state, error).curvature == pytest.approx(expected, rel=0.01)


def test_the_number_of_workers_changes_no_bit():
    results = []
    for count in (1, 2, 5):
        with ThreadPoolExecutor(count) as pool:
            error, point = an_error(pool, 9000, np.float32)
            results.append(error(point))
    for value, gradient in results[1:]:
        assert value == results[0][0]
        np.testing.assert_array_equal(gradient, results[0][1])


# Complete trainings


def test_the_digits_are_learned():
    (images, labels), test = digits()
    model = train_mlp(images, labels, hidden=(60, 60), iterations=50, test=test)
    assert model.accuracy > 0.95
    assert model.accuracy == np.mean(model.predict(test[0]) == test[1])
    assert model.recipe == "scaled conjugate gradients, 50 iterations"


def test_more_iterations_leave_a_smaller_error_on_plain_images():
    """Use the trained model, to include the treatment of the mean image."""
    images, labels = few()
    errors = []
    for iterations in (1, 5, 20, 60):
        model = train_mlp(images, labels, **{**SHORT, "iterations": iterations})
        errors.append(mean_error(labels, model.probabilities(images)))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 3
    assert errors[-1] < 0.02


def test_noise_is_added_to_the_training_images():
    images, labels = few()
    noise = Noise("normal", 0.02, "range")
    trained = train_mlp(images, labels, seed=5, noise=noise, **SHORT)
    generator = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(1,)))
    noisy = noise.add(images, generator)
    assert same(trained, train_mlp(noisy, labels, seed=5, **SHORT))
    assert trained.recipe == f"scaled conjugate gradients, 12 iterations, {noise.description}"


def test_noise_may_take_the_training_images_out_of_their_scale():
    model = train_mlp(*few(), noise=Noise("normal", 0.2, "none"), **SHORT)
    assert np.isfinite(model.probabilities(few()[0])).all()


@pytest.fixture
def reporting_each_iteration(monkeypatch):
    monkeypatch.setattr(TRAININGS["dnn"].report_interval, 1)


def test_progress_reports_every_iteration_and_ends_at_one(reporting_each_iteration):
    reports = []
    train_mlp(*few(), test=few(), progress=reports.append, **SHORT)
    assert [report.epoch for report in reports] == list(range(1, 13))
    assert [report.fraction for report in reports] == [n / 12 for n in range(1, 13)]
    assert all(report.epochs == 12 and 0 <= report.accuracy <= 1 for report in reports)


def test_a_small_data_set_is_reported_on_at_the_end_all_the_same():
    reports = []
    train_mlp(*few(), progress=reports.append, **SHORT)
    assert [(r.epoch, r.fraction, r.accuracy) for r in reports] == [(12, 1.0, None)]


@pytest.mark.parametrize("success", [True, False])
def test_a_checkpoint_holds_every_field_of_the_state(tmp_path, success):
    w, r, p = np.random.default_rng(6).normal(0, 1, (3, 9)).astype(np.float32)
    state = SCGState(w, 0.25, r, p, 1.5, 1e-7, 3e-8, success, 11)
    save_mlp_checkpoint(tmp_path / "run.h5", state, {"seed": "1"})
    back = load_mlp_checkpoint(tmp_path / "run.h5", {"seed": "1"}, 9)
    for field in dataclasses.fields(SCGState):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(state, field.name))


def test_a_finished_training_can_be_prolonged(tmp_path):
    path = tmp_path / "run.h5"
    train_mlp(*few(), checkpoint=path, **SHORT)
    longer = {**SHORT, "iterations": 20}
    prolonged = train_mlp(*few(), checkpoint=path, resume=True, **longer)
    assert same(prolonged, train_mlp(*few(), **longer))
    with pytest.raises(FileError, match="20 iterations, expected 0 to 12"):
        train_mlp(*few(), checkpoint=path, resume=True, **SHORT)


def test_a_single_hidden_layer_and_two_classes_train():
    images, labels = few()
    chosen = labels < 2
    model = train_mlp(images[chosen], labels[chosen], hidden=(9,), classes=2, iterations=5)
    assert [w.shape for w in model.weights] == [(64, 9), (9, 2)]
    assert [b.shape for b in model.biases] == [(9,), (2,)]


@pytest.mark.parametrize("count", [1, 7])
def test_few_and_equal_images_train(count):
    images, labels = few()
    model = train_mlp(np.tile(images[:1], (count, 1, 1)), labels[:count], **SHORT)
    assert np.isfinite(model.probabilities(images)).all()


@pytest.mark.slow
def test_mnist_is_classified_at_least_as_well_as_by_the_network_of_the_paper(needs_mnist):
    mnist = load_dataset("mnist")
    model = train_mlp(
        mnist.train.images, mnist.train.labels, test=(mnist.test.images, mnist.test.labels)
    )
    assert model.accuracy >= 0.9713
