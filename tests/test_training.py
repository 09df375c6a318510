"""Fine-tuning, whole trainings, checkpoints and model files."""

import dataclasses
import math

import h5py
import numpy as np
import pytest
from sklearn.datasets import load_digits

from neuroattack.datasets import load_dataset
from neuroattack.errors import FileError, OutputError, UnknownNameError, ValidationError
from neuroattack.hdf5 import sign_hdf5
from neuroattack.training.fine_tuning import (
    FineTuningParameters,
    Surrogate,
    adam_step,
    cross_entropy,
    initial_adam,
    weight_gradients,
)
from neuroattack.training.rbm import RBMParameters
from neuroattack.training.recipes import RECIPES, train
from neuroattack.training.sdbn import SDBN
from neuroattack.training.siegert import SiegertParameters, siegert_rates
from neuroattack.training.stages import FineTuningStage, RBMStage, Schedule
from neuroattack.training.storage import load_model, save_model

SMALL = {"hidden": (20, 15), "dataset": "small", "dataset_checksum": "none"}
SHORT = dataclasses.replace(
    RECIPES["fine-tuned"],
    layers=RBMStage(Schedule(3, 1, 50, 0.05), RBMParameters()),
    top=RBMStage(Schedule(3, 1, 50, 0.4), RBMParameters(gibbs_steps=2)),
    fine_tuning=FineTuningStage(Schedule(3, 1, 100, 0.003, 0.0), FineTuningParameters()),
)


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
    """Enough images that every epoch has a report of its own would take too long: 300."""
    (images, labels), _ = digits
    return images[:300], labels[:300]


def a_model(**changes):
    rng = np.random.default_rng(0)
    fields = {
        "weights": tuple(
            rng.normal(0, 1e-4, shape).astype(np.float32) for shape in ((12, 7), (7, 5), (5, 3))
        ),
        "siegert": SiegertParameters(),
        "noise_factor": 1.0,
        "image_shape": (3, 4),
        "recipe": "fine-tuned",
        "dataset": "random",
        "dataset_checksum": "abc",
        "seed": 7,
        "rate_accuracy": 0.5,
    }
    return SDBN(**{**fields, **changes})


def change_file(path, change):
    """Change a file's content and sign it again, as if it had been written so."""
    with h5py.File(path, "r+") as file:
        change(file)
    content = bytearray(path.read_bytes())
    sign_hdf5(content)
    path.write_bytes(content)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))


# Fine-tuning


def test_backpropagation_agrees_with_finite_differences_of_the_surrogate_network():
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
    gradients = weight_gradients(weights, layer_inputs, slopes, output_gradient)
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
    # The rounding adds at most softness / 2 to a drive, and the leak takes about 1e-3 from it.
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


# Whole trainings


def test_fine_tuning_learns_the_digits(digits):
    (images, labels), test = digits
    recipe = dataclasses.replace(
        SHORT,
        layers=RBMStage(Schedule(1, 60, 50, 0.05), RBMParameters()),
        top=RBMStage(Schedule(1, 60, 50, 0.4), RBMParameters()),
        fine_tuning=FineTuningStage(Schedule(1, 500, 100, 0.01, 0.0), FineTuningParameters()),
    )
    model = train(images, labels, recipe=recipe, hidden=(60, 60), test=test)
    assert model.rate_accuracy > 0.93
    assert model.rate_accuracy == np.mean(model.predict(test[0]) == test[1])


def test_contrastive_divergence_alone_learns_the_digits(digits):
    (images, labels), test = digits
    recipe = dataclasses.replace(
        RECIPES["paper"],
        layers=RBMStage(Schedule(1, 600, 50, 1.0), RBMParameters(momentum=0.9)),
        top=RBMStage(Schedule(1, 1500, 50, 0.4), RBMParameters(momentum=0.9)),
    )
    model = train(images, labels, recipe=recipe, hidden=(60, 60), test=test)
    assert model.rate_accuracy > 0.85
    assert model.noise_factor == 1 / model.siegert.t_ref_s


