"""The MLP: its outputs, its gradient, its training, its files, and what they refuse."""

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from support.networks import edit_hdf5

from neuroattack.datasets import load_dataset
from neuroattack.datasets.noise import Noise
from neuroattack.errors import FileError, OutputError, ValidationError
from neuroattack.training.dnn.network import CrossEntropy, flatten, unflatten
from neuroattack.training.dnn.scg import SCGState, initial_state, scg_step
from neuroattack.training.dnn.storage import (
    load_mlp,
    load_mlp_checkpoint,
    save_mlp,
    save_mlp_checkpoint,
)
from neuroattack.training.dnn.training import MLP, train_mlp

SIZES = (12, 7, 5, 3)
SMALL = {"hidden": (20, 15), "iterations": 12, "dataset": "small", "dataset_checksum": "none"}


def a_model(**changes):
    rng = np.random.default_rng(0)
    shapes = ((12, 7), (7, 5), (5, 3))
    fields = {
        "weights": tuple(rng.normal(0, 0.7, shape).astype(np.float32) for shape in shapes),
        "biases": tuple(rng.normal(0, 0.7, units).astype(np.float32) for _, units in shapes),
        "image_shape": (3, 4),
        "dataset": "random",
        "dataset_checksum": "abc",
        "seed": 7,
        "accuracy": 0.5,
        "recipe": "by hand",
    }
    return MLP(**{**fields, **changes})


@pytest.fixture(scope="module")
def digits():
    """scikit-learn's 8 x 8 digits: (training images, labels), (test images, labels)."""
    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)
    labels = bunch.target.astype(np.uint8)
    held_out = np.arange(len(labels)) % 5 == 0
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


@pytest.fixture(scope="module")
def few(digits):
    """The first 300 digits."""
    (images, labels), _ = digits
    return images[:300], labels[:300]


def mean_error(labels, probabilities):
    """Return scikit-learn's log loss; it warns of rows that sum to 1 in float32 only."""
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    return log_loss(labels, exact, labels=np.arange(exact.shape[1]))


def same(one, other):
    return all(
        np.array_equal(a, b)
        for a, b in zip(one.weights + one.biases, other.weights + other.biases, strict=True)
    )


# Outputs


def test_outputs_are_those_of_plain_loops_in_float64():
    model = a_model()
    image = np.random.default_rng(3).random(12)
    values = [float(x) for x in image]
    for layer, (weights, biases) in enumerate(zip(model.weights, model.biases, strict=True)):
        sums = [
            float(biases[j]) + sum(values[i] * float(weights[i, j]) for i in range(len(values)))
            for j in range(len(biases))
        ]
        values = sums if layer == 2 else [math.tanh(x) for x in sums]
    total = sum(math.exp(x) for x in values)
    expected = [math.exp(x) / total for x in values]
    np.testing.assert_allclose(model.outputs(image[np.newaxis])[0], expected, rtol=1e-5)


def test_probabilities_are_those_of_scikit_learn():
    model = a_model()
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
    model = a_model()
    intensities = np.random.default_rng(5).normal(0.5, 3, (20, 12))
    outputs = model.outputs(intensities)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)
    assert not np.allclose(outputs, model.outputs(intensities.clip(0, 1)))
    for evaluate in (model.probabilities, model.predict):
        with pytest.raises(ValidationError, match="images"):
            evaluate(intensities)


def test_enormous_sums_give_probabilities_and_not_nan():
    weights = tuple(1e4 * w for w in a_model().weights)
    outputs = a_model(weights=weights).outputs(np.ones((2, 12)))
    np.testing.assert_allclose(outputs.sum(axis=1), 1)


def test_an_image_is_evaluated_to_the_same_bits_whatever_stands_beside_it():
    rng = np.random.default_rng(4)
    sizes = ((784, 300), (300, 10))
    model = a_model(
        weights=tuple(rng.normal(0, 0.05, shape) for shape in sizes),
        biases=tuple(rng.normal(0, 0.05, units) for _, units in sizes),
        image_shape=(28, 28),
    )
    images = rng.random((500, 784))
    whole = model.outputs(images)
    for start, count in ((0, 1), (1, 1), (499, 1), (30, 2), (57, 9), (100, 64), (3, 130), (1, 499)):
        part = model.outputs(images[start : start + count])
        np.testing.assert_array_equal(part, whole[start : start + count])
    np.testing.assert_array_equal(model.outputs(images[::-1]), whole[::-1])


# The error and its gradient


@pytest.fixture
def workers():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def an_error(workers, count, dtype=np.float64):
    """Return the error over random data, and a random point."""
    rng = np.random.default_rng(11)
    rows = rng.normal(0, 1, (count, SIZES[0])).astype(dtype)
    error = CrossEntropy(rows, rng.integers(0, 3, count), SIZES, workers)
    return error, rng.normal(0, 0.7, 149).astype(dtype)