def test_the_same_seed_gives_the_same_model_and_another_seed_another(few):
    first, again, other = (train(*few, recipe=SHORT, seed=seed, **SMALL) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_watching_and_testing_change_nothing(few, tmp_path):
    plain = train(*few, recipe=SHORT, **SMALL)
    watched = train(
        *few,
        recipe=SHORT,
        test=few,
        progress=lambda report: None,
        checkpoint=tmp_path / "run.h5",
        **SMALL,
    )
    assert same(plain, watched)


def test_progress_reports_every_stage_and_ends_at_one(few):
    reports = []
    train(*few, recipe=SHORT, test=few, progress=reports.append, **SMALL)
    assert [r.stage for r in reports] == ["layer 1", "joint top layer", "fine-tuning"]
    fractions = [r.fraction for r in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    assert reports[0].accuracy is None
    assert all(0 <= r.accuracy <= 1 for r in reports[1:])
    assert all(r.epoch == r.epochs == 3 for r in reports)


@pytest.fixture
def reporting_each_epoch(monkeypatch):
    monkeypatch.setattr("neuroattack.training.recipes._STEPS_PER_REPORT", 1)


@pytest.mark.parametrize("stop_at", [1, 3, 5, 6, 8, 9])
def test_an_interrupted_training_resumes_to_the_same_model(
    few, tmp_path, reporting_each_epoch, stop_at
):
    path = tmp_path / "run.h5"
    uninterrupted = train(*few, recipe=SHORT, seed=3, **SMALL)
    calls = 0

    def interrupt(report):
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*few, recipe=SHORT, seed=3, checkpoint=path, progress=interrupt, **SMALL)
    resumed = train(*few, recipe=SHORT, seed=3, checkpoint=path, resume=True, **SMALL)
    assert same(resumed, uninterrupted)
    again = train(*few, recipe=SHORT, seed=3, checkpoint=path, resume=True, **SMALL)
    assert same(again, uninterrupted)


def test_a_single_hidden_layer_and_two_classes_train(few):
    images, labels = few
    chosen = labels < 2
    model = train(images[chosen], labels[chosen], recipe=SHORT, hidden=(9,), classes=2)
    assert [w.shape for w in model.weights] == [(64, 9), (9, 2)]


def test_fewer_images_than_a_batch_train(few):
    images, labels = few
    model = train(images[:7], labels[:7], recipe=SHORT, **SMALL)
    assert np.isfinite(model.rates(images[:7])).all()


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_small_data_set_gets_more_epochs_than_a_large_one(name):
    for stage in (RECIPES[name].layers, RECIPES[name].top):
        schedule = stage.schedule
        assert schedule.epochs_for(60_000) == schedule.epochs
        steps = schedule.epochs_for(1_440) * schedule.steps_per_epoch(1_440)
        assert steps >= schedule.minimum_steps


# Refusals


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seed": 4}, "seed"),
        ({"hidden": (20, 16)}, "layer sizes"),
        ({"recipe": dataclasses.replace(SHORT, label_rate=0.3)}, "recipe constants"),
        ({"recipe": dataclasses.replace(SHORT, name="mine")}, "recipe"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_by_name(few, tmp_path, other, named):
    path = tmp_path / "run.h5"
    train(*few, recipe=SHORT, seed=3, checkpoint=path, **SMALL)
    with pytest.raises(FileError, match=f"another training: {named} is"):
        train(*few, **{**SMALL, "recipe": SHORT, "seed": 3, **other}, checkpoint=path, resume=True)


def test_a_checkpoint_of_other_data_is_refused(few, tmp_path):
    images, labels = few
    path = tmp_path / "run.h5"
    train(images, labels, recipe=SHORT, checkpoint=path, **SMALL)
    for changed in ((1 - images, labels), (images, labels[::-1])):
        with pytest.raises(FileError, match="training data"):
            train(*changed, recipe=SHORT, checkpoint=path, resume=True, **SMALL)


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: f.attrs.__setitem__("stage", 99),
        lambda f: f.attrs.__setitem__("epoch", -1),
        lambda f: f.attrs.__setitem__("random", "{}"),
        lambda f: f.attrs.__setitem__("inner", "object"),
        lambda f: f.attrs.__delitem__("adam_steps"),
        lambda f: f.attrs.__setitem__("schema", 2),
        lambda f: f.__delitem__("adam_first"),
        lambda f: f["adam_first/0"].__setitem__((0, 0), np.nan),
        lambda f: (f.__delitem__("adam_first/0"), f.create_dataset("adam_first/0", (2, 2), "f4")),
        lambda f: f.__delitem__("identity"),
    ],
)
def test_a_damaged_checkpoint_is_refused(few, tmp_path, damage):
    path = tmp_path / "run.h5"
    train(*few, recipe=SHORT, checkpoint=path, **SMALL)
    change_file(path, damage)
    with pytest.raises(FileError, match=r"run\.h5"):
        train(*few, recipe=SHORT, checkpoint=path, resume=True, **SMALL)