def test_the_vector_holds_all_layers_and_gives_them_back():
    model = a_model()
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
    probabilities = a_model(weights=weights, biases=biases).outputs(error.rows)
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


def test_the_gradient_of_one_image_is_that_of_plain_loops(workers):
    error, point = an_error(workers, 1)
    layers = [(w.tolist(), b.tolist()) for w, b in unflatten(point, SIZES)]
    values = [error.rows[0].tolist()]
    for number, (w, b) in enumerate(layers):
        below = values[-1]
        sums = [b[j] + sum(below[i] * w[i][j] for i in range(len(below))) for j in range(len(b))]
        values.append(sums if number == 2 else [math.tanh(x) for x in sums])
    total = sum(math.exp(x) for x in values[-1])
    label = int(error.labels[0])
    delta = [math.exp(x) / total - (j == label) for j, x in enumerate(values[-1])]
    expected = []
    for number in (2, 1, 0):
        w, below = layers[number][0], values[number]
        expected = [*(x * d for x in below for d in delta), *delta, *expected]
        delta = [
            (1 - below[i] ** 2) * sum(w[i][j] * delta[j] for j in range(len(delta)))
            for i in range(len(below))
        ]
    np.testing.assert_allclose(error(point)[1], expected, rtol=1e-9, atol=1e-14)


def test_in_float32_error_and_gradient_are_those_of_float64(workers):
    error, point = an_error(workers, 5000, np.float32)
    exact = dataclasses.replace(error, rows=error.rows.astype(np.float64))
    value, gradient = error(point)
    expected, slopes = exact(point.astype(np.float64))
    assert value == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-6 * np.abs(slopes).max())


def test_the_curvature_that_training_steps_by_survives_float32(workers):
    """Beside central differences in float64: early, and late, where gradients are small."""
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


# Whole trainings


def test_the_digits_are_learned(digits):
    (images, labels), test = digits
    model = train_mlp(images, labels, hidden=(60, 60), iterations=50, test=test)
    assert model.accuracy > 0.95
    assert model.accuracy == np.mean(model.predict(test[0]) == test[1])
    assert model.recipe == "scaled conjugate gradients, 50 iterations"


def test_more_iterations_leave_a_smaller_error_on_plain_images(few):
    """That of the finished model, so that what it does with the mean image is held to it too."""
    images, labels = few
    errors = []
    for iterations in (1, 5, 20, 60):
        model = train_mlp(images, labels, **{**SMALL, "iterations": iterations})
        errors.append(mean_error(labels, model.probabilities(images)))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 3
    assert errors[-1] < 0.02


def test_the_same_seed_gives_the_same_model_and_another_seed_another(few):
    first, again, other = (train_mlp(*few, seed=seed, **SMALL) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_noise_is_added_to_the_training_images(few):
    images, labels = few
    noise = Noise("normal", 0.02, "range")
    trained = train_mlp(images, labels, seed=5, noise=noise, **SMALL)
    generator = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(1,)))
    noisy = noise.add(images, generator)
    assert same(trained, train_mlp(noisy, labels, seed=5, **SMALL))
    assert trained.recipe == f"scaled conjugate gradients, 12 iterations, {noise.description}"


def test_noise_may_take_the_training_images_out_of_their_scale(few):
    model = train_mlp(*few, noise=Noise("normal", 0.2, "none"), **SMALL)
    assert np.isfinite(model.probabilities(few[0])).all()


def test_watching_and_testing_change_nothing(few, tmp_path):
    plain = train_mlp(*few, **SMALL)
    watched = train_mlp(
        *few,
        test=few,
        progress=lambda report: None,
        checkpoint=tmp_path / "run.h5",
        **SMALL,
    )
    assert same(plain, watched)


@pytest.fixture
def reporting_each_iteration(monkeypatch):
    monkeypatch.setattr("neuroattack.training.dnn.training._IMAGES_PER_REPORT", 1)


def test_progress_reports_every_iteration_and_ends_at_one(few, reporting_each_iteration):
    reports = []
    train_mlp(*few, test=few, progress=reports.append, **SMALL)
    assert [report.epoch for report in reports] == list(range(1, 13))
    assert [report.fraction for report in reports] == [n / 12 for n in range(1, 13)]
    assert all(report.epochs == 12 and 0 <= report.accuracy <= 1 for report in reports)


def test_a_small_data_set_is_reported_on_at_the_end_all_the_same(few):
    reports = []
    train_mlp(*few, progress=reports.append, **SMALL)
    assert [(r.epoch, r.fraction, r.accuracy) for r in reports] == [(12, 1.0, None)]