def test_resuming_needs_a_checkpoint(few, tmp_path):
    with pytest.raises(ValidationError, match="resume"):
        train(*few, recipe=SHORT, resume=True, **SMALL)
    with pytest.raises(FileError, match="no such file"):
        train(*few, recipe=SHORT, resume=True, checkpoint=tmp_path / "none.h5", **SMALL)


IMAGES = np.zeros((4, 5, 5), np.float32)
LABELS = np.array([0, 1, 2, 3], np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "options", "message"),
    [
        (IMAGES[:0], LABELS[:0], {}, "images"),
        (np.full_like(IMAGES, np.nan), LABELS, {}, "NaN"),
        (IMAGES + 2, LABELS, {}, "outside"),
        (IMAGES.reshape(4, 25), LABELS, {}, "shape"),
        (np.zeros((4, 0, 5), np.float32), LABELS, {}, "shape"),
        ([["a"]], LABELS, {}, "array of numbers"),
        (IMAGES, LABELS[:3], {}, "labels"),
        (IMAGES, LABELS.astype(float), {}, "labels"),
        (IMAGES, LABELS + 7, {}, "labels"),
        (IMAGES, LABELS.astype(int) - 1, {}, "labels"),
        (IMAGES, LABELS, {"hidden": ()}, "hidden"),
        (IMAGES, LABELS, {"hidden": (5, 0)}, "hidden"),
        (IMAGES, LABELS, {"hidden": (5, 2.5)}, "hidden"),
        (IMAGES, LABELS % 1, {"classes": 1}, "classes"),
        (IMAGES, LABELS, {"seed": -1}, "seed"),
        (IMAGES, LABELS, {"test": (IMAGES[:, :4], LABELS)}, "test images"),
        (IMAGES, LABELS, {"test": (IMAGES, LABELS + 7)}, "test labels"),
    ],
)
def test_bad_input_is_refused_by_name(images, labels, options, message):
    with pytest.raises(ValidationError, match=message):
        train(images, labels, recipe=SHORT, **options)


def test_an_unknown_recipe_is_refused_with_a_suggestion():
    with pytest.raises(UnknownNameError, match="did you mean 'paper'"):
        train(IMAGES, LABELS, recipe="papr")


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"final_fraction": 2.0}]
)
def test_schedules_out_of_range_are_refused(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        dataclasses.replace(Schedule(1, 1, 1, 1.0), **change)


# Models


def test_rates_are_those_of_the_reference_in_si_units():
    model = a_model()
    images = np.random.default_rng(3).random((9, 3, 4))
    p = model.siegert
    hertz = images.reshape(9, 12) * model.input_scale / p.t_ref_s
    for weights in model.weights:
        w = weights.astype(np.float64)
        drive = p.tau_m_s * hertz @ w
        spread = np.sqrt(p.tau_m_s / 2 * hertz @ w**2)
        hertz = siegert_rates(drive, spread, p) / p.t_ref_s
    np.testing.assert_allclose(model.rates(images), hertz * p.t_ref_s, atol=1e-5)


def test_many_images_are_evaluated_in_chunks_to_the_same_rates():
    model = a_model()
    images = np.random.default_rng(4).random((4100, 12), dtype=np.float32)
    whole = model.rates(images)
    np.testing.assert_allclose(whole[[0, 2000, 4099]], model.rates(images[[0, 2000, 4099]]))
    assert model.rates(images[:0]).shape == (0, 3)


def test_weights_are_read_only_copies():
    weights = tuple(w.copy() for w in a_model().weights)
    model = a_model(weights=weights)
    weights[0][0, 0] = 1
    assert model.weights[0][0, 0] != 1
    with pytest.raises(ValueError, match="read-only"):
        model.weights[0][0, 0] = 1


@pytest.mark.parametrize("accuracy", [None, 0.9873])
def test_a_model_comes_back_from_its_file(tmp_path, accuracy):
    model = a_model(rate_accuracy=accuracy)
    save_model(tmp_path / "model.h5", model)
    back = load_model(tmp_path / "model.h5")
    assert same(model, back)
    for field in dataclasses.fields(SDBN):
        if field.name != "weights":
            assert getattr(model, field.name) == getattr(back, field.name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": ()}, "weights"),
        ({"weights": (np.zeros((12, 7)), np.zeros((6, 3)))}, "layer 2"),
        ({"weights": (np.full((12, 7), np.inf),)}, "layer 1"),
        ({"image_shape": (5, 5)}, "image_shape"),
        ({"input_scale": 0.0}, "input_scale"),
        ({"noise_factor": -1.0}, "noise_factor"),
        ({"rate_accuracy": 1.5}, "rate_accuracy"),
        ({"seed": -1}, "seed"),
    ],
)
def test_models_out_of_range_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        a_model(**change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.__delitem__("weights/1"), "weights/1"),
        (lambda f: f.__delitem__("siegert"), "siegert"),
        (lambda f: f.attrs.__delitem__("recipe"), "recipe"),
        (lambda f: f.attrs.__setitem__("seed", "seven"), "seed"),
        (lambda f: f.attrs.__setitem__("schema", 2), "schema"),
        (lambda f: [f["weights"].create_group(f"more{i}") for i in range(99)], "weights"),
        (lambda f: f.attrs.__setitem__("input_scale", np.nan), "input_scale"),
        (lambda f: f.attrs.__setitem__("image_height", 4), "image_shape"),
        (lambda f: f.attrs.__setitem__("recipe", "x" * 12_000), "recipe"),
        (lambda f: f["weights"].attrs.__setitem__("unit", "mV"), "volt per spike"),
        (lambda f: f["weights/0"].__setitem__((0, 0), np.nan), "weights/0"),
        (lambda f: f["siegert"].attrs.__setitem__("t_ref_s", -1.0), "t_ref_s"),
    ],
)
def test_a_damaged_model_file_is_refused_by_field(tmp_path, damage, message):
    path = tmp_path / "model.h5"
    save_model(path, a_model())
    change_file(path, damage)
    with pytest.raises(FileError, match=message) as caught:
        load_model(path)
    assert "model.h5" in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "kind"), [((12, 7), "f8"), ((84,), "f4"), ((90_000, 90_000), "f4")]
)
def test_weights_of_another_type_or_size_are_refused_before_memory_is_taken(tmp_path, shape, kind):
    path = tmp_path / "model.h5"
    save_model(path, a_model())

    def damage(file):
        del file["weights/0"]
        file.create_dataset("weights/0", shape, kind)  # never written, so it takes no disk

    change_file(path, damage)
    with pytest.raises(FileError, match="weights/0"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all", None])
def test_files_that_are_no_models_are_refused(tmp_path, content):
    path = tmp_path / "model.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=r"model\.h5"):
        load_model(path)


def test_a_truncated_model_file_is_refused(tmp_path):
    path = tmp_path / "model.h5"
    save_model(path, a_model())
    whole = path.read_bytes()
    for length in (100, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match=r"model\.h5"):
            load_model(path)


def test_a_model_that_cannot_be_written_leaves_the_old_one(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OutputError):
        save_model(folder, a_model())


# MNIST, minutes each


@pytest.mark.slow
@pytest.mark.usefixtures("needs_mnist")
@pytest.mark.parametrize(("name", "least"), [("fine-tuned", 0.985), ("paper", 0.965)])
def test_a_recipe_reaches_its_accuracy_on_mnist(name, least):
    mnist = load_dataset("mnist")
    test = (mnist.test.images, mnist.test.labels)
    model = train(mnist.train.images, mnist.train.labels, recipe=name, test=test)
    assert model.rate_accuracy >= least