@pytest.mark.parametrize("stop_at", [1, 5, 11])
def test_an_interrupted_training_resumes_to_the_same_model(
    few, tmp_path, reporting_each_iteration, stop_at
):
    path = tmp_path / "run.h5"
    uninterrupted = train_mlp(*few, seed=3, **SMALL)

    def interrupt(report):
        if report.epoch == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_mlp(*few, seed=3, checkpoint=path, progress=interrupt, **SMALL)
    resumed = train_mlp(*few, seed=3, checkpoint=path, resume=True, **SMALL)
    assert same(resumed, uninterrupted)
    again = train_mlp(*few, seed=3, checkpoint=path, resume=True, **SMALL)
    assert same(again, uninterrupted)


@pytest.mark.parametrize("success", [True, False])
def test_a_checkpoint_holds_every_field_of_the_state(tmp_path, success):
    w, r, p = np.random.default_rng(6).normal(0, 1, (3, 9)).astype(np.float32)
    state = SCGState(w, 0.25, r, p, 1.5, 1e-7, 3e-8, success, 11)
    save_mlp_checkpoint(tmp_path / "run.h5", state, {"seed": "1"})
    back = load_mlp_checkpoint(tmp_path / "run.h5", {"seed": "1"}, 9)
    for field in dataclasses.fields(SCGState):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(state, field.name))


def test_a_finished_training_can_be_prolonged(few, tmp_path):
    path = tmp_path / "run.h5"
    train_mlp(*few, checkpoint=path, **SMALL)
    longer = {**SMALL, "iterations": 20}
    prolonged = train_mlp(*few, checkpoint=path, resume=True, **longer)
    assert same(prolonged, train_mlp(*few, **longer))
    with pytest.raises(FileError, match="20 iterations, expected 0 to 12"):
        train_mlp(*few, checkpoint=path, resume=True, **SMALL)


def test_a_single_hidden_layer_and_two_classes_train(few):
    images, labels = few
    chosen = labels < 2
    model = train_mlp(images[chosen], labels[chosen], hidden=(9,), classes=2, iterations=5)
    assert [w.shape for w in model.weights] == [(64, 9), (9, 2)]
    assert [b.shape for b in model.biases] == [(9,), (2,)]


@pytest.mark.parametrize("count", [1, 7])
def test_few_and_equal_images_train(few, count):
    images, labels = few
    model = train_mlp(np.tile(images[:1], (count, 1, 1)), labels[:count], **SMALL)
    assert np.isfinite(model.probabilities(images)).all()


@pytest.mark.slow
def test_mnist_is_classified_at_least_as_well_as_by_the_network_of_the_paper(needs_mnist):
    mnist = load_dataset("mnist")
    model = train_mlp(
        mnist.train.images, mnist.train.labels, test=(mnist.test.images, mnist.test.labels)
    )
    assert model.accuracy >= 0.9713


# The file of a model


@pytest.mark.parametrize("accuracy", [None, 0.9762])
def test_a_model_comes_back_from_its_file(tmp_path, accuracy):
    model = a_model(accuracy=accuracy)
    save_mlp(tmp_path / "model.h5", model)
    back = load_mlp(tmp_path / "model.h5")
    assert same(model, back)
    for field in dataclasses.fields(MLP):
        if field.name not in ("weights", "biases"):
            assert getattr(model, field.name) == getattr(back, field.name)


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: f.attrs.__setitem__("kind", "sdbn-model"),
        lambda f: f.attrs.__setitem__("schema", 2),
        lambda f: f.attrs.__setitem__("seed", "seven"),
        lambda f: f.attrs.__setitem__("accuracy", 1.5),
        lambda f: f.attrs.__setitem__("image_height", 28),
        lambda f: f.attrs.__delitem__("dataset"),
        lambda f: f.__delitem__("weights/1"),
        lambda f: f.__delitem__("biases"),
        lambda f: f.__delitem__("biases/2"),
        lambda f: f["biases/0"].__setitem__(3, np.inf),
        lambda f: (f.__delitem__("biases/0"), f.create_dataset("biases/0", (6,), "f4")),
        lambda f: (f.__delitem__("biases/0"), f.create_dataset("biases/0", (7,), "f8")),
        lambda f: (f.__delitem__("biases/0"), f.create_dataset("biases/0", (7, 1), "f4")),
        lambda f: (f.__delitem__("weights/1"), f.create_dataset("weights/1", (6, 5), "f4")),
        lambda f: f.create_dataset("biases/3", (4,), "f4"),
    ],
)
def test_a_damaged_model_is_refused(tmp_path, damage):
    path = tmp_path / "model.h5"
    save_mlp(path, a_model())
    edit_hdf5(path, damage)
    with pytest.raises(FileError, match=r"model\.h5"):
        load_mlp(path)


def test_a_model_that_cannot_be_written_is_an_error_of_output(tmp_path):
    with pytest.raises(OutputError, match="folder"):
        save_mlp(tmp_path, a_model())


# Refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": (), "biases": ()}, "weights"),
        ({"biases": a_model().biases[:2]}, "biases: got 2 layers"),
        ({"biases": (*a_model().biases[:2], np.zeros(4))}, "biases of layer 3"),
        ({"biases": (np.full(7, np.nan), *a_model().biases[1:])}, "biases of layer 1"),
        ({"weights": (np.zeros((12, 7)), np.zeros((6, 5)), np.zeros((5, 3)))}, "layer 2"),
        ({"weights": (np.full((12, 7), np.inf), *a_model().weights[1:])}, "layer 1"),
        ({"weights": (np.zeros(12), *a_model().weights[1:])}, "layer 1"),
        ({"image_shape": (5, 5)}, "image_shape"),
        ({"seed": -1}, "seed"),
        ({"accuracy": 1.1}, "accuracy"),
    ],
)
def test_a_model_out_of_range_is_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        a_model(**change)


def test_weights_and_biases_are_read_only_copies():
    weights = tuple(w.copy() for w in a_model().weights)
    model = a_model(weights=weights)
    weights[0][0, 0] = 1
    assert model.weights[0][0, 0] != 1
    for array in (model.weights[0], model.biases[0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize(
    ("other", "named"), [({"seed": 4}, "seed"), ({"hidden": (20, 16)}, "layer sizes")]
)
def test_a_checkpoint_of_another_training_is_refused_by_name(few, tmp_path, other, named):
    path = tmp_path / "run.h5"
    train_mlp(*few, seed=3, checkpoint=path, **SMALL)
    with pytest.raises(FileError, match=f"another training: {named} is"):
        train_mlp(*few, **{**SMALL, "seed": 3, **other}, checkpoint=path, resume=True)


def test_a_checkpoint_of_other_data_is_refused(few, tmp_path):
    images, labels = few
    path = tmp_path / "run.h5"
    train_mlp(images, labels, checkpoint=path, **SMALL)
    for changed in ((1 - images, labels), (images, labels[::-1])):
        with pytest.raises(FileError, match="training data"):
            train_mlp(*changed, checkpoint=path, resume=True, **SMALL)


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: f.attrs.__setitem__("iterations", -1),
        lambda f: f.attrs.__setitem__("iterations", 13),
        lambda f: f.attrs.__setitem__("scale", np.nan),
        lambda f: f.attrs.__setitem__("schema", 2),
        lambda f: f.attrs.__delitem__("success"),
        lambda f: f.__delitem__("direction"),
        lambda f: f["residual"].__setitem__(0, np.nan),
        lambda f: (f.__delitem__("weights"), f.create_dataset("weights", (2,), "f4")),
        lambda f: f.__delitem__("identity"),
    ],
)
def test_a_damaged_checkpoint_is_refused(few, tmp_path, damage):
    path = tmp_path / "run.h5"
    train_mlp(*few, checkpoint=path, **SMALL)
    edit_hdf5(path, damage)
    with pytest.raises(FileError, match=r"run\.h5"):
        train_mlp(*few, checkpoint=path, resume=True, **SMALL)


def test_resuming_needs_a_checkpoint(few, tmp_path):
    with pytest.raises(ValidationError, match="resume"):
        train_mlp(*few, resume=True, **SMALL)
    with pytest.raises(FileError, match="no such file"):
        train_mlp(*few, resume=True, checkpoint=tmp_path / "none.h5", **SMALL)


IMAGES = np.zeros((4, 5, 5), np.float32)
LABELS = np.array([0, 1, 2, 3], np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "options", "message"),
    [
        (IMAGES[:0], LABELS[:0], {}, "images"),
        (np.full_like(IMAGES, np.nan), LABELS, {}, "NaN"),
        (IMAGES + 2, LABELS, {}, "from 2 to 2"),
        (IMAGES.reshape(4, 25), LABELS, {}, "shape"),
        (IMAGES, LABELS[:3], {}, "labels"),
        (IMAGES, LABELS.astype(float), {}, "labels"),
        (IMAGES, LABELS + 7, {}, "labels"),
        (IMAGES, LABELS, {"hidden": ()}, "hidden"),
        (IMAGES, LABELS, {"hidden": (5, 0)}, "hidden"),
        (IMAGES, LABELS % 1, {"classes": 1}, "classes"),
        (IMAGES, LABELS, {"seed": -1}, "seed"),
        (IMAGES, LABELS, {"iterations": 0}, "iterations"),
        (IMAGES, LABELS, {"test": (IMAGES[:, :4], LABELS)}, "test images"),
        (IMAGES, LABELS, {"test": (IMAGES, LABELS + 7)}, "test labels"),
    ],
)
def test_bad_input_is_refused_by_name(images, labels, options, message):
    with pytest.raises(ValidationError, match=message):
        train_mlp(images, labels, **options)
